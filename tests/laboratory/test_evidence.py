"""The pages of evidence say what the result files say: numbers, by hand, and sentences, which turn with them."""

import itertools
import re
import statistics
from unittest import mock

import numpy as np
import pytest
from flax import nnx
from matplotlib.figure import Figure
from pages import cells
from scipy import stats

from benchmarks.lib import results
from benchmarks.lib.results import PICTURES, RESULTS, ROOT
from benchmarks.lib.study import rows
from benchmarks.lib.training import with_gains
from benchmarks.pages import evidence, tables
from benchmarks.studies import causes, comparison, regret, report
from benchmarks.studies.entrants import ARCTAN, CANDIDATES, ENTRANTS, FAST_SIGMOID, FOCUS, FOUR
from benchmarks.studies.entrants import PRESENT as P
from benchmarks.studies.regret import DRAWS, GIVEN, NAMES, TUNED
from brainsurr.nnx import LI, LIF, SpikingSequential
from tools.parts import filled

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


def page(folder):
    """The page, in one line."""
    return " ".join("\n".join(evidence.parts(report.load(folder), folder / "causes").values()).split())


def default_is(name):
    """Give layers another default, as the report sees it."""
    return mock.patch.object(report, "LIF", lambda size: LIF(size, spike_fn=ENTRANTS[name]))


def of_table(text):
    """The cells of each row, by its first."""
    return {first.strip("*`").removeprefix("bs."): rest for first, *rest in filter(None, cells(text))}


def test_pages_are_those_of_the_result_files():
    for name, text in tables.pages().items():
        assert text == (ROOT / name).read_text(), f"{name}: run `make evidence`"
    with pytest.raises(ValueError, match=r"expected <!-- nothing --> .* in README\.md"):
        filled("README.md", {"nothing": ""})
    text = "".join((ROOT / "docs" / name).read_text() for name in ("evidence.md", "studies.md"))
    pictures = {path.name for path in (PICTURES / "evidence").glob("*.png")}
    assert pictures == set(re.findall(r"\(pictures/evidence/(.*?)\)", text))
    assert not [line for line in text.splitlines() if len(line) > 120 and not line.startswith("|") and "//" not in line]
    advice = re.search(r"<!-- advice -->(.*)<!-- /advice -->", (ROOT / "docs/evidence.md").read_text(), re.DOTALL)
    assert len(advice[1].split()) <= 500


def test_the_default_is_what_the_rule_chooses():
    assert ENTRANTS[report.load(RESULTS / "comparison").choice.name] == LIF(1).spike_fn.surrogate


@pytest.fixture
def three(tmp_path):
    """Two settings of a family, one of another."""
    tuned = {P: 84, A: 88, FAST_SIGMOID: 89.6, FOCUS: [np.nan, -5, *[89] * 13]}
    write(tmp_path, "dense", tuned, {P: (80, 80, 80, 38)}, {A: 76})
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
    assert shown[A][4:] == ["4.0 (4.0 to 4.0) in *chaos*", "1"]
    assert of_table(report.candidates(three))[A][0] == "2.1 (2.0 to 2.3)"
    tuned, halfway, given = (of_table(part) for part in "\n".join(report.sections(three)).split("### ")[1:])
    assert tuned["dense"][:2] == ["5.6 (5.6 to 5.6)", "1.6 (1.6 to 1.6)"]
    assert (halfway["dense"][:2], given["dense"][:2]) == (["6.0", "0.0"], ["8.0 / 32.0", "7.5 / 10.0"])
    with mock.patch.object(Figure, "savefig", autospec=True) as save:
        report.draw(three, "picture.png")
    tuned, mean, given, _ = (of.get_offsets() for of in save.call_args.args[0].axes[0].collections)
    assert sorted(x for x, y in tuned if round(y) == len(NAMES) - 1) == pytest.approx([0, 2.8])
    assert (len(given), mean[-1][0]) == (2 * len(NAMES), pytest.approx(1.4))


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
    ("behind", "chosen", "winner", "said"),
    [
        ({P: (1, 1)}, P, P, "Of 7 candidates 7 are nowhere more than 5 points behind at the best"),
        ({P: (1, 1), A: (0.6, 0.6)}, P, A, f"`bs.{A}` costs 0.4 (0.4 to 0.4) less, too little for a change."),
        ({P: (3, 0), A: (0, 1)}, P, A, f"`bs.{A}` costs 1.0 (-1.0 to 3.0) less, in too few draws for a change."),
        ({P: (1.2, 1.2), A: (0.6, 0.6)}, A, A, f"It costs 0.6 (0.6 to 0.6) less than `bs.{P}`, the default before."),
        ({P: (0, 5.1), A: (2.6, 2.6)}, A, A, f"`bs.{P}`, the default before, is 5.1 (5.1 to 5.1) behind at its best"),
        ({A: (0, 5.1), G: (3, 3)}, G, G, "It costs 1.0 (1.0 to 1.0) less than"),
        (dict.fromkeys(CANDIDATES, (0, 5.1)), P, None, "Each of the 7 candidates is somewhere more than 5 points"),
    ],
)
def test_the_rule_of_the_default(behind, chosen, winner, said):
    choice = regret.default(points(behind), points(behind))
    assert (choice.name, choice.winner) == (chosen, winner)
    assert said in report.why(choice, points(behind))


def test_costs_decide_who_is_tuned_can_be_out_and_the_headline_leaves_one_out():
    choice = regret.default(points({P: (1,), A: (0,)}), points({P: (0.5,), A: (5.5,)}))
    assert (choice.winner, choice.out) == (P, {})
    of = points({P: (0, 3, 3), A: (2, 0, 0)})
    choices = regret.left_out(of, of)
    assert choices == {"a": A, "b": P, "c": P}, "without b, both cost 1.5 and 1"
    assert regret.scored(of, choices)[0] == pytest.approx((2 + 3 + 3) / 3)


def test_answers_turn_with_their_numbers(tmp_path):
    """`ARCTAN` is out by *counts*, and named where it is cheapest; settings that are not finished are named."""
    write(tmp_path, "batch", {P: 88, A: 90, "ReluGrad()": 90.4, FOCUS: 89.6}, {A: (74, 70, 70, 70)}, edges=[FOCUS, A])
    write(tmp_path, "counts", {P: 86, FAST_SIGMOID: 90}, edges=[A])
    write(tmp_path, "sums", {})
    found = report.load(tmp_path)
    with default_is(P):
        text = page(tmp_path)
    for said in (
        f"**What to type.** Nothing: `bs.{P}` is the default of `LIF` and `ALIF`. On average over 2 families "
        "of settings",
        "is 2.2 (2.0 to 2.4) points behind the best of 13 configurations at its best learning rate, 0.5 (0.0 to 1.0)",
        "scored on the one left out, it is 6.2 (2.4 to 10.0) and 0.5 (0.0 to 1.0) behind.",
        "behind at its best rate and at a given one. [How sure]",  # nobody else is in
        f"(*batch*). `bs.{A}` costs least, 0.2 (0.2 to 0.2), the default 1.5 (1.5 to 1.5) more.",
        "(*counts*, *sums*). The default costs least, 1.0 (1.0 to 1.0). ",
        f"rate). `bs.{A}` costs least, 0.0 (0.0 to 0.0), the default 0.5 (0.0 to 1.0) more. Rate by rate: `bs.{P}` "
        "2.0 at 0.001, 0.0 at 0.003, 0.0 at 0.01, 0.0 at 0.03; "
        f"`bs.{A}` 0.0 at 0.001, 0.0 at 0.003, 0.0 at 0.01, 0.0 at 0.03. **If you have",
        "**Recurrent and long.** Not finished: *rows*, *speech*, *recall*, *memory*, *chaos*.",
        f"`bs.{FOCUS}`, the best of its forms if you tune the rate, is 5.4 (0.8 to 10.0) points behind at its best ",
        " best rate, 10.0 in *counts*",
        "the same as the best within a point in 2 of 3 settings.",
        " Not finished: *dense*, *zero*",
    ):
        assert said in text
    _, share, where = of_table(report.candidates(found))[A]
    assert (float(share[:-1]), where) == (pytest.approx(25, abs=4), "counts"), "where *batch* is drawn twice"
    sure = report.how_sure(found)
    assert f"in 1 of 2: `bs.{A}` without *counts*. The best rate is an outermost one of those tried in" in sure
    assert sure.endswith(f" 3 of 39: `bs.{A}` in *batch*, *counts*; `bs.{FOCUS}` in *batch*.")
    assert list(of_table(report.short(found)))[2:] == [P, A, FAST_SIGMOID, FOCUS]


def test_another_default(tmp_path):
    for name in ("dense", "deep"):
        write(tmp_path, name, {P: 88, A: 90})
    write(tmp_path, "rows", {P: 90, A: 89.8})
    found = report.load(tmp_path)
    with default_is(P):
        text = page(tmp_path)
    assert f"**What to type.** `spike_fn=bs.{A}`. On average" in text
    assert f"at a given one; `bs.{P}` is second, 0.6 (-0.1 to 1.0) above the least." in text
    sure = report.how_sure(found)
    assert f"in 2 of 3: `bs.{P}` without *dense*, *deep*. The best rate is" in sure
    assert sure.endswith(" in 0 of 39.")
    assert list(of_table(report.short(found)))[2:4] == [A, P]
    assert f"| **`bs.{A}`** " in report.overview(found)
    with default_is(A):
        assert f"Nothing: `bs.{A}` is the default of `LIF` and `ALIF`." in page(tmp_path)


def test_a_page_without_a_winner(tmp_path):
    for name in ("dense", "chaos"):
        write(tmp_path, name, {FAST_SIGMOID: 90})
    with default_is(P):
        text = page(tmp_path)
    assert "Each of the 7 candidates is somewhere" in text
    assert "behind at its best rate and at a given one. [How sure]" in text


def test_chance_and_networks_that_fail_are_said(tmp_path):
    for name, tuned in {
        "rows": {P: 90, A: 89.6},
        "chaos": {P: 88, A: 90},
        "counts": {P: [49, *[70] * 14], A: [51, *[70] * 14]},
        "sums": {P: [51, *[70] * 14]},
    }.items():
        write(tmp_path, name, tuned)
    with default_is(P):
        text = page(tmp_path)
    assert "the default 0.4 (-0.2 to 1.0) more, which may be chance. **Counts" in text
    assert (
        "more. The default fails at times: 1 of 15 networks in *counts* end over 20 points below their median." in text
    )


def test_first_weights_are_scaled_by_the_line_shown():
    """All but the readout's; and what it is worth, from the study of first weights."""
    text = report.first_weights()

    def kernels(scale):
        one, two, last = (nnx.Linear(3, 3, rngs=nnx.Rngs(seed)) for seed in range(3))
        scale(SpikingSequential([one, LIF(3), two, LIF(3), last, LI(3)]))
        return [layer.kernel[...] for layer in (one, two, last)]

    of_line = kernels(lambda net: exec(re.search(r"`(for .*?)`", text)[1], {"net": net}))
    np.testing.assert_array_equal(of_line, kernels(lambda net: with_gains(net, [1.4, 1.4])))
    path = RESULTS / "weights/layers-12.json"
    best = "x 1.4", results.read(path)["finished"]["weights"]["best"]["x 1.4"]
    tests = [100 * row["test"] for row in rows(path) if (row["gain"], row["rate"]) == best and row["seed"] < 5]
    assert f"{statistics.mean(tests):.1f} ± {statistics.stdev(tests):.1f} % with it" in text


def test_files_of_other_entrants_are_not_finished(tmp_path):
    for name in ("dense", "fast", "deep"):
        write(tmp_path, name, {})
    path = tmp_path / "fast.json"
    path.write_text(path.read_text().replace(f'"{FOCUS}": "Scaled', f'"{FOCUS}": "Other'))
    assert list(regret.load(tmp_path)) == ["dense", "deep"]
    write(tmp_path, "fast", {})
    (tmp_path / "deep.json").unlink()
    with pytest.raises(ValueError, match=r"of two families .* got dense, fast"):
        regret.load(tmp_path)


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
    turned = [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12]  # in fours the other way round
    correlation = 6 * sum((rank - i) ** 2 for i, rank in enumerate(turned)) / (16 * 255) - 1
    write_causes(tmp_path, "counts", turned, 6.0, 0.5)
    assert causes.advice(causes.load(tmp_path)) == "Not measured yet in *deep*." == causes.section(tmp_path)
    numbers = (
        f"validation is {correlation:.2f} in *counts*, -1.00 in *deep*. A",
        "gains 6.0 in *counts*, 5.5 in *deep*,",
    )
    for flat, gain, loss, *said in (
        (range(16), 5.5, 0.9, "but 0 explain it", "is advised", *numbers, "loses 0.5 in *counts*, 0.9 in *deep*."),
        ([*range(1, 16), 0], 5.5, 1.1, "not shown to explain it", "is not advised"),
        (range(16), 4.5, 0.5, "but 0 explain it", "is not advised"),
    ):
        write_causes(tmp_path, "deep", flat, gain, loss)
        text = causes.advice(causes.load(tmp_path))
        assert all(each in text for each in said), text
    shown = of_table(causes.section(tmp_path).partition("\n\n")[0])
    assert shown[f"counts*, `bs.{A}"][:4] == ["86.4", "85.9", f"{100 * (7 / 16) ** 4 + 1:.1f}", "4.5"]
