"""The pages of evidence say what the result files say: numbers, by hand, and sentences, which turn with them."""

import itertools
import re
import statistics
from unittest import mock

import numpy as np
import pytest
from matplotlib.figure import Figure
from pages import cells
from scipy import stats

from benchmarks.lib.results import PICTURES, ROOT
from benchmarks.lib.study import Runs
from benchmarks.pages import evidence, tables
from benchmarks.studies import report
from benchmarks.studies.comparison import KEY, MEASURED
from benchmarks.studies.entrants import ARCTAN, FAST_SIGMOID, FOCUS, PRESENT
from benchmarks.studies.report import ENTRANTS
from brainsurr.nnx import LIF
from tools.parts import filled

SEEDS, CHOOSING, OWN = list(range(5)), 1000, 3e-3
NOISE = [-0.02, -0.01, 0.0, 0.01, 0.02]  # of the seeds


def write(folder, setting, behind, rate=1e-2, region=None):
    """A finished setting: each entrant is so many points behind 90 %, and 10 more at the setting's rate."""
    behind = dict.fromkeys(ENTRANTS, 0.0) | behind
    runs = Runs(folder / f"{setting}.json", {"about": f"about {setting}", "gain": 1.4}, KEY, MEASURED)
    for name, points in behind.items():
        for at, more in ((rate, 0), (OWN, 10)):
            for seed, noise in zip(SEEDS, NOISE, strict=True):
                test = 0.9 + noise - (points + more) / 100
                runs.run(lambda test=test: dict.fromkeys(MEASURED, test), name, at, 1.4, seed)
    for (name, gain, at), value in (region or {}).items():
        runs.run(lambda value=value: dict.fromkeys(MEASURED, value), name, at, gain, CHOOSING)
    best = dict.fromkeys(behind, rate)
    how = {"own": OWN, "edges": [PRESENT], "seeds": SEEDS, "choosing": CHOOSING}
    runs.finish("compare", entrants={name: str(ENTRANTS[name]) for name in behind}, best=best, **how)
    if region:
        names, gains, rates = (list(dict.fromkeys(column)) for column in zip(*region, strict=True))
        runs.finish("explore", entrants=names, gains=gains, rates=rates)


def said(folder):
    """The page, in one line."""
    return " ".join("\n".join(evidence.parts(report.load(folder)).values()).split())


def test_pages_are_those_of_the_result_files():
    for name, text in tables.pages().items():
        assert text == (ROOT / name).read_text(), f"{name}: run `make evidence`"
    with pytest.raises(ValueError, match=r"expected <!-- nothing --> .* in README\.md"):
        filled("README.md", {"nothing": ""})
    text = "".join((ROOT / "docs" / name).read_text() for name in ("evidence.md", "studies.md"))
    pictures = {path.name for path in (PICTURES / "evidence").glob("*.png")}
    assert pictures == set(re.findall(r"\(pictures/evidence/(.*?)\)", text))
    assert not [line for line in text.splitlines() if len(line) > 120 and not line.startswith("|") and "//" not in line]


def test_numbers_by_hand(tmp_path):
    """Means, deviations, regret at both rates, and where; the page is short, the picture has a dot a setting."""
    write(tmp_path, "dense", {FOCUS: 4.0, FAST_SIGMOID: 7.5})
    write(tmp_path, "chaos", {FOCUS: 1.0, PRESENT: 0.18})
    outcomes = report.load(tmp_path)
    assert list(outcomes) == ["dense", "chaos"], "the order of the plan"
    rows = {line.split("|")[1].strip("* `"): line for line in report.overview(outcomes).splitlines()}
    assert cells(rows[f"bs.{FOCUS}"])[0][1:] == ["4.0", "2.5", "4.0", "0.88", "dense"]
    shown = report.setting_table(outcomes["dense"])
    (line,) = (line for line in shown.splitlines() if FOCUS in line)
    deviation = statistics.stdev([100 * noise for noise in NOISE])
    assert f"| 0.01 | 86.0 ± {deviation:.1f} | 76.0 ± {deviation:.1f} |" in re.sub(" +", " ", line)
    assert len(report.overview(outcomes, 5).splitlines()) == 7
    assert FOCUS in report.overview(outcomes, 5)
    text = said(tmp_path)
    assert len(text.partition("![")[0].split()) < 500
    assert "it is at most 0.2 points behind the best of 14 configurations in 2 settings, 0.1 on" in text
    with mock.patch.object(Figure, "savefig", autospec=True) as save:
        report.draw(outcomes, tmp_path / "picture.png")
    dots = [dots.get_offsets() for dots in save.call_args.args[0].axes[0].collections]
    assert sorted(x for x, _ in np.concatenate(dots) if x > 1e-6) == pytest.approx([0.18, 1.0, 4.0, 7.5])


@pytest.mark.parametrize(
    ("behind", "tied"),
    [
        ({PRESENT: (0.0, 3.0), ARCTAN: (2.0, 2.0)}, [ARCTAN]),  # the smallest worst
        ({PRESENT: (2.4, 1.0), ARCTAN: (2.0, 2.0)}, [PRESENT]),  # within half a point of it, the smallest mean
        ({PRESENT: (2.4, 1.7), ARCTAN: (2.0, 2.0)}, [ARCTAN, PRESENT]),  # within a tenth of that, the present one
        ({FOCUS: (2.4, 1.7), ARCTAN: (2.0, 2.0)}, [ARCTAN, FOCUS]),
    ],
)
def test_the_rule_of_the_default(behind, tied):
    of = {name: dict(zip("ab", gaps, strict=True)) for name, gaps in behind.items()}
    assert report.tied(of) == tied
    assert report.chosen(of) == (PRESENT if PRESENT in tied else tied[0])


def test_holm_by_hand(monkeypatch):
    """Of three p values, .016 is below .05 / 3, .03 is not below .05 / 2; .04 is kept with it, though below .05."""
    t = np.mean([1, 2, 4]) / (np.std([1, 2, 4], ddof=1) / 3**0.5)
    assert report.paired(np.array([91.0, 92, 94]), np.full(3, 90.0)) == pytest.approx(2 * stats.t.sf(t, 2))
    best = np.array([90.0, 91])
    assert report.indistinguishable({"best": best, "same": best, "less": best - 1}) == {"best", "same"}
    p = {5: 0.03, 6: 0.016, 7: 0.04}
    monkeypatch.setattr(report, "paired", lambda best, test: p[test[0]])
    assert report.indistinguishable({score: np.array([score]) for score in (*p, 8)}) == {5, 7, 8}


def test_sentences_turn_with_their_numbers(tmp_path):
    write(tmp_path, "dense", dict.fromkeys(list(ENTRANTS)[2:], 3.0) | {FOCUS: 7.0})
    text = said(tmp_path)
    assert f"**What to type.** `bs.{PRESENT}`. At a learning" in text
    assert f"`bs.{ARCTAN}` ties." in text
    assert "In 0 of 1 settings all configurations but three" in text
    assert "nowhere more than 5 points behind." in text
    write(tmp_path, "chaos", dict.fromkeys(list(ENTRANTS)[1:], 30.0) | {PRESENT: 6.0, FOCUS: 0.0, ARCTAN: 9.0})
    text = said(tmp_path)
    assert f"more than 5 points behind in *chaos* by 6.0 (take `bs.{FOCUS}`)." in text
    assert "in 1 of 2 settings (*chaos*), more than 5 points behind in *dense*." in text
    assert f"`bs.{ARCTAN}` is 9.0 behind at most." in text
    assert f"SpikingJelly and jaxpike: `bs.{ARCTAN}`, at most 9.0 in *chaos*." in text
    sure = report.how_sure(report.load(tmp_path))
    assert f"changes the choice in 1 of 2: without *dense* `bs.{FOCUS}`." in sure
    assert f"In 2 of 28 choices the best rate is an outermost one of those tried: `bs.{PRESENT}` in *dense*," in sure
    with mock.patch.object(report, "LIF", lambda size: LIF(size, spike_fn=ENTRANTS[PRESENT])):
        assert f"Nothing: `bs.{PRESENT}` is the layers' default" in said(tmp_path)


def test_gain_and_rate(tmp_path):
    """Two gains, a rule and two rates, of two entrants; others that ran at the setting's gain are left out."""
    points = zip(itertools.product((1.4, 2.0), (1e-3, 1e-2)), (0.9, 0.86, 0.5, 0.1), strict=True)
    region = {(PRESENT, *point): score for point, score in points}
    region |= {(ARCTAN, *key[1:]): value - 0.1 for key, value in region.items()}
    rule = {(name, "potential 1", rate): 0.8 for name in (PRESENT, ARCTAN) for rate in (1e-3, 1e-2)}
    write(tmp_path, "deep", {}, region=region | rule)
    text = said(tmp_path)
    assert f"Of 4 pairs of such a gain and a rate, these are within 5 points of the best: `bs.{PRESENT}` at 2, " in text
    assert "in *deep* it needs first weights x 1.4 to 1.4 and a rate of 0.001 to 0.01:" in text
    assert "is not better than one gain for all: 10.0 points behind on average" in text
    assert "weights x 1.4: 7.0." in text
    shown = report.region(report.load(tmp_path)["deep"])
    assert re.search(r"`, weights x 2 +\| +40.0 \| +80.0 \|", shown)
    write(tmp_path / "other", "deep", {}, region=region | dict.fromkeys(rule, 0.85))
    assert "`diagnose`, has a deviation of 1 x the threshold is better than one gain" in said(tmp_path / "other")


def test_what_lacks_is_named_and_left_out(tmp_path):
    """A setting; a configuration that a file has not, or had with another surrogate."""
    write(tmp_path, "dense", {})
    write(tmp_path, "fast", {})
    path = tmp_path / "fast.json"
    path.write_text(path.read_text().replace(f'"{FOCUS}": "Scaled', f'"{FOCUS}": "Other'))
    text = said(tmp_path)
    assert "not been finished: deep, recall, chaos" in text
    assert f"Not compared yet: `bs.{FOCUS}`." in text
    assert f"bs.{FOCUS}" not in report.overview(report.load(tmp_path))
