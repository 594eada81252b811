"""The check of the site that `make docs` runs: what a reader would stumble over is found."""

import json

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
    words = {word.lower(): 0 for word in check_site.WORDS.split()}
    index = {"terms": words, "titleterms": {}}
    (tmp_path / "searchindex.js").write_text(f"Search.setIndex({json.dumps(index)})")
    return tmp_path


def test_a_word_that_the_search_does_not_find_is_named(site):
    pytest.importorskip("snowballstemmer")
    assert check_site.missing_words(site) == []
    text = (site / "searchindex.js").read_text()
    (site / "searchindex.js").write_text(text.replace('"synaptic"', '"else"'))
    assert check_site.missing_words(site) == ["the search finds no page for Synaptic"]


def test_a_link_that_leads_nowhere_is_named(site):
    links = '<a href="sound.html#top">a</a> <a class="b" href="sound.html">b</a> <a href="#here">c</a>'
    links += ' <a href="https://example.org/none">d</a> <a href="n.html">e</a>'
    (site / "links.html").write_text(f'<p id="here">{links}')
    assert check_site.dead_links(site, ["links.html"]) == [
        "links.html: the link to n.html leads nowhere",
        "links.html: the link to sound.html#top leads to no place on that page",
    ]
    (site / "sound.html").write_text(SOUND.replace("<p>", '<p id="top">'))
    (site / "n.html").write_text(SOUND)
    assert check_site.dead_links(site, ["links.html"]) == []


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
