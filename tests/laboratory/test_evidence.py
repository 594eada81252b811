"""The pages show the numbers of the result files, computed again by hand, and sentences quote numbers of the tables."""

import itertools
import re

import numpy as np
import pytest
from pages import ROOT, cells
from scipy import stats

from benchmarks.lib import results
from benchmarks.lib.results import RESULTS
from benchmarks.pages import tables
from benchmarks.studies import causes, comparison, regret, report
from benchmarks.studies.entrants import ARCTAN, CANDIDATES, ENTRANTS, FAST_SIGMOID, FOCUS, FOUR
from benchmarks.studies.entrants import PRESENT as P
from benchmarks.studies.regret import DRAWS, GIVEN, NAMES, TUNED
from brainsurr.nnx import LIF

A, G, LOW = ARCTAN, FOUR[2], 70.0  # per cent of all that is not named
RATES, BEST, CHOOSING, SEEDS = (1e-3, 3e-3, 1e-2, 3e-2), 9e-3, (1000, 1001, 1002, 1003), range(15)


def write(folder, setting, tuned, given=(), half=(), edges=()):
    """A finished setting: scores by entrant, at the best rate one for all seeds or one each, at given ones one each."""
    made = []

    def run(name, rate, seed, test, halfway=0.0):
        measured = dict.fromkeys(comparison.MEASURED, 0) | {"test": test / 100, "half": halfway / 100}
        made.append([name, rate, 1.0, seed, *measured.values(), 0])

    for name in ENTRANTS:
        each = (np.broadcast_to(dict(of).get(name, LOW), len(SEEDS)) for of in (tuned, half))
        for seed, *scores in zip(SEEDS, *each, strict=True):
            run(name, BEST, seed, *scores)
        for rate, test in zip(RATES, np.broadcast_to(dict(given).get(name, LOW), 4), strict=True):
            for seed in CHOOSING:
                run(name, rate, seed, test)
    grid = {"entrants": {name: str(of) for name, of in ENTRANTS.items()}, "best": dict.fromkeys(ENTRANTS, BEST)}
    grid |= {"edges": edges, "seeds": [*SEEDS]}
    columns = [*comparison.KEY, *comparison.MEASURED, "environment"]
    results.write(folder / f"{setting}.json", {"finished": {"compare": grid}, "columns": columns, "rows": made})


def of_table(text):
    """The cells of each row, by its first."""
    return {first.strip("*`").removeprefix("bs."): rest for first, *rest in filter(None, cells(text))}


NUMBER = r"\d(?:[\d.,]*\d)?(?:e[-+]\d+)?"


def test_pages_show_the_result_files_and_quote_their_tables():
    """``<!-- from docs/speed.md: 0.5 -->``: the 0.5 of this paragraph is a number of the generated parts there."""
    pages, quoted = tables.pages(), []
    for name, text in pages.items():
        assert text == (ROOT / name).read_text(), f"{name}: run `make evidence`"
        for paragraph in text.split("\n\n"):
            said = re.findall(NUMBER, re.sub(r"<!--.*?-->", "", paragraph, flags=re.DOTALL))
            for source, numbers in re.findall(r"<!-- from (\S+):\s(.*?)-->", paragraph, re.DOTALL):
                parts = re.findall(r"<!-- ([\w-]+) -->.*?<!-- /\1 -->", pages[source], re.DOTALL)
                tables_of = "".join(
                    pages[source].partition(f"<!-- {part} -->")[2].partition(f"<!-- /{part}")[0] for part in parts
                )
                shown = set(re.findall(NUMBER, tables_of)) & set(said)
                quoted += [(name, number, number in shown) for number in numbers.split()]
    assert len(quoted) > 50
    assert [(name, number) for name, number, is_shown in quoted if not is_shown] == []


def test_the_default_is_what_the_rule_chooses():
    assert ENTRANTS[report.load(RESULTS / "comparison").choice.name] == LIF(1).spike_fn.surrogate


@pytest.fixture
def three(tmp_path):
    """Two settings of a family, one of another."""
    tuned = {P: 84, A: 88, FAST_SIGMOID: 89.6, FOCUS: [np.nan, -5, *[89] * 13]}
    write(tmp_path, "dense", tuned, {P: (80, 80, 80, 38)}, {A: 76}, edges=[A])
    write(tmp_path, "zero", {})
    write(tmp_path, "chaos", {P: 90, A: 86})
    return report.load(tmp_path)


def test_numbers_by_hand(three):
    """Not finite or below 0 is 0; a family is the mean of its settings."""
    assert list(three.outcomes) == ["dense", "zero", "chaos"], "the order of the plan"
    dense = dict(zip(NAMES, three.points[TUNED]["dense"][0], strict=True))
    behind = {P: 5.6, A: 1.6, G: 19.6, FAST_SIGMOID: 0, "ReluGrad()": 19.6, FOCUS: 89.6 - 13 * 89 / 15}
    assert {name: dense[name] for name in behind} == pytest.approx(behind)
    shown = of_table(report.overview(three))
    every = ["1.4 (0.0 to 2.8)", "2.0 (0.0 to 4.0)", "8.0 (0.0 to 16.0)", "1.5 (0.0 to 3.0)"]
    assert shown[P] == [*every, "2.8 (2.8 to 2.8) in *dense*", "2"]
    assert of_table(report.gaps(three))[P] == [*every[:2], "SpikingJelly"]
    assert shown[A][4:] == ["4.0 (4.0 to 4.0) in *chaos*", "1"]
    assert of_table(report.candidates(three))[A][0] == "2.1 (2.0 to 2.3)"
    tuned, halfway, given = (of_table(part) for part in "\n".join(report.sections(three)).split("### ")[1:])
    assert tuned["dense"][:2] == ["5.6 (5.6 to 5.6)", "1.6 (1.6 to 1.6) e"], "on an edge of the rates"
    assert (halfway["dense"][:2], given["dense"][:2]) == (["6.0", "0.0"], ["8.0 / 32.0", "7.5 / 10.0"])


def test_draws_by_hand():
    """The seeds of a setting are drawn, and the four that rates are chosen from; then families."""
    tuned, given = np.full((len(NAMES), 15), LOW), np.full((4, len(NAMES), 4), LOW)
    tuned[0], given[:, 0] = 90, 90
    tuned[1], given[:, 1] = [80, 81, 82, 83, 84, *[85] * 10], [80, 81, 82, 89]
    of = regret.regrets({"dense": regret.Outcome(tuned, tuned, given, [])})
    first, second = of[TUNED]["dense"][:, 1], of[GIVEN]["dense"][:, 1]
    assert (len(first), first[0], second[0]) == (1 + DRAWS, pytest.approx(10 - 60 / 15), pytest.approx(7))
    assert first[1:].std() == pytest.approx(np.std(tuned[1]) / 15**0.5, rel=0.06)
    assert second[1:].std() == pytest.approx(np.std([0, 1, 2, 9]) / 4**0.5, rel=0.06)
    assert report.number(np.arange(2001)[::-1]) == "2000.0 (50.0 to 1949.0)"
    drawn = regret.over({"a": np.zeros((1 + DRAWS, 2)), "b": np.full((1 + DRAWS, 2), 2.0)})[:, 0]
    assert drawn[0] == 1
    assert [(drawn[1:] == mean).mean() for mean in (0, 1, 2)] == pytest.approx([0.25, 0.5, 0.25], abs=0.04)


def test_the_same_within_a_point():
    """By the 90 % interval, or as good on average; of one that is ahead."""
    few = {(0.5, 0.7, 0.9, 0.3, 0.6): True, (0.1, 0.2, 1.9, 0.1, 0.2): False, (1.1, 1.1, 1.1, 1.1, 1.2): False}
    for apart, within in (few | {(-9, 9, -9, 9, 0): True}).items():
        _, high = stats.t.interval(0.9, 4, np.mean(apart), stats.sem(apart))
        assert within == (np.mean(apart) == 0 or high <= 1)
        assert list(regret.same(np.array([90 - np.array(apart), np.full(5, 90)]))) == [within, True]


def points(behind):
    """Points of families, by candidate one of each, 4 of others; none or 9 of what is no candidate."""
    each = dict.fromkeys(NAMES, (9, 9, 9)) | dict.fromkeys(CANDIDATES, (4, 4, 4)) | {FAST_SIGMOID: (0, 0, 0)} | behind
    families = "abc"[: min(map(len, each.values()))]
    return {name: np.tile([each[n][i] for n in NAMES], (1 + DRAWS, 1)) for i, name in enumerate(families)}


@pytest.mark.parametrize(
    ("behind", "chosen"),
    [
        ({P: (1, 1), A: (0.6, 0.6)}, P),  # too little
        ({P: (3, 0), A: (0, 1)}, P),  # in too few draws
        ({P: (1.2, 1.2), A: (0.6, 0.6)}, A),
        ({P: (0, 5.1), A: (2.6, 2.6)}, A),  # too far
        ({A: (0, 5.1), G: (3, 3)}, G),
        (dict.fromkeys(CANDIDATES, (0, 5.1)), P),  # all of them
    ],
)
def test_the_rule_of_the_default(behind, chosen):
    assert regret.default(points(behind), points(behind)).name == chosen


def test_costs_decide_who_is_tuned_can_be_out_and_the_headline_leaves_one_out():
    assert regret.default(points({P: (1,), A: (0,)}), points({P: (0.5,), A: (5.5,)})) == (P, {})
    of = points({P: (0, 3, 3), A: (2, 0, 0)})
    choices = regret.left_out(of, of)
    assert choices == {"a": A, "b": P, "c": P}, "without b, both cost 1.5 and 1"
    assert regret.scored(of, choices)[0] == pytest.approx((2 + 3 + 3) / 3)


def test_answers_by_hand(tmp_path):
    """The costs of a kind of task, the networks that fail, and each rate; `ARCTAN` is out by *counts*."""
    write(tmp_path, "batch", {P: 88, A: 90}, {A: (74, 70, 70, 70)})
    write(tmp_path, "counts", {P: [49, *[70] * 14], A: 64})
    write(tmp_path, "sums", {P: [51, *[70] * 14], A: 64})
    found, third = report.load(tmp_path), NAMES[2]
    normalised, counts = cells(report.answers(found))[2:]
    every = f"`bs.{A}`", "0.0 (0.0 to 0.0)", "1.5 (1.5 to 1.5)", "0 of 15"
    assert normalised == ["with normalisation", "*batch*", *every]
    more = ((70 - (49 + 14 * 70) / 15) + (70 - (51 + 14 * 70) / 15)) / 4
    assert counts[2:4] == [f"`bs.{third}`", "0.0 (0.0 to 0.0)"]
    assert (counts[4].split()[0], counts[5]) == (f"{more:.1f}", "1 of 30")
    assert of_table(report.by_rate(found))[P] == ["2.0", "0.0", "0.0", "0.0", "0.5 (0.0 to 1.0)"]
    cost, less, share, out, _ = of_table(report.candidates(found))[A]
    assert (cost, out) == ("1.5 (0.0 to 3.0)", "counts")
    assert (less.split()[0], float(share[:-1])) == (f"{(1.5 + more) / 2 - 1.5:.1f}", pytest.approx(25, abs=4))
    assert list(of_table(report.short(found)))[2:5] == [P, A, FAST_SIGMOID]


def write_causes(folder, setting, flat, gain, loss):
    """Sixteen pairs, each .9 points behind the one before, so that the last ten fail."""
    made = []
    for i, (name, rate) in enumerate(itertools.product(FOUR, RATES)):
        share, fixed = (flat[i] / 16) ** 4, 90 - 0.9 * i
        of_width = {"fixed": (fixed, i, share), "follows": (fixed + (gain if i > 5 else -loss), 99, 0.5)}
        for width, (validation, far, share) in of_width.items():
            for seed, more in zip(CHOOSING, (-2, -1, 1, 2), strict=True):
                looked = [[far, far + 1]], [[share, share + 0.02]]
                made.append([name, width, rate, seed, (validation + more) / 100, 0, *looked, 0, 0, 0])
    here = {"device": "a core", "python": "3", "versions": {"jax": "1"}}
    columns = [*causes.KEY, *causes.MEASURED, "environment"]
    result = {"finished": {"causes": {"rates": RATES}}, "columns": columns, "rows": made, "environments": [here]}
    results.write(folder / f"{setting}.json", result)


def test_causes_by_hand(tmp_path):
    write_causes(tmp_path, "counts", range(15, -1, -1), 6.0, 0.5)
    write_causes(tmp_path, "deep", range(16), 5.5, 1.1)
    shown, verdicts, _ = map(of_table, causes.section(tmp_path).split("\n\n"))
    assert shown[f"counts*, `bs.{A}`, {RATES[0]:g}"][:4] == ["86.4", "85.9", f"{100 * (11 / 16) ** 4 + 1:.1f}", "4.5"]
    assert verdicts["counts"] == ["1.00", "6.00", "0.50"]
    assert verdicts["deep"] == ["-1.00", "5.50", "1.10"]
