"""Mistakes in an sdist, a wheel and the site are found."""

import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from unittest.mock import Mock

import pytest

from tools import check_site, package


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


# The site

FAULTY = """
<!DOCTYPE html><html><head><style>
  .pst-scrollable-table-container { overflow-x: auto }
  pre { overflow-x: auto; transition: width 9s; width: 300px }  /* from the width of a frame, 300 px, where it fits */
  @media (max-width: 350px) { pre { width: 30000px } }
</style></head><body><article>
<p style="color: #eee; background: #fff">pale</p>
<img src="nothing.png" alt="a picture">
<div class="pst-scrollable-table-container"><table><tr><td style="white-space: nowrap">WIDE</td></tr></table></div>
<pre>WIDE</pre>
<div style="width: 2000px">OUT</div>
</article></body></html>
"""
SOUND = """
<!DOCTYPE html><html><body><article><p>text</p><pre>code</pre><table><tr><td>cell</td></tr></table></article></body>
"""


@pytest.fixture
def site(tmp_path):
    (tmp_path / "faulty.html").write_text(FAULTY.replace("WIDE", 400 * "wide "))
    (tmp_path / "sound.html").write_text(SOUND)
    words = dict.fromkeys(re.findall(r"[^\s+]+", check_site.WORDS.lower()), 0)
    index = {"terms": words, "titleterms": {}}
    (tmp_path / "searchindex.js").write_text(f"Search.setIndex({json.dumps(index)})")
    return tmp_path


def test_a_word_that_the_search_does_not_find_is_named(site, monkeypatch):
    monkeypatch.setitem(sys.modules, "snowballstemmer", Mock(**{"stemmer.return_value.stemWord": str}))
    assert check_site.missing_words(site) == []
    text = (site / "searchindex.js").read_text()
    (site / "searchindex.js").write_text(text.replace('"synaptic"', '"else"'))
    assert check_site.missing_words(site) == ["the search finds no page for synaptic"]
    (site / "searchindex.js").write_text(text.replace('"rate": 0', '"rate": [1, 2]'))
    assert check_site.missing_words(site) == ["the search finds no page for learning rate"]


def test_without_a_browser_it_says_so(site, monkeypatch, capsys):
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(site))
    monkeypatch.setattr(check_site, "missing_words", lambda site: [])
    (site / "faulty.html").unlink()
    assert check_site.main(site) == 0
    assert "skipped: no browser looked at the pages, as none of chromium," in capsys.readouterr().out


def test_a_browser_that_ends_without_a_report_is_a_fault(site):
    (fault,) = check_site.look(site, ["sound.html"], "false")
    assert "false gave no report within 600 s, or ended before (status 1)" in fault


@pytest.mark.slow
@pytest.mark.skipif(check_site.find_browser() is None, reason="no Chromium is installed")
def test_a_browser_sees_each_fault_and_no_other(site):
    faults = check_site.look(site, ["faulty.html", "sound.html"], check_site.find_browser())
    assert {fault.partition(",")[0].partition(":")[0] for fault in faults} == {"faulty.html"}
    said = "\n".join(faults)
    for what in (
        "faulty.html, 1440 px: table is cut by",
        "faulty.html, 1440 px: code is cut by",
        "faulty.html, 390 px: table scrolls without showing it",
        "faulty.html, 390 px: code scrolls without showing it",
        "faulty.html, 390 px: the page scrolls sideways by",
        "faulty.html, light: text is hard to read",
        "faulty.html: picture nothing.png is broken",
        "faulty.html: picture nothing.png does not open in full size",
    ):
        assert what in said
