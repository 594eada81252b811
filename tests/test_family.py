"""The comparison of the family: its shapes, its table of runs, how a point is chosen, and a quick run of it."""

import json
from collections import Counter

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import brainsurr as bs
from benchmarks.lib.runs import Runs, rows
from benchmarks.studies import family, settings
from benchmarks.studies.shapes import LEAKS, SAME_AS, SHAPES, WIDTHS, Call, calls, half_width, normalised

pytestmark = pytest.mark.usefixtures("lenient")

X = np.linspace(-6, 6, 2401, dtype=np.float32)
CLASSES = {name for name in dir(bs) if isinstance(getattr(bs, name), type)}
FAMILY = {name for name in CLASSES if issubclass(getattr(bs, name), bs.Surrogate)} - {"Surrogate", "Scaled"}


def curve(surrogate):
    return np.asarray(normalised(surrogate).surrogate_grad(X))


def test_each_surrogate_is_one_shape():
    assert set(SHAPES) | set(SAME_AS) == FAMILY
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


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("width", [0.25, 2.0])
def test_every_call_has_its_peak_and_its_width(name, width):
    call = calls(name)[-1]
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


def test_calls_are_the_grid():
    count = Counter(call.shape for name in SHAPES for call in calls(name))
    assert count.pop("LogTailedRelu") == len(LEAKS) * len(WIDTHS)
    assert count.pop("LeakyRelu") == len(LEAKS)
    assert set(count.values()) == {len(WIDTHS)}


# The table of runs


def open_runs(path, **settings):
    return Runs(path, {"epochs": 3} | settings, key=("call", "seed"), measured=("test",))


def test_a_run_is_made_once_and_a_file_is_extended(tmp_path):
    path, made = tmp_path / "a.json", []

    def train(test):
        made.append(test)
        return {"test": np.float32(test), "not kept": 0}

    first = open_runs(path)
    assert first.run(lambda: train(0.5), "b", 1)["test"] == 0.5
    assert first.run(lambda: train(0.6), "b", 1)["test"] == 0.5
    again = open_runs(path)
    again.run(lambda: train(0.7), "b", 1)
    again.run(lambda: train(0.8), "a", 0)
    assert made == [0.5, 0.8]
    assert [(row["call"], row["seed"], row["test"]) for row in rows(path)] == [("a", 0, 0.8), ("b", 1, 0.5)]


def test_a_row_of_another_environment_says_so(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    open_runs(path).run(lambda: {"test": 0.5}, "a", 0)
    here = json.loads(path.read_text())["environments"][0]
    monkeypatch.setattr("benchmarks.lib.results.environment", lambda: here | {"device": "another"})
    open_runs(path).run(lambda: {"test": 0.5}, "a", 1)
    devices = [environment["device"] for environment in json.loads(path.read_text())["environments"]]
    assert devices == [here["device"], "another"]
    assert [row["environment"] for row in rows(path)] == [0, 1]


def test_a_file_of_other_settings_is_refused(tmp_path):
    path = tmp_path / "a.json"
    open_runs(path).run(lambda: {"test": 0.5}, "a", 0)
    with pytest.raises(ValueError, match=r"holds runs with settings .*3.*now it is .*4.*--out"):
        open_runs(path, epochs=4)


# How a point is chosen


def test_of_equal_points_the_nearest_to_the_default_is_preferred():
    points = [(Call("Arctan", None, width), rate) for width in WIDTHS for rate in family.FACTORS]
    scores = dict.fromkeys(points, 0.9)
    assert min(points, key=lambda p: family.preference(scores, p)) == (Call("Arctan", None, 0.5), 1.0)
    scores[points[0]] = 0.91
    assert min(points, key=lambda p: family.preference(scores, p)) == points[0]


def test_a_point_on_an_edge_is_extended_by_a_step():
    low, mid, high = family.FACTORS
    assert not list(family.beyond(Call("Arctan", None, 0.5), mid))
    assert list(family.beyond(Call("Arctan", None, 0.1), mid)) == [(Call("Arctan", None, 0.05), mid)]
    assert list(family.beyond(Call("Arctan", None, 2.0), high)) == [
        (Call("Arctan", None, 4.0), high),
        (Call("Arctan", None, 2.0), 3 * high),
    ]
    assert list(family.beyond(Call("LeakyRelu", 0.1, None), low)) == [(Call("LeakyRelu", 0.1, None), low / 3)]


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
    spikes = np.asarray(settings.latency(jnp.array([[1.0, 0.5, 0.1, 0.0]])))
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
    (plain, _), *_ = settings.digits(0)
    (images, _), *_ = settings.amplified(3, **{kind: 2})
    plain, images = np.asarray(plain), np.asarray(images)
    shown = plain > 0
    factor = np.log10(np.divide(images, plain, where=shown, out=np.ones_like(images)))
    low, high = factor.min(axis, where=shown, initial=9), factor.max(axis, where=shown, initial=-9)
    used = shown.any(axis)
    assert (high - low)[used].max() < 1e-4  # one factor for an example, or for a channel
    assert 1.5 < high[used].max() - low[used].min() <= 2


@pytest.mark.slow
def test_a_quick_run(tmp_path):
    """Both stages: what is reported is what validation prefers, and a second run trains nothing."""
    command = ["depth-2", "--quick", "--out", str(tmp_path)]
    family.main(command)
    path = tmp_path / "depth-2.json"
    table, before = list(rows(path)), path.read_bytes()
    assert all(0 <= row["test"] <= 1 and 0 <= row["firing"] <= 1 for row in table)
    for shape in list(SHAPES)[:2]:
        of_shape = [row for row in table if row["call"].split()[0] == shape]
        reported = {(row["call"], row["rate"]) for row in of_shape if row["seed"] in family.SEEDS}
        means = {}
        for row in of_shape:
            if row["seed"] in family.CHOOSING:
                means.setdefault((row["call"], row["rate"]), []).append(row["validation"])
        whole = {point: np.mean(values) for point, values in means.items() if len(values) == len(family.CHOOSING)}
        assert max(whole, key=whole.get) in reported
    adapted = {row["call"].partition(":")[0] for row in table if ":" in row["call"]}
    assert adapted == {*family.CALIBRATED, *family.TRAINED}
    ends = [row["width"] for row in table if row["call"].startswith("trained")]
    assert len(set(ends)) > 1
    family.main(command)
    assert path.read_bytes() == before


def test_a_wrong_setting_is_an_error_of_one_line(capsys):
    with pytest.raises(SystemExit):
        family.main(["depth-3"])
    assert "'depth-3' is not one of randman-0.03" in capsys.readouterr().err


def test_speech_needs_its_recordings(capsys):
    with pytest.raises(SystemExit):
        family.main(["speech"])
    assert "--speech" in capsys.readouterr().err
