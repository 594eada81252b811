"""Files for a library by its name: what they say by NIR's own equations, or by those of the library, in NumPy.

The libraries themselves are tried where they are installed, in `test_nir_files.py`.
"""

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
from brainsurr._nir.targets import TARGETS
from brainsurr.nir import from_nir, to_nir
from brainsurr.nnx import ALIF, LI, LIF, Delay, SpikingSequential

pytestmark = pytest.mark.usefixtures("lenient")
AS_NIR = [name for name, target in TARGETS.items() if name and target.reset == ("zero", False)]
ROWS = {key(row): row for row in committed("nir")["trials"]}
BY_NAME = {(t.network, t.how["reader"]): t for t in trials.TRIALS if "reader" in t.how and not t.options}


def graph_of(trial):
    """The network of a trial and its graph, or None if it is refused, as the page says."""
    net, xs = trials.network(trial), trials.inputs(trial.network)
    if ROWS[key(trial.about())]["differ"] is None:
        with pytest.raises(ValueError, match=r"^to_nir: "):
            to_nir(net, xs.shape[2:], **trial.how)
        return net, None
    return net, to_nir(net, xs.shape[2:], **trial.how)


@pytest.mark.parametrize(("reader", "kind"), each_value_once(AS_NIR, [*trials.KINDS]))
def test_a_file_for_a_target_still_means_the_network(reader, kind):
    net, graph = graph_of(trial := BY_NAME[kind, reader])
    if graph is not None:
        kinds = {type(node).__name__ for node in graph.nodes.values()}
        assert kinds <= {"Input", "Output", *TARGETS[reader].nodes.split()}
        assert_means(graph, net, trials.inputs(kind)[:, :1], trial.how["dt"], TARGETS[reader].method)


@pytest.mark.parametrize("kind", trials.KINDS)
def test_each_target_is_given_what_the_page_says_and_no_more(kind):
    for reader in sorted(TARGETS.keys() - {None, "speck" if trials.inputs(kind).ndim < 5 else None}):
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
RECURRENT, LATE = lif(recurrent=True, rngs=RNGS), partial(LIF, 4, **trials.LATE)
BAD = [  # beyond what the page says: the target, what is said, and the layers
    ("norse", "layer 0, LI: .* not LI", [LI(4), lif(decay=1.0)]),  # no CubaLIF
    ("norse", "layer 0, LI: .* not I:", [LI(4, decay=1.0), lif()]),
    ("norse", "layer 0, LIF: .* threshold other than 0", [lif(threshold=0.0)]),
    ("norse", "layer 0, LIF: .*bfloat16", [lif(param_dtype=jnp.bfloat16)]),
    ("snntorch", "layer 0, LIF: .* thresholds above 0", [lif(threshold=-0.2)]),
    ("spikingjelly", "layer 0, LIF: .* decays above 0", [lif(decay=0.0)]),
    ("spyx", "spyx needs nodes .*'LIF Affine '", [LATE(), linear(4, 4)]),
    ("spyx", r"layer 1, Delay: .* Delay\(features, 1\)", [LATE(), Delay(4, 2)]),
    ("spyx", "layer 0, LIF: .* spyx uses reset='subtract', reset_delay=True", [LIF(4), Delay(4, 1)]),
    ("jaxpike", "layer 0, LIF: .* threshold other than 0", [lif(threshold=0.0)]),
    ("jaxpike", "layer 0, LIF: .* exp", [lif(decay=0.36)]),
    ("sparx", "layer 1, LIF: .* one threshold", [lif(), lif(threshold=1e-9 * SEVERAL)]),
    ("sparx", "layer 2, LIF: .* one threshold", [linear(4, 4), RECURRENT, lif(threshold=1 + 1e-5 * SEVERAL)]),
    ("sparx", "layer 0, LIF: .* recurrent IF", [lif(decay=1.0, recurrent=True, rngs=RNGS)]),
    ("speck", "input_shape: .* images", [linear(4, 4), LIF(4, decay=1.0)]),
    ("lava", "layer 1, LIF: .* thresholds above 0", [linear(4, 4), lif(threshold=0.0)]),
    ("lava", "lava needs nodes .*got 'LIF '", [lif()]),
    ("lava", "lava needs nodes .*'Affine Affine LIF '", [linear(4, 4), linear(4, 4), lif()]),
    ("lava", "lava needs nodes .*'Affine CubaLIF '", [linear(4, 4), LI(4), lif()]),
    ("lava", "lava needs nodes .*'Affine recurrent LIF '", [linear(4, 4), RECURRENT]),
]
POOL = trials.POOL[0]
CONV, IF = partial(nnx.Conv, 2, 2, (3, 3), rngs=RNGS), LIF(2, decay=1.0)
PADDED, OVERLAPPING = partial(POOL, padding=((1, 1), (1, 1))), partial(POOL, strides=(1, 1))
BAD_IMAGES = [
    ("norse", "layer 1, LIF: .* only sum pooling", [POOL, lif(2)]),
    ("norse", "layer 0, partial: .* padding", [PADDED]),
    ("jaxpike", "layer 0, Conv: .* padding", [CONV(padding=2)]),
    ("jaxpike", "layer 0, partial: .* padding", [PADDED]),
    ("sinabs", "layer 0, Pool: .* padding", [Pool((2, 2), (2, 2), (1, 1), average=False)]),
    ("speck", "speck needs nodes .*'Conv2d Conv2d IF '", [CONV(), CONV(), IF]),
    ("speck", "speck needs nodes .*'SumPool2d Conv2d IF '", [POOL, CONV(), IF]),
    ("speck", "speck needs nodes .*'Conv2d '", [CONV()]),
    ("speck", "layer 2, partial: .* square windows", [CONV(), IF, OVERLAPPING, CONV(), IF]),
    ("speck", "layer 2, .* square images", [CONV(padding=((1, 1), (0, 0))), IF, trials._flatten, linear(16, 2), IF]),
    ("speck", "layer 0, Conv: .* square kernel", [nnx.Conv(2, 2, (3, 5), rngs=RNGS), IF]),
    ("speck", "layer 0, Conv: .* equal padding", [nnx.Conv(2, 2, (2, 2), rngs=RNGS), IF]),
]
REFUSED = [((4,), *row) for row in BAD] + [((4, 4, 2), *row) for row in BAD_IMAGES]


@pytest.mark.parametrize(("size", "reader", "said", "layers"), REFUSED, ids=[" ".join(row[1:3]) for row in REFUSED])
def test_what_a_target_does_not_compute_is_refused(size, reader, said, layers):
    with pytest.raises(ValueError, match=f"^to_nir: {said}"):
        to_nir(SpikingSequential(layers), size, dt=trials.OTHER_STEPS.get(reader, 1e-3), reader=reader)


def test_all_that_is_refused_is_said_at_once():
    first = [CONV(kernel_dilation=2), LIF(2), POOL, trials._flatten, linear(8, 4)]
    layers = [*first, LIF(4, recurrent=True, rngs=RNGS), linear(4, 4), lif(reset="none"), LI(4)]
    with pytest.raises(ValueError, match=r"^to_nir: ") as refused:
        to_nir(SpikingSequential(layers), (4, 4, 2), dt=1, reader="speck")
    owners = ["layer 0, Conv", "layer 1, LIF", "layer 5, LIF", "layer 5, LIF", "layer 7, LIF", "layer 8, LI"]
    assert [line.removeprefix("to_nir: ").partition(":")[0] for line in str(refused.value).splitlines()] == owners
    with pytest.raises(ValueError, match=r"^to_nir: layer 0, ALIF: .*\nlayer 2, LayerNorm: .*$"):
        to_nir(SpikingSequential([ALIF(4), linear(4, 4), nnx.LayerNorm(4, rngs=RNGS), linear(8, 4)]), (4,), dt=1e-3)


SET = {"method": "exp"}, {"r": "1"}
ARGUMENTS = [("nengo", {}, "reader"), *(("norse", how, "method=None") for how in SET)]
ARGUMENTS += [("snntorch", {}, "dt=0.0001"), ("sinabs", {}, "dt=1.0")]


@pytest.mark.parametrize(("reader", "how", "said"), ARGUMENTS)
def test_what_is_said_of_a_target_is_checked(reader, how, said):
    with pytest.raises(ValueError, match=f"^to_nir: expected {said}"):
        to_nir(SpikingSequential([lif()]), (4,), dt=1e-3, reader=reader, **how)


def test_a_lossy_file_for_a_library_has_its_reset_all_the_same():
    """What is lost is what has no effect on the spikes there."""
    with pytest.raises(ValueError, match="sinabs uses reset='subtract'"):
        to_nir(SpikingSequential([lif()]), (4,), dt=1.0, reader="sinabs", lossy=True)
    own = LIF(4, spike_fn=type("Own", (Sigmoid,), {})())
    half = nnx.Linear(4, 4, use_bias=False, param_dtype=jnp.bfloat16, rngs=nnx.Rngs(0))  # which gets a bias
    with pytest.warns(UserWarning, match="layer 1, LIF: the surrogate Own"):
        graph = to_nir(SpikingSequential([half, own]), (4,), dt=1.0, reader="sinabs", lossy=True)
    with pytest.warns(UserWarning, match="written with .*sinabs") as warned:
        weights, neurons = from_nir(graph, "nnx", dt=1.0, method="exp").layers
    assert (neurons.reset, weights.kernel.dtype, weights.bias.dtype) == ("subtract", jnp.bfloat16, jnp.bfloat16)
    assert warned[0].filename == __file__


def test_a_file_for_speck_has_numbers_and_one_threshold_a_layer():
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
    with pytest.raises(ValueError, match=r"node 'n0': expected an input of .* rank 1"):
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
