"""Arguments that are not there, and other calls of a newcomer: what the answer says."""

import functools
import importlib
import inspect
import pickle
import re
from itertools import product

import brainstate
import braintools
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import label
from flax import linen, nnx
from flax.errors import TraceContextError
from neuron_table import NAMES

import brainsurr as bs
from tools.frameworks import HOSTS, OF_VARIABLES, Brainstate, Linen, Nnx

every_host = pytest.mark.parametrize("host", [host() for host in HOSTS], ids=[host.name for host in HOSTS])
LAYERS = list(NAMES)
KEY, XS = jax.random.key(0), jnp.ones((5, 2, 4))


def refusal(make, *args, **kwargs) -> str:
    with pytest.raises(TypeError) as error:
        make(*args, **kwargs)
    return str(error.value)


# Unknown names ------------------------------------------------------------------------------------------

ELSEWHERE = "; what other libraries have is in docs/coming-from-elsewhere.md"


@every_host
def test_every_unknown_name_is_said(host):
    """As in SpikingJelly's LIFNode(tau=2.0, v_threshold=1.0, v_reset=0.0)."""
    message = refusal(host.layers.LIF, 4, tau=2.0, threshold=1.0, v_threshold=1.0, v_reset=0.0)
    meant = "did you mean decay=exp(-dt / tau) and threshold and reset? "
    assert message.startswith(f"LIF has no argument tau and v_threshold and v_reset: {meant}it has ")
    assert "did you mean features? " in refusal(host.layers.LIF, in_features=64, hidden_features=128)


MEANT = {"beta": "decay", "tau": "decay=exp(-dt / tau)", "v_threshold": "threshold"}
MEANT |= dict.fromkeys(("surrogate", "surrogate_function"), "spike_fn")


@every_host
def test_a_name_of_others_is_answered_by_the_one_here(host):
    for name, here in MEANT.items():
        assert f"no argument {name}: did you mean {here}? it has " in refusal(host.layers.LIF, 4, **{name: 1.0})
    assert "no argument surrogate: it has " in refusal(host.layers.LI, 4, surrogate=1.0)  # which has no spike_fn


@every_host
def test_a_name_that_nobody_has(host):
    for layer in {*LAYERS, "SpikingActivation", "SpikingSequential"} & set(host.layers.__all__):
        make = getattr(host.layers, layer)
        first = {"SpikingActivation": bs.Arctan(), "SpikingSequential": []}.get(layer, 4)
        takes = list(inspect.signature(make.__init__).parameters)[1:]
        has = f"it has {', '.join(takes)}{ELSEWHERE}"
        assert refusal(make, first, wibble=1) == f"{layer} has no argument wibble: {has}"
    assert "no argument treshold: did you mean threshold? it has" in refusal(host.layers.LIF, 4, treshold=1.0)


@every_host
def test_the_number_of_arguments_is_counted_for_the_public_class(host):
    assert refusal(host.layers.LIF).startswith("LIF: missing a required argument: 'features'; it has features, ")
    if host.name != "linen":  # there they are the fields of a dataclass
        assert refusal(host.layers.LIF, 4, 0.9).startswith("LIF: too many positional arguments; it has features, decay")


@every_host
def test_options_are_given_by_name(host):
    """A place have a network, what goes through it, and what says how large a layer is."""
    first = {"features", "layers", "kind", "net", "model", "module", "block", "variables", "surrogate_init"}
    later = {"loss_fn", "carry", "xs", "wrt", "steps", "weights", "length"}
    for name in host.layers.__all__:
        parameters = inspect.signature(getattr(host.layers, name)).parameters.values()
        placed = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
        assert {*placed[:1]} <= first
        assert {*placed[1:]} <= later


@every_host
def test_a_layer_shows_what_it_was_given(host):
    text = repr(host.layers.LIF(4, decay=0.5, spike_fn=bs.Arctan(3.0), **host.recurrent(jnp.eye(4))))
    assert re.search(r"\bdecay ?= ?0\.5\b", text)
    assert re.search(r"\balpha ?= ?3\.0\b", text)
    assert re.search(r"\brecurrent ?= ?True\b", text)
    assert not re.search("_intervals|_fixed", text)


@pytest.mark.parametrize("make", [bs.Arctan, functools.partial(bs.arctan, 0.0)], ids=["class", "function"])
def test_of_a_surrogate(make):
    assert refusal(make, slope=1.0) == f"Arctan has no argument slope: it has alpha, origin{ELSEWHERE}"
    assert refusal(make, 1.0, 2.0) == "Arctan: too many positional arguments; it has alpha, origin"
    assert make(alpha=2.0) in (bs.Arctan(2.0), 1.0)


hosts_with_carry = pytest.mark.parametrize("host", [host() for host in HOSTS if host is not Brainstate], ids=label)


@hosts_with_carry
@pytest.mark.parametrize("layer", [*LAYERS, "SpikingSequential"])
def test_a_call_without_its_carry_says_where_one_comes_from(host, layer):
    """And what it says to write is run."""
    arguments = {"Delay": (3, 2), "SpikingSequential": ([host.layers.LIF(3)],)}.get(layer, (3,))
    module, x = getattr(host.layers, layer)(*arguments), jnp.full((2, 3) if "Cell" in layer else (5, 2, 3), 0.5)
    called = functools.partial(module.apply, {}) if host.name == "linen" else module
    message = refusal(called, x)
    name = "inputs" if "Cell" in layer else "xs"
    assert message.startswith(f"{layer}: expected a carry and {name}, got one argument. The carry is the state before")
    start, call = re.search(r"step: (carry = .*?), then (carry, outputs = .*)$", message).groups()
    exec(start, scope := {"layer": module, "key": KEY, name: x, "batch": 2, "features": 3})
    scope["layer"] = called
    jax.eval_shape(lambda: exec(call, scope))
    assert scope["outputs"].shape[:-1] == x.shape[:-1]


@pytest.mark.parametrize("host", [Nnx(), Linen()], ids=label)
def test_a_layer_over_time_is_no_cell_for_a_loop_of_flax(host):
    said = "^LIF runs over time by itself, time first: expected a cell, write LIFCell"
    rnn = (nnx if isinstance(host, Nnx) else linen).RNN(host.layers.LIF(3))
    with pytest.raises(TypeError, match=said):
        rnn(jnp.ones((2, 5, 3))) if isinstance(host, Nnx) else rnn.init(KEY, jnp.ones((2, 5, 3)))


def test_a_layer_of_linen_that_is_called_without_apply_says_so():
    layer = bs.linen.LIF(3)
    with pytest.raises(
        TypeError, match=r"^LIF: expected a call by apply, .* write layer\.apply\(variables, carry, xs\)$"
    ):
        layer(layer.initialize_carry(KEY, (2, 3)), jnp.ones((5, 2, 3)))


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


REPORTS = ("check_gradients", "diagnose")  # those of Linen take any tree
ON_NETWORKS = [(host, name) for host in HOSTS for name in ("bounds", "unroll", *REPORTS)]


@pytest.mark.parametrize(
    ("host", "name"), [pair for pair in ON_NETWORKS if pair not in product([Linen], REPORTS)], ids=label
)
def test_what_a_function_is_given_in_place_of_a_network_is_named(host, name):
    function = getattr(host.layers, name)
    first, *others = inspect.signature(function).parameters.values()
    with pytest.raises(TypeError, match=rf"expected {first.name} to be "):
        function("a", *("a" for other in others if other.default is other.empty))


@every_host
def test_recurrent_weights_of_another_shape_are_refused_by_name(host):
    rngs = {"nnx": {"rngs": nnx.Rngs(0)}, "equinox": {"key": jax.random.key(0)}}.get(host.name, {})

    def recurrent():
        layer = host.layers.LIF(4, recurrent=True, recurrent_kernel_init=lambda *_: jnp.ones((4, 5)), **rngs)
        layer.init(jax.random.key(0), jnp.zeros((2, 4)), jnp.ones((3, 2, 4)))  # Linen draws them here

    with pytest.raises(ValueError, match="expected recurrent_kernel_init to give an array of shape"):
        recurrent()


@pytest.mark.parametrize("host", OF_VARIABLES, ids=label)
def test_an_activation_is_pickled(host):
    act = host.layers.SpikingActivation(bs.Arctan(2.0))
    assert pickle.loads(pickle.dumps(act)).surrogate == bs.Arctan(2.0)


@every_host
def test_a_subclass_with_its_own_constructor_passes_arguments(host):
    class Own(host.layers.LIF):
        more: int = 1

        if host.name != "linen":

            def __init__(self, features, more=1, **kwargs):
                super().__init__(features, **kwargs)
                self.more = more

    own = Own(4, more=2, decay=0.5)
    assert (own.more, own.decay) == (2, 0.5)
    assert refusal(Own, 4, wibble=1).startswith("Own has no argument wibble: it has ")


def test_linen_clones_and_lifts():
    lif = bs.linen.LIF(4, decay=0.5)
    assert lif.clone(decay=0.25).decay == 0.25
    assert refusal(lif.clone, wibble=1).startswith("LIF has no argument wibble: it has ")
    lifted = linen.vmap(bs.linen.LIF, variable_axes={"params": 0}, split_rngs={"params": True}, in_axes=0)
    carry, xs = jnp.zeros((3, 2, 4)), jnp.ones((3, 5, 2, 4))
    (_, spikes), variables = lifted(4, learnable="decay").init_with_output(KEY, carry, xs)
    assert (spikes.shape, variables["params"]["decay"].shape) == ((3, 5, 2, 4), (3,))
    assert "has no argument wibble: it has " in refusal(lifted, 4, wibble=1)


# Calls ---------------------------------------------------------------------------------------------------------


BY_NAME = ": docs/coming-from-elsewhere.md has the surrogates of other libraries$"
IN_A_LIST = r"^SpikingSequential: expected layers to be a list, SpikingSequential\(\[a, b\]\)"
REFUSED = [
    (lambda layers: layers.LIF(4, spike_fn=bs.Arctan), r"^LIF: .* spike_fn .*<class .*: call it, Arctan\(...\)$"),
    (lambda layers: layers.SpikingSequential([bs.Arctan]), r": call it, Arctan\(...\)$"),
    (lambda layers: layers.LIF(4, spike_fn=3), "spike_fn to be a surrogate or a function, got 3(?!.*call it)"),
    (
        lambda layers: layers.LIF(4, spike_fn=braintools.surrogate.ReluGrad(), learnable="spike_fn.alpha"),
        "for LIF: spike_fn, as learnable=.* needs it; it is of braintools: write brainsurr.ReluGrad$",
    ),
    (lambda layers: layers.LIF(4, spike_fn="fast_sigmoid"), BY_NAME),
    (lambda layers: layers.SpikingSequential(layers.LIF(4)), IN_A_LIST),
    (
        lambda layers: layers.SpikingSequential(*[layers.LIF(4)] * 2),
        r"too many positional arguments; it has layers, .*: pass one list, SpikingSequential\(\[a, b\]\)$",
    ),
    (
        lambda layers: layers.SpikingSequential([abs, [layers.LIF(4)]]),
        r"that can be .*, got a list: unpack it with \*$",
    ),
]


@every_host
@pytest.mark.parametrize(("make", "says"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused_says_what_to_write(host, make, says):
    with pytest.raises((TypeError, ValueError), match=says):
        make(host.layers)


OF_OTHERS = [(braintools.surrogate.ReluGrad(), ": write brainsurr.ReluGrad$"), ("fast_sigmoid", BY_NAME)]
OF_OTHERS += [(braintools.surrogate.sigmoid, ": write brainsurr.sigmoid$")]


@pytest.mark.parametrize("host", OF_VARIABLES, ids=label)
@pytest.mark.parametrize(("surrogate", "says"), OF_OTHERS, ids=range(3))
def test_a_surrogate_of_another_library_is_answered_by_ours(host, surrogate, says):
    with pytest.raises(TypeError, match=says):
        host.layers.SpikingActivation(surrogate)


def started(host, net, batch, features):
    """What runs a network over time, or `unroll` in its place, from the state that is made for such a batch."""
    if host.name == "brainstate":
        brainstate.nn.init_all_states(net, batch)
        return lambda xs, run=lambda net, xs: net(xs): run(net, xs)
    shape = (*batch, features)
    carry = net.initialize_carry(*([KEY, shape] if host.name == "linen" else [shape]))
    net = net.bind({}) if host.name == "linen" else net
    return lambda xs, run=lambda net, carry, xs: net(carry, xs): run(net, carry, xs)


@every_host
def test_a_carry_with_a_time_axis(host):
    instead = r"without the time axis, from init_state\(batch_size\) in brainstate, else initialize_carry\(\(batch, "
    xs = jnp.ones((5, 2, 4))
    for layer in ("LIF", "LI"):  # whose state is one array like the input
        make = getattr(host.layers, layer)
        for net in (make(4), host.layers.SpikingSequential([make(4)])):
            run = started(host, net, (5, 2), 4)
            for options in ({}, {"run": host.layers.unroll}):
                with pytest.raises(ValueError, match=rf"^{layer}: .* input of shape \(2, 4\) at .*{instead}"):
                    run(xs, **options)
    if host.name == "nnx":
        cell = host.layers.LIFCell(4)
        with pytest.raises(ValueError, match=instead):
            jax.lax.scan(cell, cell.initialize_carry(xs.shape), xs)


@every_host
def test_a_carry_for_another_batch_and_a_single_step(host):
    """A single step can't be told from a sequence without a batch, so its shape is said."""
    for batch, xs in ((3, jnp.ones((5, 2, 4))), (2, jnp.ones((2, 4)))):
        run = started(host, host.layers.LIF(4), (batch,), 4)
        with pytest.raises(ValueError, match=r"^LIF: .*a layer takes \[time, batch, features\]") as error:
            run(xs)
        assert ("is xs" in str(error.value)) == (batch == 2)


# The axes of a carry, of which the last are 4 features, those of the inputs, and what is asked.
FIRST = "; is xs batch-first? write jnp.swapaxes(xs, 0, 1); is it one step? xs[None]"
ONE = "; is xs one step? write xs[None]; is the carry made from xs.shape? leave time out"
AXES = [((3,), (3, 5, 4), FIRST), ((3,), (3, 4, 4), FIRST), ((3,), (3, 4), ONE), ((5, 3), (5, 3, 4), ONE)]


@every_host
@pytest.mark.parametrize(("batch", "shape", "asked"), AXES, ids=range(len(AXES)))
def test_a_carry_tells_which_axes_the_inputs_lack(host, batch, shape, asked):
    """It is asked once, and what is said to be written runs."""
    for net in (host.layers.LIF(4), host.layers.SpikingSequential([host.layers.LIF(4)])):
        run, xs = started(host, net, batch, 4), jnp.ones(shape)
        with pytest.raises(ValueError, match=r"^LIF: expected a carry") as error:
            run(xs)
        assert str(error.value).endswith(asked)
        assert not [note for note in getattr(error.value, "__notes__", ()) if "is xs" in note]
        run(xs[None] if asked == ONE else jnp.swapaxes(xs, 0, 1))


@hosts_with_carry
def test_a_carry_and_inputs_in_the_place_of_each_other(host):
    for net in (host.layers.LIF(4), host.layers.SpikingSequential([host.layers.LIF(4)] * 2)):
        run = started(host, net, (2,), 4)
        with pytest.raises(ValueError, match=r"got .*; is it \(xs, carry\)\? write \(carry, xs\)$"):
            run(XS, run=lambda net, carry, xs: net(xs, carry))
    with pytest.raises(ValueError, match=r", got NoneType: start from initialize_carry$"):
        run(XS, run=lambda net, carry, xs: net(None, xs))


@every_host
def test_an_array_in_the_place_of_a_shape_is_not_printed(host):
    layers, key = host.layers, [KEY] * (host.name == "linen")
    for net in (layers.LIF(4), layers.LIFCell(4), layers.SpikingSequential([layers.LIF(4)])):
        make = net.init_state if host.name == "brainstate" else functools.partial(net.initialize_carry, *key)
        for xs in (XS, np.ones((5, 2, 4), np.float32)):
            with pytest.raises(ValueError, match=r", got an array float32\[5, 2, 4\]: write the (number|sizes) of "):
                make(xs)
        with pytest.raises(ValueError, match=r", got (np.float32\()?2.0\)?$"):
            make(np.float32(2.0))


@hosts_with_carry
def test_features_are_those_of_the_last_axis(host):
    """The layers of brainstate take all axes but that of the batch."""
    with pytest.raises(ValueError, match=r"got \(8, 8, 4\): write features=4, the size of the last axis$"):
        host.layers.LIF((8, 8, 4))


@every_host
def test_words_in_the_place_of_numbers(host):
    with pytest.raises(TypeError, match=r"^expected xs to be a real array, got an array <U1\[5, 2, 4\]$"):
        started(host, host.layers.LIF(4), (2,), 4)(np.full((5, 2, 4), "a"))


@pytest.mark.parametrize("report", [bs.nnx.diagnose, bs.nnx.check_gradients], ids=label)
def test_a_loss_of_the_network_outside_writes_its_statistics(report):
    """Of which flax says that they belong to another trace."""
    net = bs.nnx.SpikingSequential([nnx.BatchNorm(4, rngs=nnx.Rngs(0)), bs.nnx.LIF(4)], mixes_examples=True)
    with pytest.raises(TraceContextError) as error:
        report(net, lambda its: net(net.initialize_carry((2, 4)), XS)[1].mean())
    assert [note for note in error.value.__notes__ if note.startswith("loss_fn must use what it is called with")]


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
        with pytest.raises(TypeError, match=f"{name} is a (nnx.|)Param: set the value that it holds, or make a new"):
            setattr(layer, name, 3.0)
    wrong = [(lif, "decay", 1.5), (lif, "decay", "fast"), (lif, "reset", "never"), (act, "height", np.nan)]
    wrong += [(host.layers.ALIF(4), "adapts", "soft"), (lif, "reset_delay", 1), (lif, "reset_grad", "a")]
    half = host.layers.LIFCell(4, decay=0.5, param_dtype=jnp.bfloat16)
    wrong += [(half, "decay", 0.9999), (lif, "decay", np.full(7, 0.5)), (host.layers.LI(4), "recurrent", True)]
    later = [(lif, name) for name in ("recurrent", "self_connections", "carry_init", "param_dtype")]
    later += [(layer, name) for layer in (lif, act) for name in ("learnable", "bounds", "origin")] + [(act, "random")]
    for layer, name in later:
        with pytest.raises(TypeError, match=f"^{type(layer).__name__}: {name} can't be set later: make a new layer$"):
            setattr(layer, name, jnp.bfloat16)
    for layer, name, value in wrong:
        with pytest.raises((TypeError, ValueError), match=name):
            setattr(layer, name, value)
    random = host.layers.SpikingActivation(
        bs.Sigmoid(4.0), random=True, **({"rngs": nnx.Rngs(0)} if isinstance(host, Nnx) else {})
    )
    with pytest.raises(ValueError, match="one whose primitive rises from 0 to 1"):
        random.alpha = -4.0
    for name, value in (("return_spikes", "yes"), ("mixes_examples", 1), ("layers", [host.layers.LIF])):
        net = host.layers.SpikingSequential([host.layers.SpikingActivation(bs.Arctan(2.0))])
        setattr(net, name, value)
        with pytest.raises(TypeError, match=f"SpikingSequential: expected {name}"):
            net(*[(None,)] * (host.name == "nnx"), jnp.ones((3, 2, 4)))
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


def test_what_the_page_says_of_what_is_not_compared():
    """docs/saving.md: nothing is said by nnx.update of what is missing, nor by brainstate of what is too much."""
    trained, fixed = (spiking(Nnx(), **setting) for setting in (BOTH, {}))
    nnx.update(trained, nnx.state(fixed))
    assert trained.layers[0].spike_fn.alpha[...] == np.float32(0.1)
    channels = bs.nnx.SpikingActivation(bs.LogTailedRelu(jnp.full(4, 0.1)))
    nnx.update(channels, nnx.state(bs.nnx.SpikingActivation(bs.LogTailedRelu(jnp.full(4, 0.3)), learnable="alpha")))
    np.testing.assert_array_equal(channels.surrogate.alpha, np.full(4, 0.3, np.float32))
    settings = BOTH, {"learnable": BOTH["learnable"]}
    trained, fixed = (spiking(Brainstate(), **setting).states(brainstate.ParamState) for setting in settings)
    fixed.assign_dict_values(trained.to_dict_values())
    with pytest.raises(KeyError, match=r"Invalid key: .*'alpha', 'val'"):
        trained.assign_dict_values(fixed.to_dict_values())
