"""The pages and the README: their links, and that their code is run. `make docs` builds them, and checks the rest.

The code for Flax, brainstate and Equinox runs here, that of docs/other-libraries.md in `make test-peers`.
"""

import re
import subprocess
import sys
import tomllib
import types

import jax
import pytest
from pages import ROOT, patched, run_blocks

import brainsurr as bs
from tools.peers import peers

pytestmark = pytest.mark.usefixtures("lenient")  # brainstate's Linear


@pytest.mark.parametrize("framework", ["Flax NNX", "Flax Linen", "brainstate"])
def test_page(framework):
    scope = run_blocks(ROOT / "docs/frameworks.md", framework)
    assert scope["ys"].shape == (20, 8, 2)
    assert scope["spikes"].shape == (20, 8, 4)
    assert set(jax.numpy.unique(scope["spikes"]).tolist()) == {0.0, 1.0}


@pytest.mark.slow
def test_page_of_equinox(tmp_path, monkeypatch):
    """Arrays are trained, numbers are not."""
    monkeypatch.chdir(tmp_path)
    scope = run_blocks(ROOT / "docs/equinox.md")
    assert scope["last"] < scope["first"]
    assert scope["losses"][-1] < scope["losses"][0]
    assert (scope["in_training"] != scope["in_evaluation"]).any()
    trained = {jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(scope["parameters"])}
    weights = {f".{layer}.{name}" for layer in ("first", "last") for name in ("weight", "bias")}
    assert trained == weights | {".lif.decay", ".lif.spike_fn.alpha"}


def test_the_tables_name_every_section_and_every_peer():
    text = (ROOT / "docs/other-libraries.md").read_text()
    sections = set(re.findall(r"^## (.*)$", text, re.MULTILINE)) - {"Tested versions"}
    assert set(re.findall(r"^\| \[([\w.]+)\]\(#", text, re.MULTILINE)) == sections
    assert set(re.findall(r"PyPI `([\w-]+)`", text)) == peers().keys()


def pages():
    """What is written or generated and committed; docs/surrogates is neither, and `make docs` checks it."""
    committed = [page for page in (ROOT / "docs").rglob("*.md") if page.parent.name != "surrogates"]
    return sorted([*committed, *ROOT.glob("*.md")])


def anchors(page):
    """Those of the headings, as MyST and code hosts make them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_local_link_exists(page):
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\((?!https?:)([^)\s]*)\)", prose):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_with_code_is_run_by_a_test():
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for page in pages():
        if "```python" in page.read_text():
            assert re.search(rf'["/]{page.name}"', tests), page
    assert run_blocks(ROOT / "docs/braintools.md")["surrogate"].LogTailedRelu(0.1)(0.0) == 1


def test_pages_and_notebooks_install_extras_that_there_are():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    shown = [*pages(), *sorted((ROOT / "notebooks").glob("*.ipynb"))]
    named = re.findall(r'pip install \\?"?[\w.]*\[([\w,]+)\]', "".join(path.read_text() for path in shown))
    assert {extra for listed in named for extra in listed.split(",")} <= set(extras)


def test_the_page_on_installation_lists_the_extras_that_users_need():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    listed = re.findall(r"^\| `(\w+)`", (ROOT / "docs/installation.md").read_text(), re.MULTILINE)
    assert listed == [extra for extra in extras if extra not in {"speech", "test", "docs", "peers"}]


BRAINTOOLS = (ROOT / "docs/braintools.md").read_text()
(COMMAND,) = re.findall(r"```bash\n(.*?)```", BRAINTOOLS, re.DOTALL)


def converted(folder) -> str:
    """Run the command of the page in a folder, and give what it prints."""
    command = COMMAND.replace("python", sys.executable, 1).replace("../brainsurr", str(ROOT))
    return subprocess.run(command, shell=True, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_the_command_for_braintools_does_what_the_diff_shows(tmp_path):
    (diff,) = re.findall(r"```diff\n(.*?)```", BRAINTOOLS, re.DOTALL)
    before = "".join(line[1:] for line in diff.splitlines(keepends=True) if line[0] in " -")
    (tmp_path / "model.py").write_text(before)
    assert converted(tmp_path) == ""
    assert (tmp_path / "model.py").read_text() == patched(before, diff)
    assert (tmp_path / "model.py.bak").read_text() == before


CONVERTED = [
    ("import braintools", "braintools.surrogate"),
    ("import braintools.metric", "braintools.surrogate"),
    ("import brainstate as bst, braintools, jax", "braintools.surrogate"),
    ("if True:\n    import braintools", "braintools.surrogate"),
    ("if True: import jax; import braintools", "braintools.surrogate"),
    ("é = 'é'; import braintools.surrogate as s", "s"),
    ("from braintools import surrogate  # comment", "surrogate"),
    ("from braintools import (\n    surrogate,\n)", "surrogate"),
    ("from braintools.surrogate import (\n    ReluGrad,  # comment\n)", ""),
    ("import braintools as bt", "bt.surrogate"),
    ("import braintools as bt\nimport braintools.surrogate", "braintools.surrogate"),
]
LEFT = [
    ("from braintools import metric, surrogate as s", "s"),
    ("from braintools import *", "surrogate"),
    ("from braintools import (\n    surrogate as s,  # comment\n)", "s"),
]
# What is no code, and code of others.
KEPT = '''
"""
>>> import braintools, braintools.surrogate as s
>>> from braintools.surrogate import ReluGrad
"""
# braintools.surrogate, import braintools
name, other = "braintools.surrogate", own.braintools.surrogate
def relative(): from .braintools.surrogate import ReluGrad
'''


def test_the_command_for_braintools_converts_or_says_why_not(tmp_path):
    own = types.SimpleNamespace(braintools=types.SimpleNamespace(surrogate=0))
    for i, (imported, used) in enumerate([*CONVERTED, *LEFT]):
        call = f"{used}.ReluGrad" if used else "ReluGrad"
        (tmp_path / f"model{i}.py").write_text(f"{imported}\nf = {call}(alpha=0.3)\n{KEPT}", encoding="utf-8")
    printed = converted(tmp_path).splitlines()
    assert printed == [f"model{i}.py:1:{was.splitlines()[0]}" for i, (was, _) in enumerate(LEFT, len(CONVERTED))]
    for i, (imported, _) in enumerate(CONVERTED):
        program = (tmp_path / f"model{i}.py").read_text(encoding="utf-8")
        assert program.endswith(KEPT)
        assert program.count("# comment") == imported.count("# comment")
        assert not re.search(r"import .*braintools.*, brainsurr|\bbraintools\.surrogate\.", program)
        assert len(re.findall(r"import brainsurr(?! as)", program)) <= 1
        exec(program, scope := {"own": own})
        assert type(scope["f"]) is bs.ReluGrad, imported
    assert not list(tmp_path.glob(f"model{len(CONVERTED)}.py.bak"))


def test_every_test_that_the_design_notes_name_exists():
    text = (ROOT / "docs/design-notes.md").read_text()
    sections = text.split("\n## ")[1:]
    assert sections
    for section in sections:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", section)
        assert named, section
        for file, test in named:
            assert f"\ndef {test}(" in (ROOT / file).read_text(), test


def test_the_version_to_cite_is_that_of_the_package():
    assert f"\nversion: {bs.__version__}\n" in (ROOT / "CITATION.cff").read_text()
