"""Which layers are silent and can a gradient reach them: numbers against loops, verdicts against training."""

import dataclasses
import json
import math
import re
from types import MappingProxyType

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from asked import ask
from cases import each_value_once, label
from close import assert_close
from flax import nnx
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import brainsurr as bs
from tools.frameworks import Brainstate, Linen, Nnx

pytestmark = pytest.mark.usefixtures("lenient")  # brainstate's Linear

T, B, F = 12, 3, 4

# Small multiples of a power of two, so that the forward pass and the counts are exact. The last two neurons never fire.
rng = np.random.default_rng(0)
X = rng.integers(-6, 15, (T, B, F)) / 8
X[..., -2:] = -1
WEIGHT = rng.integers(-4, 5, (T, B, F)) / 4
ALPHA = np.array([0.0, 0.125, 0.5, 0.0], np.float32)


LENGTHS = np.arange(T)[:, None] < [11, 5, T]  # where sequences have values, and no padding


def by_loop(decay=0.5, threshold=1.0, mask=True):
    """The numbers for one layer of LIF neurons under the loss sum(WEIGHT * spikes), reset by subtraction."""
    v, xs, spikes = np.zeros((B, F)), [], []
    for x in X:
        u = decay * v + x
        xs.append(u - threshold)
        spikes.append((xs[-1] >= 0).astype(float))
        v = u - threshold * spikes[-1]
    x, s = np.array(xs), np.array(spikes)
    slope = np.where(x <= 0, ALPHA, 1 / np.maximum(x, 1))  # of LogTailedRelu
    arriving, dx, gv = np.zeros_like(x), np.zeros_like(x), np.zeros((B, F))
    for t in reversed(range(T)):
        arriving[t] = WEIGHT[t] - threshold * gv
        dx[t] = arriving[t] * slope[t]
        gv = decay * (gv + dx[t])
    x, s, slope, arriving, dx = (a[np.broadcast_to(mask, (T, B))] for a in (x, s, slope, arriving, dx))
    never = s.sum(0) == 0
    return {
        "rate": s.mean(),
        "silent": never.mean(),
        "dead": (never & ((slope != 0).sum(0) == 0)).mean(),
        "passing": (slope != 0).mean(),
        "arriving": (arriving != 0).mean(),
        "reached": (dx != 0).mean(),
        "grad_norm": math.sqrt((dx**2).sum()),
        "membrane": x.mean(),
        "rms": math.sqrt((x**2).mean()),
        "nan": 0.0,
        "status": "fine",
    }


WHOLE = {"dtype": "float32", "learnable": (), "unroll": {}}
BLOCKS = {"dtype": "bfloat16", "learnable": "alpha", "unroll": {"block_size": 5, "remat": "full"}}


@pytest.mark.parametrize("mask", [None, LENGTHS], ids=["all", "padded"])
@pytest.mark.parametrize(("host", "how"), each_value_once([Linen, Brainstate, Nnx], [BLOCKS, WHOLE]), ids=label)
def test_numbers_are_those_of_a_loop(host, how, mask):
    dtype, learnable, blocks = how.values()
    act = host.layers.SpikingActivation(bs.LogTailedRelu(ALPHA), learnable=learnable)
    lif = host.layers.LIF(F, decay=0.5, spike_fn=act)
    weight = jnp.asarray(WEIGHT, dtype)
    report = ask("diagnose", host, lif, lambda ys: jnp.sum(ys * weight), jnp.asarray(X, dtype), mask, **blocks)
    numbers, expected = dataclasses.asdict(report["LIF"]), by_loop(mask=True if mask is None else mask)
    passing = {change.split(" (")[0]: share for change, share in numbers.pop("trials").items()}
    assert passing.pop("raise alpha of its LogTailedRelu") == passing.pop("lower alpha of its LogTailedRelu") == 1
    widened = [f"widen its LogTailedRelu with .scaled(width={width})" for width in (2, 10)]
    assert_close(passing, dict.fromkeys(widened, expected["passing"]), 2, each=True, dtype=jnp.float32)
    assert (expected["dead"], expected["silent"]) == (0.25, 0.5)  # the case says something
    assert 0 < expected["reached"] < expected["passing"] < 1
    assert numbers.pop("status") == expected.pop("status")
    assert numbers.keys() == expected.keys()
    assert_close(numbers, expected, X.size, each=True, dtype=jnp.float32)  # sums over all values
    assert json.loads(json.dumps(dataclasses.asdict(report)))["layers"]["LIF"]["rate"] == numbers["rate"]


def test_rms_is_over_the_finite_values_of_all_steps():
    """Not a mean over calls or neurons: each value counts once, however many a step has. That of nothing is NaN."""
    steps = [np.array([[3.0, -4.0]]), np.array([[0.5, np.nan], [-np.inf, 2.0], [-1.0, 0.0]]), np.full((2, 2), 8.0)]

    def loss_fn(spike_fns):
        nothing = jnp.sum(spike_fns["nothing"](jnp.full((2, F), -jnp.inf)))
        return sum((jnp.sum(spike_fns["layer"](jnp.asarray(x, jnp.float32))) for x in steps), nothing)

    report = bs.diagnose({"layer": bs.Arctan(), "nothing": bs.Arctan()}, loss_fn)
    x = np.concatenate(steps)
    assert_close(report["layer"].rms, np.sqrt(np.mean(np.square(x[np.isfinite(x)]))), x.size + 4, dtype=jnp.float32)
    assert math.isnan(report["nothing"].rms)
    assert f"  {report['layer'].rms:.3g}  " in str(report)
    assert "  --  " in str(report)


def test_in_float64_its_sums_have_the_digits_of_it():
    x = np.random.default_rng(0).normal(size=(T, F))
    with jax.enable_x64(True):
        row = bs.diagnose({"act": bs.Arctan(2.0)}, lambda fs: jnp.sum(fs["act"](jnp.asarray(x))))["act"]
    assert_close(row.rms, np.sqrt(np.mean(x**2)), x.size + 4, dtype=jnp.float64)
    assert_close(row.grad_norm, np.linalg.norm(1 / (1 + (np.pi * x) ** 2)), x.size + 10, dtype=jnp.float64)


def assert_same(report, other):
    """Two reports of one network: the same counts and words, and sums of all values but for rounding."""
    assert [layer.status for layer in report.values()] == [layer.status for layer in other.values()]
    for one, two in zip(report.values(), other.values(), strict=True):
        one, two = ({k: v for k, v in dataclasses.asdict(layer).items() if k != "status"} for layer in (one, two))
        assert one["trials"].keys() == two["trials"].keys()
        assert_close(one, two, X.size, each=True, dtype=jnp.float32)


def test_it_sees_through_jit_vmap_and_a_cache():
    """One example at a time, compiled, and compiled before: the numbers are the same."""
    f, x = bs.LogTailedRelu(), jnp.asarray(X, jnp.float32)

    def loss_fn(spike_fns):
        return jnp.sum(jax.jit(jax.vmap(jax.vmap(lambda x: spike_fns["layer"](x) * 2)))(x))

    expected = bs.diagnose({"layer": f}, lambda spike_fns: jnp.sum(spike_fns["layer"](x) * 2))
    assert_same(bs.diagnose({"layer": f}, loss_fn), expected)
    assert expected["layer"].rate == np.mean(X >= 0)
    report = bs.diagnose({"layer": f}, lambda spike_fns: jnp.sum(jax.vmap(spike_fns["layer"], in_axes=-1)(x)))
    assert report["layer"].rate == np.mean(X >= 0)

    net, other = (layers.LIF(F, decay=0.5, spike_fn=f) for layers in (bs.nnx, bs.linen))
    expected = bs.nnx.diagnose(net, lambda net: jnp.sum(net(jnp.zeros((B, F)), x)[1]))
    in_nnx = nnx.jit(lambda net: jnp.sum(net(jnp.zeros((B, F)), x)[1]))
    in_linen = jax.jit(lambda variables: jnp.sum(other.apply(variables, jnp.zeros((B, F)), x)[1]))
    in_nnx(net), in_linen({})
    assert_same(bs.nnx.diagnose(net, in_nnx), expected)
    assert_same(bs.linen.diagnose({}, in_linen), expected)


def test_on_a_mesh():
    """Where types say how values are split, or in shard_map, a sentence says to diagnose elsewhere."""
    kinds, two = (AxisType.Auto, AxisType.Explicit), jax.devices()[:2]
    auto, explicit = (jax.make_mesh((2,), ("a",), axis_types=(kind,), devices=two) for kind in kinds)
    f, xs = {"a": bs.Arctan()}, jnp.asarray(X[0, :2], jnp.float32)
    expected = bs.diagnose(f, lambda f: f["a"](xs).sum())
    split = jax.device_put(xs, NamedSharding(auto, P("a")))
    assert_same(bs.diagnose(f, lambda f: f["a"](split).sum()), expected)
    split = jax.device_put(xs, NamedSharding(explicit, P("a")))
    for loss_fn in (
        lambda f: f["a"](split).sum(),
        lambda f: jax.shard_map(f["a"], mesh=auto, in_specs=P("a"), out_specs=P("a"))(xs).sum(),
    ):
        with pytest.raises(ValueError, match="diagnose can't sum over explicit mesh axes"):
            bs.diagnose(f, loss_fn)


class Triangle(bs.Surrogate):
    """Without a parameter."""

    def surrogate_grad(self, x):
        return jnp.maximum(1 - jnp.abs(x), 0)


ADVICE = [
    (bs.ReluGrad(), "widen its ReluGrad with .scaled(width=2), and a gradient passes at 100.0%"),
    (bs.LeakyRelu(0.0), "raise alpha of its LeakyRelu from 0 to 0.1"),
    (bs.GaussianGrad(sigma=0.05), "widen its GaussianGrad with .scaled(width=10), and"),
    (0.5 * bs.LogTailedRelu(np.zeros(4, np.float32)), "alpha of its scaled LogTailedRelu (times 2; 0.1 where"),
    (Triangle(), "widen its Triangle with .scaled(width=2), and a gradient passes at 100.0%"),
    (Triangle().scaled(width=0.25), "widen its scaled Triangle with .scaled(width=10), and"),
    (bs.ReluGrad(0.5).scaled(width=jnp.ones(4)), "widen its scaled ReluGrad with .scaled(width=2), and"),
    (lambda x: bs.log_tailed_relu(x), "use a surrogate that has a gradient so far away, such as LogTailedRelu"),
]


def test_spikes_that_a_neuron_draws_are_counted():
    lif, xs, key = bs.neurons.LIF(threshold=0.25), jnp.zeros((64, 4)), jax.random.key(0)
    report = bs.diagnose({"lif": lif}, lambda fns: jnp.sum(fns["lif"](xs[0], xs, key=key)[1]))
    assert report["lif"].rate == lif(xs[0], xs, key=key)[1].mean() > 0


@pytest.mark.parametrize(("surrogate", "advice"), ADVICE)
def test_the_advice_opens_the_surrogate(surrogate, advice):
    x = jnp.full((5, 4), -1.5)
    report = bs.diagnose({"layer": surrogate}, lambda fns: jnp.sum(fns["layer"](x)))
    assert report["layer"].status == "dead"
    assert advice in report.sentences[0]


LARGE = [(9.0, 1, "fine"), (11.0, 1, "blocked"), (1000.0, 1, "blocked"), (11.0, 8, "blocked"), (11.0, 12, "fine")]


@pytest.mark.parametrize(("gain", "near", "status"), LARGE)
def test_weights_that_are_far_too_large_are_named(gain, near, status):
    """Ten thresholds away, where less than a twentieth of 200 values is near; also where no gradient passes at all."""
    x = jnp.where(jnp.arange(200) < near, 0.5, gain * jnp.where(jnp.arange(200) % 2 == 0, 1.0, -1.0))
    said = f"only {near / 200:.1%} of its membrane values. To fix this, scale down its inputs or the weights before it"
    for f in (bs.Sigmoid(4.0), bs.ReluGrad()):
        report = bs.diagnose({"layer": f}, lambda fns, f=f: jnp.sum(fns["layer"](x)))
        assert report["layer"].status == status
        assert (said in report.sentences[0]) == (status == "blocked")
    dead = bs.diagnose({"layer": bs.ReluGrad()}, lambda fns: jnp.sum(fns["layer"](jnp.full((4, 4), -gain))))
    assert ("restart with a lower learning rate" in dead.sentences[0]) == (gain > 10)
    assert ("scale up" in " ".join(dead.sentences).lower()) == (gain <= 10)


@pytest.mark.parametrize("f", [bs.PiecewiseQuadratic(1.0), bs.PiecewiseQuadratic(1.0).scaled(height=2.0, width=0.5)])
def test_the_advice_for_random_spikes_is_one_that_they_can_take(f):
    act = bs.nnx.SpikingActivation(f, random=True, rngs=nnx.Rngs(0))
    sentence, _ = bs.nnx.diagnose(act, lambda act: act(jnp.full((4, 3), -4.5)).sum()).sentences  # it does not vary
    its = "scaled PiecewiseQuadratic" if isinstance(f, bs.Scaled) else "PiecewiseQuadratic"
    assert f"widen its {its} with .scaled(height=1 / 10, width=10), and a gradient passes at 100.0%" in sentence
    bs.nnx.SpikingActivation(f.scaled(height=1 / 10, width=10), random=True, rngs=nnx.Rngs(0))


def statuses(report):
    return ", ".join(layer.status for layer in report.values())


LEAKY, SHUT, a_step = bs.LogTailedRelu(0.1), bs.LogTailedRelu(), lambda x: jnp.heaviside(x, 1.0)
CAUGHT = "gets through layer 2, which is dead.*\n.*scale up the weights before it.*\n.*fix layer 2, which sends it no"
ALL_NAN, TWO_NAN = "not finite, not finite, not finite", "not finite, not finite, saturated"
# Surrogates, the gain and the bias of what each is given, the statuses, which can be told by hand, and the beginning of
# what is said. In the second row the first layer is silent, but lets a gradient through. In the fourth the membrane is
# -0.75 or 3.25 away. In the last, no gradient at all is sent to the layer before a step, which is counted all the same.
IN_A_ROW = [
    ([LEAKY, SHUT, LEAKY], [(1, 0), (1, -2), (1, -0.5)], "cut off, dead, recoverable", CAUGHT),
    ([LEAKY, SHUT], [(1, -2), (1, -2)], "cut off, dead", "^layer 1 is cut off: .* layer 2, which is dead"),
    ([LEAKY, LEAKY], [(1, 0), (1, -0.5)], "saturated, saturated", "^layer 1 is saturated"),
    ([LEAKY, bs.ReluGrad(width=0.5)], [(0.1, -0.05), (4, -0.75)], "cut off, blocked", "layer 2, which is blocked"),
    ([1e-6 * LEAKY, LEAKY, LEAKY], [(1, -0.5), (1, -0.5), (4, -2)], "vanishing, fine, fine", "norm .* at layer 2"),
    ([LEAKY, LEAKY], [(1, -0.5), (1, -0.5)], "fine, fine", "^Every layer in the table fires, and a .* reaches it.$"),
    ([LEAKY] * 3, [(1, -0.5), (jnp.nan, 0), (1, 0)], ALL_NAN, "^layer 2 is the first layer with NaN in its potential"),
    ([LEAKY, 3e38 * LEAKY, LEAKY], [(1, -0.5), (1, -0.5), (1, 0)], TWO_NAN, "^layer 2 is the last layer whose gra"),
    ([LEAKY, LEAKY, 3e38 * LEAKY, LEAKY], [(1, -0.5)] * 3 + [(1, 0)], f"not finite, {TWO_NAN}", "^layer 3 is the last"),
    ([bs.Arctan(), a_step], [(1, -0.5), (1, -0.5)], "cut off, blocked", "no gradient gets through layer 2"),
]


@pytest.mark.parametrize(("surrogates", "steps", "expected", "said"), IN_A_ROW)
def test_the_statuses_of_layers_in_a_row(surrogates, steps, expected, said):
    def loss_fn(spike_fns):
        x = jnp.linspace(0.25, 1, 8 * 4).reshape(8, 4)
        for f, (gain, bias) in zip(spike_fns.values(), steps, strict=True):
            x = f(gain * x + bias)
        return jnp.sum(x)

    report = bs.diagnose({f"layer {i}": f for i, f in enumerate(surrogates, 1)}, loss_fn)
    assert statuses(report) == expected
    assert re.match(f".*({said})", "\n".join(report.sentences))  # in the first one


def test_parameters_that_are_nan_are_named_in_any_mapping():
    lif = jax.tree.map(lambda p: p * jnp.nan, bs.neurons.LIF(decay=jnp.full(F, 0.5)))
    spike_fns = MappingProxyType({"first": lif})
    report = bs.diagnose(spike_fns, lambda fns: jnp.sum(fns["first"](jnp.zeros((B, F)), jnp.ones((2, B, F)))[1]))
    assert report.sentences[0].startswith("Some parameters contain NaN or infinity: first.decay")


@pytest.mark.parametrize(("scale", "named"), [(1 / 8, False), (3 / 32, True)])
def test_an_input_that_hardly_varies_is_named(scale, named):
    """Of the first layer, by a tenth of its distance to the threshold or less."""
    x = jnp.array([[-1.0], [1.0]]) * scale - 1.0
    report = bs.diagnose({"layer": LEAKY}, lambda fns: jnp.sum(fns["layer"](x)))
    np.testing.assert_allclose(report["layer"].spread, scale, rtol=1e-12)  # a difference of squares, at least 1 / 128
    level = f"its potential is 1 below the threshold on average, with a standard deviation of {scale:.2g}"
    assert f"({level})" in report.sentences[0]
    assert any("hardly responds to its input" in sentence for sentence in report.sentences) == named


def test_a_gradient_reaches_through_a_slope_of_a_thousandth():
    x = jnp.array([[-1.0, -1.0, 0.5, 2.0]])
    for alpha, reached in ((2.0**-10, 0.5), (2.0**-9, 1.0)):
        report = bs.diagnose({"f": bs.LogTailedRelu(alpha)}, lambda fns: jnp.sum(fns["f"](x)))
        assert (report["f"].reached, report["f"].passing) == (reached, 1.0)


@pytest.mark.parametrize(("silent", "named"), [(1, False), (2, True), (10, True), (11, True)])
def test_a_tenth_of_silent_or_dead_neurons_is_named(silent, named):
    """A layer is not fine if more than half of its neurons are dead."""
    for dead, what in ((0, "never fire on this batch."), (1, "are dead: they never fire, and their")):
        x = np.where(np.arange(20) < silent, -1.0, [[0.25], [-1.0]])
        f = bs.ReluGrad(width=0.5) if dead else LEAKY
        report = bs.diagnose({"layer": f}, lambda fns, x=x: jnp.sum(fns["layer"](jnp.asarray(x, jnp.float32))))
        layer, status = report["layer"], "mostly dead" if dead and silent > 10 else "fine"
        assert (layer.silent, layer.dead, layer.status) == (silent / 20, dead * silent / 20, status)
        assert (f"layer: {silent / 20:.1%} of its neurons {what}" in " ".join(report.sentences)) == named
        fine = "Every layer in the table fires, and a gradient reaches it."
        assert (fine in report.sentences) == (not dead or not named)


@pytest.mark.parametrize(("silent", "status"), [(99, "recoverable"), (98, "fine")])
def test_a_layer_is_silent_if_99_percent_of_its_neurons_are(silent, status):
    x = jnp.stack([jnp.where(jnp.arange(100) < silent, -1.0, 1.0), -jnp.ones(100)])
    assert statuses(bs.diagnose({"layer": LEAKY}, lambda fns: jnp.sum(fns["layer"](x)))) == status


def test_layers_that_cannot_be_measured_are_named():
    """By a stop_gradient, without a value, in a branch that is not taken, and not called at all."""
    f, x = bs.Arctan(), jnp.linspace(-1, 1, 8)

    def loss_fn(fns):
        ys = fns["a"](x), jax.lax.stop_gradient(fns["b"](x)), fns["c"](x[:0])
        return sum(map(jnp.sum, ys)) + jax.lax.cond(jnp.array(False), fns["d"], lambda x: x, x).sum()

    report = bs.diagnose(dict.fromkeys("abcde", f), loss_fn)
    assert statuses(report) == "fine, unused, unused, unused"
    assert math.isnan(report["d"].rate)
    assert re.search(r"^b +(-- +){7}unused$", str(report), re.MULTILINE)
    for name, sentence in zip("bcd", report.sentences[:3], strict=True):
        assert sentence.startswith(f"{name} is unused: no gradient path leads from its spikes")
    called = "e was not called: use spike_fns['e'] in loss_fn."
    assert report.sentences[3:] == ("a: 50.0% of its neurons never fire on this batch.", called)


ACT, X32 = {"f": bs.Arctan()}, jnp.asarray(X, jnp.float32)
PADDED = jnp.where(LENGTHS[..., None], X32, jnp.nan)


def diagnosed(mask, net=ACT, loss_fn=lambda fs: fs["f"](X32).sum()):
    return bs.diagnose(net, loss_fn, mask=mask)


MISTAKES = [
    (lambda: diagnosed(None, bs.linen.LIF(3)), TypeError, "brainsurr.linen.diagnose"),
    (lambda: diagnosed(None, loss_fn=lambda fs: (fs["f"](X32).sum(), X32)), TypeError, "result of loss_fn"),
    (
        lambda: diagnosed(None, {"f": jax.tree_util.Partial(ACT["f"])}),
        TypeError,
        r"spike_fns\['f'\].*a module, Partial",
    ),
    (lambda: diagnosed(LENGTHS.T, bs.nnx.LIF(F), lambda net: net(X32[0], X32)[1].sum()), ValueError, "12 time steps"),
    (lambda: diagnosed(LENGTHS, loss_fn=lambda fs: fs["f"](X32[0]).sum()), ValueError, "a loop of your own"),
    *(
        (lambda mask=mask: diagnosed(mask), ValueError, "mask")
        for mask in (LENGTHS[:, 0], np.full((T, B), 2), 0 * LENGTHS)
    ),
    (lambda: diagnosed(np.where(LENGTHS, 1.0, np.nan)), ValueError, "true or false"),
    (lambda: diagnosed(None, loss_fn=lambda fs: fs["f"](X32[:0]).sum()), ValueError, "depends on the spikes"),
]


@pytest.mark.parametrize(("call", "error", "word"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_an_error(call, error, word):
    with pytest.raises(error, match=word):
        call()


def test_nan_of_padding_is_not_counted():
    report = diagnosed(LENGTHS, loss_fn=lambda fs: jnp.where(LENGTHS[..., None], fs["f"](PADDED), 0).sum())
    assert report["f"].nan == 0


def test_a_loss_is_not_finite_by_what_a_mask_leaves_out():
    def loss_fn(fns):
        spikes = fns["layer"](jnp.linspace(-1.0, 1.0, B * F).reshape(B, F))
        return (spikes.sum(1) + jnp.zeros(B).at[0].set(jnp.inf)).sum()

    report = bs.diagnose({"layer": bs.Arctan()}, loss_fn, mask=jnp.ones((B, F)).at[0].set(0))
    assert report["layer"].status == "fine"
    assert report.sentences[0].startswith("The loss is inf, but no potential is NaN.")
    assert "Every layer" not in str(report)


def test_a_function_by_a_name_has_one_row_wherever_it_is_used():
    def loss_fn(fs):
        first = fs["act"](jnp.full((B, F), 0.5))
        return jnp.sum(fs["act"](first - 2))

    report = bs.diagnose({"act": bs.Arctan()}, loss_fn)
    assert {name: row.rate for name, row in report.items()} == {"act": 0.5}


@pytest.mark.parametrize("scale", [2.0**-100, 2.0**-57])
def test_a_gradient_has_a_norm_whose_square_no_float_holds(scale):
    """The second has values on both sides of what is squared as it is."""

    def loss_fn(fs):
        return scale * jnp.sum(fs["act"](jnp.ones((B, F))) * jnp.geomspace(0.25, 4.0, F))

    x, w = np.ones((B, F)), np.geomspace(0.25, 4.0, F)
    slope = 1 / (1 + (np.pi * x) ** 2)
    report = bs.diagnose({"act": bs.Arctan(2.0)}, loss_fn)["act"]
    assert_close(report.grad_norm / scale, np.linalg.norm(slope * w), 20, dtype=jnp.float32)


@pytest.mark.parametrize("by", [jax.grad, jax.jacfwd])
def test_a_loss_that_holds_a_derivative_is_refused(by):
    """Its gradient reaches a layer by the second derivative of the primitive too."""

    def error(fs, x):
        return jnp.mean(fs["act"](x @ jnp.ones((F, 2))) ** 2)

    x = jnp.linspace(-1.0, 1.0, B * F).reshape(B, F)
    with pytest.raises(ValueError, match="the term of the loss that differentiates act"):
        bs.diagnose({"act": bs.Arctan()}, lambda fs: error(fs, x) + jnp.sum(by(lambda x: error(fs, x))(x) ** 2))
