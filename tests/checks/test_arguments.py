"""Arguments of layers and functions: their names and defaults, and what can be set later."""

import importlib
import inspect
import pickle
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import label
from flax import linen, nnx
from neuron_table import NAMES

import brainsurr as bs
from tools.frameworks import HOSTS, OF_VARIABLES, Brainstate, Linen, Nnx

every_host = pytest.mark.parametrize("host", [host() for host in HOSTS], ids=[host.name for host in HOSTS])
LAYERS = list(NAMES)
KEY, XS = jax.random.key(0), jnp.ones((5, 2, 4))


@every_host
def test_a_layer_shows_what_it_was_given(host):
    text = repr(host.layers.LIF(4, decay=0.5, spike_fn=bs.Arctan(3.0), **host.recurrent(jnp.eye(4))))
    assert re.search(r"\bdecay ?= ?0\.5\b", text)
    assert re.search(r"\balpha ?= ?3\.0\b", text)
    assert re.search(r"\brecurrent ?= ?True\b", text)
    assert not re.search("_intervals|_fixed", text)


# What wraps the constructors leaves them as they are -----------------------------------------------------------


@every_host
def test_every_argument_of_a_layer_is_in_its_docstring(host):
    for layer in LAYERS:
        cls = getattr(host.layers, layer)
        assert ".. math::" in cls.__doc__
        described = re.findall(r"^  (\w+): ", cls.__doc__, re.MULTILINE)
        own = [name for name in inspect.signature(cls).parameters if name not in ("parent", "name")]
        assert sorted(name for name in described if name in own) == sorted(own)  # linen's own come after a parent's


def test_frameworks_have_the_same_arguments_and_defaults():
    options = {name: one.default for name, one in inspect.signature(bs.nnx.LIF).parameters.items()}
    said = {"learnable": (), "bounds": {}, "carry_init": None, "param_dtype": jnp.float32}
    assert options == options | said | {"recurrent": False, "self_connections": True}
    differ = {"rngs", "key", "recurrent_kernel", "parent", "name", "features"}
    differ |= {"bounds"}  # which is {} under two names
    own = {"brainstate": {"carry_init", "recurrent_kernel_init", "param_dtype"}}
    for layer in LAYERS:
        nnx, *others = (
            {name: p.default for name, p in inspect.signature(getattr(host.layers, layer)).parameters.items()}
            for host in HOSTS
        )
        for host, other in zip(HOSTS[1:], others, strict=True):
            assert other.keys() - differ == nnx.keys() - differ
            same = nnx.keys() - differ - own.get(host.name, set())
            assert {name: other[name] for name in same} == {name: nnx[name] for name in same}


DEFAULTS = {  # of functions, but for None and for those of surrogates, whose classes have them
    "unroll": {"remat": "none"},
    "max_pool": {"padding": "VALID"},
    "latency": {"threshold": 0.01},
    "delta": {"threshold": 0.1, "off": True},
    "fluctuation_driven": {"xi": 1.0, "share": 1.0},
    "split": {"axis": 0},
    "use_all_cores": {"keep_pages": True},
    "surrogate": {"xlim": (-3.0, 3.0)},
    "membrane": {"dt": 1.0, "unit": "steps"},
    "raster": {"dt": 1.0, "unit": "steps"},
    "to_nir": {"lossy": False},
    "from_nir": {"method": "euler"},
    "quantized": {"bits": 8},
    "rounding": {"bits": 8},
}


@pytest.mark.parametrize("module", ["", ".cpu", ".encoders", ".initializers", ".nir", ".optim", ".plot"])
def test_functions_have_these_defaults(module):
    public = importlib.import_module(f"brainsurr{module}")
    for name, function in ((name, getattr(public, name)) for name in public.__all__):
        if inspect.isfunction(function) and "surrogates" not in function.__module__:
            given = {one.name: one.default for one in inspect.signature(function).parameters.values()}
            own = {name: value for name, value in given.items() if value not in (None, inspect.Parameter.empty)}
            assert own == DEFAULTS.get(name, {})


@pytest.mark.parametrize("host", OF_VARIABLES, ids=label)
def test_an_activation_is_pickled(host):
    act = host.layers.SpikingActivation(bs.Arctan(2.0))
    assert pickle.loads(pickle.dumps(act)).surrogate == bs.Arctan(2.0)


@every_host
def test_a_subclass_has_fields_or_its_own_constructor(host):
    class Extra(host.layers.LIF):
        extra: int = 0

    def constructor(self, features, extra=1, **kwargs):
        super(Own, self).__init__(features, **kwargs)
        self.extra = extra

    Own = type("Own", (Extra,), {} if host.name == "linen" else {"__init__": constructor})
    for kind in (Extra, Own):
        lif = kind(4, extra=2, decay=0.25)
        assert (lif.extra, lif.neuron.decay) == (2, 0.25)
        # A module of Linen or Equinox has its fields; what another layer does not keep is no attribute.
        assert host.name in ("linen", "equinox") or not hasattr(lif, "learnable")


def test_linen_clones_and_lifts():
    lif = bs.linen.LIF(4, decay=0.5)
    assert lif.clone(decay=0.25).decay == 0.25
    lifted = linen.vmap(bs.linen.LIF, variable_axes={"params": 0}, split_rngs={"params": True}, in_axes=0)
    carry, xs = jnp.zeros((3, 2, 4)), jnp.ones((3, 5, 2, 4))
    (_, spikes), variables = lifted(4, learnable="decay").init_with_output(KEY, carry, xs)
    assert (spikes.shape, variables["params"]["decay"].shape) == ((3, 5, 2, 4), (3,))


# Checkpoints ---------------------------------------------------------------------------------------------------


def spiking(host, **trained):
    """A network whose alpha, decay and threshold are trained or fixed."""
    act = host.layers.SpikingActivation(bs.LogTailedRelu(0.1), learnable=trained.pop("act", ()))
    lif = host.layers.LIF(4, spike_fn=act, **trained)
    return host.layers.SpikingSequential([lif, host.layers.LI(4)])


BOTH = {"act": "alpha", "learnable": ("decay", "threshold")}
SETTINGS = [("alpha", {"learnable": BOTH["learnable"]}), ("decay", BOTH | {"learnable": "threshold"})]
SETTINGS += [("threshold", BOTH | {"learnable": "decay"})]


@pytest.mark.parametrize(("name", "fixed"), SETTINGS)
def test_a_trained_parameter_for_a_fixed_one_and_back(name, fixed):
    """And what is said where flax itself says nothing, or speaks of static attributes."""
    says = f"{name} is fixed in the layer but trained in the values given: make the layer with learnable='{name}', or "
    says += f"leave {name} out of the values"
    nets = [spiking(Nnx(), **setting) for setting in (BOTH, fixed)]
    for state in (nnx.state(nets[0]), nnx.state(nets[0], nnx.Param), nnx.to_pure_dict(nnx.state(nets[0]))):
        with pytest.raises(ValueError, match=says):
            nnx.update(nets[1], state)
    (net, other), host = (spiking(Linen(), **setting) for setting in (BOTH, fixed)), Linen()
    params, args = host.params(net, XS), host.args(net, XS)
    owner = "SpikingActivation layers_0/spike_fn" if name == "alpha" else "LIF layers_0"
    with pytest.raises(ValueError, match=f"^{owner}: {says}"):
        other.apply({"params": params}, *args)
    net.apply({"params": params}, *args)


def test_a_trained_parameter_for_one_of_a_surrogate_without_a_layer():
    lif = bs.linen.LIF(4, spike_fn=bs.LogTailedRelu(0.1))
    params = {"spike_fn": {"alpha": jnp.float32(0.5)}}
    with pytest.raises(ValueError, match=r"^LIF: spike_fn.alpha is fixed .* learnable='spike_fn.alpha', or leave"):
        lif.apply({"params": params}, *Linen().args(lif, XS))


@pytest.mark.parametrize("host", [Nnx(), Brainstate()], ids=["nnx", "brainstate"])
def test_what_is_set_later_is_checked_as_at_first(host):
    """A trained value is refused: it would silently be one no more; a fixed one is checked."""
    lif = host.layers.LIF(4, decay=0.5, spike_fn=bs.Arctan(2.0).scaled(), learnable=("threshold", "spike_fn.width"))
    act = host.layers.SpikingActivation(bs.Arctan(2.0).scaled(width=2.0), learnable="width")
    for layer, name in ((lif, "threshold"), (lif.spike_fn, "width"), (act, "width")):
        with pytest.raises(TypeError, match=f"{name} is a (nnx.|)Param: set the value inside it"):
            setattr(layer, name, 3.0)
    wrong = [(lif, "decay", 1.5), (lif, "decay", "fast"), (lif, "reset", "never"), (act, "height", np.nan)]
    wrong += [(host.layers.ALIF(4), "adapts", "soft"), (lif, "reset_delay", None), (lif, "reset_grad", "a")]
    half = host.layers.LIFCell(4, decay=0.5, param_dtype=jnp.bfloat16)
    wrong += [(half, "decay", 0.9999), (lif, "decay", np.full(7, 0.5)), (host.layers.LI(4), "recurrent", True)]
    later = [(lif, name) for name in ("recurrent", "self_connections", "carry_init", "param_dtype")]
    later += [(layer, name) for layer in (lif, act) for name in ("learnable", "bounds", "origin")] + [(act, "random")]
    for layer, name in later:
        with pytest.raises(TypeError, match=f"^{type(layer).__name__}: {name} can.t be changed after"):
            setattr(layer, name, jnp.bfloat16)
    for layer, name, value in wrong:
        with pytest.raises((TypeError, ValueError), match=name):
            setattr(layer, name, value)
    random = host.layers.SpikingActivation(
        bs.Sigmoid(4.0), random=True, **({"rngs": nnx.Rngs(0)} if isinstance(host, Nnx) else {})
    )
    with pytest.raises(ValueError, match="rises from 0 to 1"):
        random.alpha = -4.0
    if isinstance(host, Nnx):  # which holds an array as a Variable
        each = host.layers.SpikingActivation(bs.Sigmoid(jnp.ones(3)))
        each.alpha = nnx.Variable(jnp.full(3, 2.0))
        np.testing.assert_array_equal(each.surrogate.alpha, jnp.full(3, 2.0))
    lif.reset = "zero"
    lif.decay, act.height = 0.25, 2.0
    assert (lif.neuron.decay, act.surrogate.height, lif.neuron.reset) == (0.25, 2.0, "zero")


def test_a_subclass_has_attributes_and_parameters_of_its_own():
    class Counting(bs.nnx.LIF):
        def __init__(self):
            super().__init__(2)
            self.gain = 1.0
            self.gain = nnx.data(jnp.ones(2))

    class Scaling(bs.linen.LIF):
        @linen.compact
        def __call__(self, carry, xs):
            return super().__call__(carry, xs / self.param("threshold", linen.initializers.ones, (1, 1, 2)))

    assert Counting().gain.shape == (2,)
    net, carry, xs = Scaling(2), jnp.zeros((1, 2)), jnp.ones((3, 1, 2))
    net.apply(net.init(jax.random.key(0), carry, xs), carry, xs)
