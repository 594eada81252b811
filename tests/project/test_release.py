"""The description on a package index, and the versions that the workflow tests."""

import json
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
from pages import ROOT

LINK = r"\]\((?!https?:)[^)\s]+\)"
ADDRESS = "https://example.org/brainsurr"
WORKFLOW = ROOT / ".github/workflows/tests.yml"


@pytest.fixture
def metadata(tmp_path):
    """``metadata(urls)`` gives that of the package, with these lines as its `project.urls`."""

    def read(urls=""):
        for name in ("README.md", "LICENSE", "hatch_build.py"):
            shutil.copy(ROOT / name, tmp_path)
        (tmp_path / "brainsurr").mkdir()
        shutil.copy(ROOT / "brainsurr/__init__.py", tmp_path / "brainsurr")
        project = re.sub(r"^\[project\.urls\]\n(.+\n)*", "", (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE)
        (tmp_path / "pyproject.toml").write_text(project + urls)
        command = [sys.executable, "-m", "hatchling", "metadata"]
        return json.loads(subprocess.run(command, cwd=tmp_path, check=True, capture_output=True).stdout)

    return read


def test_the_description_without_an_address_has_no_relative_link(metadata):
    found = metadata()
    assert "urls" not in found
    text = found["readme"]["text"]
    assert not re.search(LINK, text)
    kept = re.findall(rf"(?<!!)\[([^\]]*){LINK}", (ROOT / "README.md").read_text())
    assert kept
    assert all(words in text for words in kept)


def test_the_description_with_an_address_links_to_files_of_the_version(metadata):
    found = metadata(f'\n[project.urls]\nSource = "{ADDRESS}"\n')
    text = found["readme"]["text"]
    assert not re.search(LINK, text)
    start = re.escape(f"{ADDRESS}/") + "(blob|raw)" + re.escape(f"/v{found['version']}/")
    linked = re.findall(rf"(!?)\[[^\]]*\]\({start}([^)#]+)", text)
    assert len(linked) == len(re.findall(LINK, (ROOT / "README.md").read_text()))
    for picture, kind, path in linked:
        assert kind == ("raw" if picture else "blob")
        assert (ROOT / path).exists()


@pytest.mark.skipif(not WORKFLOW.exists(), reason="an sdist has no workflows")
def test_the_workflow_tests_each_python_and_what_make_test_does():
    text = WORKFLOW.read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    (tested,) = re.findall(r"python: \[(.*)\]", text)
    assert json.loads(f"[{tested}]") == named
    assert project["requires-python"] == f">={named[0]}"
    (quick,) = re.findall(r"^QUICK := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r'-m pytest .*-m "(.*)"', text)) == {quick}
