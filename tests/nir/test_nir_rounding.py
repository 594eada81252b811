"""Networks in the integers of Speck and Xylo: by the rules in NumPy, and by the tools themselves."""

import functools
import itertools
import re
import subprocess

import jax
import jax.numpy as jnp
import nir
import numpy as np
import pages
import pytest
import scipy
from flax import nnx
from test_nir import HOSTS, flatten, outputs_of, sequential
from test_nir_installs import ROWS, installed

import brainsurr as bs
from benchmarks.nir import eight_bits
from brainsurr._nir.on_chip import SpeckLIF
from brainsurr._nir.rounding import _in_eights
from brainsurr.nir import from_nir, quantized, rounding, to_nir
from brainsurr.nnx import LI, LIF

pytestmark = pytest.mark.usefixtures("lenient")  # flax's Linear
T, B, N = 40, 3, 12
EACH, ALL_EACH = (np.linspace(0.5, 0.95, n).astype(np.float32) for n in (8, N))
normal, RNGS = nnx.initializers.normal(0.1), nnx.Rngs(0)
DENSE = nnx.Linear(N, N, use_bias=False, rngs=RNGS)


def xylo(*sizes, synapse=0.8, decay=0.9, threshold=1.0, **how):
    """Layers of weights, synapses and neurons."""
    rngs, layers = nnx.Rngs(len(sizes)), []
    for inputs, n in itertools.pairwise(sizes):
        layers += [nnx.Linear(inputs, n, use_bias=False, rngs=rngs), LI(n, decay=synapse)]
        layers += [LIF(n, decay=decay, threshold=threshold, **how)]
    return layers


def speck(side=8, bias=True, threshold=1.0, window=(2, 2)):
    """A convolution, a pool and a linear layer, with their neurons."""
    rngs, how = nnx.Rngs(0), {"use_bias": bias, "bias_init": normal}
    pool = functools.partial(nnx.avg_pool, window_shape=window, strides=window)
    first = [nnx.Conv(2, 8, (3, 3), rngs=rngs, **how), LIF(8, decay=1.0, threshold=threshold), pool, flatten]
    last = nnx.Linear(8 * (side // window[0]) ** 2, 8, rngs=rngs, **how)
    return [*first, last, LIF(8, decay=1.0, threshold=threshold)]


def large(at):
    """Layers of which one has thresholds that 16 bits don't hold beside its weights."""
    layers = xylo(N, 16, 8, 8, synapse=0.97, decay=0.97)
    layers[at] = LIF(8, decay=0.97, threshold=300 * EACH)
    return layers


NETWORKS = {  # reader, layers, size of an input, lowest
    "Xylo": ("rockpool", xylo(N, 16, 8), (N,), None),
    "Xylo, each its own": ("rockpool", xylo(N, 8, 8, 8, synapse=EACH, decay=EACH[::-1], threshold=EACH), (N,), None),
    "Xylo, decay_input": ("rockpool", xylo(N, 16, 8, threshold=0.1, decay_input=True), (N,), None),
    "Xylo, a large threshold": ("rockpool", large(5), (N,), None),
    "Xylo, a large last threshold": ("rockpool", large(8), (N,), None),
    "Loihi": ("lava", [DENSE, LIF(N, threshold=ALL_EACH, reset="zero", recurrent=True, rngs=RNGS)], (N,), None),
    "Speck": ("speck", speck(), (8, 8, 2), None),
    "Speck, no biases, limits near": ("speck", speck(bias=False), (8, 8, 2), -0.5),
    "Speck, limits far, windows of 3": ("speck", speck(12, window=(3, 3), threshold=0.6), (12, 12, 2), -300.0),
    "Speck, a threshold for each": ("speck", speck(threshold=EACH), (8, 8, 2), None),
}


def counts(size):
    """Inputs of ALL_EACH spikes in a step."""
    return np.random.default_rng(1).binomial(3, 0.2, (T, B, *size)).astype(np.float32)


def value(held):
    """A number that a layer holds."""
    return np.asarray(held[...] if isinstance(held, nnx.Variable) else held)


def held(net):
    """What a rounded network holds of each layer, by name and number as `benchmarks.nir.chips` has it."""
    fields, named = {"weights": "kernel", "bias": "bias", "threshold": "threshold", "lowest": "lowest"}, {}
    for name, field in fields.items():
        numbers = [number for layer in net.layers if (number := getattr(layer, field, None)) is not None]
        named |= {f"{name} {i}": value(number) for i, number in enumerate(numbers)}
    return named


@functools.cache
def rounded(name):
    """A network, what it is rounded to, compiled as a whole, and inputs."""
    reader, layers, size, lowest = NETWORKS[name]
    net = sequential(*layers)
    return net, nnx.jit(functools.partial(quantized, reader=reader, lowest=lowest))(net), counts(size)


# The rules, in NumPy -------------------------------------------------------------------------------------------------


def fit(number, bits):
    """sinabs.backend.dynapcnn.discretize.determine_discretization_scale."""
    low, high, most = number.min(), number.max(), 2 ** (bits - 1)
    return abs((most - 1) / high) if abs(low) <= abs(high) * most / (most - 1) else abs(-most / low)


def test_weights_of_speck_share_a_scale_with_their_threshold():
    names = {"Speck, limits far, windows of 3": 9, "Speck, no biases, limits near": 4, "Speck, a threshold for each": 4}
    for name, window in names.items():
        net, there, _ = rounded(name)
        side = int(window**0.5)
        np.testing.assert_array_equal(
            there.layers[2](jnp.ones((1, 1, side, side, 8))), np.full((1, 1, 1, 1, 8), window)
        )
        found, products = held(there), [layer for layer in net.layers if hasattr(layer, "kernel")]
        for i, (layer, size) in enumerate(zip(products, (1, window), strict=True)):
            threshold = np.float32(value(net.layers[1].threshold))
            unit = threshold if threshold.size > 1 else np.float32(1)  # the file has one threshold
            weights, threshold = value(layer.kernel) / np.float32(size) / unit, np.max(threshold / unit)
            bias = [] if layer.bias is None else [value(layer.bias) / unit]
            limits = np.float32([(NETWORKS[name][3] or -20) * threshold, threshold])
            scale = min(fit(limits, 16), *(fit(number, 8) for number in (weights, *bias)))
            np.testing.assert_array_equal(found[f"weights {i}"], np.round(weights * scale))
            np.testing.assert_array_equal(found[f"threshold {i}"], np.round(threshold * scale))
            np.testing.assert_array_equal(found[f"lowest {i}"], np.round(limits[0] * scale))
            fires = there.layers[1 if i == 0 else 5]  # whose surrogate sees units of floats
            np.testing.assert_allclose(value(fires.scale), scale / unit, rtol=1e-6)
            for number in bias:
                np.testing.assert_array_equal(found[f"bias {i}"], np.round(number * scale))


@pytest.mark.parametrize("name", [name for name in NETWORKS if name.startswith("Xylo, ")])
def test_weights_of_xylo_have_two_scales(name):
    """rockpool.transform.quantize_methods.global_quantize, in float64."""
    net, there, _ = rounded(name)
    found, last = held(there), len(net.layers) // 3 - 1
    weights = [value(layer.kernel).astype(np.float64) for layer in net.layers[::3]]
    largest = [max(np.abs(w).max() for w in weights[:last]), np.abs(weights[last]).max()]
    scale = 127 / np.take(largest, [0] * last + [1])
    thresholds = []
    for synapse, lif in zip(net.layers[1::3], net.layers[2::3], strict=True):
        gain = 1 - value(lif.decay).astype(np.float64) if lif.decay_input else 1
        thresholds.append(value(lif.threshold).astype(np.float64) * value(synapse.decay) / gain)
    fires = [np.round(np.float32(t) * c) for t, c in zip(thresholds, scale, strict=True)]
    held_weights = [np.round(w * c) for w, c in zip(weights, scale, strict=True)]
    limits = [32767 / max(32767, *(t.max() for t in group)) for group in (fires[:last], fires[last:])]
    assert (min(limits) < 1) == ("large" in name)
    for i, (w, t) in enumerate(zip(held_weights, fires, strict=True)):
        w = np.round(w * limits[i == last])
        w = np.round(w * limits[1]) if 0 < i < last else w  # its recurrent weights, for either limit
        np.testing.assert_array_equal(found[f"weights {i}"], w)
        np.testing.assert_array_equal(found[f"threshold {i}"], np.round(t * limits[i == last]))


def test_weights_near_a_half_round_as_in_float64():
    largest = np.append(np.random.default_rng(0).uniform(0.1, 2.0, 200), 127).astype(np.float32)[:, None]
    middle = ((np.arange(127) + 0.5) / 127 * largest).astype(np.float32)
    near = [np.nextafter(middle, np.float32(end)) for end in (-1, 9)]
    weights = np.stack([middle, *near]) * np.float32([1, -1])[:, None, None, None]
    wide = largest.astype(np.float64)
    expected = np.round(weights * (127 / wide))
    plain = np.round(weights * (np.float32(127) / largest))
    # Not where w is largest / 2, for which float64 has luck; but for 127, by which it divides exactly.
    decided = (np.abs(np.abs(weights / wide * 127 % 1) - 0.5) > 1e-10) | (largest == 127)
    assert (plain != expected)[decided].mean() > 0.1
    actual = np.asarray(jax.vmap(_in_eights, (2, 0), 2)(jnp.asarray(weights), jnp.asarray(largest[:, 0])))
    np.testing.assert_array_equal(actual[decided], expected[decided])


def simulate_xylo(net, xs, last=1):
    """Neurons of XyloSim in integers, each layer at once with the one before; the last has so many spikes at most."""
    s = xs.astype(int)
    for i, (linear, synapse, lif) in enumerate(zip(*(net.layers[k::3] for k in range(3)), strict=True)):
        weights, threshold = value(linear.kernel).astype(int), value(lif.threshold).astype(int)
        dashes = [np.round(-np.log2(value(layer.leak))).astype(int) for layer in (synapse, lif)]
        current, v, out = 0, 0, []

        def left(value, dash):
            less = value >> dash
            return value - np.where((value > 0) & (less == 0), 1, less)

        for x in s @ weights:
            current = left(np.clip(current + x, -32768, 32767), dashes[0])
            v = np.clip(left(np.asarray(v), dashes[1]) + current, -32768, 32767)
            out.append(np.clip(v // threshold, 0, last if 3 * i + 3 == len(net.layers) else 31))
            v = v - threshold * out[-1]
        s = np.stack(out)
    return s


@pytest.mark.parametrize("name", ["Xylo", "Xylo, each its own"])
def test_neurons_of_xylo_compute_in_integers(name):
    _, there, xs = rounded(name)
    spikes = outputs_of(there, xs)
    np.testing.assert_array_equal(spikes, simulate_xylo(there, xs))
    assert 0.05 < spikes.mean() < 0.9
    hidden, many = sequential(*there.layers[:3]), 40 * xs
    spikes = outputs_of(hidden, many)
    np.testing.assert_array_equal(spikes, simulate_xylo(hidden, many, 31))
    assert {0, 1, 5, 31} <= {*spikes.ravel()}


def test_neurons_of_speck_stop_at_their_lower_limit():
    rngs = nnx.Rngs(0)
    net = sequential(nnx.Linear(N, 8, rngs=rngs), LIF(8, decay=1.0))
    xs, spikes = counts((N,)), []
    for lowest in (-0.5, None):
        there = quantized(net, reader="speck", lowest=lowest)
        found, v, expected = held(there), 0, []
        for x in xs @ found["weights 0"] + found["bias 0"]:
            u = v + x
            expected.append(np.where(u > 0, np.trunc(u / found["threshold 0"]), 0))
            v = np.maximum(u - found["threshold 0"] * expected[-1], found["lowest 0"])
        spikes.append(outputs_of(there, xs))
        np.testing.assert_array_equal(spikes[-1], expected)
    assert spikes[0].max() > 1
    assert np.any(spikes[0] != spikes[1])


# A network to train on -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Xylo", "Speck"])
def test_a_gradient_passes_what_is_rounded(name):
    """It is that of the integers, times what they are of."""
    net, there, xs = rounded(name)
    reader, *_ = NETWORKS[name]

    def loss(net):
        spikes = net(net.initialize_carry(xs.shape[1:]), jnp.asarray(xs))[1]
        return jnp.sum(spikes * jnp.cos(jnp.arange(spikes.size)).reshape(spikes.shape))

    trained = jax.tree.leaves(nnx.jit(nnx.grad(lambda net: loss(quantized(net, reader=reader))))(net))
    integers = jax.tree.leaves(nnx.jit(nnx.grad(loss))(there))
    scales = [row.scale for row in rounding(net, reader=reader).values() if row.scale is not None]
    scales = np.repeat(scales, len(trained) // len(scales))
    for i, (gradient, of, scale) in enumerate(zip(trained, integers, scales, strict=True)):
        of = of / 4 if name == "Speck" and i == 3 else of  # of the weights behind a pool, whose averages are sums
        np.testing.assert_allclose(gradient, of * scale, rtol=1e-5, atol=1e-5 * np.abs(gradient).max())
        assert np.any(gradient)


def test_options_of_a_network_and_of_its_neurons_stay():
    how = {"spike_fn": bs.Arctan(3.0), "reset_grad": False}
    for reader, layers in ("rockpool", xylo(N, 8, 8, **how)), ("speck", [DENSE, LIF(N, decay=1.0, **how)]):
        net = bs.nnx.SpikingSequential(layers, return_spikes=True, events=True)
        there = quantized(net, reader=reader)
        assert there.return_spikes is there.events is True
        assert {name: getattr(there.layers[-1].neuron, name) for name in how} == how


def test_a_surrogate_sees_the_nearest_level_in_the_units_of_floats():
    neuron = SpeckLIF(threshold=200.0, scale=100.0, lowest=-1000.0, spike_fn=bs.Arctan())
    u = jnp.array([-30.0, 150.0, 200.0, 299.0, 301.0, 650.0])
    distances = jnp.array([-2.3, -0.5, 0.0, 0.99, -0.99, 0.5])
    spikes, slopes = jax.jvp(lambda x: neuron.step(jnp.zeros(6), x)[1], (u,), (jnp.ones(6),))
    np.testing.assert_array_equal(spikes, [0, 0, 1, 1, 1, 3])
    np.testing.assert_allclose(slopes, bs.Arctan().derivative(distances) / 100, rtol=1e-5)


def test_decays_and_thresholds_are_trained():
    layers = xylo(N, 8, 8, learnable=("decay", "threshold"))
    xs = jnp.asarray(counts((N,)))

    def loss(net, reader="rockpool"):
        there = quantized(net, reader=reader)
        return there(there.initialize_carry((B, N)), xs)[1].sum()

    gradients = nnx.jit(nnx.grad(loss))(sequential(*layers))
    for i in (2, 5):
        assert gradients["layers"][i]["threshold"][...] < 0 < gradients["layers"][i]["decay"][...]


@pytest.mark.filterwarnings("ignore:to_nir")
@pytest.mark.parametrize("host", HOSTS[1:])
def test_other_frameworks_have_the_same_integers(host):
    for name in ("Xylo", "Speck", "Loihi"):
        net, there, xs = rounded(name)
        reader, _, size, _ = NETWORKS[name]
        how = {"dt": 1.0, "method": "exp"}
        other = from_nir(to_nir(net, size, lossy=True, **how), host, **how)
        given = other[0].bind(other[1]) if isinstance(other, tuple) else other
        spikes = outputs_of(quantized(given, reader=reader), xs)
        np.testing.assert_array_equal(spikes, outputs_of(there, xs))
        (row, *_), (of, *_) = (rounding(one, reader=reader).values() for one in (given, net))
        np.testing.assert_equal(row, of)
    for flag in ("return_spikes", "events"):
        object.__setattr__(given, flag, True)  # in Linen too
    there = quantized(given, reader=reader)
    there = there[0] if isinstance(there, tuple) else there
    assert there.return_spikes is there.events is True


# What is said --------------------------------------------------------------------------------------------------------


def test_a_report_says_what_the_chip_holds():
    weights = jnp.array([[0.5, -0.25, 0.001, 0.0]])
    linear = nnx.Linear(1, 4, use_bias=False, rngs=nnx.Rngs(0))
    linear.kernel[...] = weights
    last = nnx.Linear(4, 1, use_bias=False, rngs=nnx.Rngs(0))
    layers = [linear, LI(4, decay=0.8), LIF(4, decay=0.9), last, LI(1, decay=0.99), LIF(1, decay=0.5)]
    report = rounding(sequential(*layers), reader="rockpool")
    row = report["0 Linear"]
    assert (row.scale, row.largest) == (254.0, 127)
    np.testing.assert_allclose(row.lost, 1 / 3)  # a weight that is 0 is not lost
    assert report["2 LIF"].threshold == (203, 203)  # 0.8 * 254
    # tau / dt is 4.5, 9.5, 99.5 and 1.4, of which 4, 8, 128 and 1 or 2 are powers of 2.
    held = [report[name].held for name in ("1 LI", "2 LIF", "4 LI", "5 LIF")]
    np.testing.assert_array_equal(held, [0.75, 0.875, 1 - 2.0**-7, 0.5])
    assert re.search(r"^0 Linear +254 +127 +33\.3% *$", str(report), re.MULTILINE)
    linear.kernel[...] = 0 * weights
    assert rounding(sequential(*layers), reader="rockpool")["0 Linear"].lost == 0


BIASED = nnx.Linear(N, N, rngs=RNGS)
GROUPS = nnx.Conv(4, 4, (3, 3), feature_group_count=2, rngs=RNGS)
NORM = nnx.BatchNorm(N, rngs=RNGS)
POOL = functools.partial(nnx.avg_pool, window_shape=(3, 3), strides=(2, 2))
PAIR = [DENSE, LIF(N, decay=1.0)]
REFUSED = [  # the reader, the layers, what is said, and arguments
    ("speck", [DENSE, NORM, LIF(N, decay=1.0)], "layers .*BatchNorm", {}),
    ("speck", [*PAIR, POOL, *PAIR], "strides", {}),
    ("speck", [GROUPS, LIF(4, decay=1.0)], "layers .*grouped", {}),
    ("speck", [DENSE, LIF(N, decay=1.0, recurrent=True, rngs=RNGS)], "layers .*recurrent", {}),
    ("speck", [DENSE, LIF(N)], "decay=1.0", {}),
    ("speck", [DENSE, LIF(N, decay=1.0, reset="zero")], "reset", {}),
    ("speck", PAIR, "bits", {"bits": 4}),
    ("rockpool", [DENSE, LI(N), LIF(N)], "layers .*'Linear CubaLIF '", {}),
    ("rockpool", [BIASED, LI(N), LIF(N)] * 2, "layers .*Affine", {}),
    ("rockpool", [DENSE, LI(N, decay=0.36), LIF(N)] * 2, "decays above", {}),
    ("rockpool", [DENSE, LI(N), LIF(N, decay=1.0)] * 2, "decays above", {}),
    ("rockpool", [DENSE, LI(N), LIF(N, refractory=2)] * 2, "refractory", {}),
    ("rockpool", [DENSE, LI(N), LIF(N, threshold=1e-3)] * 2, "threshold in layer 2", {}),
    ("rockpool", [DENSE, LI(N), LIF(N)] * 2, "lowest", {"lowest": -2.0}),
    ("speck", PAIR, "lowest", {"lowest": 2.0}),
    ("lava", [DENSE, LIF(N)], "reset", {}),
    ("lava", [BIASED, LI(N), LIF(N, reset="zero")], "layers .*Affine CubaLIF", {}),
    ("lava", [DENSE, LI(N), LIF(N, recurrent=True, rngs=RNGS)], "layers .*LI recurrent LIF", {}),
    ("lava", [DENSE, LIF(N, decay=np.linspace(0.5, 0.9, N), reset="zero")], "the same decay", {}),
    ("lava", [DENSE, LIF(N, reset="zero")], "bits", {"bits": 9}),
]


@pytest.mark.parametrize(("reader", "layers", "said", "how"), REFUSED)
def test_what_a_chip_has_not_is_refused(reader, layers, said, how):
    for f in (quantized, rounding):
        with pytest.raises(ValueError, match=rf"^{f.__name__}: expected .*{said}"):
            f(sequential(*layers), reader=reader, **how)


def test_a_rounded_network_is_not_written_or_rounded():
    _, there, _ = rounded("Xylo")
    with pytest.raises(ValueError, match=r"got .*Xylo"):
        quantized(there, reader="lava")
    with pytest.raises(ValueError, match="got XyloLI"):
        to_nir(there, (N,), dt=1e-3, reader="rockpool")


@pytest.mark.slow
def test_the_benchmark_runs(tmp_path, capsys):
    eight_bits.main(["digits", "--quick", "--out", str(tmp_path)])
    assert re.search(
        r"^\| digits +\| +Xylo, decays 0\.75 and 0\.875 \|( +\d+\.\d+ \|){5} +\|$", capsys.readouterr().out, re.M
    )


# The tools -----------------------------------------------------------------------------------------------------------


def of_xylo(net):
    """What a rounded network holds as rockpool has it: hidden layers one after another, and the last layer apart."""
    found, count = held(net), len(net.layers) // 3
    weights = [found[f"weights {i}"] for i in range(count)]
    whole, inputs, outputs = scipy.linalg.block_diag(*weights), len(weights[0]), weights[-1].shape[1]
    there = {"weights_in": whole[:inputs, :-outputs], "weights_rec": whole[inputs:, :-outputs]}
    there |= {"weights_out": whole[inputs:, -outputs:]}
    fields = {"threshold": [found[f"threshold {i}"] for i in range(count)]}
    fields |= {"dash_syn": [-np.log2(value(layer.leak)) for layer in net.layers[1::3]]}
    fields |= {"dash_mem": [-np.log2(value(layer.leak)) for layer in net.layers[2::3]]}
    for field, numbers in fields.items():
        spread = [np.broadcast_to(number, w.shape[1:]) for number, w in zip(numbers, weights, strict=True)]
        there |= {field: np.concatenate(spread[:-1]), f"{field}_out": spread[-1]}
    return there


def check_the_lines_of_the_page(python, alone, folder):
    """docs/chips.md, to XyloSim."""
    _, there, xs = rounded("Xylo")
    nir.write(folder / "xylo.nir", to_nir(rounded("Xylo")[0], (N,), dt=1e-3, reader="rockpool"))
    np.save(folder / "xs.npy", xs)
    (lines,) = re.findall(r"```py\n([^`]*XyloSim[^`]*)```", (pages.DOCS / "chips.md").read_text())
    begin = "import sys\nfrom benchmarks.nir.chips import StandIn\nsys.meta_path.insert(0, StandIn())\nimport numpy\n"
    code = f"{begin}pulses = numpy.load('xs.npy')\n{lines}\nnumpy.save('ys.npy', theirs)"
    alone = alone | {"PYTHONPATH": str(pages.ROOT)}
    subprocess.run([python, "-c", code], check=True, env=alone, cwd=folder)
    np.testing.assert_array_equal(np.load(folder / "ys.npy")[1:], outputs_of(there, xs)[:-1])


@pytest.mark.peers
@pytest.mark.parametrize("reader", ["speck", "rockpool"])
def test_the_tool_makes_the_same_integers_and_spikes(reader, tmp_path):
    lines = ROWS["sinabs"] if reader == "speck" else f"{ROWS['rockpool']}, `pip install xylosim`"
    python, alone = installed(lines, tmp_path / "env")
    if reader == "rockpool":
        check_the_lines_of_the_page(python, alone, tmp_path)
    paths = [tmp_path / name for name in ("net.nir", "xs.npy", "out.npz")]
    for name in [name for name, (of, *_) in NETWORKS.items() if of == reader]:
        net, there, xs = rounded(name)
        _, _, size, lowest = NETWORKS[name]
        nir.write(paths[0], to_nir(net, size, dt=1 if reader == "speck" else 1e-3, reader=reader))
        np.save(paths[1], np.moveaxis(xs, -1, 2))
        how = [] if lowest is None else [str(lowest)]
        code = [python, "-m", "benchmarks.nir.chips", reader, *paths, *how]
        subprocess.run(code, check=True, env=alone, cwd=pages.ROOT)
        made, ours = dict(np.load(paths[2])), outputs_of(there, xs)
        theirs = made.pop("spikes")
        found = held(there) if reader == "speck" else of_xylo(there)
        made.pop("dash_syn_2", None)  # of a second synapse, which files of NIR have not
        for field, numbers in made.items():  # it has biases, of 0, where there are none here
            expected = found.get(field, np.zeros_like(numbers))
            np.testing.assert_array_equal(numbers.reshape(expected.shape), expected, f"{name}: {field}")
        assert found.keys() <= made.keys()
        late = 0 if reader == "speck" else len(net.layers) // 3 - 1  # spikes pass from layer to layer a step later
        np.testing.assert_array_equal(theirs[late:], ours[: T - late], name)
        assert 0.02 < ours.mean() < 3
