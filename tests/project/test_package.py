"""Which brainsurr the other tests test: the checkout's in `make test`, the built wheel's in `TESTED=wheel make test`.

And that `make test-package` sees what is wrong with an sdist, and reads what a wheel asks for.
"""

import base64
import hashlib
import importlib.metadata
import json
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from pages import ROOT

import brainsurr
from tools import extras, package


def test_what_is_tested_is_what_is_installed():
    """An install from a wheel means its files, each as its RECORD has it; an editable one, or none, those beside us."""
    tested = Path(brainsurr.__file__).resolve().parent
    installed = next(iter(importlib.metadata.distributions(name="brainsurr")), None)
    origin = json.loads((installed and installed.read_text("direct_url.json")) or "{}")
    if installed is None or origin.get("dir_info", {}).get("editable"):
        assert tested == ROOT.resolve() / "brainsurr"
        return

    assert tested == Path(installed.locate_file("brainsurr")).resolve()
    record = {Path(file.locate()).resolve(): file.hash for file in installed.files}
    files = {path for path in tested.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert files <= record.keys()
    for path in files:
        digest = hashlib.new(record[path].mode, path.read_bytes()).digest()
        assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == record[path].value, path


@pytest.mark.skipif(shutil.which("git") is None, reason="a checkout needs git")
def test_what_an_sdist_lacks_or_has_too_much_is_seen(tmp_path, monkeypatch):
    root, built, direct = (tmp_path / name for name in ("checkout", "built", "direct"))
    folders = {"benchmarks", "brainsurr", "docs", "notebooks", "tests", "tools"}
    names = [*(package.SDIST - folders), *(f"{folder}/a.py" for folder in folders), "tests/deep/b.txt"]
    for folder in (built, direct, root / "tests/deep", *(root / folder for folder in folders)):
        folder.mkdir(parents=True, exist_ok=True)
    for name in [*names, "docs/draft.md"]:
        (root / name).touch()
    for command in (["init", "--quiet"], ["add", *(name for name in names if name != "PKG-INFO")]):
        subprocess.run(["git", *command], cwd=root, check=True)
    with zipfile.ZipFile(built / "brainsurr-1-py3-none-any.whl", "w") as wheel:
        for name in ["brainsurr/a.py", *(f"brainsurr-1.dist-info/{name}" for name in package.ABOUT)]:
            wheel.writestr(name, "")
    shutil.copy(built / "brainsurr-1-py3-none-any.whl", direct)
    monkeypatch.setattr(package, "ROOT", root)

    def compare(holds):
        with tarfile.open(built / "brainsurr-1.tar.gz", "w:gz") as sdist:
            for name in holds:
                sdist.add(root / name, f"brainsurr-1/{name}")
        package.main(built, direct)

    compare(names)
    for name in ("tests/deep/b.txt", "docs/a.py", "Makefile"):
        with pytest.raises(SystemExit, match=f"the sdist and the checkout differ in {name}"):
            compare([other for other in names if other != name])
    with pytest.raises(SystemExit, match="differ in docs/draft"):  # which git does not know
        compare([*names, "docs/draft.md"])


def test_what_a_wheel_asks_for_is_read_as_installers_read_it(tmp_path):
    asks = [
        *("Jax>=0.8", 'never; python_version < "3"'),
        *("A_b.C>=1; python_version >= '3' and extra == \"one-two\"", 'd[e]; extra == "one-two" or extra == "three"'),
        *('jax; extra == "three"', "pytest; extra == 'test'"),
    ]
    lines = ["Metadata-Version: 2.4", "Name: brainsurr", "Version: 1"]
    lines += [f"Provides-Extra: {extra}" for extra in ("one-two", "three", "test")]
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as wheel:
        wheel.writestr("brainsurr-1.dist-info/METADATA", "\n".join(lines + [f"Requires-Dist: {ask}" for ask in asks]))
    assert extras.requirements(tmp_path / "a.whl") == {"": {"jax"}, "one-two": {"a-b-c", "d"}, "three": {"d"}}
