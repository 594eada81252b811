"""Networks to NIR and back: against NIR's own equations, from file to file, in the three frameworks."""

import functools
import linecache
import types

import brainstate
import jax
import jax.numpy as jnp
import nir
import numpy as np
import pytest
from cases import all_but, each_value_once, label, why_no_float16
from close import assert_close
from flax import linen, nnx
from nir_reference import simulate
from surrogate_table import EXPORTED

import brainsurr as bs
from brainsurr.nir import from_nir, to_nir
from tools import frameworks

pytestmark = pytest.mark.usefixtures("lenient")  # flax's Linear, brainstate's Linear
HOSTS = [host.name for host in frameworks.OF_VARIABLES]
REST_EXHAUSTIVE = all_but(["nnx"], HOSTS)  # one code for all
T, B = 30, 3
DT = {"euler": 1e-3, "exp": 0.25}
avg_pool = functools.partial(nnx.avg_pool, window_shape=(2, 2), strides=(2, 2))
normal, broken = nnx.initializers.normal(0.1), nnx.initializers.constant(np.nan)


def flatten(xs):
    return xs.reshape(*xs.shape[:2], -1)


class Make:
    """Layers of NNX, whose weights no other network's layers change."""

    def __init__(self):
        self.rngs = nnx.Rngs(0)

    def linear(self, inputs, outputs, bias=True):
        return nnx.Linear(inputs, outputs, use_bias=bias, bias_init=normal, rngs=self.rngs)

    def conv(self, channels, out, kernel, **how):
        return nnx.Conv(channels, out, kernel, bias_init=normal, rngs=self.rngs, **how)

    def lif(self, features, **how):
        return bs.nnx.LIF(features, **{"reset": "zero", "rngs": self.rngs} | how)


def bound(layers, size):
    """A network of Linen with its variables."""
    net, key = bs.linen.SpikingSequential(layers), jax.random.key(0)
    return net, net.init(key, net.initialize_carry(key, (B, *size)), jnp.zeros((1, B, *size)))


def outputs_of(net, xs):
    """The outputs of a network of any framework; of Linen with its variables."""
    xs = jnp.asarray(xs)
    if isinstance(net, tuple):
        net, variables = net
        return np.asarray(net.apply(variables, net.initialize_carry(jax.random.key(0), xs.shape[1:]), xs)[1])
    if isinstance(net, brainstate.nn.Module):
        net.init_state(xs.shape[1])
        return np.asarray(net(xs))
    return np.asarray(net(net.initialize_carry(xs.shape[1:]), xs)[1])


def written(net, size, **how):
    net = net[0].bind(net[1]) if isinstance(net, tuple) else net
    return to_nir(net, size, **{"dt": 1e-3} | how)


def filed(graph, tmp_path):
    nir.write(tmp_path / "net.nir", graph)
    return tmp_path / "net.nir"


def inputs(size):
    return np.random.default_rng(1).normal(0.3, 1.0, (T, B, *size)).astype(np.float32)


def told(net, size, said):
    """The graph of a network of which NIR lacks something: refused, or with ``lossy=True`` written with a warning."""
    with pytest.raises(ValueError, match=rf"^to_nir: {said}.*lossy=True"):
        written(net, size)
    with pytest.warns(UserWarning, match=f"^to_nir: .*{said}") as warned:
        graph = written(net, size, lossy=True)
    assert "to_nir(" in linecache.getline(warned[0].filename, warned[0].lineno)  # of the caller
    return graph


def layers_of(net):
    return net[0].layers if isinstance(net, tuple) else net.layers


def assert_means(graph, net, xs, dt, method="euler"):
    """That a network does what its graph says, by NIR's own equations: with NumPy in float64, channels first."""
    ys = outputs_of(net, xs)
    for i in range(xs.shape[1]):
        there = np.moveaxis(xs[:, i], -1, 1) if xs.ndim > 3 else xs[:, i]
        expected, near = simulate(graph, there, dt, method)
        assert near > 1e-5  # no potential that rounding could carry across its threshold
        assert_close(ys[:, i], expected, 4 * T)
    assert np.abs(ys).max() > 0.4


def sequential(*layers):
    return bs.nnx.SpikingSequential(layers)


def test_numbers_beyond_half_precision_are_written_and_read():
    lif = bs.nnx.LIF(6, decay=1e-6, threshold=1e5, reset="zero", spike_fn=bs.Arctan(1e5))
    how = {"kernel_init": lambda key, shape, dtype: np.full(shape, 1e-40, dtype), "param_dtype": jnp.bfloat16}
    tiny = nnx.Linear(6, 6, **how, rngs=nnx.Rngs(0))
    first, back = from_nir(written(sequential(tiny, lif), (6,)), "nnx", dt=1e-3).layers
    np.testing.assert_array_equal(first.kernel[...], jnp.bfloat16(1e-40))
    now = back.neuron.decay, back.neuron.threshold, back.neuron.spike_fn.alpha
    assert tuple(map(np.float32, now)) == (np.float32(1e-6), 1e5, 1e5)


def test_only_networks_of_the_three_frameworks_are_written():
    for net in nnx.Sequential(sequential(bs.nnx.LIF(6))), bs.equinox.SpikingSequential([bs.equinox.LIF(6)]):
        with pytest.raises(TypeError, match=r"^to_nir: expected net .*, got .*Sequential$"):
            to_nir(net, (6,), dt=1e-3)


EACH = np.linspace(0.5, 0.95, 8).astype(np.float32)
SLOW = np.linspace(0.2, 0.9, 24).astype(np.float32)
TIMES = {"decay_input": True}
SIZES = {"convolutions": (8, 6, 2), "convolution of one axis": (9, 2)}  # of the input; of the others (6,)
NETWORKS = {
    "input as it is or times 1 - decay, without a bias, one decay and threshold each": lambda h: [
        *(h.linear(6, 8), h.lif(8, decay=0.8), h.linear(8, 8, bias=False), h.lif(8, decay=EACH, threshold=EACH / 4)),
        *(h.linear(8, 8), h.lif(8, decay=EACH, threshold=EACH / 4, **TIMES), h.linear(8, 4), bs.nnx.LI(4, decay=0.9)),
        *(h.linear(4, 4), bs.nnx.LI(4, decay=0.9, **TIMES)),
    ],
    "synaptic": lambda h: [
        *(h.linear(6, 8), bs.nnx.LI(8, decay=0.5), h.lif(8, decay=EACH, **TIMES)),
        *(h.linear(8, 4), bs.nnx.LI(4, decay=0.6, **TIMES), h.lif(4, decay=0.8, threshold=0.5)),
    ],
    "synaptic, recurrent": lambda h: [
        *(h.linear(6, 8), bs.nnx.LI(8, decay=0.5), h.lif(8, decay=0.9, recurrent=True)),
        *(h.linear(8, 8), h.lif(8, decay=0.9, recurrent=True, self_connections=False)),
    ],
    "synaptic, one of the two without a leak": lambda h: [
        *(h.linear(6, 8), bs.nnx.LI(8, decay=0.5), h.lif(8, decay=1.0, threshold=1.5)),
        *(h.linear(8, 4), bs.nnx.LI(4, decay=1.0), h.lif(4, decay=0.8, threshold=2.5)),
    ],
    "without a leak, without a reset, delayed": lambda h: [
        *(h.linear(6, 8), h.lif(8, decay=1.0), bs.nnx.Delay(8, [0, 1, 2, 3, 0, 1, 2, 3])),
        *(h.linear(8, 4), h.lif(4, decay=0.9, reset="none"), bs.nnx.Delay(4, 2)),
        *(h.linear(4, 4), bs.nnx.LI(4, decay=1.0)),
    ],
    "steps": lambda h: [h.linear(6, 8), bs.nnx.SpikingActivation(bs.Arctan()), h.linear(8, 4), bs.Sigmoid()],
    "convolutions": lambda h: [
        h.conv(2, 4, (4, 4), padding="SAME"),  # one more on one side
        *(h.lif(4, decay=0.7, threshold=np.float32([0.5, 1.0, 1.5, 0.75])), avg_pool),
        *(h.conv(4, 6, (3, 3), padding=1, strides=2, feature_group_count=2), h.lif(6, decay=0.7, threshold=0.25)),
        *(flatten, h.lif(24, decay=SLOW, threshold=0.7, recurrent=True), h.linear(24, 3)),
    ],
    "convolution of one axis": lambda h: [
        *(h.conv(2, 4, (3,), padding="VALID", kernel_dilation=2), h.lif(4, decay=0.7, threshold=0.5)),
        *(flatten, h.linear(20, 3)),
    ],
}


def network(name):
    """A network by its name, and the size of its input."""
    return sequential(*NETWORKS[name](Make())), SIZES.get(name, (6,))


@pytest.mark.parametrize("r", ["1", "tau/dt"])
@pytest.mark.parametrize("method", ["euler", pytest.param("exp", marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_graph_means_the_network(name, method, r):
    net, size = network(name)
    assert_means(written(net, size, dt=DT[method], method=method, r=r), net, inputs(size), DT[method], method)


@pytest.mark.parametrize("host", all_but(["brainstate"], HOSTS[1:]))
@pytest.mark.parametrize("name", NETWORKS)
def test_ours_to_a_file_to_ours(name, host, tmp_path):
    """To the bit in the framework that wrote it, and up to rounding in another one."""
    net, size = network(name)
    file, xs = filed(written(net, size), tmp_path), inputs(size)
    expected, other = outputs_of(net, xs), from_nir(file, host, dt=1e-3)
    there = outputs_of(other, xs)
    assert_close(there, expected, 4 * T)
    np.testing.assert_array_equal(outputs_of(from_nir(file, "nnx", dt=1e-3), xs), expected)
    np.testing.assert_array_equal(outputs_of(from_nir(written(other, size), host, dt=1e-3), xs), there)


RESETS = [
    {"reset": "subtract"},
    {"reset": "subtract", "reset_delay": True, "reset_grad": False},
    {"reset": "zero", "reset_delay": True},
    {"reset": "none", "recurrent": True},
    {"reset": "subtract", "recurrent": True, "decay_input": True},
]


@pytest.mark.parametrize("reset", RESETS, ids=str)
def test_a_reset_that_nir_lacks_is_refused_or_in_the_metadata(reset, tmp_path):
    make = Make()
    lif = make.lif(8, decay=0.8, threshold=0.1 if "decay_input" in reset else 1.0, **reset)
    net = sequential(make.linear(6, 8), lif, make.linear(8, 4))
    graph = told(net, (6,), f"layer 1, LIF: reset='{reset['reset']}'")
    xs = inputs((6,))
    expected = outputs_of(net, xs)
    back = from_nir(filed(graph, tmp_path), "nnx", dt=1e-3)
    np.testing.assert_array_equal(outputs_of(back, xs), expected)
    assert {name: getattr(back.layers[1], name) for name in reset} == reset
    other = from_nir(graph, "nnx", dt=1e-3, reset="zero", reset_delay=False)  # as others read it
    assert np.any(outputs_of(other, xs) != expected)


@pytest.mark.parametrize("said", [{"dt": 1e-4}, {"dt": 1e-3, "method": "exp"}], ids=str)
def test_a_step_that_the_file_was_not_written_with_is_named(said, tmp_path):
    file = filed(to_nir(sequential(bs.nnx.LIF(4, decay=0.75, reset="zero")), (4,), dt=1e-3), tmp_path)
    assert from_nir(file, "nnx", dt=1e-3).layers[0].decay == 0.75
    with pytest.warns(UserWarning, match="was written with") as warned:
        again = from_nir(file, "nnx", **said)
    assert again.layers[0].decay != 0.75
    assert warned[0].filename == __file__


@pytest.mark.parametrize("host", frameworks.OF_VARIABLES, ids=label)
def test_what_is_trained_is_written_as_it_is_now(host, tmp_path):
    host, layers = host(), host.layers
    act = layers.SpikingActivation(bs.LogTailedRelu(0.25), learnable="alpha")
    lif = layers.LIF(4, reset="zero", threshold=0.5, spike_fn=act, learnable=("decay", "threshold"))
    net = layers.SpikingSequential([lif])
    now = {"decay": 0.5, "threshold": 2.0, "alpha": 0.125}
    params = host.params(net, jnp.zeros((1, B, 4)))
    params = jax.tree_util.tree_map_with_path(lambda path, _: jnp.float32(now[frameworks.leaf_name(path)]), params)
    net = (net, {"params": params}) if layers is bs.linen else host.with_params(net, params)
    back = from_nir(filed(written(net, (4,)), tmp_path), "nnx", dt=1e-3).layers[0]
    assert {"decay": back.decay, "threshold": back.threshold, "alpha": back.spike_fn.surrogate.alpha} == now


SURROGATES = [
    *[cls() for cls in EXPORTED.values()],
    bs.Arctan(alpha=2.5),
    bs.LogTailedRelu(alpha=0.125, continuous=True),
    bs.SquarewaveFourierSeries(n=4),
    0.5 * bs.MultiGaussianGrad(h=0.25),
    bs.Sigmoid(alpha=3.0).scaled(height=0.25, width=2.0),
    bs.LogTailedRelu(alpha=np.linspace(0.0, 0.5, 4, dtype=np.float32)),
    bs.Sigmoid(alpha=4.0).scaled(width=np.linspace(1.0, 2.0, 4).astype(np.float32)),
]


@pytest.mark.parametrize("host", REST_EXHAUSTIVE)
def test_every_surrogate_comes_back(host, tmp_path):
    layers = [layer for f in SURROGATES for layer in (Make().lif(4, spike_fn=f), bs.nnx.SpikingActivation(f))]
    there = from_nir(filed(written(sequential(*layers), (4,)), tmp_path), host, dt=1e-3)
    back = from_nir(written(there, (4,)), "nnx", dt=1e-3).layers
    for lif, step, f in zip(back[::2], back[1::2], SURROGATES, strict=True):
        for read in (lif.spike_fn.surrogate, step.surrogate):
            assert read == f
            assert repr(read).lower() == repr(f).lower()  # of the same dtypes, of NumPy or jax


def test_a_surrogate_of_ones_own_is_refused_or_left_out():
    class Own(bs.Surrogate):
        def surrogate_grad(self, x):
            return jnp.ones_like(x)

    Own.__name__ = "Arctan"  # the name is not enough
    net = sequential(bs.nnx.LIF(2, reset="zero", spike_fn=0.5 * Own()))
    graph = told(net, (2,), "layer 0, LIF: the surrogate Scaled")
    for said, expected in ({}, bs.nnx.LIF(2).spike_fn.surrogate), ({"spike_fn": bs.Arctan()}, bs.Arctan()):
        assert from_nir(graph, "nnx", dt=1e-3, **said).layers[0].spike_fn.surrogate == expected


@pytest.mark.parametrize(("host", "dtype"), each_value_once(HOSTS, ["float16", "bfloat16", "float32"]))
def test_dtypes_come_back(host, dtype, tmp_path):
    if dtype == "float16" and why_no_float16():
        pytest.skip(why_no_float16())
    rngs = nnx.Rngs(0)
    layers = [
        nnx.Linear(6, 8, param_dtype=dtype, rngs=rngs),
        bs.nnx.LIF(8, decay=0.75, reset="zero", recurrent=True, param_dtype=dtype, rngs=rngs),
        bs.nnx.LI(8, param_dtype=dtype),
        bs.nnx.LIF(8, reset="zero"),  # with the one before a synaptic neuron
        bs.nnx.LI(8, param_dtype=dtype),
    ]
    net = from_nir(to_nir(sequential(*layers), (6,), dt=1.0), host, dt=1.0)  # in this framework
    back = from_nir(filed(written(net, (6,), dt=1.0), tmp_path), host, dt=1.0)
    xs = inputs((6,)).astype(dtype)
    np.testing.assert_array_equal(outputs_of(back, xs), outputs_of(net, xs))
    (kind,) = (each for each in frameworks.HOSTS if each.name == host)
    variables = back[1] if host == "linen" else kind().params(back, xs)
    assert {str(value.dtype) for value in jax.tree.leaves(variables)} == {dtype}
    assert [jnp.dtype(layer.param_dtype) for layer in layers_of(back)[1:]] == [dtype, dtype, "float32", dtype]


NOT_KNOWN = [
    lambda r: type("OwnLIF", (bs.nnx.LIF,), {})(6, reset="zero"),
    lambda r: type("OwnLinear", (nnx.Linear,), {})(6, 6, rngs=r),
    lambda r: functools.partial(nnx.max_pool, window_shape=(2, 2), strides=(2, 2)),
    lambda r: functools.partial(nnx.avg_pool, window_shape=(2, 2), count_include_pad=False),
    lambda r: lambda xs: jax.lax.cummax(xs, axis=0),
    lambda r: lambda xs: jnp.clip(xs, -1e3, 1e3),
]
NO_NODES = (bs.nnx.ALIF, bs.nnx.RF, bs.nnx.SlidingPSN, bs.nnx.Synaptic, bs.nnx.LearnableDelay, bs.nnx.AdEx)
REFUSED = [  # the input, what is said, and the layer
    *[((6,), "a layer that NIR has", make) for make in NOT_KNOWN],
    *[((6,), f"a layer that NIR has, got {kind.__name__}", lambda r, kind=kind: kind(6)) for kind in NO_NODES],
    ((6,), "carry_init", lambda r: bs.nnx.LIF(6, carry_init=nnx.initializers.ones)),
    ((6,), "refractory=0", lambda r: bs.nnx.LIF(6, refractory=1)),
    ((6,), "a surrogate", lambda r: bs.nnx.LIF(6, spike_fn=lambda u: u > 0)),
    ((6,), "a surrogate", lambda r: bs.nnx.LIF(6, spike_fn=bs.Arctan(origin=True))),
    ((3,), "all decays in", lambda r: bs.nnx.LIF(3, decay=np.float32([1, 1, 0.5]))),
    ((6,), "all decays .* decay_input", lambda r: bs.nnx.LI(6, decay=1.0, decay_input=True)),
    ((4, 5, 2), r"an input of shape \(4, 4, 2\)", lambda r: bs.brainstate.LIF((4, 4, 2))),
    ((6,), "its bias", lambda r: nnx.Linear(6, 6, bias_init=broken, rngs=r)),
    ((6,), "its kernel", lambda r: nnx.Linear(6, 6, kernel_init=broken, rngs=r)),
    ((6,), "flax.* dot_general", lambda r: nnx.Linear(6, 6, dot_general=lambda *_, **how: None, rngs=r)),
    ((8, 8, 2), "equal padding", lambda r: nnx.Conv(2, 4, (3, 3), strides=2, rngs=r)),
    ((8, 8, 2), "an input of .* rank 3", lambda r: nnx.Conv(3, 4, (3, 3), rngs=r)),
    ((8, 8, 2), "an input of .* rank 2", lambda r: nnx.Conv(2, 4, 3, rngs=r)),
    ((8, 8, 2), "an input of .* rank 1", lambda r: nnx.Linear(2, 4, rngs=r)),
    ((8, 8, 2), "a convolution over", lambda r: nnx.Conv(2, 4, (3, 3, 3), rngs=r)),
    ((8, 8, 2), "recurrent .* one axis", lambda r: bs.nnx.LIF(2, reset="zero", recurrent=True, rngs=r)),
    ((8, 8, 2), "an input at least as large", lambda r: nnx.Conv(2, 4, (9, 9), padding="VALID", rngs=r)),
    ((8, 2), "pooling over two axes", lambda r: functools.partial(nnx.avg_pool, window_shape=(2,))),
]


@pytest.mark.parametrize(("size", "said", "make"), REFUSED)
def test_a_layer_that_nir_has_not_is_refused_by_name(size, said, make):
    layer = make(nnx.Rngs(0))
    package, features = (bs.brainstate, size) if isinstance(layer, brainstate.nn.Module) else (bs.nnx, size[-1])
    net = package.SpikingSequential([package.LIF(features, reset="zero"), layer])
    with pytest.raises(ValueError, match=rf"^to_nir: layer 1, {type(layer).__name__}: expected {said}"):
        to_nir(net, size, dt=1.0, lossy=True)


LIF = bs.brainstate.LIF(3, decay=0.5, reset="zero")
FLAT, DENSE = brainstate.nn.Flatten(start_axis=2), brainstate.nn.Linear(8, 3)
NODES = [  # the input, the layers, and the names of their nodes
    ((3,), [bs.brainstate.LI(3, decay=0.5), LIF], ["cubalif_0"]),
    ((2, 2, 2), [FLAT, DENSE, LIF], ["flatten_0", "affine_1", "lif_2"]),
    ((8,), [DENSE, brainstate.nn.BatchNorm1d((B, 3)), LIF], ["affine_0", "lif_2"]),  # evaluates if nothing is said
    ((3,), [bs.brainstate.SpikingActivation(bs.Arctan()), brainstate.nn.Dropout(0.5)], ["threshold_0"]),
]


@pytest.mark.parametrize(("size", "layers", "names"), NODES)
def test_nodes_are_named_by_kind_and_row(size, layers, names):
    graph = to_nir(bs.brainstate.SpikingSequential(layers), size, dt=1.0)
    assert [*graph.nodes] == ["input", *names, "output"]


REFUSED_AS_A_WHOLE = [  # the input, the network, what is said, and how it is written
    ((8, 8, 2), lambda: sequential(flatten), "expected a linear layer after", {}),
    ((6,), lambda: sequential(bs.nnx.LI(6), bs.nnx.LIF(5)), "layer 1, LIF: expected an input", {}),
    ((6,), lambda: sequential(bs.nnx.LI(6), bs.nnx.LIF(6)), "layer 1, LIF: reset='subtract'", {}),
    ((2,), lambda: sequential(bs.nnx.LIF(2, decay=0.0, reset="zero")), "layer 0, LIF: .*decay", {"method": "exp"}),
    ((6,), lambda: bs.linen.SpikingSequential([linen.Dense(4)]), "layer 0, Dense: .*bind", {}),  # without its variables
]


@pytest.mark.parametrize(("size", "make", "said", "how"), REFUSED_AS_A_WHOLE)
def test_a_network_that_nir_has_not_is_refused(size, make, said, how):
    with pytest.raises(ValueError, match=f"^to_nir: {said}"):
        to_nir(make(), size, dt=1.0, **how)


linear = functools.partial(nnx.Linear, 6, 6)
COMPUTING = [
    ((6,), lambda dtype: linear(dtype=dtype, rngs=nnx.Rngs(0))),
    # Readers take float32.
    ((6,), lambda dtype: linear(param_dtype="bfloat16", preferred_element_type=dtype, rngs=nnx.Rngs(0))),
    ((6,), lambda dtype: linen.Dense(6, dtype=dtype)),
    ((4, 6), lambda dtype: linen.Conv(6, (1,), dtype=dtype)),
]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(("size", "make"), COMPUTING)
def test_a_layer_with_its_own_dtype_is_refused_or_told(size, make, dtype):
    layer = make(jnp.dtype(dtype))
    net = bound([layer], size) if isinstance(layer, linen.Module) else sequential(layer)
    graph = told(net, size, f"layer 0, {type(layer).__name__}: its dtype={dtype}")
    back = from_nir(graph, "linen" if isinstance(net, tuple) else "nnx", dt=1e-3)
    assert [type(layer)] == list(map(type, layers_of(back)))
    written(sequential(nnx.Linear(6, 6, dtype=jnp.float32, rngs=nnx.Rngs(0))), (6,))  # that of its weights


def test_a_convolution_over_time_is_one_and_a_function_of_it_is_not():
    """In brainstate, whose convolutions take one axis in front."""
    conv, xs = brainstate.nn.Conv2d((4, 4, 2), 3, (3, 3)), inputs((4, 4, 2))
    net = bs.brainstate.SpikingSequential([jax.vmap(conv.update)])
    back = from_nir(to_nir(net, (4, 4, 2), dt=1.0), "brainstate", dt=1.0)
    np.testing.assert_array_equal(outputs_of(back, xs), outputs_of(net, xs))
    net = bs.brainstate.SpikingSequential([jax.vmap(types.MethodType(lambda conv, x: 2 * conv.update(x), conv))])
    with pytest.raises(ValueError, match="layer 0, function: expected a layer that NIR has"):
        to_nir(net, (4, 4, 2), dt=1.0)


def test_random_spikes_are_written_as_in_evaluation():
    act = bs.nnx.SpikingActivation(bs.Sigmoid(alpha=4.0), random=True, rngs=nnx.Rngs(0))
    net = sequential(bs.nnx.LIF(4, decay=0.8, reset="zero", spike_fn=act), act)
    back, xs = from_nir(to_nir(net, (4,), dt=1.0, lossy=True), "nnx", dt=1.0), inputs((4,))  # with no warning
    net.eval()
    np.testing.assert_array_equal(outputs_of(back, xs), outputs_of(net, xs))
