"""The pages of evidence say what the result files say: numbers, recomputed, and sentences, which can fail."""

import functools
import json
import re
import statistics
from unittest import mock

import pytest

from benchmarks.lib.results import PICTURES, RESULTS, ROOT
from benchmarks.lib.study import of_seeds, rows
from benchmarks.pages import evidence, studies, tables
from benchmarks.studies import family
from benchmarks.studies.choice import GRID, Grid
from benchmarks.studies.reports import claims, outcomes
from benchmarks.studies.reports import family as report
from benchmarks.studies.shapes import SHAPES, Call
from brainsurr.nnx import LIF
from tools.parts import filled

pytestmark = pytest.mark.slow

FILES = {path.stem: path for path in sorted((RESULTS / "family").glob("*.json"))}


def page(outcomes, *which):
    """The generated parts of the pages, as one text."""
    return "\n\n".join(part for module in which or (evidence, studies) for part in module.parts(outcomes).values())


@pytest.fixture(scope="module")
def by_setting():
    return outcomes.load(RESULTS / "family")


def test_pages_are_those_of_the_result_files():
    for name, text in tables.pages().items():
        assert text == (ROOT / name).read_text(), f"{name}: run `make evidence`"
    with pytest.raises(ValueError, match=r"expected <!-- nothing --> .* in README\.md"):
        filled("README.md", {"nothing": ""})


def test_pictures_are_there_and_lines_are_short():
    text = "".join((ROOT / "docs" / name).read_text() for name in ("evidence.md", "studies.md"))
    pictures = {path.name for path in (PICTURES / "evidence").glob("*.png")}
    assert pictures == set(re.findall(r"\(pictures/evidence/(.*?)\)", text))
    assert not [line for line in text.splitlines() if len(line) > 120 and not line.startswith("|")]


@functools.cache
def runs_of(name):
    """The columns of a setting's runs that have all seeds, by call and rate."""
    return of_seeds(rows(FILES[name]), Grid.of(FILES[name]).seeds, "call", "rate")


def test_a_number_of_the_page_by_hand(by_setting):
    """Mean and standard deviation of ten accuracies, by the standard library, stand in the row of their call."""
    for name, outcome in by_setting.items():
        section = studies.settings({name: outcome})
        for shape in ("S2NN", "LogTailedRelu"):
            entry = outcome.tuned[shape]
            (key,) = (k for k in runs_of(name) if k[0] == entry.call and k[1] == pytest.approx(entry.factor, rel=1e-4))
            tests = [100 * test for test in runs_of(name)[key]["test"].tolist()]
            (line,) = (line for line in section.splitlines() if line.startswith(f"| `{entry.call}`"))
            assert f" {statistics.mean(tests):.1f} ± {statistics.stdev(tests):.1f} " in line


def test_regret_by_hand(by_setting):
    """The worst and the mean distance of the recommended call to the best, in the table and in the README."""
    best = str(outcomes.default(by_setting))
    gaps = {}
    for name in by_setting:
        means = {call: 100 * runs_of(name)[call, 1]["test"].mean() for call in by_setting[name].single}
        gaps[name] = max(means.values()) - means[best]
    (row,) = (line for line in page(by_setting, evidence).splitlines() if line.startswith("| **"))
    cells = [cell.strip() for cell in row.split("|")]
    assert cells[2:4] == [f"{max(gaps.values()):.1f}", f"{statistics.mean(gaps.values()):.1f}"]
    assert cells[-2] == max(gaps, key=gaps.get)
    text = " ".join(evidence.readme(by_setting).split())
    assert f"it is at most {max(gaps.values()):.1f} points of accuracy" in text


def test_a_default_of_the_layers_is_called_so():
    """By its curve: what a page says of the layers follows the layers; here the one whose neighbour is closest."""
    call = Call("LogTailedRelu", 0.01, 1.0)
    with mock.patch.object(evidence, "LIF", lambda size: LIF(size, spike_fn=call.surrogate)):
        assert [c for shape in SHAPES for c in GRID.calls(shape) if evidence.is_of_the_layers(c)] == [call]


def test_a_claim_can_fail(by_setting):
    """Claims are computed: with accuracies turned round, others hold."""

    def turned(entries):
        return {name: entry._replace(test=100 - entry.test) for name, entry in entries.items()}

    def grid(values):
        return {point: 100 - value for point, value in values.items()}

    other = {
        name: o._replace(tuned=turned(o.tuned), single=turned(o.single), grid=grid(o.grid))
        for name, o in by_setting.items()
    }
    before, after = ([claim.holds for claim in claims.claims(some)] for some in (by_setting, other))
    assert len(before) == len(after)
    assert before != after


def test_a_setting_that_is_not_finished_is_named_and_left_out(by_setting, tmp_path):
    """Without the single calls, or without one of the shapes."""
    first, second, *others = by_setting
    for name in others:
        (tmp_path / FILES[name].name).write_text(FILES[name].read_text())
    for name, left in (
        (first, lambda parts: parts.pop("calls")),
        (second, lambda parts: parts["tune"]["shapes"].pop()),
    ):
        result = json.loads(FILES[name].read_text())
        left(result["finished"])
        (tmp_path / FILES[name].name).write_text(json.dumps(result))
    fewer = outcomes.load(tmp_path)
    assert set(fewer) == set(others)
    assert {first, second} <= set(outcomes.unfinished(fewer))
    assert f"not been finished: {', '.join(outcomes.unfinished(fewer))}." in " ".join(page(fewer, evidence).split())


@pytest.mark.parametrize("shape", ["S2NN", outcomes.FOCUS])
def test_a_shape_that_the_code_lost_is_named_and_left_out(shape):
    """It is renamed: its runs have a name that is gone, and the new one has none. Claims name both."""
    shapes = {"Renamed" if name == shape else name: surrogate for name, surrogate in SHAPES.items()}
    with mock.patch.dict(SHAPES, shapes, clear=True):  # which gives back the order, too
        left = outcomes.load(RESULTS / "family")
        text = " ".join(page(left, evidence).split())
        new, _, gone = text.partition("Not compared yet: ")[2].partition(" No longer in the family, and left out: ")
        assert "`Renamed`" in new
        assert f"`{shape}`" in gone
        assert f"`bs.{shape}(" not in text + evidence.readme(left)
        of_comparison = studies.parts(left)
        assert not any(f"`{shape} " in text + of_comparison[part] for part in ("settings", "adapted", "reruns"))


def test_results_of_a_setting_that_the_code_lost_are_shown(by_setting):
    first, *others = by_setting
    with mock.patch.object(outcomes, "names", return_value=others):
        assert list(outcomes.load(RESULTS / "family")) == [*others, first]


@pytest.mark.parametrize(("start", "said"), [("depth-", "- *Deep*"), ("randman-", "Randman, by learning rate")])
def test_pages_do_without_some_settings(by_setting, start, said):
    """What a sentence or a table says of settings that are not there is left out."""
    fewer = {name: outcome for name, outcome in by_setting.items() if not name.startswith(start)}
    assert said in page(by_setting)
    assert said not in page(fewer)


def test_calls_are_those_that_all_settings_have(by_setting, tmp_path):
    """A call that was tried in one setting alone is not compared, and keeps no other away."""
    name, *others = by_setting
    for other in others:
        (tmp_path / FILES[other].name).write_text(FILES[other].read_text())
    result, tuned = json.loads(FILES[name].read_text()), {entry.call for entry in by_setting[name].tuned.values()}
    lost = next(call for call in by_setting[name].single if call not in {*map(str, family.ADAPTED), *tuned})
    kept = [row for row in result["rows"] if not (row[0] == lost and 5 <= row[3] < 10 and row[1] == 1)]
    (tmp_path / FILES[name].name).write_text(json.dumps(result | {"rows": kept}))
    assert set(by_setting[name].single) - set(outcomes.load(tmp_path)[name].single) == {lost}


def test_adapted_widths_are_compared_where_ten_seeds_are_there(by_setting):
    """At any rate, and whether other settings have it or not, as the page says: by hand from the rows of the files."""
    for name, outcome in by_setting.items():
        best = max(100 * run["test"].mean() for (call, _), run in runs_of(name).items() if call.startswith("S2NN "))
        assert report.best_width(outcome, "S2NN width=0.5") == pytest.approx(best), name
