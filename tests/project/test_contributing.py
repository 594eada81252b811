"""CONTRIBUTING.md, followed word for word in a copy of the tree: a surrogate and a neuron are added.

For a surrogate nothing has to run again.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pages import ROOT

import brainsurr
from tools.faults import LEFT_OUT

pytestmark = pytest.mark.slow

# What is asked of all at once: of surrogates, layers, modules and pages.
OF_ALL = "the_table or every_surrogate or every_layer or public or counted or import or link"


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the tree, with the package as it is tested."""
    tree = tmp_path_factory.mktemp("copy") / "tree"
    for folder, copy in ((ROOT, tree), (Path(brainsurr.__file__).parent, tree / "brainsurr")):
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(*LEFT_OUT), dirs_exist_ok=True)
    return tree


def section(title):
    """A section of the text, and the commands that it gives to make."""
    text = (ROOT / "CONTRIBUTING.md").read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]
    (commands,) = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    return text, [line.removeprefix("make ").split() for line in commands.splitlines()]


def add(tree, text):
    """Write each block of Python where the sentence before it says."""
    where = r"In `([^`\n]+)`, (at the end|a new file|below `([^`\n]+)`):\n\n```python\n(.*?)```"
    steps = re.findall(where, text, re.DOTALL)
    assert len(steps) == text.count("```python")
    for path, place, anchor, block in steps:
        text = (tree / path).read_text() if place != "a new file" else ""
        if anchor:
            assert text.count(f"\n{anchor}\n") == 1, (path, anchor)
            text = text.replace(f"\n{anchor}\n", f"\n{anchor}\n{block}")
        else:
            text = f"{text}\n\n{block}" if text else block
        (tree / path).write_text(text)


@pytest.fixture(scope="module")
def run(tree):
    """``run("make", ...)`` and ``run("pytest", ...)`` in the copy; pytest runs what `make test` does."""
    environment = tree / "environment"  # stands for the one that make would install
    environment.mkdir()
    (environment / "test").touch()
    options = [f"VENV={environment}", f"BIN={Path(sys.executable).parent}"]
    variables = os.environ | {"PYTHONPATH": str(tree), "XLA_FLAGS": "", "MAKEFLAGS": ""}  # of a make around the tests
    variables.setdefault("MYPY_CACHE_DIR", str(ROOT / ".mypy_cache"))  # in which `make lint` has left the frameworks
    (quick,) = re.findall(r"^QUICK := (.*)$", (tree / "Makefile").read_text(), re.MULTILINE)
    commands = {"make": ["make", *options], "pytest": [sys.executable, "-m", "pytest", "-q", "-m", quick]}

    def run_command(name, *arguments):
        command = [*commands[name], *arguments]
        done = subprocess.run(command, cwd=tree, env=variables, capture_output=True, text=True)
        assert not done.returncode, done.stdout + done.stderr

    return run_command


def test_a_surrogate_and_a_neuron_are_added_as_the_text_says(tree, run):
    writes: dict[str, None] = {}
    for title in ("Add a surrogate", "Add a neuron"):
        text, (write, _) = section(title)
        add(tree, text)
        writes |= dict.fromkeys(write)
    run("make", *writes)
    run("make", "lint")
    assert (tree / "README.md").read_bytes() == (ROOT / "README.md").read_bytes()
    for path in (ROOT / "benchmarks/results").glob("*/*.json"):
        assert (tree / path.relative_to(ROOT)).read_bytes() == path.read_bytes()
    run("pytest", "-k", f"arabola or QIF or qif or {OF_ALL}", "tests", "brainsurr/surrogates", "brainsurr/neurons")
