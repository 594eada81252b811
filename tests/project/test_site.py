"""Mistakes in the site are found."""

import pytest

from tools import check_site

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
    return tmp_path


def test_without_a_browser_it_says_so(site, monkeypatch, capsys):
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(site))
    assert check_site.main(site) == 0
    assert "skipped: no browser looked at the pages, as none of chromium," in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(check_site.find_browser() is None, reason="no Chromium is installed")
def test_a_browser_sees_each_fault_and_no_other(site):
    faults = check_site.look(site, ["faulty.html", "sound.html"], check_site.find_browser())
    assert all(fault.startswith("faulty.html") for fault in faults)
    for what in (
        "1440 px: table is cut by",
        "1440 px: code is cut by",
        "390 px: the page scrolls sideways by",
        "light: text is hard to read",
        "picture nothing.png is broken",
    ):
        assert what in "\n".join(faults)
