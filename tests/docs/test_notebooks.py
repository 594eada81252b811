"""The notebooks run from top to bottom without a warning, and what is kept of them is fit to be read."""

import gc
import inspect
import re
from itertools import pairwise

import nbformat
import pytest

from benchmarks.lib import blocks
from notebooks.run import FOLDER, execute, strip

PATHS = sorted(FOLDER.glob("*.ipynb"), key=lambda path: int(path.name.split("-")[0]))
notebooks = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def read_notebook(path):
    return nbformat.read(path, as_version=4)


def texts(notebook):
    """The sources and all text output of the cells."""
    for cell in notebook.cells:
        yield cell.source
        for output in cell.get("outputs", ()):
            yield output.get("text", "")
            yield from (value for kind, value in output.get("data", {}).items() if kind.startswith("text/"))


def test_there_are_ten_in_reading_order():
    assert [path.name.split("-")[0] for path in PATHS] == [str(number) for number in range(1, 11)]
    for path, following in pairwise(PATHS):
        assert f"]({following.name})" in read_notebook(path).cells[-1].source, f"{path.name} does not lead to it"


@pytest.mark.slow
@notebooks
def test_runs_without_a_warning(path, environment):
    kept, ran = read_notebook(path), strip(execute(path, XLA_FLAGS=environment["XLA_FLAGS"]))
    gc.collect()  # a socket left open is warned of here, and not in some later test
    for cell in ran.cells:
        for output in cell.get("outputs", ()):
            assert output.get("name") != "stderr", output.text
    # What each cell shows is kept. Not its numbers: they depend on the machine and on the version of jax.
    for before, after in zip(kept.cells, ran.cells, strict=True):
        kinds = [sorted(output.get("data", ["text"])) for output in after.get("outputs", ())]
        assert [sorted(output.get("data", ["text"])) for output in before.get("outputs", ())] == kinds, after.source


@notebooks
def test_kept_is_what_running_keeps(path):
    """Pictures are there; counts, times, progress bars and the machine are not."""
    notebook = read_notebook(path)
    assert notebook == strip(read_notebook(path)), "run `python -m notebooks.run`"
    assert nbformat.validate(notebook) is None
    for text in texts(notebook):
        assert not re.search(r"(?<![\w.])/(home|root|tmp|usr|work|opt|Users)/|[A-Z]:\\", text), text


def test_blocks_are_shown_as_the_benchmarks_have_them():
    shown = [cell.source for cell in read_notebook(PATHS[8]).cells if cell.cell_type == "code"]
    ours = {name: thing for name, thing in vars(blocks).items() if inspect.getmodule(thing) is blocks}
    sources = {name: inspect.getsource(thing).rstrip() for name, thing in ours.items()}
    assert len(sources) > 5
    for name, source in sources.items():
        assert sum(f"\n\n\n{source}\n\n\n" in f"\n\n\n{cell}\n\n\n" for cell in shown) == 1, f"{name} differs"
