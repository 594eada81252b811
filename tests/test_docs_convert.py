"""docs/convert-relu.md: its diffs fit, each program trains, and reaches the accuracy that the page states."""

import re
from pathlib import Path

import pytest
from pages import patched

PAGE = (Path(__file__).parent.parent / "docs" / "convert-relu.md").read_text()
FRAMEWORKS = ("Flax NNX", "Flax Linen", "brainstate")
STEPS = 8  # the program that is given, and seven diffs


def programs(framework):
    section = PAGE.partition(f"\n## {framework}\n")[2].partition("\n## ")[0]
    (program,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    yield program
    for diff in re.findall(r"```diff\n(.*?)```", section, re.DOTALL):
        program = patched(program, diff)
        yield program


def stated(framework):
    """The column of a framework in the table on top."""
    head, _, *rows = re.findall(r"^\| (.*) \|$", PAGE.partition("\nYou need")[0], re.MULTILINE)
    column = [cell.strip() for cell in head.split("|")].index(framework)
    return [float(row.split("|")[column]) for row in rows]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_diff_fits_and_no_line_is_left_over(framework):
    *_, last = steps = list(programs(framework))
    assert len(steps) == STEPS
    assert len(set(steps)) == STEPS
    assert "relu(" not in last
    for program in steps:
        compile(program, framework, "exec")
    assert [line for line in last.splitlines() if len(line) > 88] == []


@pytest.mark.slow
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_step_reaches_the_accuracy_that_the_page_states(framework, lenient, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    accuracies = []
    for program in programs(framework):
        exec(compile(program, framework, "exec"), {"__name__": "convert"})
        accuracy, *more = capsys.readouterr().out.splitlines()
        accuracies.append(float(accuracy.removeprefix("test accuracy ")))
    assert more == ["same outputs: True"]
    assert {path.name for path in tmp_path.iterdir()} == {"digits", "raster.png"}
    table = stated(framework)
    # 450 images: another machine rounds another way, and may tell a few of them differently.
    assert accuracies[: len(table)] == pytest.approx(table, abs=0.015)
    assert accuracies[len(table) :] == [accuracies[len(table) - 1]] * 2  # looking and saving change nothing
