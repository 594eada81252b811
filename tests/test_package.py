"""Which brainsurr the other tests test: the checkout's in `make test`, the built wheel's in `make test-wheel`."""

import base64
import hashlib
import importlib.metadata
import json
from pathlib import Path

import brainsurr


def test_what_is_tested_is_what_is_installed():
    """An install from a wheel means its files, each as its RECORD has it; an editable one, or none, those beside us."""
    tested = Path(brainsurr.__file__).resolve().parent
    installed = next(iter(importlib.metadata.distributions(name="brainsurr")), None)
    origin = json.loads((installed and installed.read_text("direct_url.json")) or "{}")
    if installed is None or origin.get("dir_info", {}).get("editable"):
        assert tested == Path(__file__).resolve().parent.parent / "brainsurr"
        return

    assert tested == Path(installed.locate_file("brainsurr")).resolve()
    record = {Path(file.locate()).resolve(): file.hash for file in installed.files}
    files = {path for path in tested.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert files <= record.keys()
    for path in files:
        digest = hashlib.new(record[path].mode, path.read_bytes()).digest()
        assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == record[path].value, path
