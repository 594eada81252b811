"""What the shorter guides of docs show runs, prints what they say, and does it."""

import contextlib
import io
import re
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from close import assert_close
from flax import nnx
from pages import DOCS, blocks, run, run_blocks

import brainsurr as bs
from brainsurr import cpu, plot

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lenient")]  # optax.adam, Linear of flax and brainstate


def printed_as_shown(page, rtol, until="\0"):
    """Run a page, whose blocks are each followed by what they print: the same, but for the rounding of numbers."""
    scope, text = dict[str, object](), (DOCS / page).read_text().partition(until)[0]
    for code, shown in re.findall(r"```python\n(.*?)```\n+```text\n(.*?)```", text, re.DOTALL):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(code, page, "exec"), scope)
        words = (re.sub(r"[,%]|\de[-+]\d\d", "", text).split() for text in (out.getvalue(), shown))
        for one, other in zip(*words, strict=True):
            if re.fullmatch(r"-?\d+(\.\d+)?", other):
                np.testing.assert_allclose(float(one), float(other), rtol=rtol)
            else:
                assert one == other
    return scope


def test_gradients():
    scope = printed_as_shown("gradients.md", 1e-3)
    assert scope["report"].fine
    assert {parameter.status for parameter in scope["wrong"].values()} == {"fine", "differs"}
    assert {parameter.status for parameter in scope["detached"].values()} == {"fine", "reset"}


def test_installation():
    printed_as_shown("installation.md", 0)


def test_how_surrogate_gradients_work():
    """The factors of a step, too, are those of the table."""
    scope = printed_as_shown("how-surrogate-gradients-work.md", 1e-3)
    slope, decay, u, slope_of_spike = scope["slope"], 0.9, 1.5, 1.0
    np.testing.assert_allclose(slope("zero", True), (decay * u * slope_of_spike) ** 20, rtol=1e-5)
    np.testing.assert_allclose(slope("subtract", False), decay**20, rtol=1e-5)
    assert slope("subtract", True) == slope("zero", False) == 0


def test_random_spikes():
    assert printed_as_shown("random-spikes.md", 1e-3)["ensemble"].shape == (3, 8, 4)


def test_first_spike_times(capsys):
    run_blocks(DOCS / "spike-timing.md")
    (accuracy,) = numbers(capsys.readouterr().out)
    assert accuracy > 0.6  # a third by chance


def test_seeds(capsys):
    """In each framework, ten networks start apart and learn."""
    run_blocks(DOCS / "seeds.md")
    for mean, spread in np.reshape(numbers(capsys.readouterr().out), (4, 2)):
        assert 0 < spread < mean < 0.8  # log(3), 1.1, by chance


def test_first_weights(capsys):
    page = DOCS / "first-weights.md"
    run_blocks(page)
    (shown,) = re.findall(r"```text\n(.*?)```", page.read_text(), re.DOTALL)
    np.testing.assert_allclose(numbers(capsys.readouterr().out), numbers(shown), atol=0.02)


def test_sparse_products():
    """Any products agree up to rounding, which carries no spike across the threshold here."""
    scope = run_blocks(DOCS / "sparse-products.md")
    xs = jax.random.bernoulli(jax.random.key(0), 0.2, (20, 64, 32)).astype(jnp.float32)
    net, linear = scope["net"], scope["linear"]
    _, sparse = net(net.initialize_carry((64, 32)), xs)
    net.events = False
    _, dense = net(net.initialize_carry((64, 32)), xs)
    assert np.isclose(sparse, dense, atol=1e-4).mean() > 0.99
    assert_close(linear(xs), xs @ linear.kernel[...], 32)
    np.testing.assert_array_equal(scope["ys"], 0)
    assert scope["conv"](jnp.zeros((2, 8, 8, 1))).shape == (2, 8, 8, 8)
    assert scope["predict"](xs).shape == (64, 4)


def test_operations():
    """The table and the energies, but for spikes that rounding decides."""
    scope = printed_as_shown("spike-counts.md", 0.02, until="\n## Penalise")
    np.testing.assert_allclose(scope["relu"], 4.6 * (32 * 64 + 64 * 64 + 64 * 4))


def test_nir(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scope = run_blocks(DOCS / "nir.md")
    assert {path.stem for path in tmp_path.iterdir()} == {"net", "leaky"}
    said = re.search(r"print\(error\)  # (.*) \.\.\.\n", (DOCS / "nir.md").read_text())[1]
    assert capsys.readouterr().out.startswith(said)
    (leaky,) = scope["snntorch_net"].layers
    assert (np.float32(leaky.decay), leaky.threshold, leaky.reset) == (np.float32(0.9), 1.0, "subtract")
    assert leaky.reset_delay
    assert 0.02 < jnp.mean(scope["spikes"]) < 0.95


def test_chips(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scope, text = run_blocks(DOCS / "chips.md"), (DOCS / "chips.md").read_text()
    (shown,) = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    assert capsys.readouterr().out.split() == shown.split()
    assert {path.name for path in tmp_path.iterdir()} == {"speck.nir", "xylo.nir", "loihi.nir"}
    assert 0.01 < scope["differ"] < 0.3
    assert scope["losses"][-1] < 0.7 * scope["losses"][0]
    assert [type(layer).__name__ for layer in scope["on_chip"].layers] == ["Linear", "LoihiLIF"]


RATES = DOCS / "spike-counts.md"
COUNTED, _, PENALISED, OTHERS, PLAIN = blocks(RATES)


def numbers(text):
    return np.array([re.findall(r"\d\.\d+", line) for line in text.splitlines()], float)


def test_a_rate_penalty_makes_it_fire_less_and_as_accurate(capsys):
    scope = run(PENALISED, OTHERS)
    *_, shown = re.findall(r"```text\n(.*?)```", RATES.read_text(), re.DOTALL)
    (accuracy, *rates), (after, *fewer) = printed = numbers(capsys.readouterr().out)
    assert accuracy == after == 1
    assert all(0 < few < rate for few, rate in zip(fewer, rates, strict=True))
    assert sum(fewer) < sum(rates) / 2
    np.testing.assert_allclose(printed, numbers(shown), atol=0.02)  # rounding goes on into spikes, in 50 steps

    by_hand = {1: jnp.array([[0.5, 0.0], [0.25, 0.0]]), 3: jnp.array([[0.125], [0.125]])}
    assert scope["fires_at_most"](by_hand, 0.125) == 0.25**2


def test_rates_of_a_plain_function():
    scope = run(COUNTED, PENALISED.partition("@nnx.jit")[0], PLAIN)
    assert 0 < float(scope["outputs"]["rate"].mean()) < 1


def test_saving(capsys):
    scope = run_blocks(DOCS / "saving.md")
    differ = "the parameters differ: ['layers.0.spike_fn.alpha'] only in the source, [] only in the target"
    assert differ in " ".join((DOCS / "saving.md").read_text().split())
    assert differ in capsys.readouterr().out.splitlines()
    neuron = scope["fixed"].layers[0]
    assert (neuron.spike_fn.alpha, neuron.decay[...]) == (0.25, np.float32(0.9))
    for one, other in (scope[f"{host}_losses"] for host in ("nnx", "linen", "brainstate")):
        np.testing.assert_array_equal(one, other)
    restored = scope["serialization"].from_bytes(scope["blank"], scope["written"])["f"]
    np.testing.assert_array_equal(restored.alpha, np.float32([0.1, 0.2]))
    np.testing.assert_array_equal(scope["exported_spikes"], [0.0, 1.0])
    np.testing.assert_allclose(scope["exported_ys"], scope["network_ys"], rtol=1e-5, atol=1e-6)  # sums of 8 numbers


@pytest.fixture(scope="module")
def own():
    """What docs/write-your-own-neuron.md leaves behind."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return run_blocks(DOCS / "write-your-own-neuron.md")


def test_a_neuron_of_ones_own(own):
    assert own["ys"].shape == (30, 8, 4)
    assert 0.05 < own["spikes"].mean() < 0.95
    assert own["slope"] != 0
    trained = own["neuron"]
    assert trained.rate != np.float32(0.2)
    xs = own["xs"]
    summing = own["Integrator"]()
    state, ys = summing(summing.initial_state(xs[0]), xs)
    assert_close(ys, jnp.stack([xs[: t + 1].sum(0) for t in range(30)]), 30)
    assert_close(state, xs.sum(0), 30)


@pytest.mark.parametrize("name", ["QIF", "RefractoryLIF"])
def test_the_gradients_of_a_neuron_of_ones_own_are_right(own, name):
    xs = own["xs"][:6, :2, :4]
    neuron = jax.tree.map(jnp.float32, own[name]())

    def loss(params):
        neuron, xs = params
        return jnp.sum(neuron(neuron.initial_state(xs[0]), xs)[1] * jnp.arange(4.0))

    report = bs.check_gradients((neuron, xs), loss)
    assert {parameter.status for parameter in report.values()} <= {"fine", "reset"}, report


RECIPE = DOCS / "recipe.md"
*SEQUENCES, VOWELS = blocks(DOCS / "sequences.md")


def recipe(monkeypatch, *instead, **sizes):
    """The names of docs/recipe.py, with what stands in the place of some: on one device, as jax has started here."""
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    monkeypatch.setattr(cpu, "use_all_cores", lambda batch: f"{batch} at once")
    scope = run((DOCS / "recipe.py").read_text(), *instead, __name__="recipe")
    scope.update(sizes)
    return scope


def test_the_recipe_keeps_the_best_epoch_and_stops_after_it(tmp_path, monkeypatch):
    scope = recipe(monkeypatch, EPOCHS=30, PATIENCE=2, RATE=1e-2)
    train_set, validation, _ = scope["load"]()
    net, curves = scope["train"](tmp_path / "checkpoints", train_set, validation)
    best = curves[2].index(max(curves[2]))
    assert tuple(map(float, scope["evaluate"](net, *validation))) == (curves[1][best], curves[2][best])
    assert len(curves[0]) == min(30, best + 1 + 2)
    scope["train_epoch"] = None  # for a finished run, nothing trains
    assert scope["main"](tmp_path) > 0.9
    assert (tmp_path / "recipe.png").exists()
    scope["RATE"] = 2e-2
    with pytest.raises(
        ValueError, match=r"trained with \[64, 30, 2, 0.01, 10, 0\], not with \[64, 30, 2, 0.02, 10, 0\]"
    ):
        scope["main"](tmp_path)


def test_the_recipe_resumes_to_the_bit(tmp_path, monkeypatch, capsys):
    scope, results = recipe(monkeypatch, EPOCHS=5, RATE=1e-2), []
    parts, train_epoch = scope["load"]()[:2], scope["train_epoch"]
    scope["train_epoch"] = lambda *of: train_epoch(*of) if of[-1] < 3 else 1 / 0
    with pytest.raises(ZeroDivisionError):
        scope["train"](tmp_path / "stopped", *parts)
    scope["train_epoch"] = train_epoch
    for folder in ("stopped", "whole"):
        net, curves = scope["train"](tmp_path / folder, *parts)
        results.append((nnx.to_pure_dict(nnx.state(net, nnx.Param)), curves))
    assert re.findall(r"(\w+) has 3 epochs", capsys.readouterr().out) == ["stopped"]
    jax.tree.map(np.testing.assert_array_equal, *results)


def test_the_recipe_warns_of_a_loss_that_does_not_move(tmp_path, monkeypatch, capsys):
    """Not of one that falls little since labels are wrong."""
    for accuracy, is_stuck in ((0.95, False), (0.12, True)):
        scope, losses = recipe(monkeypatch, EPOCHS=3), iter([1.91, 1.76, 1.73])
        scope |= {"train_epoch": lambda *_, losses=losses: next(losses), "evaluate": lambda *_, a=accuracy: (1.8, a)}
        scope["train"](tmp_path / str(accuracy), *scope["load"]()[:2])
        assert ("does not move" in capsys.readouterr().out) == is_stuck


def test_the_recipe_stops_at_nan_and_names_what_became_so(tmp_path, monkeypatch):
    scope = recipe(monkeypatch, RATE=1e38)
    with pytest.raises(
        FloatingPointError, match=r"epoch 0, loss (nan|inf): the data is finite, but .*'layers.0.kernel'"
    ):
        scope["train"](tmp_path, *scope["load"]()[:2])


def test_the_recipe_checks_its_data(monkeypatch):
    rows = np.arange(100)[:, None]
    digits, scope = (np.zeros((100, 4), np.float32), np.arange(100) % 10), recipe(monkeypatch)
    check, parts = scope["check"], dict.fromkeys(("training", "validation", "test"), digits)
    check(**parts)
    for name, part, word in (
        ("training", (np.where(rows == 70, np.nan, 0), digits[1]), r"rows \[70\]"),
        ("validation", (digits[0], digits[1] - 1), r"rows \[ 0 10 20"),
        ("training", (digits[0], digits[1] * 1.0), r"rows \[ 0  1  2"),
        ("training", (digits[0][:50], digits[1][:50]), "BATCH=64"),
    ):
        with pytest.raises(ValueError, match=f"^{name}: .*{word}"):
            check(**parts | {name: part})
    scope["mask"] = lambda x: jnp.zeros((10, len(x)), bool).at[2, 1:].set(True)
    with pytest.raises(ValueError, match=r"rows \[ 0 64\]"):  # the first of each batch
        check(training=digits)


def test_the_recipe_trains_on_series_of_variable_length(tmp_path, monkeypatch):
    """Like those of Japanese vowels, as aeon gives them: each speaker has a level of its own."""
    rng = np.random.default_rng(0)

    def made(split):
        speakers = np.arange(180) % 9
        waves = [np.sin(np.arange(12) + 2 * speaker)[:, None] for speaker in speakers]
        return [wave + 0.1 * rng.normal(size=(12, rng.integers(7, 30))) for wave in waves], (speakers + 1).astype(str)

    monkeypatch.setitem(sys.modules, "aeon", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "aeon.datasets", SimpleNamespace(load_japanese_vowels=made))
    scope, drawn = recipe(monkeypatch, SEQUENCES[0], VOWELS, EPOCHS=10), []
    monkeypatch.setattr(plot, "raster", lambda spikes, axes: drawn.append(len(spikes)))
    assert scope["main"](tmp_path) > 0.9
    net, (x, _), _, (x_test, _) = scope["network"](12, 9), *scope["load"]()
    assert drawn == [x_test[0, :, -1].sum()] != [32]
    filled = np.where(x[..., -1:] + (np.arange(13) == 12) > 0, x, np.float32(1))
    np.testing.assert_array_equal(*(scope["logits"](nnx.view(net, deterministic=True), x) for x in (filled, x)))


def test_the_recipe_in_linen_and_brainstate():
    scope = run_blocks(RECIPE)
    for host in ("linen", "brainstate"):
        assert np.isfinite(scope[f"{host}_loss"])
        assert scope[f"{host}_logits"].shape == (64, 10)


def test_padding_does_not_count():
    scope = run(*SEQUENCES)
    loss_fn, mask, xs = scope["loss_fn"], scope["mask"], scope["xs"]
    net = scope["SpikingSequential"](scope["layers"], return_spikes=True)
    losses = []
    for padding in (0.0, 1.0):
        loss_fn.__globals__["xs"] = np.where(mask[..., None], xs, np.float32(padding))
        losses.append(float(loss_fn(net)))
    assert losses[0] == losses[1]
    _, (ys, _) = net(net.initialize_carry((48, 12)), xs)
    by_hand = [ys[:n, i].mean(0) for i, n in enumerate(scope["lengths"])]
    assert_close(scope["logits"], jnp.stack(by_hand), 32 * 8)
    assert {shape[0] for shape in scope["shapes"]} <= {8, 16, 32}
    assert sum(shape[1] for shape in scope["shapes"]) == 48


def test_events_are_counted_into_steps():
    binned = run(*SEQUENCES)["binned"]
    xs = binned([([0, 9, 9, 10, 25], [1, 0, 0, 2, 1]), ([], [])], steps=2, channels=3, dt=10)
    np.testing.assert_array_equal(xs[:, 0], [[2, 1, 0], [0, 0, 1]])
    assert (xs.dtype, xs[:, 1].any()) == (np.uint8, False)
    with pytest.raises(AssertionError, match="a time or a channel is below 0"):
        binned([([0, 9], [1, -1])], steps=2, channels=3, dt=10)
