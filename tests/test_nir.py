"""Networks to NIR and back: against NIR's own equations, from file to file, in the three frameworks."""

import functools
import types
import warnings

import brainstate
import jax
import jax.numpy as jnp
import nir
import numpy as np
import pytest
from close import assert_close
from combinations import each_value_once, first_quick
from dtypes import why_no_float16
from flax import linen, nnx
from nir_reference import simulate
from surrogate_table import EXPORTED

import brainsurr as bs
from brainsurr.nir import from_nir, to_nir

pytestmark = pytest.mark.usefixtures("lenient")  # flax's Linear, brainstate's Linear
HOSTS = ["nnx", "linen", "brainstate"]
REST_EXHAUSTIVE = ["nnx", *(pytest.param(host, marks=pytest.mark.exhaustive) for host in HOSTS[1:])]  # one code for all
T, B = 30, 3
DT = {"euler": 1e-3, "exp": 0.25}
avg_pool = functools.partial(nnx.avg_pool, window_shape=(2, 2), strides=(2, 2))


def flatten(xs):
    return xs.reshape(*xs.shape[:2], -1)


class Nnx:
    layers = bs.nnx

    def __init__(self):
        self.rngs = nnx.Rngs(0)

    def linear(self, inputs, outputs, bias=True):
        return nnx.Linear(inputs, outputs, use_bias=bias, bias_init=nnx.initializers.normal(0.1), rngs=self.rngs)

    def conv(self, size, out, kernel, **how):
        return nnx.Conv(size[-1], out, kernel, bias_init=nnx.initializers.normal(0.1), rngs=self.rngs, **how)

    def lif(self, size, **how):
        return bs.nnx.LIF(size[-1], rngs=self.rngs, **how)

    def net(self, layers, size):
        return bs.nnx.SpikingSequential(layers)


class Linen(Nnx):
    layers = bs.linen

    def linear(self, inputs, outputs, bias=True):
        return linen.Dense(outputs, use_bias=bias, bias_init=linen.initializers.normal(0.1))

    def conv(self, size, out, kernel, **how):
        return linen.Conv(out, kernel, bias_init=linen.initializers.normal(0.1), **how)

    def lif(self, size, **how):
        return bs.linen.LIF(size[-1], **how)

    def net(self, layers, size):
        net, key = bs.linen.SpikingSequential(layers), jax.random.key(0)
        variables = net.init(key, net.initialize_carry(key, (B, *size)), jnp.zeros((1, B, *size)))
        return net, variables


class Brainstate(Nnx):
    layers = bs.brainstate

    def linear(self, inputs, outputs, bias=True):
        return brainstate.nn.Linear(inputs, outputs, b_init=brainstate.nn.init.Normal(0.0, 0.1) if bias else None)

    def conv(self, size, out, kernel, **how):
        names = {"strides": "stride", "feature_group_count": "groups", "kernel_dilation": "rhs_dilation"}
        how = {names.get(name, name): value for name, value in how.items()}
        kind = brainstate.nn.Conv1d if len(kernel) == 1 else brainstate.nn.Conv2d
        return jax.vmap(kind(size, out, kernel, b_init=brainstate.nn.init.Normal(0.0, 0.1), **how).update)

    def lif(self, size, **how):
        return bs.brainstate.LIF(size, **how)

    def net(self, layers, size):
        return bs.brainstate.SpikingSequential(layers)


MAKE = {"nnx": Nnx, "linen": Linen, "brainstate": Brainstate}


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
    bound = net[0].bind(net[1]) if isinstance(net, tuple) else net
    return to_nir(bound, size, **{"dt": 1e-3} | how)


def filed(graph, tmp_path):
    nir.write(tmp_path / "net.nir", graph)
    return tmp_path / "net.nir"


def inputs(size, scale=1.0):
    return (scale * np.random.default_rng(1).normal(0.3, 1.0, (T, B, *size))).astype(np.float32)


def layers_of(net):
    return net[0].layers if isinstance(net, tuple) else net.layers


DECAYS = np.linspace(0.5, 0.95, 8).astype(np.float32)
SLOW = np.linspace(0.2, 0.9, 24).astype(np.float32)
# Name, size of the input, layers of it in a framework, and the scale of the input.
NETWORKS = {
    "feedforward": (
        (6,),
        lambda h: [h.linear(6, 8), h.lif((8,), decay=0.8, reset="zero"), h.linear(8, 4), h.layers.LI(4, decay=0.9)],
    ),
    "without a bias, input times 1 - decay, one decay and threshold each": (
        (6,),
        lambda h: [
            h.linear(6, 8, bias=False),
            h.lif((8,), decay=DECAYS, decay_input=True, threshold=DECAYS / 4, reset="zero"),
            h.linear(8, 4),
            h.layers.LI(4, decay=0.9, decay_input=True),
        ],
    ),
    "recurrent": (
        (6,),
        lambda h: [h.linear(6, 8), h.lif((8,), decay=0.8, reset="zero", recurrent=True), h.linear(8, 4)],
    ),
    "synaptic": (
        (6,),
        lambda h: [
            h.linear(6, 8),
            h.layers.LI(8, decay=0.5),
            h.lif((8,), decay=DECAYS, reset="zero", decay_input=True),
            h.linear(8, 4),
            h.layers.LI(4, decay=0.6, decay_input=True),
            h.lif((4,), decay=0.8, reset="zero", threshold=0.5),
        ],
    ),
    "synaptic, its spikes back to the potential": (
        (6,),
        lambda h: [h.linear(6, 8), h.layers.LI(8, decay=0.5), h.lif((8,), decay=0.9, reset="zero", recurrent=True)],
    ),
    "synaptic, one of the two without a leak": (
        (6,),
        lambda h: [
            h.linear(6, 8),
            h.layers.LI(8, decay=0.5),
            h.lif((8,), decay=1.0, reset="zero", threshold=1.5),
            h.linear(8, 4),
            h.layers.LI(4, decay=1.0),
            h.lif((4,), decay=0.8, reset="zero", threshold=2.5),
        ],
    ),
    "without a leak, without a reset, delayed": (
        (6,),
        lambda h: [
            h.linear(6, 8),
            h.lif((8,), decay=1.0, reset="zero"),
            h.layers.Delay(8, [0, 1, 2, 3, 0, 1, 2, 3]),
            h.linear(8, 4),
            h.lif((4,), decay=0.9, reset="none"),
            h.layers.Delay(4, 2),
            h.linear(4, 4),
            h.layers.LI(4, decay=1.0),
        ],
    ),
    "steps": (
        (6,),
        lambda h: [
            h.linear(6, 8),
            h.layers.SpikingActivation(bs.Arctan(alpha=2.0)),
            h.linear(8, 4),
            bs.Sigmoid(alpha=3.0),
        ],
    ),
    "convolutions": (
        (8, 6, 2),
        lambda h: [
            h.conv((8, 6, 2), 4, (3, 3), padding="SAME"),
            h.lif((8, 6, 4), decay=0.7, reset="zero", threshold=np.float32([0.5, 1.0, 1.5, 0.75])),
            avg_pool,
            h.conv((4, 3, 4), 6, (3, 3), padding=1, strides=2, feature_group_count=2),
            h.lif((2, 2, 6), decay=0.7, reset="zero", threshold=0.25),
            flatten,
            h.lif((24,), decay=SLOW, threshold=0.7, reset="zero", recurrent=True),
            h.linear(24, 3),
        ],
    ),
    "convolution of one axis": (
        (9, 2),
        lambda h: [
            h.conv((9, 2), 4, (3,), padding="VALID", kernel_dilation=2),
            h.lif((5, 4), decay=0.7, reset="zero", threshold=0.5),
            flatten,
            h.linear(20, 3),
        ],
    ),
}


@pytest.fixture(params=NETWORKS)
def network(request):
    return NETWORKS[request.param]


@pytest.mark.parametrize("r", ["1", "tau/dt"])
@pytest.mark.parametrize("method", ["euler", pytest.param("exp", marks=pytest.mark.exhaustive)])
def test_a_graph_means_the_network(network, method, r):
    """By NIR's own equations: with NumPy in float64, channels first."""
    size, layers = network
    net = Nnx().net(layers(Nnx()), size)
    xs = inputs(size)
    graph = written(net, size, dt=DT[method], method=method, r=r)
    ys = outputs_of(net, xs)
    for i in range(B):
        there = np.moveaxis(xs[:, i], -1, 1) if len(size) > 1 else xs[:, i]
        expected, near = simulate(graph, there, DT[method], method)
        assert near > 1e-5  # no potential that rounding could carry across its threshold
        assert_close(ys[:, i], expected, 4 * T)
    assert np.abs(ys).max() > 0.5


@pytest.mark.parametrize("host", first_quick(HOSTS))
def test_ours_to_a_file_to_ours(network, host, tmp_path):
    size, layers = network
    make = MAKE[host]()
    brainstate.random.seed(0)
    net = make.net(layers(make), size)
    xs = inputs(size)
    expected = outputs_of(net, xs)
    file = filed(written(net, size), tmp_path)
    back = from_nir(file, host, dt=1e-3)
    np.testing.assert_array_equal(outputs_of(back, xs), expected)
    assert np.abs(expected).max() > 0.2
    other = HOSTS[HOSTS.index(host) - 1]
    assert_close(outputs_of(from_nir(file, other, dt=1e-3), xs), expected, 4 * T)


RESETS = [
    {"reset": "subtract"},
    {"reset": "subtract", "reset_delay": True, "reset_grad": False},
    {"reset": "zero", "reset_delay": True},
    {"reset": "none", "recurrent": True},
    {"reset": "subtract", "recurrent": True, "decay_input": True, "threshold": 0.1},
]


@pytest.mark.parametrize("reset", RESETS, ids=str)
@pytest.mark.parametrize("host", REST_EXHAUSTIVE)
def test_a_reset_that_nir_has_not_is_refused_or_named_in_the_metadata(reset, host, tmp_path):
    make = MAKE[host]()
    brainstate.random.seed(0)
    net = make.net([make.linear(6, 8), make.lif((8,), decay=0.8, **reset), make.linear(8, 4)], (6,))
    said = f"layer 1, LIF: the reset '{reset['reset']}'"
    with pytest.raises(ValueError, match=rf"{said}.*With lossy=True"):
        written(net, (6,))
    with pytest.warns(UserWarning, match=f"not said to other readers: .*{said}"):
        graph = written(net, (6,), lossy=True)
    xs = inputs((6,))
    expected = outputs_of(net, xs)
    back = from_nir(filed(graph, tmp_path), host, dt=1e-3)
    np.testing.assert_array_equal(outputs_of(back, xs), expected)
    lif = layers_of(back)[1]
    assert {name: getattr(lif, name) for name in reset if name != "threshold"} == {
        name: value for name, value in reset.items() if name != "threshold"
    }
    other = from_nir(graph, host, dt=1e-3, reset="zero", reset_delay=False)  # as others read it
    assert np.any(outputs_of(other, xs) != expected)


@pytest.mark.parametrize("said", [{"dt": 1e-4}, {"dt": 1e-3, "method": "exp"}], ids=str)
def test_a_step_that_the_file_was_not_written_with_is_named(said, tmp_path):
    net = bs.nnx.SpikingSequential([bs.nnx.LIF(4, decay=0.75, reset="zero")])
    file = filed(to_nir(net, (4,), dt=1e-3), tmp_path)
    assert from_nir(file, "nnx", dt=1e-3).layers[0].decay == 0.75
    with pytest.warns(UserWarning, match="expected .*, which the file was written with, got"):
        again = from_nir(file, "nnx", **said)
    assert again.layers[0].decay != 0.75


def test_the_caller_says_how_neurons_reset():
    one = np.ones(4)
    graph = nir.NIRGraph.from_list(nir.LIF(tau=5 * one, r=5 * one, v_leak=0 * one, v_threshold=one))
    xs = inputs((4,))
    said = {"reset": "subtract", "reset_delay": True}
    expected = outputs_of(bs.nnx.SpikingSequential([bs.nnx.LIF(4, decay=0.8, **said)]), xs)
    np.testing.assert_array_equal(outputs_of(from_nir(graph, "nnx", dt=1, **said), xs), expected)
    assert np.any(outputs_of(from_nir(graph, "nnx", dt=1), xs) != expected)


@pytest.mark.parametrize("host", HOSTS)
def test_what_is_trained_is_written_as_it_is_now(host, tmp_path):
    make = MAKE[host]()
    how = {"learnable": ("decay", "threshold"), "reset": "zero"}
    act = make.layers.SpikingActivation(bs.LogTailedRelu(0.25), learnable="alpha")
    net = make.net([make.lif((4,), decay=0.75, threshold=0.5, spike_fn=act, **how)], (4,))
    if host == "linen":
        trained = {"decay": jnp.float32(0.5), "threshold": jnp.float32(2.0), "spike_fn": {"alpha": jnp.float32(0.125)}}
        assert jax.tree.structure(net[1]["params"]["layers_0"]) == jax.tree.structure(trained)
        net = (net[0], {"params": {"layers_0": trained}})
    else:
        lif = net.layers[0]
        for module, name, value in ((lif, "decay", 0.5), (lif, "threshold", 2.0), (lif.spike_fn, "alpha", 0.125)):
            variable = getattr(module, name)
            if host == "nnx":
                variable[...] = jnp.float32(value)
            else:
                variable.val.value = jnp.float32(value)
    back = from_nir(filed(written(net, (4,)), tmp_path), "nnx", dt=1e-3).layers[0]
    assert (back.decay, back.threshold, back.spike_fn.surrogate.alpha) == (0.5, 2.0, 0.125)


OWN = [
    bs.Arctan(alpha=2.5),
    bs.LogTailedRelu(alpha=0.125, continuous=True),
    bs.SquarewaveFourierSeries(n=4),
    0.5 * bs.MultiGaussianGrad(h=0.25),
    bs.Sigmoid(alpha=3.0).scaled(height=0.25, width=2.0),
    bs.LogTailedRelu(alpha=np.linspace(0.0, 0.5, 4, dtype=np.float32)),
    bs.Sigmoid(alpha=4.0).scaled(width=np.linspace(1.0, 2.0, 4).astype(np.float32)),
]


@pytest.mark.parametrize("f", OWN, ids=str)
@pytest.mark.parametrize("host", REST_EXHAUSTIVE)
def test_a_surrogate_comes_back(f, host, tmp_path):
    make = MAKE[host]()
    net = make.net([make.lif((4,), reset="zero", spike_fn=f), make.layers.SpikingActivation(f)], (4,))
    lif, step = layers_of(from_nir(filed(written(net, (4,)), tmp_path), "nnx", dt=1e-3))
    x = jnp.linspace(-2.0, 2.0, 12).reshape(3, 4)
    for back in (lif.spike_fn.surrogate, step.surrogate):
        assert type(back) is type(f)
        np.testing.assert_array_equal(back.surrogate_grad(x), f.surrogate_grad(x))
        assert jax.tree.structure(back) == jax.tree.structure(f)
        for one, other in zip(jax.tree.leaves(back), jax.tree.leaves(f), strict=True):
            assert np.asarray(one).dtype == np.asarray(other).dtype


def test_every_surrogate_comes_back(tmp_path):
    every = [cls() for cls in EXPORTED.values()]
    assert len(every) > 20
    net = bs.nnx.SpikingSequential([bs.nnx.LIF(2, reset="zero", spike_fn=f) for f in every])
    back = from_nir(filed(to_nir(net, (2,), dt=1.0), tmp_path), "nnx", dt=1.0)
    assert [lif.spike_fn.surrogate for lif in back.layers] == every


def test_a_surrogate_of_ones_own_is_refused_or_left_out():
    class Own(bs.Surrogate):
        def surrogate_grad(self, x):
            return jnp.ones_like(x)

    Own.__name__ = "Arctan"  # the name is not enough
    net = bs.nnx.SpikingSequential([bs.nnx.LIF(2, reset="zero", spike_fn=0.5 * Own())])
    with pytest.raises(ValueError, match=r"layer 0, LIF: the surrogate Scaled, which is not one of brainsurr's"):
        to_nir(net, (2,), dt=1.0)
    with pytest.warns(UserWarning, match="the surrogate Scaled"):
        graph = to_nir(net, (2,), dt=1.0, lossy=True)
    assert from_nir(graph, "nnx", dt=1.0).layers[0].spike_fn.surrogate == bs.nnx.LIF(2).spike_fn.surrogate
    given = from_nir(graph, "nnx", dt=1.0, spike_fn=bs.Arctan()).layers[0]
    assert given.spike_fn.surrogate == bs.Arctan()


@pytest.mark.parametrize(("host", "dtype"), each_value_once(HOSTS, ["float16", "bfloat16", "float32"]))
def test_dtypes_come_back(host, dtype, tmp_path):
    if dtype == "float16" and why_no_float16():
        pytest.skip(why_no_float16())
    make, rngs = MAKE[host](), nnx.Rngs(0)
    first = nnx.Linear(6, 8, param_dtype=dtype, rngs=rngs)
    layers = [
        first,
        bs.nnx.LIF(8, decay=0.75, reset="zero", recurrent=True, param_dtype=dtype, rngs=rngs),
        bs.nnx.LI(8),
    ]
    start = to_nir(bs.nnx.SpikingSequential(layers), (6,), dt=1.0)
    net = from_nir(start, host, dt=1.0)  # in this framework
    back = from_nir(filed(written(net, (6,), dt=1.0), tmp_path), host, dt=1.0)
    xs = inputs((6,)).astype(dtype)
    np.testing.assert_array_equal(outputs_of(back, xs), outputs_of(net, xs))
    variables = jax.tree.leaves(back[1]) if host == "linen" else []
    if host == "nnx":
        variables = jax.tree.leaves(nnx.state(back, nnx.Param))
    if host == "brainstate":
        variables = jax.tree.leaves(back.states(brainstate.ParamState).to_dict_values())
    assert {str(value.dtype) for value in variables} == {dtype}
    assert [jnp.dtype(layer.param_dtype) for layer in layers_of(back)[1:]] == [dtype, "float32"]
    assert make.layers.LIF is type(layers_of(back)[1])


@pytest.mark.parametrize("dtypes", [("float32", "bfloat16"), ("bfloat16", "float32")])
def test_a_synapse_has_a_dtype_of_its_own(dtypes, tmp_path):
    net = bs.nnx.SpikingSequential(
        [bs.nnx.LI(6, param_dtype=dtypes[0]), bs.nnx.LIF(6, reset="zero", param_dtype=dtypes[1])]
    )
    back = from_nir(filed(to_nir(net, (6,), dt=1.0), tmp_path), "nnx", dt=1.0)
    assert tuple(jnp.dtype(layer.param_dtype).name for layer in back.layers) == dtypes


def test_a_spike_at_the_threshold_is_one_here_and_none_there():
    """The one thing that no file can say."""
    net = bs.nnx.SpikingSequential([bs.nnx.LIF(1, decay=0.5, reset="zero")])
    graph = to_nir(net, (1,), dt=1.0)
    xs = np.ones((1, 1, 1), np.float32)
    assert outputs_of(net, xs).item() == 1
    assert simulate(graph, xs[:, 0], 1.0)[0].item() == 0


class Own(nnx.Module):
    def __call__(self, xs):
        return xs


class OwnLinear(nnx.Linear):
    def __call__(self, xs):
        return 2 * super().__call__(xs)


REFUSED = {
    "ALIF": lambda r: bs.nnx.ALIF(6),
    "Dropout": lambda r: nnx.Dropout(0.5, rngs=r),
    "LayerNorm": lambda r: nnx.LayerNorm(6, rngs=r),
    "Own": lambda r: Own(),
    "OwnLinear": lambda r: OwnLinear(6, 6, rngs=r),
    "function": lambda r: lambda xs: 2 * xs,
    "partial": lambda r: functools.partial(nnx.max_pool, window_shape=(2, 2), strides=(2, 2)),
    "ConvTranspose": lambda r: nnx.ConvTranspose(6, 6, (3,), rngs=r),
    "custom_jvp": lambda r: jax.nn.relu,
    "LIF": lambda r: bs.nnx.LIF(6, spike_fn=lambda u: u > 0),
    "LIF ": lambda r: bs.nnx.LIF(6, spike_fn=bs.Arctan(origin=True)),
    "LIF  ": lambda r: bs.nnx.LIF(6, reset="zero", decay=np.float32([1, 1, 1, 0.5, 1, 1])),
    "LI": lambda r: bs.nnx.LI(6, decay=1.0, decay_input=True),
    "LIF   ": lambda r: bs.nnx.LIF(5, reset="zero"),
    "Delay": lambda r: bs.nnx.Delay(5, 1),
    "Linear": lambda r: nnx.Linear(
        6, 6, dot_general=lambda *args, **how: 2 * jax.lax.dot_general(*args, **how), rngs=r
    ),
    "function ": lambda r: lambda xs: jax.lax.cummax(xs, axis=0),
    "function  ": lambda r: lambda xs: jnp.sort(xs, axis=-1),
    "function   ": lambda r: lambda xs: jnp.clip(xs, -1e3, 1e3),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_layer_that_nir_has_not_is_refused_by_name(name):
    net = bs.nnx.SpikingSequential([nnx.Linear(6, 6, rngs=nnx.Rngs(0)), REFUSED[name](nnx.Rngs(0))])
    with pytest.raises(ValueError, match=f"^to_nir: layer 1, {name.strip()}: expected"):
        to_nir(net, (6,), dt=1.0, lossy=True)


@pytest.mark.parametrize("host", MAKE)
def test_a_layer_of_a_class_of_its_own_is_refused(host):
    """It may do something else than the class that it extends."""
    made = MAKE[host]()
    own = type("Twice", (made.layers.LIF,), {})
    layers = [made.linear(6, 6), own(6, reset="zero")]
    with pytest.raises(ValueError, match=r"^to_nir: layer 1, Twice: expected"):
        written(made.net(layers, (6,)), (6,))


def test_the_size_of_a_layer_is_that_of_its_input():
    """In brainstate the whole of it; and that of the neurons behind a leaky integrator, too."""
    net = bs.brainstate.SpikingSequential([bs.brainstate.LIF((4, 4, 2), reset="zero")])
    with pytest.raises(
        ValueError, match=r"^to_nir: layer 0, LIF: expected an input of shape \(4, 4, 2\), got \(4, 5, 2\)"
    ):
        to_nir(net, (4, 5, 2), dt=1.0)
    net = bs.nnx.SpikingSequential([bs.nnx.LI(6), bs.nnx.LIF(5, reset="zero")])
    with pytest.raises(ValueError, match=r"^to_nir: layer 1, LIF: expected an input of shape \(5,\), got \(6,\)"):
        to_nir(net, (6,), dt=1.0)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("kind", ["dtype", "preferred_element_type"])
def test_a_layer_that_computes_in_a_dtype_of_its_own_is_refused_or_told(kind, dtype):
    layers = [
        nnx.Linear(6, 6, **{kind: jnp.dtype(dtype)}, rngs=nnx.Rngs(0)),
        nnx.Conv(6, 6, (1, 1), **{kind: jnp.dtype(dtype)}, rngs=nnx.Rngs(0)),
    ]
    for layer, size in zip(layers, ((6,), (4, 4, 6)), strict=True):
        net = bs.nnx.SpikingSequential([layer])
        said = f"layer 0, {type(layer).__name__}: the dtype {dtype} that it computes in"
        with pytest.raises(ValueError, match=said):
            to_nir(net, size, dt=1.0)
        with pytest.warns(UserWarning, match=said):
            to_nir(net, size, dt=1.0, lossy=True)


@pytest.mark.parametrize("layer", [linen.Dense(6, dtype="bfloat16"), linen.Conv(6, (1,), dtype="bfloat16")])
def test_a_layer_of_linen_that_computes_in_a_dtype_of_its_own(layer):
    size = (6,) if isinstance(layer, linen.Dense) else (4, 6)
    with pytest.raises(ValueError, match=f"layer 0, {type(layer).__name__}: the dtype bfloat16 that it computes in"):
        written(Linen().net([layer], size), size)


def test_a_layer_that_names_the_dtype_of_its_weights_is_written():
    net = bs.nnx.SpikingSequential([nnx.Linear(6, 6, dtype=jnp.float32, rngs=nnx.Rngs(0))])
    assert list(to_nir(net, (6,), dt=1.0).nodes) == ["input", "affine_0", "output"]


@pytest.mark.parametrize("dt", [np.float32(0.25), np.float64(0.25), np.int64(2), 2])
def test_dt_is_a_number_of_python_or_numpy(dt):
    net = bs.nnx.SpikingSequential([bs.nnx.LIF(2, decay=0.75, reset="zero")])
    graph = to_nir(net, (2,), dt=dt)
    np.testing.assert_array_equal(graph.nodes["lif_0"].tau, 4 * float(dt))
    assert from_nir(graph, "nnx", dt=dt).layers[0].decay == 0.75


IMAGES = {
    "expected padding that is the same on both sides": lambda r: nnx.Conv(2, 4, (3, 3), strides=2, rngs=r),
    "expected padding in numbers": lambda r: nnx.Conv(2, 4, (3, 3), padding="CIRCULAR", rngs=r),
    "assumes square kernels": lambda r: nnx.Conv(2, 4, (3, 2), padding="VALID", rngs=r),
    "expected an input of 3 axes with 3 channels": lambda r: nnx.Conv(3, 4, (3, 3), rngs=r),
    r"expected an input of shape \(2,\), got \(8, 8, 2\): flatten it before": lambda r: nnx.Linear(2, 4, rngs=r),
    "over one axis or two": lambda r: nnx.Conv(2, 4, (3, 3, 3), rngs=r),
    "expected recurrent neurons on one axis": lambda r: bs.nnx.LIF(2, reset="zero", recurrent=True, rngs=r),
    "expected a Flatten of several axes to come before a Linear": lambda r: flatten,
    "expected a window that fits into its input": lambda r: nnx.Conv(2, 4, (9, 9), padding="VALID", rngs=r),
    r"a window that fits into its input, got one of shape \(8, 8, 2\)": lambda r: functools.partial(
        nnx.avg_pool, window_shape=(9, 9)
    ),
    "expected a layer that NIR has": lambda r: lambda xs: jnp.swapaxes(xs, 2, 3).reshape(*xs.shape[:2], -1),
}


@pytest.mark.parametrize("said", IMAGES)
def test_what_nir_has_not_of_images_is_refused(said):
    with pytest.raises(ValueError, match=said):
        to_nir(bs.nnx.SpikingSequential([IMAGES[said](nnx.Rngs(0))]), (8, 8, 2), dt=1.0)


def test_padding_of_an_even_kernel_is_that_of_the_same_size():
    net = bs.nnx.SpikingSequential([nnx.Conv(1, 2, (4, 4), rngs=nnx.Rngs(0))])
    graph = to_nir(net, (5, 5, 1), dt=1.0)
    assert graph.nodes["conv_0"].padding == "same"
    xs = inputs((5, 5, 1))
    expected, _ = simulate(graph, np.moveaxis(xs[:, 0], -1, 1), 1.0)
    assert_close(np.moveaxis(outputs_of(net, xs)[:, 0], -1, 1), expected, 32)
    assert_close(outputs_of(from_nir(graph, "nnx", dt=1.0), xs), outputs_of(net, xs), 32)


@pytest.mark.parametrize(
    ("decay", "method", "said"), [(0.0, "exp", "above 0 and below 1"), (1.5, "euler", "of 0 or more and below 1")]
)
def test_a_decay_without_a_time_constant_is_refused(decay, method, said):
    lif = bs.nnx.LIF(2, decay=0.5, reset="zero", learnable="decay", bounds=None)
    lif.decay[...] = jnp.float32(decay)
    with pytest.raises(ValueError, match=f"layer 0, LIF: expected every decay {said}"):
        to_nir(bs.nnx.SpikingSequential([lif]), (2,), dt=1.0, method=method)


def test_linen_is_written_with_its_variables():
    net, _ = Linen().net([linen.Dense(4)], (6,))
    with pytest.raises(ValueError, match=r"expected a bound module, net.bind\(variables\)"):
        to_nir(net, (6,), dt=1.0)
    with pytest.raises(ValueError, match=r"expected the variables of the network, got none of its layer 'layers_0'"):
        to_nir(net.bind({"params": {}}), (6,), dt=1.0)


def test_a_function_of_a_convolution_is_no_convolution():
    conv = brainstate.nn.Conv2d((4, 4, 2), 3, (3, 3))
    net = bs.brainstate.SpikingSequential([jax.vmap(types.MethodType(lambda conv, x: 2 * conv.update(x), conv))])
    with pytest.raises(ValueError, match="layer 0, function: expected a layer that NIR has"):
        to_nir(net, (4, 4, 2), dt=1.0)


def test_nothing_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        to_nir(bs.nnx.SpikingSequential([bs.nnx.LIF(2, reset="zero")]), (2,), dt=1.0, lossy=True)


def test_random_spikes_are_written_as_in_evaluation():
    act = bs.nnx.SpikingActivation(bs.Sigmoid(alpha=4.0), random=True, rngs=nnx.Rngs(0))
    net = bs.nnx.SpikingSequential([bs.nnx.LIF(4, decay=0.8, reset="zero", spike_fn=act), act])
    back, xs = from_nir(to_nir(net, (4,), dt=1.0), "nnx", dt=1.0), inputs((4,))
    drawn = outputs_of(net, xs)
    net.eval()
    np.testing.assert_array_equal(outputs_of(back, xs), outputs_of(net, xs))
    assert np.any(outputs_of(net, xs) != drawn)
