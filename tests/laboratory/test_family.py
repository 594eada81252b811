"""The comparison of the family: shapes, how a point is chosen, settings, a quick run, and what is reported of it."""

from collections import Counter

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import each_value_once
from surrogate_table import EXPORTED
from test_studies import run_twice

import brainsurr as bs
from benchmarks.lib.study import Runs, of_seeds
from benchmarks.studies import choice, data, family, settings
from benchmarks.studies.choice import GRID, Grid
from benchmarks.studies.reports import family as report
from benchmarks.studies.reports import outcomes
from benchmarks.studies.reports.outcomes import Entry, Outcome
from benchmarks.studies.shapes import SAME_AS, SHAPES, Call, half_width, normalised

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lenient")]

X = np.linspace(-6, 6, 2401, dtype=np.float32)


def curve(surrogate):
    return np.asarray(normalised(surrogate).surrogate_grad(X))


def test_each_surrogate_is_one_shape():
    assert set(SHAPES) | set(SAME_AS) == set(EXPORTED)
    assert not set(SHAPES) & set(SAME_AS)


@pytest.mark.parametrize("name", SAME_AS)
def test_same_shapes_are_the_same(name):
    """Half-widths are found to 5e-5 of themselves, and the steepest curve falls by 2 within one."""
    np.testing.assert_allclose(curve(getattr(bs, name)()), curve(SHAPES[SAME_AS[name]]), atol=2e-4)


def test_other_shapes_are_others():
    curves = {name: curve(shape) for name, shape in SHAPES.items()}
    for name, values in curves.items():
        for other in set(curves) - {name}:
            assert np.abs(values - curves[other]).max() > 0.02, (name, other)


@pytest.mark.parametrize(("name", "width"), each_value_once([*SHAPES], [0.25, 2.0]))
def test_every_call_has_its_peak_and_its_width(name, width):
    call = GRID.calls(name)[-1]
    f = call._replace(width=width if call.width else None).surrogate
    grad = np.asarray(f.surrogate_grad(X))
    np.testing.assert_allclose(grad.max(), 1.0, rtol=2e-5)
    if name == "LeakyRelu":
        assert half_width(f) == np.inf
    else:
        np.testing.assert_allclose(half_width(f), width, rtol=2e-4)


def test_the_width_of_log_tailed_relu_is_its_knee():
    x = np.array([-1.0, 0.1, 0.24, 0.26, 0.5, 1.0], np.float32)
    grad = Call("LogTailedRelu", 0.1, 0.25).surrogate.surrogate_grad(x)
    np.testing.assert_allclose(grad, [0.1, 1, 1, 0.25 / 0.26, 0.5, 0.25], rtol=1e-3)


# How a point is chosen


GIVEN = Grid((0.1, 0.25, 0.5, 1.0, 2.0), (0.0, 0.1), (1 / 3, 1.0, 3.0), choosing=(7, 8, 9), seeds=(0, 1))


def scorer(table, default=0.5):
    """A score by call and factor, the same from each seed, that notes what it is asked."""
    asked = []

    def score(call, factor, seeds):
        asked.extend((str(call), factor, seed) for seed in seeds)
        return table.get((str(call), factor), default)

    return score, asked


def test_the_best_point_is_chosen_with_all_choosing_seeds():
    """Of equal points the nearest to the default."""
    score, asked = scorer({("Arctan width=0.25", 3.0): 0.9, ("Arctan width=1", 1.0): 0.8})
    assert choice.choose("Arctan", score, GIVEN) == (Call("Arctan", None, 0.25), 3.0)
    seeds = {seed for call, factor, seed in asked if (call, factor) == ("Arctan width=0.25", 3.0)}
    assert seeds == set(GIVEN.choosing)
    assert len(set(asked)) == 15 + 2 * choice.KEPT + 3  # the grid, the best again, and three times the rate
    assert choice.choose("Arctan", scorer({})[0], GIVEN) == (Call("Arctan", None, 0.5), 1.0)
    assert choice.choose("LeakyRelu", scorer({})[0], GIVEN)[1] == 1.0


def test_a_point_on_an_edge_is_extended_by_a_step():
    table = {("Arctan width=2", 3.0): 0.9, ("Arctan width=4", 3.0): 0.95, ("Arctan width=2", 9.0): 0.92}
    assert choice.choose("Arctan", scorer(table)[0], GIVEN) == (Call("Arctan", None, 4.0), 3.0)
    low, mid, _ = GIVEN.rates
    assert GIVEN.beyond(Call("Arctan", None, 0.5), mid) == []
    assert GIVEN.beyond(Call("Arctan", None, 0.1), mid) == [(Call("Arctan", None, 0.05), mid)]
    assert GIVEN.beyond(Call("LeakyRelu", 0.1, None), low) == [(Call("LeakyRelu", 0.1, None), low / 3)]


def test_the_shortlist_has_the_smallest_worst_regret():
    """S2NN at .5 is good everywhere, Circ at .5 in one setting alone; LogTailedRelu is never good, and there."""
    first = {("S2NN width=0.5", 1.0): 0.9, ("Circ width=0.5", 1.0): 0.95, ("ERF width=0.5", 1.0): 1.0}
    second = {("S2NN width=0.5", 1.0): 0.9}
    calls = choice.shortlist([scorer(first)[0], scorer(second)[0]])
    assert calls[0] == Call("S2NN", None, 0.5)
    count = Counter(call.shape for call in calls)
    assert max(count.values()) <= 3
    assert count["LogTailedRelu"] >= 2
    assert Call("LogTailedRelu", 0.01, 1.0) in calls


def test_the_best_rate_is_the_settings_own_if_as_good():
    call = Call("S2NN", None, 0.5)
    assert choice.best_factor(call, scorer({})[0], GRID) == 1.0
    assert choice.best_factor(call, scorer({(str(call), 3.0): 0.9})[0], GRID) == 3.0


def test_scores_from_a_file_are_those_of_its_gain(tmp_path):
    """The gain that it was tuned at; what the file lacks is named."""
    runs = Runs(tmp_path / "a.json", {}, family.KEY, family.MEASURED)
    call = Call("S2NN", None, 0.5)
    for gain, seed, value in ((1.0, 1000, 0.1), (1.4, 1000, 0.6), (1.4, 1001, 0.8), (1.4, 0, 0.2)):
        runs.run(lambda value=value: dict.fromkeys(family.MEASURED, value), str(call), 1 / 3, gain, seed)
    runs.finish("tune", gain=1.4)
    score = family.recorded(tmp_path / "a.json")
    assert score(call, 1 / 3, (1000, 1001)) == pytest.approx(0.7)
    with pytest.raises(ValueError, match=r"no run of S2NN width=0.5 at 1 times the rate: first --stage tune"):
        score(call, 1.0, (1000,))


def test_in_logarithm_optimises_the_logarithm():
    """Gradient descent on log p for the loss p^2 / 2, in float64: d loss / d log p = p^2."""
    tx, p, expected = family.in_logarithm(optax.sgd(0.1)), jnp.float32(2.0), np.log(2.0)
    state = tx.init(p)
    for _ in range(20):
        updates, state = tx.update(p, state, p)
        p, expected = optax.apply_updates(p, updates), expected - 0.1 * np.exp(2 * expected)
    np.testing.assert_allclose(p, np.exp(expected), rtol=1e-5)


# Settings


def test_latency_is_one_spike_a_pixel_the_brighter_the_earlier():
    spikes = np.asarray(data.latency(jnp.array([[1.0, 0.5, 0.1, 0.0]])))
    assert spikes.shape == (20, 1, 4)
    np.testing.assert_array_equal(spikes.sum(0)[0], [1, 1, 1, 0])
    np.testing.assert_array_equal(spikes.argmax(0)[0, :3], [0, 5, 9])


def test_an_early_spike_counts_more():
    def net(carry, xs):
        return carry, jnp.zeros((20, 1, 3)).at[2, 0, 1].set(1.0).at[7, 0, 2].set(1.0)

    net.initialize_carry = lambda shape: None
    logits = settings.early_spikes(net, jnp.zeros((1, 4)), None)
    np.testing.assert_allclose(logits, [[0, 5 * np.exp(-2 / 5), 5 * np.exp(-7 / 5)]], rtol=1e-6)


@pytest.mark.parametrize(("kind", "axis"), [("examples", 1), ("channels", 0)])
def test_amplitudes_are_spread_between_examples_or_channels(kind, axis):
    (plain, _), *_ = data.digits(0)
    (images, _), *_ = data.amplified(3, **{kind: 2})
    plain, images = np.asarray(plain), np.asarray(images)
    shown = plain > 0
    factor = np.log10(np.divide(images, plain, where=shown, out=np.ones_like(images)))
    low, high = factor.min(axis, where=shown, initial=9), factor.max(axis, where=shown, initial=-9)
    used = shown.any(axis)
    assert (high - low)[used].max() < 1e-4  # one factor for an example, or for a channel
    assert 1.5 < high[used].max() - low[used].min() <= 2


@pytest.mark.slow
def test_a_quick_run(tmp_path, monkeypatch):
    """All stages: what is reported is what validation prefers, and a second run trains nothing."""
    grid = GRID._replace(widths=(0.5, 1.0), rates=(1.0, 3.0), seeds=GRID.seeds[:2])
    monkeypatch.setattr(family, "GRID", grid)
    monkeypatch.setattr(family, "PILOTS", family.PILOTS[:1])  # each is compiled, and no other test needs it
    table = run_twice(family, tmp_path / "depth-2.json", "depth-2")
    assert all(0 <= row["test"] <= 1 and 0 <= row["firing"] <= 1 for row in table)
    validated = of_seeds([row for row in table if ":" not in row["call"]], grid.choosing, "call", "rate")
    reported = {(row["call"], row["rate"]) for row in table if row["seed"] in grid.seeds}
    for shape in list(SHAPES)[:2]:
        means = {point: run["validation"].mean() for point, run in validated.items() if point[0].split()[0] == shape}
        assert max(means, key=means.get) in reported
    widths = {row["call"]: row["width"] for row in table if row["seed"] == 0}
    start = [float(call.surrogate.width) for call in family.ADAPTED[:2]]
    ends = {
        how: [widths[f"{how}: {call}"] for call in family.ADAPTED[:2]] for how in (*family.CALIBRATED, *family.TRAINED)
    }
    assert not any(np.allclose(of, start, rtol=1e-3) for of in ends.values())
    half, whole = (np.array(ends[how]) for how in family.CALIBRATED)  # k of .5 and of 1
    np.testing.assert_allclose(whole, 2 * half, rtol=1e-3)
    assert widths["Arctan width=0.5"] == pytest.approx(start[0], rel=1e-4)


def file_of(folder, name, shapes):
    """A setting that is tuned for some shapes."""
    runs = Runs(folder / f"{name}.json", {}, family.KEY, family.MEASURED)
    runs.finish("tune", gain=1.0, shapes=shapes, **GRID._asdict())


def test_settings_are_compared_by_the_shapes_that_most_have(tmp_path, monkeypatch):
    """One of three is not finished, and a shape that was added to one does not keep the others away."""
    file_of(tmp_path, "a", ("Arctan", "Circ", "S2NN"))
    file_of(tmp_path, "b", ("Arctan", "Circ"))
    file_of(tmp_path, "c", ("Arctan",))
    paths, shapes = family.together(sorted(tmp_path.glob("*.json")))
    assert ([path.stem for path in paths], shapes) == (["a", "b"], ["Arctan", "Circ"])
    asked = []
    monkeypatch.setattr(family, "shortlist", lambda scores, shapes, _: asked.append((len(scores), shapes)) or [])
    monkeypatch.setattr(family, "try_calls", lambda *how: None)
    family.main(["depth-2", "--stage", "calls", "--out", str(tmp_path)])
    assert asked == [(2, ["Arctan", "Circ"])]


# The report: regret, the rule for the default, what can't be told apart, and what is printed

SEEDS = np.arange(10)
WAVE = np.sin(SEEDS)  # the same for all, so that pairs differ by less than the seeds do


def entry(call, mean, noise=0.0, seed=0):
    test = mean + WAVE - WAVE.mean() + noise * np.random.default_rng(seed).standard_normal(10)
    return Entry(call, 1.0, test, loss=0.1, firing=0.2, width=0.7)


def outcome(single, best_rate=None, **tuned):
    entries = {name: entry(name, mean, 0.1, seed) for seed, (name, mean) in enumerate(single.items())}
    best = {name: entry(name, mean) for name, mean in (best_rate or single).items()}
    shapes = {shape: entry(f"{shape} width=1", tuned.get(shape, 90.0)) for shape in SHAPES}
    return Outcome("about", 1.4, shapes, entries, best, adapted={}, fixed={}, grid={}, pilots={}, first=1000)


ALWAYS = str(choice.ALWAYS[0])
A, B, OURS = "Arctan width=0.5", "S2NN width=0.5", "LogTailedRelu alpha=0.1 width=0.25"


def make_outcomes(ours):
    return {
        "one": outcome(
            {A: 96.0, B: 93.0, OURS: ours, ALWAYS: 70.0}, {A: 97.0, B: 96.0, OURS: 95.0, ALWAYS: 80.0}, Circ=98.0
        ),
        "two": outcome({A: 90.0, B: 94.0, OURS: 93.0, ALWAYS: 90.0}),
    }


def test_regret_is_behind_the_best_call_and_tuned_behind_all():
    fixed = outcomes.regrets(make_outcomes(94.0))
    for call, gaps in {A: (0, 4), B: (3, 0), OURS: (2, 1)}.items():
        np.testing.assert_allclose(list(fixed[call].values()), gaps, atol=0.2)  # noise of .1 over ten seeds
    tuned = outcomes.regrets(make_outcomes(94.0), "best_rate")
    np.testing.assert_allclose([tuned[call]["one"] for call in (A, B, OURS)], [1, 2, 3], atol=1e-9)


def test_the_default_has_the_least_worst_regret_ties_are_ours():
    assert str(outcomes.default(make_outcomes(94.0))) == OURS  # 2 points behind, S2NN 3
    assert str(outcomes.default(make_outcomes(92.8))) == OURS  # 3.2: within half a point of S2NN
    assert str(outcomes.default(make_outcomes(91.0))) == B


def test_holm_on_paired_differences(monkeypatch):
    """Of p = .001, .02, .04, .3 the first alone is at most .05 / 4, and .02 is above .05 / 3: all others are kept."""
    values = {"best": 0.001, "a": 0.001, "b": 0.02, "c": 0.04, "d": 0.3}
    entries = {name: entry(name, 90.0 - rank) for rank, name in enumerate(values)}
    names = {entries[name].test.tobytes(): name for name in entries}
    monkeypatch.setattr(outcomes, "_paired", lambda first, second: values[names[second.tobytes()]])
    assert outcomes.indistinguishable(entries) == {"best", "b", "c", "d"}
    values["b"] = 0.016
    assert outcomes.indistinguishable(entries) == {"best", "c", "d"}


def test_pairs_differ_significantly_where_means_do_not():
    """The seeds differ by a point, the pairs by .1 alone."""
    entries = {"a": entry("a", 90.0), "b": entry("b", 89.5, 0.1, 1), "c": entry("c", 89.99, 0.1, 2)}
    assert outcomes.indistinguishable(entries) == {"a", "c"}
    assert outcomes.indistinguishable({"a": entry("a", 90.0), "same": entry("same", 90.0)}) == {"a", "same"}


def test_draws_are_of_the_regrets():
    by_setting = make_outcomes(94.0)
    steadiest, chosen = outcomes.in_draws(by_setting)
    assert sum(steadiest.values()) == sum(chosen.values()) == pytest.approx(1)
    assert steadiest[OURS] > 0.9
    draws = outcomes.worst_in_draws(by_setting, OURS)
    assert len(draws) == outcomes.DRAWS
    np.testing.assert_allclose(draws.mean(), 2.0, atol=0.2)  # as the means have it, with noise of .1
    steadiest, chosen = outcomes.in_draws(make_outcomes(92.8))  # 3.2 points behind, S2NN 3: chosen within half a point
    assert steadiest[OURS] < 0.1
    assert chosen[OURS] > 0.9


@pytest.mark.parametrize("shape", SHAPES)
def test_a_call_is_printed_as_it_is_typed(shape):
    """Three digits are printed: the curve is that of the call to 1 in 100."""
    x = np.linspace(-2.03, 2.01, 41, dtype=np.float32)
    call = choice.GRID.calls(shape)[-1]
    assert Call.parse(str(call)) == call
    typed = eval(report.written(str(call)), {"bs": bs})
    assert np.abs(typed.surrogate_grad(x) - call.surrogate.surrogate_grad(x)).max() < 0.02
