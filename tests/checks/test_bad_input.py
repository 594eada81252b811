"""Every public name answers a bad argument with an error that explains itself.

The error comes from brainsurr, not from jax or a framework; it names the argument and says what was expected. The
values come first, by kind of argument. A new public name needs no entry: its arguments are known by their names, or by
the types of their defaults. If one is not, a test says what to write.
"""

import importlib
import inspect
import math
import pkgutil
import re
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import brainstate
import flax
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import nir
import numpy as np
import pytest
from cases import why_no_float16
from close import assert_close
from surrogate_table import FAMILY

import brainsurr as bs
from brainsurr import neurons
from tools.frameworks import HOSTS, OF_VARIABLES

FRAMEWORKS, WITH_VARIABLES = ([host.name for host in hosts] for hosts in (HOSTS, OF_VARIABLES))

# The values ------------------------------------------------------------------------------------------------------


class Kind(NamedTuple):
    """Values to try.

    Attributes:
      good: must be accepted. The others are tried among the first good value of each other argument. If empty, the
        default of the argument is good.
      bad: must be refused.
      odd: may be refused.
      anyhow: whether any error will do, such as one of jax, a host or matplotlib, which names its own.
    """

    good: tuple
    bad: tuple = ()
    odd: tuple = ()
    anyhow: bool = False


class Fresh(NamedTuple):
    """A value that is made anew for each call."""

    make: Callable


class Traced(NamedTuple):
    """A tracer; the call is made in a trace."""

    like: Any


class Changed(NamedTuple):
    """What a function makes of the right state."""

    of: Callable


KEY = jax.random.key(0)
JUNK = {
    "None": None,
    "text": "a",
    "bytes": b"a",
    "list": ["no"],
    "dictionary": {"a": 1.0},
    "object": object(),
    "objects": np.array([None, 1.0]),
    "texts": np.array(["a", "b"]),
    "structured": np.zeros(2, [("a", "f4")]),
    "key": KEY,
    "function": abs,
    "class": float,
}


def kind(*good, but="", bad=(), odd=(), anyhow=False):
    """Make a kind, for which all junk is bad but that named."""
    return Kind(good, (*(value for name, value in JUNK.items() if name not in but.split()), *bad), tuple(odd), anyhow)


def filled(*shape):
    """Return numbers that are exact in every dtype, as are their sums."""
    return np.resize(np.array([-3.0, -1.0, -0.5, 0.0, 0.25, 0.5, 1.0, 1.5, 2.0], np.float32), shape)


def array(*shape, bad=()):
    """Return the kind of an array of real numbers; odd is what it is read as, or not, and what its last entry is."""
    x = filled(*shape)
    halves = [jnp.bfloat16, *([] if why_no_float16() else [jnp.float16])]
    odd = [x.astype(dtype) for dtype in ("f8", "i4", "i1", "?", *halves)]
    for end in (np.nan, np.inf, -np.inf, 3e38, -3e38, -1e-40):
        odd.append(x.copy())
        odd[-1][(-1,) * x.ndim] = end
    return kind(jnp.asarray(x), bad=(x.astype("c8"), [[1.0], [1.0, 2.0]], [1.0, [2.0]], *bad), odd=odd)


def arrays(change):
    """Return what is made of a state by a change of each array."""
    return Changed(lambda state: jax.tree.map(change, state))


NO_BOUNDS = 3, (1.0, 0.0), (0.0, math.nan), (0.0,), "ab", (None, 1.0)
NO_TREES_OF_BOUNDS = [{}, {"beta": (0.0, 1.0)}, {"alpha": {"beta": (0.0, 1.0)}}, [(0.0, 1.0)], (0.0, 1.0, 2.0)]
NO_TREES_OF_BOUNDS += [{"alpha": pair} for pair in NO_BOUNDS]


def bounds(name):
    """Return the kind of the bounds of one parameter."""
    return kind({}, None, bad=(3, [name], (), {3: (0.0, 1.0)}, *({name: pair} for pair in NO_BOUNDS)))


# Numbers, words, functions and dtypes.
NO_NUMBER = [np.ones(7, "f4"), np.ones((2, 7, 1), "f4"), True, np.ones(3, bool), 1j, np.full(3, 1j)]
NO_NUMBER += [jnp.full(3, 0.5 + 0j), np.zeros(0, "f4"), np.zeros((0, 3), "f4")]
NOT_FINITE = [math.nan, math.inf, np.full(3, math.nan, "f4"), np.full(3, math.inf, "f4")]
NUMBERS = [np.full(3, 0.5), jnp.full(3, 0.5, jnp.bfloat16), 0.0, -2.0, 1e30, *np.float32([[0.0] * 3, [-2.0] * 3])]
FINITE = kind(bad=NO_NUMBER + NOT_FINITE, odd=NUMBERS)
RATE = kind(bad=[*NO_NUMBER, *NOT_FINITE, -0.5, 1.5, *np.float32([[-0.5] * 3, [1.5] * 3])], odd=NUMBERS[:3])
NO_COUNT = 0, -1, 2.0, 2.5, math.nan, True, np.zeros(2), Traced(2)
FLAG = kind(False, True, bad=(0, 1, 2.0, np.ones(2), Traced(True)))
WORD = kind(bad=("soft", "", 0, np.zeros(2), True, Traced(1)))
NO_STEPS = -1, 1.0, True, [1, 2], [1, 2, -1], np.ones(3), [[1, 2, 3]], math.nan, Traced(2)
NO_NAMES = "gamma", ["gamma"], [None], ("alpha", "decay", "gamma"), 3
SURROGATE = kind(bs.Sigmoid(2.0), bad=(bs.Sigmoid,), odd=(bs.ReluGrad(),))
NO_TIMES = (0, 0.0, -1.0, math.nan, math.inf, np.ones(2), 1j, np.csingle(1))
PROBABILITY = kind(bs.Sigmoid(2.0), bad=(bs.Sigmoid, bs.ReluGrad(), 0.5 * bs.Sigmoid()))
SPIKE_FN = kind(but="function", bad=(bs.Sigmoid, lambda x: None, lambda x: "a", lambda x: jnp.zeros(7)))
DRAWN = kind(lambda *_: jnp.full((3, 3), 0.25), but="function class")
NOT_DRAWN = lambda *_, **__: jnp.zeros(7), lambda *_: jnp.zeros(()), lambda *_: None
NO_BLOCKS = lambda c, x: None, lambda c, x: x, lambda c, x: (c, x[:-1]), lambda c, x: (c, x.sum())
NO_FLOAT = jnp.int32, "int8", bool, jnp.complex64, np.str_, 3

# Inputs, and states that do not fit them.
XS, START = jnp.asarray(filled(4, 2, 3)), jnp.zeros((2, 3))
SEQUENCE = array(4, 2, 3, bad=(filled(), filled(5), filled(4, 2, 1), filled(4, 2, 4), filled(4, 2, 3, 3)))
NO_UNIT = filled(2, 3) > 0, np.full((2, 3), 255, np.uint8), np.ones((2, 3), int), np.full((2, 3), math.nan, "f4")
NO_UNIT += filled(2, 3), np.full((2, 3), 1.5, "f4"), np.ones((2, 3), "c8")
NO_SHAPES = (), (4,), (2, 4), (5, 3), ("a", 3), (-1, 3), (2.0, 3), (None, 3), 3
NO_STATES = [arrays(lambda v: v.astype(jnp.complex64)), arrays(lambda v: v[..., :1]), arrays(lambda v: v[0])]
NO_STATES += [arrays(lambda v: jnp.concatenate([v, v], -1)), arrays(lambda v: jnp.stack([v] * 7))]
NO_STATES += [Changed(lambda state: (state, state, state)), (), np.float32(0)]
STATES = [arrays(lambda v, to=to: v.astype(to)) for to in (jnp.int32, jnp.bfloat16)]
STATES += [arrays(lambda v, to=to: jnp.full_like(v, to)) for to in (jnp.nan, jnp.inf)]
CARRY = kind(Changed(lambda state: state), bad=NO_STATES, odd=(None, *STATES))


# Networks that train something, what may be lost of them, and layers of which not all are.
def network(host):
    """Make a network, in brainstate with its state."""
    net = host.LIF(3, spike_fn=host.SpikingActivation(bs.Sigmoid(2.0), learnable="alpha"))
    if host is bs.brainstate:
        net.init_state(2)
    return net


NNX, LINEN, BRAINSTATE = map(network, (bs.nnx, bs.linen, bs.brainstate))
VARIABLES = LINEN.init(KEY, START, XS)
EQUINOX = bs.equinox.LIF(3, spike_fn=bs.Sigmoid(2.0), learnable="spike_fn.alpha")


def loss(good, but="function class", bad=()):
    """Return the kind of a loss."""
    return kind(good, but=but, bad=(lambda *_: None, lambda *_: "a", lambda *_: jnp.ones(2), lambda *_: 1j, *bad))


def layers(host):
    """Return the kind of the layers of a network."""
    wrong = [lambda x: None, host.LI(3)], [lambda x: x[..., :1], host.LI(3)]
    return kind(Fresh(lambda: [jnp.negative, host.LI(3)]), bad=(3, [None], [host.LI], {"a": 1.0}, *wrong))


# Trees of parameters, and graphs.
def tree(kernel=filled(2, 2), **more):
    """Return a tree of parameters."""
    return {"layers_0": {"kernel": kernel, "bias": jnp.zeros(2)} | more}


NO_KERNELS = ["a", filled(2, 2).astype("c8"), object(), np.array([None] * 4), jnp.ones((2, 2), jnp.int32)]
NO_KERNELS += [filled(3, 3), filled(2, 2, 2), filled(4)]
NO_TREES = [*map(tree, NO_KERNELS), tree(more=filled(2)), {"layers_0": {"kernel": filled(2, 2)}}]
TREES = tree(jnp.ones((2, 2), jnp.bfloat16)), tree(jnp.full((2, 2), jnp.nan))


def graph(**changes):
    """Return a graph of two neurons."""
    two = {"tau": np.full(2, 2.0), "r": np.ones(2), "v_leak": np.zeros(2), "v_threshold": np.ones(2)}
    return nir.NIRGraph.from_list(nir.LIF(**two | changes), type_check=False)


NO_TWO = {"tau": (0, 1j), "r": (-1,), "v_reset": (1,), "v_threshold": ()}
NO_GRAPHS = [graph(**{name: np.full(2, value)}) for name in NO_TWO for value in (*NO_TWO[name], np.nan, "a")]
NO_GRAPHS += [nir.NIRGraph.from_list(nir.Scale(np.ones(2))), nir.LIF(*[np.ones(2)] * 4)]
FOR_SPECK = bs.nnx.SpikingSequential([flax.nnx.Linear(2, 2, rngs=flax.nnx.Rngs(0)), bs.nnx.LIF(2, decay=1.0)])
NO_GRAPHS += [nir.NIRGraph({}, [], type_check=False), "no/such/file.nir", "", __file__]
NOT_IN_NIR = [abs, bs.nnx.ALIF(2), bs.nnx.LIF(2, spike_fn=abs), flax.nnx.LayerNorm(2, rngs=flax.nnx.Rngs(0))]
NO_NETWORKS = [*(bs.nnx.SpikingSequential([layer]) for layer in NOT_IN_NIR), bs.nnx.LIF(2), bs.nnx.SpikingSequential]
NO_NETWORKS += [bs.linen.SpikingSequential([flax.linen.Dense(2)]), brainstate.nn.Linear(2, 2), "net.nir"]

NO_ALPHAS = 0.1, [None], ["a"], [1j], [True], [np.ones(3)]
OF_THE_HOST = Kind(())  # an argument that is the framework's own, and not given
# By the name of an argument, or the type of its default. Words before it are of the path to the public name, of the
# names of its base classes, or an option that is on; the entry that has most of them decides.
KINDS: dict[str, Kind] = {
    "bool": FLAG,
    "int": kind(bad=NO_COUNT),
    "str": WORD,
    "float": kind(bad=NO_NUMBER, odd=NUMBERS + NOT_FINITE),
    **{f"{module} float": FINITE for module in ("neurons", *FRAMEWORKS)},
    **dict.fromkeys(("linen parent", "linen name", "wrt"), OF_THE_HOST),
    "dot w": array(3, 2, bad=(filled(3), filled(2, 2), filled(3, 2).astype("i4")))._replace(odd=()),
    "SpikingSequential events": kind(None, False, True, bad=(0, 1, 2.0, np.ones(2), Traced(True))),
    # Surrogates.
    **dict.fromkeys(("x", "detached s"), array(2, 3)),
    **dict.fromkeys(("surrogate", "surrogate_init"), SURROGATE),
    **dict.fromkeys(("random surrogate", "random surrogate_init", "spike surrogate"), PROBABILITY),
    "key": kind(KEY, jax.random.PRNGKey(0), but="key", bad=(jax.random.split(KEY), 0, np.ones(2)), anyhow=True),
    # Neurons and layers.
    "features": kind(3, np.int64(3), bad=NO_COUNT),
    "brainstate features": kind(3, bad=(*NO_COUNT, (-1, 3), (2.0, 3), (True, 3), ("a", 3), (2, 0), ())),
    **dict.fromkeys(("decay", "adaptation_decay", "current_decay", "refractory_decay"), RATE),
    **dict.fromkeys(("frequency", "damping"), RATE._replace(good=(0.5,))),  # a smaller one is lost in bfloat16
    "spike_fn": SPIKE_FN,
    **dict.fromkeys(("reset_delay", "reset_grad"), FLAG),
    "learnable": kind("decay", ["decay"], (), bad=NO_NAMES),
    "ILIF threshold": kind(bad=[*NO_NUMBER, *NOT_FINITE, 0.0, -2.0], odd=NUMBERS[:2]),
    "longest": kind(16, bad=NO_COUNT),
    "LearnableDelay delay": kind(bad=[*NO_NUMBER, *NOT_FINITE, -0.5, 16.5], odd=NUMBERS[:3]),
    "LearnableDelay width": kind(bad=[*NO_NUMBER, *NOT_FINITE, 0.0, -2.0], odd=NUMBERS[:2]),
    "LearnableDelay learnable": kind("delay", ["delay"], (), bad=NO_NAMES),
    "LearnableDelay bounds": bounds("delay"),
    "RF learnable": kind("damping", ["damping"], (), bad=NO_NAMES),
    "SlidingPSN learnable": kind("threshold", ["threshold"], (), bad=NO_NAMES),
    "SpikingActivation learnable": kind("alpha", ["alpha"], (), bad=NO_NAMES),
    "bounds": bounds("decay"),
    "RF bounds": bounds("damping"),
    "SlidingPSN bounds": bounds("threshold"),
    "SpikingActivation bounds": bounds("alpha"),
    "carry_init": kind(but="function class", bad=NOT_DRAWN),
    "recurrent_kernel_init": kind(bad=DRAWN.good),
    "recurrent recurrent_kernel_init": DRAWN._replace(bad=(*DRAWN.bad, *NOT_DRAWN)),
    "self_connections": kind(True, bad=(*FLAG.bad, False)),
    **dict.fromkeys(("recurrent self_connections", "Recurrent self_connections"), FLAG),
    "param_dtype": kind(jnp.float32, "float32", but="class", bad=NO_FLOAT, odd=(jnp.bfloat16, float)),
    "state_dtype": kind(jnp.float32, but="class", bad=(jnp.complex64, np.str_, 3), odd=(jnp.bfloat16, jnp.int8, bool)),
    "mask": kind(None, bad=("a", 1j, np.ones(7))),
    "length": kind(2, bad=NO_COUNT),
    "refractory": kind(0, 2, bad=NO_COUNT[1:]),
    "weights": kind((0.5,) * 4, [0.5] * 4, np.ones(4, "f4"), bad=(1.0, (), np.ones((2, 2)), (math.nan,), ("a",))),
    "steps": kind(2, [2, 0, 1], np.array([1, 1, 2]), bad=NO_STEPS),
    "rngs": kind(Fresh(lambda: flax.nnx.Rngs(0)), bad=(0,)),
    "neuron": kind(neurons.LIF(), bad=(neurons.LIF,)),
    "kernel": kind(np.full((3, 3), 0.25, "f4"), bad=(filled(3), filled(3, 2), filled(2, 2))),
    "kind": kind(neurons.LIF, bad=(bs.Sigmoid, neurons.LIF(), neurons.Neuron, neurons.Recurrent)),
    "input_shape": kind((2, 3), bad=NO_SHAPES),
    "batch_size": kind(2, bad=(-1, 2.0, True, (2.0,), ("a",), 7)),
    "carry": CARRY,
    "xs": SEQUENCE,
    "Cell xs": array(2, 3, bad=(filled(), filled(5), filled(2, 1), filled(2, 4), filled(2, 3, 3))),
    # Encoders and initialisers.
    "encoders x": kind(jnp.abs(filled(2, 3)) / 3, bad=NO_UNIT, odd=(np.full((2, 3), 0.25),)),
    "encoders xs": kind(XS, bad=(filled(), *NO_UNIT[:4]), odd=(np.full((4, 3), 0.25),)),
    **dict.fromkeys(("encoders steps", "count"), kind(2, np.int64(3), bad=NO_COUNT)),
    "fluctuation_driven steps": kind(None, 2, np.int64(3), bad=NO_COUNT),
    "latency threshold": RATE,
    "delta threshold": kind(bad=[*NO_NUMBER, *NOT_FINITE, 0.0, -2.0], odd=NUMBERS[:2]),
    **dict.fromkeys(("tau", "population width"), kind(None, 0.5, bad=[*NO_NUMBER, *NOT_FINITE, 0.0, -2.0])),
    "encoders dtype": kind(None, "float32", "int8", but="class", bad=(jnp.complex64, np.str_, 3), odd=(bool, "uint8")),
    **dict.fromkeys(("fluctuation_driven rate", "share"), kind(0.25, 1.0, bad=[*NO_NUMBER, *NOT_FINITE, 0.0, 1.5])),
    "xi": kind(bad=[*NO_NUMBER, *NOT_FINITE, 0.0, -2.0], odd=NUMBERS[:2]),
    # Networks.
    **{f"{host} layers": layers(getattr(bs, host)) for host in FRAMEWORKS},
    "nnx net": kind(NNX),
    "equinox net": kind(EQUINOX),
    "equinox model": kind(EQUINOX),
    "linen net": kind(LINEN.bind(VARIABLES), bad=(LINEN,)),
    "brainstate net": kind(BRAINSTATE),
    "brainstate unroll net": kind(Fresh(lambda: network(bs.brainstate)), but="function"),
    "model": kind(NNX),
    "brainstate model": kind(BRAINSTATE),
    "module": kind(LINEN),
    "variables": Kind((VARIABLES,)),
    "check_gradients variables": Kind((VARIABLES,), ({}, {"n": 1}, LINEN, LINEN.bind(VARIABLES))),
    **{f"{host} loss_fn": loss(lambda net: net(START, XS)[1].sum()) for host in ("nnx", "equinox")},
    "recurrent_kernel": kind(None, bad=(filled(3), filled(2, 3))),
    "linen loss_fn": loss(lambda variables: LINEN.apply(variables, START, XS)[1].sum()),
    "brainstate loss_fn": loss(lambda: BRAINSTATE(XS).sum()),
    # Functions of no framework.
    "block": kind(lambda c, x: (c, x), but="function", bad=NO_BLOCKS),
    "unroll carry": kind(START, but="None dictionary key"),
    "unroll xs": kind(XS, but="key", bad=(filled(), (), {"a": filled(4, 1), "b": filled(3, 1)})),
    **{f"{host} unroll carry": CARRY for host in ("nnx", "linen")},
    **{f"{host} unroll xs": SEQUENCE for host in WITH_VARIABLES},
    "unroll key": kind(None, but="key", bad=(jax.random.split(KEY), 0, np.ones(2))),
    "block_size": kind(1, 3, np.int64(2), bad=NO_COUNT),
    "reduce": kind(None, "mean", "max", "last", bad=WORD.bad),
    "params": Kind(({"w": jnp.float32(2.0)},), (None, "a", {}, [], {"w": 1})),
    "check_gradients loss_fn": loss(lambda p: bs.Arctan()(XS * p["w"]).sum(), "function", [lambda p: jnp.inf]),
    "f": kind(lambda x: jnp.dot(x, jnp.ones((3, 2)))),
    "examples": kind(2, bad=NO_COUNT),
    "operations xs": kind(XS, anyhow=True),
    "spike_fns": kind({"f": bs.Arctan()}, bad=[{"f": value} for value in (None, "a", 3, bs.Sigmoid, np.ones(2))]),
    "diagnose loss_fn": loss(lambda fns: fns["f"](XS).sum(), "function", [lambda fns: 1.0]),
    "optim bounds": kind({"alpha": (0.0, 1.0)}, None, bad=NO_TREES_OF_BOUNDS, anyhow=True),
    "tree": Kind(({"f": bs.Arctan()},)),
    "schedule": loss(lambda n: 0.5 * n.astype(float), bad=[lambda n: [None]]),
    "update": Kind((jnp.float32(0.25),), (), (jnp.float32(math.nan), jnp.float32(math.inf))),
    "source": kind(tree(), bad=({}, [], *NO_TREES), odd=TREES),
    "target": kind(tree(), but="None", bad=NO_TREES, odd=TREES, anyhow=True),
    "transposed": kind(None, (), bad=("layers.0.kernel", "kernel", ("bias",))),
    "framework": kind("nnx", "linen", bad=("equinox", "", "NNX", 3, np.zeros(2))),
    "to_nir net": kind(bs.nnx.SpikingSequential([bs.nnx.LIF(2, reset="zero")]), bad=NO_NETWORKS),
    "to_nir input_shape": kind((2,), [2], bad=((), (0,), (-1,), (2.5,), (True,), (2, math.nan), np.ones((2, 2)), 2)),
    **dict.fromkeys(("quantized net", "rounding net"), kind(FOR_SPECK, bad=NO_NETWORKS)),
    **dict.fromkeys(("quantized reader", "rounding reader"), WORD._replace(good=("speck",))),
    "lowest": kind(None, -2.0, -1, bad=(0.0, 1.0, -math.inf, math.nan, True, -np.ones(2), 1j), odd=(np.float64(-0.5),)),
    **dict.fromkeys(("quantized bits", "rounding bits"), kind(8, bad=(0, 1, 9, 8.0, True, math.nan, np.ones(2)))),
    "graph": kind(graph(), bad=NO_GRAPHS),
    "host": WORD._replace(good=tuple(WITH_VARIABLES)),
    **dict.fromkeys(("r", "reset", "reader", "to_nir method"), WORD),
    "from_nir spike_fn": kind(None, bs.Arctan(), but="function"),
    "dt": kind(0.5, 1.0, bad=(*NO_TIMES, True), odd=(np.float64(0.5),)),
    "plot dt": kind(0.5, 1.0, bad=NO_TIMES, odd=(True,), anyhow=True),
    # Pictures.
    "surrogates": Kind(((bs.Sigmoid(),), (bs.Sigmoid(), bs.Arctan())), (("a",), (3,), (None,))),
    "plot alpha": kind([0.25, 0.5], (1.0,), but="bytes", bad=NO_ALPHAS, anyhow=True),
    "xlim": kind((-3.0, 3.0), [-1, 2], bad=((math.nan, 1.0), (0.0, math.inf), (0.0,), 3.0, "ab"), anyhow=True),
    "axes": kind(None, bad=(3,), anyhow=True),
    "unit": Kind(("ms",)),
    **dict.fromkeys(("v", "spikes"), array(4, 3, bad=(filled(), filled(2, 2, 2)))),
    "plot threshold": kind(None, 1.0, bad=(1j, np.ones(3)), odd=(True,), anyhow=True),
}


# What an error must say ------------------------------------------------------------------------------------------

PACKAGE = str(Path(bs.__file__).parent)
# Users do not call these: what `diagnose` and `check_gradients` return, and the base class of neurons.
NOT_CALLED = ("Diagnosis", "GradientReport", "LayerReport", "OperationReport", "ParameterGradient")
NOT_CALLED += ("ProductOperations", "neurons.Neuron")
NOT_CALLED += ("cpu.split", "cpu.use_all_cores")  # of the process: tests/time/test_cpu.py
NOT_CALLED += ("events.available", "events.dot_general", "events.conv_general_dilated")  # the last two as those of jax
# By which words a message says what was expected, and what it may call an argument besides its name.
EXPECTS = re.compile(
    r"expected|outside \[|does not broadcast|not a parameter of|not learnable|in the (source|target)|undefined"
    r"|There are: |have the same names|must use what it is called with|must have equal types"
)
BY_JAX = "TypeError: scan body function carry input and carry output must have equal types"  # and it names the leaf
ALIASES = {
    "xs": "x inputs? input_shape",
    "input_shape": "carry",
    "batch_size": "carry",
    "layers": "xs carry input_shape",
    "surrogate_init": "surrogate",
    "kind": "class",
    "net": "layer",
    "variables": "parameters",
    "params": "parameters",
    "spike_fns": "functions",
    "library": "surrogates",
    "name": "surrogate",
    "slope": "alpha",
    "graph": "node file Input",
}


# Names whose signature does not tell how to call them ------------------------------------------------------------


def changed(alpha=0.25, origin=False, continuous=False):
    """A surrogate that is given its parameters afterwards."""
    f = bs.LogTailedRelu()
    f.alpha, f.origin, f.continuous = alpha, origin, continuous
    assert bs.LogTailedRelu().replace(alpha=alpha, origin=origin, continuous=continuous) == f
    return f


CALLS = {
    "brainsurr.Surrogate": changed,
    "brainsurr.operations": lambda f, xs, examples: bs.operations(f, xs, examples=examples),
    "brainsurr.linen.bounds": lambda module: bs.linen.bounds(module, START, XS),
    "brainsurr.plot.surrogate": lambda surrogates, xlim, axes, alpha: bs.plot.surrogate(
        *surrogates, xlim=xlim, axes=axes, alpha=alpha
    ),
}


# What is done with an answer, and takes further arguments --------------------------------------------------------


def use_linen(layer, input_shape, carry, xs):
    return layer.init_with_output(KEY, right(carry, layer.initialize_carry(KEY, input_shape)), xs)[0]


def use_brainstate(layer, batch_size, xs):
    layer.init_state(batch_size)
    return layer(xs)


def use_brainstate_activation(act, x):
    with brainstate.environ.context(fit=True), brainstate.random.seed_context(0):
        return act(x)


def use_rule(rule, update):
    """Update parameters with what is for optax."""
    params = {"alpha": jnp.float32(0.5)}
    return rule.update({"alpha": update}, rule.init(params), params)


USES = {
    "Surrogate": lambda f, x: (f(x), f.derivative(x), f.surrogate_grad(x), f.surrogate_fun(x)),
    "Neuron": lambda neuron, carry, xs: neuron(right(carry, neuron.initial_state(XS[0])), xs),
    "nnx Module": lambda layer, input_shape, carry, xs: layer(right(carry, layer.initialize_carry(input_shape)), xs),
    "equinox Module": lambda layer, input_shape, carry, xs: layer(
        right(carry, layer.initialize_carry(input_shape)), xs
    ),
    "linen Module": use_linen,
    "brainstate Module": use_brainstate,
    "nnx Module SpikingActivation": lambda act, x: act(x),
    "linen Module SpikingActivation": lambda act, x: act.init_with_output({"params": KEY, "spikes": KEY}, x)[0],
    "brainstate Module SpikingActivation": use_brainstate_activation,
    "optim": use_rule,
    "optim bounds": lambda intervals: intervals,
    "initializers": lambda init: init(KEY, (4, 3)),
    "plot": lambda axes: (axes[-1] if isinstance(axes, tuple) else axes).figure.canvas.draw(),
}
# What draws a figure, or from a stream of random numbers that the framework does not let a trace change.
NOT_TRACED = [USES[name] for name in ("plot", "nnx Module SpikingActivation", "brainstate Module SpikingActivation")]


def right(carry, start):
    """What is given for a carry, of which the right one is known."""
    return carry.of(start) if isinstance(carry, Changed) else carry


# A trial ----------------------------------------------------------------------------------------------------------


def public_names():
    """What is in the `__all__` of a public module, by its path."""
    modules = [importlib.import_module(f"brainsurr.{module.name}") for module in pkgutil.iter_modules(bs.__path__)]
    modules = [bs, *(module for module in modules if hasattr(module, "__all__") and module is not bs.surrogates)]
    names = {f"{module.__name__}.{name}": getattr(module, name) for module in modules for name in module.__all__}
    return {path: value for path, value in names.items() if path.removeprefix("brainsurr.") not in NOT_CALLED}


def parameters(function):
    """The parameters of a function or a class, by name."""
    found = inspect.signature(function).parameters
    if inspect.isclass(function) and "kwargs" in found:  # these are of its metaclass
        return dict(list(inspect.signature(function.__init__).parameters.items())[1:])
    return dict(found)


def most_words(table, words):
    """The entry whose key has most of these words and no other; None if there is none."""
    keys = [key for key in table if set(key.split()) <= words]
    return table[max(keys, key=lambda key: len(key.split()))] if keys else None


class Trial:
    """A public name, the kinds of its arguments, and what is done with its answer.

    Args:
      path: of the name.
      public: what it names.
      **options: good values of arguments that decide what others may be.
    """

    def __init__(self, path, public, **options):
        bases = inspect.getmro(public) if inspect.isclass(public) else ()
        words = {*path.split("."), *options, *(base.__name__ for base in bases)}
        self.call, self.use = CALLS.get(path, public), most_words(USES, words)
        own = parameters(self.call)
        further = dict(list(parameters(self.use).items())[1:]) if self.use else {}
        kinds = {name: kind_of(path, words, parameter) for name, parameter in (own | further).items()}
        self.kinds = {name: kind for name, kind in kinds.items() if kind is not OF_THE_HOST}
        self.kinds |= {name: self.kinds[name]._replace(good=(value,)) for name, value in options.items()}
        self.own = own.keys() & self.kinds.keys()

    def answer(self, given, traces=False):
        """What comes of it, with good values for all other arguments; shapes alone if it ``traces`` what is done."""
        given = {name: kind.good[0] for name, kind in self.kinds.items()} | given
        given = {name: value.make() if isinstance(value, Fresh) else value for name, value in given.items()}
        traced = {name: value.like for name, value in given.items() if isinstance(value, Traced)}

        def call(traced):
            values = given | traced
            answer = self.call(**{name: right(values.pop(name), START) for name in self.own})
            if not self.use:
                return answer
            return jax.eval_shape(lambda: self.use(answer, **values)) if traces else self.use(answer, **values)

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return jax.eval_shape(call, traced) if traced else call({})

    def verdict(self, **given):
        """ "accepted" or "refused", or else what is wrong with the error."""
        try:
            self.answer(given, traces=self.use not in NOT_TRACED)
        except Exception as error:
            anyhow = any(self.kinds[name].anyhow for name in given)
            return "refused" if anyhow else why_unclear(error, given) or "refused"
        finally:
            plt.close("all")
        return "accepted"


def kind_of(path, words, parameter):
    """The kind of an argument: by its name, or by the type of its default."""
    default = parameter.default
    for last in (parameter.name, type(default).__name__):
        kind = most_words({key: kind for key, kind in KINDS.items() if key.split()[-1] == last}, words | {last})
        if kind is OF_THE_HOST:
            return kind
        if kind is not None:
            good = kind.good or (default,)
            optional = any(value is None for value in (default, *good))
            return kind._replace(good=good, bad=[value for value in kind.bad if value is not None or not optional])
    raise LookupError(f"{path} has an argument {parameter.name}: say what it may be in KINDS")


def why_unclear(error, names):
    """Why the error for some arguments does not explain itself; None if it does."""
    said, where = f"{type(error).__name__}: {error}", traceback.extract_tb(error.__traceback__)[-1]
    words = [word for name in names for word in (name, *ALIASES.get(name, "").split())]
    if not where.filename.startswith(PACKAGE) and not said.startswith(BY_JAX):
        return f"raised in {where.filename}, {where.name}: {said}"
    if not isinstance(error, TypeError | ValueError | NotImplementedError):
        return f"neither a TypeError, a ValueError nor a NotImplementedError: {said}"
    if not any(re.search(rf"\b{word}\b", str(error)) for word in words):
        return f"names none of {', '.join(words)}: {said}"
    return None if EXPECTS.search(str(error)) else f"does not say what was expected: {said}"


# The tests --------------------------------------------------------------------------------------------------------


def cases():
    """All names: slow those of a framework but for a few, exhaustive those with the checks of another one here."""
    alike = {make.__name__ for entry in FAMILY[1:] for make in (entry.make, entry.function) if make}
    alike |= {"LIFCell", "ALIFCell", "Synaptic", "BRF", "BHRF"}
    for path, public in public_names().items():
        module, _, name = path.rpartition(".")
        first = path in ("brainsurr.nnx.LIF", "brainsurr.nnx.SpikingSequential", "brainsurr.nnx.SpikingActivation")
        other = module.endswith((".linen", ".brainstate", ".equinox"))
        slow = pytest.mark.slow if (other or module.endswith((".nnx", ".plot"))) and not first else ()
        for options in ({}, {"recurrent": True}, {"random": True}):
            if options.keys() <= parameters(public).keys():
                is_alike = name in alike or (name == "ALIF" and module != "brainsurr.neurons")
                is_alike |= other and name not in ("LIF", "SpikingSequential", "unroll")
                marks = pytest.mark.exhaustive if is_alike else slow
                yield pytest.param(path, public, options, id=" ".join([path, *options]), marks=marks)


every_name = pytest.mark.parametrize(("path", "public", "options"), list(cases()))


@pytest.fixture(autouse=True, scope="module")
def every_frame():
    """In an error's traceback, those in jax too, which it hides."""
    before = jax.config.jax_traceback_filtering
    jax.config.update("jax_traceback_filtering", "off")
    yield
    jax.config.update("jax_traceback_filtering", before)


@every_name
@pytest.mark.usefixtures("lenient")  # for brainstate's own initialiser of recurrent weights
def test_a_bad_value_is_refused_by_name(path, public, options):
    trial = Trial(path, public, **options)
    wrong = []
    for name, kind in trial.kinds.items():
        for values, verdicts in zip(kind[:3], ("accepted", "refused", "accepted refused"), strict=True):
            found = [(f"{name}={value!r}", trial.verdict(**{name: value})) for value in values]
            wrong += [(value, verdict) for value, verdict in found if verdict not in verdicts.split()]
    assert not wrong


@every_name
def test_odd_numbers_are_read_as_float32(path, public, options):
    """And NaN comes out exactly where it goes in. A delay, and `detached`, keep the dtype of what they are given."""
    trial = Trial(path, public, **options)
    for name in {"x", "xs"} & trial.kinds.keys() - ({"xs"} if path.endswith(("Delay", "Window")) else set()):
        for x in trial.kinds[name].odd:
            if x.dtype.itemsize != 2:
                answer, expected = (jax.tree.leaves(trial.answer({name: value})) for value in (x, x.astype("f4")))
                assert answer
                for y, same in zip(answer, expected, strict=True):
                    np.testing.assert_array_equal(y, same)
                    assert y.dtype == same.dtype == np.float32
                    assert y.shape != x.shape or np.array_equal(np.isnan(y), np.isnan(x))


PARAMETERS = [(e, name) for e in FAMILY for name in e.settings[0] if name not in e.static and e.function]


@pytest.mark.parametrize(("entry", "name"), PARAMETERS, ids=lambda p: getattr(getattr(p, "make", p), "__name__", p))
def test_an_odd_parameter_is_refused_or_obeys_the_formula(entry, name):
    x = np.array([-2.0, -0.75, -0.25, 0.25, 0.75, 2.0], np.float32)
    above = entry.make(**entry.settings[0])._lower_limits.get(name, -np.inf)
    # A negative steepness: the table has |alpha x| for it, the class alpha |x|. They are the same from 0 on.
    least = 0 if entry.make is bs.SoftSign else -np.inf
    for value in (-1.75, -0.625, 0.0, 0.375, 1e3):
        setting = entry.settings[0] | {name: value}
        if value <= above:
            with pytest.raises(ValueError, match=f"expected {name} to be above"):
                entry.make(**setting)
        elif value >= least:
            with np.errstate(all="ignore"):
                expected = np.broadcast_to(entry.dg(x.astype(np.float64), **setting), x.shape)
            slope = np.asarray(entry.make(**setting).surrogate_grad(x))
            assert_close(slope, expected, 32)
