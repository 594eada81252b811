"""Files for a library by its name: what they say by NIR's own equations, or by those of the library, in NumPy.

The libraries themselves are tried where they are installed, in `test_nir_files.py`.
"""

import re
from functools import partial

import jax.numpy as jnp
import nir
import numpy as np
import pytest
from cases import each_value_once
from flax import nnx
from nir_reference import leak, simulate
from test_nir import assert_means, inputs, outputs_of
from test_nir_files import ONE, TAU, N, W, cuba, row

from benchmarks.lib.results import committed
from benchmarks.nir import trials
from benchmarks.nir.__main__ import key
from brainsurr import Sigmoid
from brainsurr._nir.layers import Pool
from brainsurr._nir.readers import LIBRARIES, OTHERWISE
from brainsurr.nir import from_nir, to_nir
from brainsurr.nnx import ALIF, LI, LIF, Delay, SpikingActivation, SpikingSequential

pytestmark = pytest.mark.usefixtures("lenient")
MEANT = sorted(LIBRARIES.keys() - {None, *OTHERWISE})
ROWS = {key(row): row for row in committed("nir")["trials"]}
BY_NAME = {(t.network, t.how["reader"]): t for t in trials.TRIALS if "reader" in t.how and not t.options}


def graph_of(trial):
    """The network of a trial and its graph, or None if it is refused, as the page says."""
    net, xs = trials.network(trial), trials.inputs(trial.network)
    if ROWS[key(trial.about())]["differ"] is None:
        with pytest.raises(ValueError, match=r"^to_nir: layer \d"):
            to_nir(net, xs.shape[2:], **trial.how)
        return net, None
    return net, to_nir(net, xs.shape[2:], **trial.how)


@pytest.mark.parametrize(("reader", "kind"), each_value_once(MEANT, [*trials.KINDS]))
def test_a_file_for_a_library_still_means_the_network(reader, kind):
    net, graph = graph_of(trial := BY_NAME[kind, reader])
    library = LIBRARIES[reader]
    if graph is None:
        return
    assert {type(node).__name__ for node in graph.nodes.values()} <= {"Input", "Output", *library.nodes.split()}
    for node in graph.nodes.values():
        assert all(np.ptp(getattr(node, field, 0.0)) == 0 for field in library.one)
    xs = trials.inputs(kind)[:, :1]
    assert_means(graph, net, xs, trial.how["dt"], library.method)


@pytest.mark.parametrize("kind", trials.KINDS)
def test_each_library_is_given_what_the_page_says_and_no_more(kind):
    for reader in sorted(LIBRARIES.keys() - {None, "speck" if trials.inputs(kind).ndim < 5 else None}):
        graph_of(BY_NAME[kind, reader])


def sinabs(node, state, x):
    """sinabs.layers.functional.lif_forward_single, with SingleSpike: r is not read, a time constant is in steps."""
    v = (np.exp(-1 / node.tau) if hasattr(node, "tau") else 1.0) * state.get("v", 0.0) + x
    if type(node) is nir.LI:
        assert np.all(node.r == 1)
        state["v"] = v
        return v
    s = (v >= node.v_threshold) * 1.0
    state["v"] = v - s * node.v_threshold
    return s


def rockpool(node, state, x):
    """rockpool's LIFTorch of a CubaLIF, with one spike in a step; its step is said by r."""
    dt = np.min(node.tau_mem / (1 + node.r))
    i = state["i"] = np.exp(-dt / node.tau_syn) * (state.get("i", 0.0) + x)
    v = np.exp(-dt / node.tau_mem) * state.get("v", 0.0) + i
    s = (v >= node.v_threshold) * 1.0
    state["v"] = v - s * node.v_threshold
    return s


def spyx(node, state, x):
    """spyx.nn.LIF and IF: the spikes and the reset are those of the potential before the step."""
    v, decay = state.get("v", 0.0), 1 - 1 / node.tau if hasattr(node, "tau") else 1.0
    s = (v > node.v_threshold) * 1.0
    state["v"] = decay * v + x - s * node.v_threshold
    return s


def norse(node, state, x):
    """norse's IAFCell, which takes its input as it is, and LIFBoxCell, for which r is 1; with a step of 1 ms."""
    v = state.get("v", 0.0)
    v = v + x if type(node) is nir.IF else leak(v, x, node.tau, 1e-3, "euler")
    s = (v > node.v_threshold) * 1.0
    state["v"] = np.where(s > 0, 0.0, v)
    return s


RULES = {"sinabs": sinabs, "rockpool": rockpool, "spyx": spyx, "norse": norse}
FLAT = [kind for kind in trials.KINDS if "Conv" not in kind and "the same" not in kind]


@pytest.mark.parametrize("reader", RULES)
def test_what_a_library_computes_by_its_own_rules_is_ours(reader):
    kinds = [kind for kind in FLAT if reader != "norse" or kind in ("`LIF`", "`decay=1.0`", "a decay for each")]
    tried = 0
    for kind in kinds:
        net, graph = graph_of(BY_NAME[kind, reader])
        if graph is not None:
            xs, tried = trials.inputs(kind), tried + 1
            expected = trials.run_network(net, xs)
            actual = np.stack([simulate(graph, x, None, rule=RULES[reader])[0] for x in xs.swapaxes(0, 1)], 1)
            assert trials.differ(expected, actual) == 0, kind
            assert expected.mean() > 0.02
    assert tried >= 3


def lif(n=4, **how):
    return LIF(n, **{"reset": "zero"} | how)


def linear(n, m):
    return nnx.Linear(n, m, rngs=nnx.Rngs(0))


SEVERAL, RNGS = np.float32([0.5, 0.6, 0.7, 0.8]), nnx.Rngs(0)
SMALL, CLOSE = 1e-9 * SEVERAL, 1 + 1e-5 * SEVERAL
RECURRENT, APART = lif(recurrent=True, rngs=RNGS), "got no CubaLIF of it and the LI before it: give it a decay below 1"
SUBTRACT, LATE = partial(LIF, 4), partial(LIF, 4, **trials.LATE)
BAD = [  # the reader, what is said, and the layers
    ("norse", "layer 1, LI: .* norse reads.* got LI: end the network before it, and integrate", [lif(), LI(4)]),
    ("norse", "layer 1, LI: .* norse reads.* got I: end the network before it, and sum", [lif(), LI(4, decay=1.0)]),
    ("norse", "layer 0, LI: .* norse reads.* got LI: leave it out", [LI(4), LI(4), lif()]),
    ("norse", f"layer 1, LIF: .* norse reads.* {APART}, a reset, and no", [LI(4), lif(decay=1.0)]),
    ("norse", "layer 0, LI: .* norse reads.* got I: give it a decay below 1", [LI(4, decay=1.0), lif()]),
    ("norse", "layer 0, SpikingActivation: .*, got Threshold: make it a LIF", [SpikingActivation(Sigmoid())]),
    ("norse", "layer 0, LIF: expected a threshold other than 0, at which .* as norse needs", [lif(threshold=0.0)]),
    ("norse", "layer 0, LIF: the bfloat16 of its state, which norse has in float32", [lif(param_dtype=jnp.bfloat16)]),
    ("snntorch", f"layer 1, LIF: .* snntorch reads.* {APART}", [LI(4), lif(reset="none")]),
    ("snntorch", "layer 0, LIF: .* snntorch reads.* got IF: give it a decay below 1", [lif(decay=1.0)]),
    ("snntorch", "layer 0, LIF: expected no recurrent weights of LIF, which snntorch", [RECURRENT]),
    ("snntorch", "layer 0, LIF: expected thresholds above 0, as snntorch needs", [lif(threshold=-0.2)]),
    ("spikingjelly", f"layer 1, LIF: .* spikingjelly reads.* {APART}", [LI(4), RECURRENT]),
    ("spikingjelly", "layer 0, LIF: expected decays above 0, as spikingjelly needs", [lif(decay=0.0)]),
    ("spyx", "layer 0, LI: .* spyx reads.* got LI: leave it out", [LI(4), LATE(), Delay(4, 1)]),
    (
        "spyx",
        r"layer 0, LIF: expected a Delay\(features, 1\) behind it, .*, got none$",
        [LATE(), linear(4, 4)],
    ),
    ("spyx", "layer 0, LIF: expected thresholds above 0, as spyx needs", [LATE(threshold=-0.3), Delay(4, 1)]),
    ("spyx", "layer 0, LIF: expected reset='subtract', reset_delay=True, as spyx", [LIF(4), Delay(4, 1)]),
    ("jaxpike", "layer 0, LI: .* jaxpike reads.* got I: give it a decay below 1", [LI(4, decay=1.0), lif()]),
    ("jaxpike", "layer 1, Delay: .* jaxpike reads.* got Delay: leave it out", [lif(), Delay(4, 1)]),
    ("jaxpike", "layer 0, LIF: expected one decay for all neurons, as jaxpike needs", [lif(decay=SEVERAL)]),
    ("jaxpike", "layer 0, LI: expected decay_input=True, as in jaxpike", [LI(4)]),
    ("jaxpike", "layer 0, LIF: expected a threshold other than 0, at which .* as jaxpike needs", [lif(threshold=0.0)]),
    ("jaxpike", r"layer 0, LIF: expected decays above exp\(-1\), 0.37, as jaxpike needs", [lif(decay=0.36)]),
    ("sparx", "layer 0, LIF: .* sparx reads.* got Threshold: make it a LIF with a reset", [lif(reset="none")]),
    ("sparx", "layer 1, LIF: expected one threshold .*, or a linear layer before", [lif(), lif(threshold=SMALL)]),
    ("sparx", "layer 2, LIF: expected one threshold", [linear(4, 4), RECURRENT, lif(threshold=CLOSE)]),
    ("sparx", "layer 1, LI: expected decay_input=False, as in sparx", [lif(), LI(4, decay_input=True)]),
    ("sparx", "layer 0, LIF: expected no recurrent weights of IF", [lif(decay=1.0, recurrent=True, rngs=RNGS)]),
    ("sparx", "layer 0, LI: the float16 of its state, which sparx", [LI(4, param_dtype=jnp.float16)]),
    ("sinabs", "layer 0, LI: expected decay_input=False, as in sparx and sinabs", [LI(4, decay_input=True)]),
    ("sinabs", "layer 0, LIF: expected reset='subtract', reset_delay=False, as sinabs .*, got reset='zero'", [lif()]),
    ("speck", r"input_shape: expected an image, \(1, 1, features\)", [linear(4, 4), LIF(4, decay=1.0)]),
    ("lava", "layer 1, LIF: expected reset='zero', reset_delay=False, as lava resets", [linear(4, 4), SUBTRACT()]),
    ("lava", "layer 1, LIF: expected one decay for all neurons, as lava", [linear(4, 4), lif(decay=SEVERAL)]),
    ("lava", "layer 1, LIF: expected decays above 0, as lava needs", [linear(4, 4), lif(decay=0.0)]),
    ("lava", "layer 1, LIF: expected thresholds above 0, as lava needs", [linear(4, 4), lif(threshold=0.0)]),
    ("lava", "layer 0, LIF: expected Linear, Affine before LIF, as .*, got Input", [lif()]),
    ("lava", "layer 1, Linear: expected Input, LIF, IF, CubaLIF before .*", [linear(4, 4), linear(4, 4), lif()]),
    ("lava", "layer 0, Linear: expected LIF, IF, CubaLIF before Output, as", [linear(4, 4)]),
    ("lava", r"layer 2, LIF: .* Linear before CubaLIF, .*\(Affine: with a bias\)", [linear(4, 4), LI(4), lif()]),
    ("lava", "layer 1, LIF: expected Linear before recurrent LIF, as", [linear(4, 4), RECURRENT]),
    ("lava", "layer 2, LI: .* lava reads.* got LI: end the network before it", [linear(4, 4), lif(), LI(4)]),
    ("rockpool", "layer 0, LIF: .* rockpool reads.* got LIF: put an LI before it", [SUBTRACT()]),
    ("rockpool", "layer 0, LIF: .*, got IF: give it a decay below 1, and put an LI before", [SUBTRACT(decay=1.0)]),
    ("rockpool", "layer 1, LIF: expected thresholds above 0, as rockpool", [LI(4), SUBTRACT(threshold=0.0)]),
]
POOL = trials.POOL[0]
CONV, IF = partial(nnx.Conv, 2, 2, (3, 3), rngs=RNGS), LIF(2, decay=1.0)
PADDED, OVERLAPPING = partial(POOL, padding=((1, 1), (1, 1))), partial(POOL, strides=(1, 1))
BAD_IMAGES = [
    ("norse", "layer 0, Conv: expected one group", [CONV(feature_group_count=2)]),
    ("norse", "layer 1, LIF: expected a linear layer or convolution behind an average pool", [POOL, lif(2)]),
    ("norse", "layer 0, partial: expected a pool without padding, which this reader ignores", [PADDED]),
    ("jaxpike", "layer 0, Conv: expected padding VALID, or SAME", [CONV(padding=2)]),
    ("jaxpike", "layer 0, partial: expected an average pool without padding, which jaxpike ignores", [PADDED]),
    ("sparx", "layer 0, partial: .* sparx reads, .* got AvgPool2d: leave it out", [POOL]),
    ("sinabs", "layer 0, LIF: expected neurons on images to be LIF with decay=1.0", [LIF(2)]),
    ("sinabs", "layer 0, LI: expected neurons on images to be LIF with decay=1.0", [LI(2)]),
    ("sinabs", "layer 0, Pool: expected a pool without padding", [Pool((2, 2), (2, 2), (1, 1), average=False)]),
    ("speck", "layer 1, LIF: .* speck reads, .* got LIF: train it with decay=1.0", [CONV(), LIF(2)]),
    ("speck", "layer 1, LIF: .* speck resets, .*: without a leak both", [CONV(), lif(2, decay=1.0, **trials.LATE)]),
    ("speck", "layer 1, Conv: expected Input, IF, .* before Conv2d, as speck .*, got Conv2d", [CONV(), CONV(), IF]),
    ("speck", "layer 0, partial: expected IF, SumPool2d before SumPool2d, as", [POOL, CONV(), IF]),
    ("speck", "layer 1, .* SumPool2d, Flatten before Flatten", [CONV(), trials._flatten, linear(32, 2), IF]),
    ("speck", "layer 0, LIF: expected Conv2d, Linear, Affine before IF, as", [IF]),
    ("speck", "layer 0, Conv: expected IF before Output, as", [CONV()]),
    ("speck", "layer 2, partial: expected a pool of square", [CONV(), IF, OVERLAPPING, CONV(), IF]),
    ("speck", "layer 2, .* square images", [CONV(padding=((1, 1), (0, 0))), IF, trials._flatten, linear(16, 2), IF]),
    ("speck", "layer 0, Conv: expected no dilation, which sinabs", [CONV(kernel_dilation=2), IF]),
    ("speck", "layer 0, Conv: expected a square kernel, as in Speck", [nnx.Conv(2, 2, (3, 5), rngs=RNGS), IF]),
    ("speck", "layer 0, Conv: expected a kernel of an odd", [nnx.Conv(2, 2, (2, 2), rngs=RNGS), IF]),
    ("rockpool", "layer 0, function: .* rockpool .* Flatten: give the network flat", [trials._flatten, linear(32, 4)]),
]
REFUSED = [((4,), *row) for row in BAD] + [((4, 4, 2), *row) for row in BAD_IMAGES]


@pytest.mark.parametrize(("size", "reader", "said", "layers"), REFUSED, ids=[" ".join(row[1:3]) for row in REFUSED])
def test_what_a_library_does_not_compute_is_refused(size, reader, said, layers):
    with pytest.raises(ValueError, match=f"^to_nir: {said}"):
        to_nir(SpikingSequential(layers), size, dt=trials.OTHER_STEPS.get(reader, 1e-3), reader=reader)


def test_all_that_is_refused_is_said_at_once():
    first = [CONV(kernel_dilation=2), LIF(2), POOL, trials._flatten, linear(8, 4)]
    layers = [*first, LIF(4, recurrent=True, rngs=RNGS), linear(4, 4), lif(), LI(4)]
    with pytest.raises(ValueError, match=r"^to_nir: ") as refused:
        to_nir(SpikingSequential(layers), (4, 4, 2), dt=1, reader="speck")
    lines, what = str(refused.value).splitlines(), "expected what speck reads"
    leaks = [f"layer {i}, LIF: {what}, .* train it with decay=1.0" for i in (1, 5, 7)]
    patterns = ["to_nir: layer 7, LIF: expected reset='subtract'", "layer 5, LIF: expected no recurrent weights"]
    patterns += ["layer 0, Conv: expected no dilation", *leaks, f"layer 8, LI: {what}"]
    assert all(re.match(pattern, line) for pattern, line in zip(patterns, lines, strict=True))


def test_what_nir_lacks_is_said_at_once():
    layers = [ALIF(4), linear(4, 4), nnx.LayerNorm(4, rngs=RNGS), lif()]
    with pytest.raises(ValueError, match=r"^to_nir: layer 0, ALIF: .*\nlayer 2, LayerNorm: .*$"):
        to_nir(SpikingSequential(layers), (4,), dt=1e-3)


def test_what_two_nodes_of_a_layer_ask_for_is_said_once():
    with pytest.raises(ValueError, match=r"^to_nir: layer 1, LIF: expected what lava reads, .*$"):
        to_nir(SpikingSequential([linear(4, 4), LIF(4, reset="none")]), (4,), dt=1, reader="lava")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"reader": "nengo"}, "expected reader to be one of 'norse', 'snntorch', .*, got 'nengo'"),
        ({"reader": "norse", "method": "exp"}, "expected no method and no r, which reader='norse' says"),
        ({"reader": "norse", "r": "1"}, "expected no method and no r, which reader='norse' says"),
        ({"reader": "snntorch"}, "expected dt=0.0001, the only step of snntorch, got 0.001"),
        ({"reader": "sinabs"}, "expected dt=1.0, the only step of sinabs, got 0.001"),
        ({"reader": "speck"}, "expected dt=1.0, the only step of speck, got 0.001"),
    ],
)
def test_what_is_said_of_a_reader_is_checked(how, said):
    with pytest.raises(ValueError, match=f"^to_nir: {said}"):
        to_nir(SpikingSequential([lif()]), (4,), dt=1e-3, **how)


def test_a_lossy_file_for_a_library_has_its_reset_all_the_same():
    """What is lost is what has no effect on the spikes there."""
    with pytest.raises(ValueError, match="expected reset='subtract'"):
        to_nir(SpikingSequential([lif()]), (4,), dt=1.0, reader="sinabs", lossy=True)
    own = LIF(4, spike_fn=type("Own", (Sigmoid,), {})())
    half = nnx.Linear(4, 4, use_bias=False, param_dtype=jnp.bfloat16, rngs=nnx.Rngs(0))  # which gets a bias
    with pytest.warns(UserWarning, match="layer 1, LIF: the surrogate Own"):
        graph = to_nir(SpikingSequential([half, own]), (4,), dt=1.0, reader="sinabs", lossy=True)
    with pytest.warns(UserWarning, match="written for sinabs, which reads it otherwise than NIR means") as warned:
        weights, neurons = from_nir(graph, "nnx", dt=1.0, method="exp").layers
    assert (neurons.reset, weights.kernel.dtype, weights.bias.dtype) == ("subtract", jnp.bfloat16, jnp.bfloat16)
    assert warned[0].filename == __file__


def test_a_file_for_speck_has_numbers_and_one_threshold_a_layer():
    """As sinabs sends them to the chip: of other words it knows no size, and of thresholds one."""
    layers = [CONV(bias_init=nnx.initializers.normal(1.0)), LIF(2, decay=1.0, threshold=SEVERAL[:2])]
    conv, neurons = list(to_nir(SpikingSequential(layers), (4, 4, 2), dt=1, reader="speck").nodes.values())[1:3]
    assert (conv.padding, neurons.v_threshold.dtype, np.unique(neurons.v_threshold)) == ((1, 1), np.float32, 1)
    np.testing.assert_allclose(conv.bias, layers[0].bias[...] / SEVERAL[:2], rtol=1e-6)
    wide = to_nir(SpikingSequential([CONV(padding=2), IF]), (4, 4, 2), dt=1, reader="speck")
    assert list(wide.nodes.values())[1].padding == (2, 2)


def test_a_file_for_norse_is_read_here_without_a_warning():
    net = SpikingSequential([lif(decay=1.0, threshold=0.7), lif(decay=0.8)])
    back = from_nir(to_nir(net, (4,), dt=1e-3, reader="norse"), "nnx", dt=1e-3)
    np.testing.assert_array_equal(outputs_of(back, inputs((4,))), outputs_of(net, inputs((4,))))


def test_the_axis_of_a_batch_is_no_axis():
    """As rockpool writes it, and no more than that of a batch of 1."""
    nodes = nir.Affine(W[:, :3], ONE), cuba(tau_syn=TAU, tau_mem=TAU)
    net = from_nir(row(*nodes, shape=(1, 3), out=(1, N)), "nnx", dt=1.0)
    assert outputs_of(net, inputs((3,))).shape[2:] == (N,)
    with pytest.raises(ValueError, match="node 'n0': expected a flat input"):
        from_nir(row(nir.Affine(W, ONE), shape=(2, N)), "nnx", dt=1.0)


def test_weights_and_biases_are_divided_as_their_place_asks():
    """By the size of a pool before them the weights alone, by the thresholds behind them both."""
    flat, rngs = trials._flatten, nnx.Rngs(0)
    first = nnx.Linear(8, 4, bias_init=nnx.initializers.normal(1.0), rngs=rngs)
    net = SpikingSequential([POOL, flat, first, lif(threshold=SEVERAL)])
    sums = to_nir(net, (4, 4, 2), dt=1e-3, reader="norse").nodes
    np.testing.assert_array_equal(sums["affine_2"].bias, first.bias[...])
    ones = to_nir(net, (4, 4, 2), dt=1e-4, reader="snntorch").nodes
    np.testing.assert_allclose(ones["affine_2"].bias, first.bias[...] / SEVERAL, rtol=1e-6)
