"""The values that `test_bad_input.py` tries, by kind of argument."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import brainstate
import flax
import jax
import jax.numpy as jnp
import nir
import numpy as np
from dtypes import why_no_float16

import brainsurr as bs
from brainsurr import neurons


class Kind(NamedTuple):
    """Values to try.

    Attributes:
      good: must be accepted. The others are tried among the first good value of each other argument. If empty, the
        default of the argument is good.
      bad: must be refused.
      odd: may be refused.
    """

    good: tuple
    bad: tuple = ()
    odd: tuple = ()


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


def kind(*good, but="", bad=(), odd=()):
    """Make a kind, for which all junk is bad but that named."""
    return Kind(good, (*(value for name, value in JUNK.items() if name not in but.split()), *bad), tuple(odd))


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
NO_TREE_OF_BOUNDS = {}, {"beta": (0.0, 1.0)}, {"alpha": {"beta": (0.0, 1.0)}}, [(0.0, 1.0)], (0.0, 1.0, 2.0)


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
PROBABILITY = kind(bs.Sigmoid(2.0), bad=(bs.Sigmoid, bs.ReluGrad(), 0.5 * bs.Sigmoid()))
SPIKE_FN = kind(but="function", bad=(bs.Sigmoid, lambda x: None, lambda x: "a", lambda x: jnp.zeros(7)))
DRAWN = kind(lambda *_: jnp.full((3, 3), 0.25), but="function class")
NOT_DRAWN = lambda *_, **__: jnp.zeros(7), lambda *_: jnp.zeros(()), lambda *_: None
NO_BLOCKS = lambda c, x: None, lambda c, x: x, lambda c, x: (c, x[:-1]), lambda c, x: (c, x.sum())
NO_FLOAT = jnp.int32, "int8", bool, jnp.complex64, np.str_, 3

# Inputs, and states that do not fit them.
XS, START = jnp.asarray(filled(4, 2, 3)), jnp.zeros((2, 3))
SEQUENCE = array(4, 2, 3, bad=(filled(), filled(5), filled(4, 2, 1), filled(4, 2, 4), filled(4, 2, 3, 3)))
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
NO_GRAPHS += [nir.NIRGraph({}, [], type_check=False), "no/such/file.nir", "", __file__]
NOT_IN_NIR = [abs, bs.nnx.ALIF(2), bs.nnx.LIF(2, spike_fn=abs), flax.nnx.LayerNorm(2, rngs=flax.nnx.Rngs(0))]
NO_NETWORKS = [*(bs.nnx.SpikingSequential([layer]) for layer in NOT_IN_NIR), bs.nnx.LIF(2), bs.nnx.SpikingSequential]
NO_NETWORKS += [bs.linen.SpikingSequential([flax.linen.Dense(2)]), brainstate.nn.Linear(2, 2), "net.nir"]

OF_THE_HOST = Kind(())  # an argument that is the framework's own, and not given
# By the name of an argument, or the type of its default. Words before it are of the path to the public name, of the
# names of its base classes, or an option that is on; the entry that has most of them decides.
KINDS: dict[str, Kind] = {
    "bool": FLAG,
    "int": kind(bad=NO_COUNT),
    "str": WORD,
    "float": kind(bad=NO_NUMBER, odd=NUMBERS + NOT_FINITE),
    **{f"{module} float": FINITE for module in ("neurons", "nnx", "linen", "brainstate")},
    "linen parent": OF_THE_HOST,
    "linen name": OF_THE_HOST,
    "wrt": OF_THE_HOST,
    # Surrogates.
    "x": array(2, 3),
    "detached s": array(2, 3),
    "surrogate": SURROGATE,
    "surrogate_init": SURROGATE,
    "random surrogate": PROBABILITY,
    "random surrogate_init": PROBABILITY,
    "spike surrogate": PROBABILITY,
    "key": kind(KEY, jax.random.PRNGKey(0), but="key", bad=(jax.random.split(KEY), 0, np.zeros(2, np.uint32))),
    # Neurons and layers.
    "features": kind(3, np.int64(3), bad=NO_COUNT),
    "brainstate features": kind(3, bad=(*NO_COUNT, (-1, 3), (2.0, 3), (True, 3), ("a", 3), (2, 0), ())),
    "decay": RATE,
    "adaptation_decay": RATE,
    "spike_fn": SPIKE_FN,
    "reset_delay": FLAG,
    "reset_grad": FLAG,
    "learnable": kind("decay", ["decay"], (), bad=NO_NAMES),
    "SpikingActivation learnable": kind("alpha", ["alpha"], (), bad=NO_NAMES),
    "bounds": bounds("decay"),
    "SpikingActivation bounds": bounds("alpha"),
    "carry_init": kind(but="function class", bad=NOT_DRAWN),
    "recurrent_kernel_init": DRAWN,
    "recurrent recurrent_kernel_init": DRAWN._replace(bad=(*DRAWN.bad, *NOT_DRAWN)),
    "param_dtype": kind(jnp.float32, "float32", but="class", bad=NO_FLOAT, odd=(jnp.bfloat16, float)),
    "state_dtype": kind(jnp.float32, but="class", bad=(jnp.complex64, np.str_, 3), odd=(jnp.bfloat16, jnp.int8, bool)),
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
    # Networks.
    **{f"{host} layers": layers(getattr(bs, host)) for host in ("nnx", "linen", "brainstate")},
    "nnx net": kind(NNX),
    "linen net": kind(LINEN.bind(VARIABLES), bad=(LINEN,)),
    "brainstate net": kind(BRAINSTATE),
    "brainstate unroll net": kind(Fresh(lambda: network(bs.brainstate)), but="function"),
    "model": kind(NNX),
    "brainstate model": kind(BRAINSTATE),
    "module": kind(LINEN),
    "variables": Kind((VARIABLES,)),
    "check_gradients variables": Kind((VARIABLES,), ({}, {"n": 1}, LINEN, LINEN.bind(VARIABLES))),
    "nnx loss_fn": loss(lambda net: net(START, XS)[1].sum()),
    "linen loss_fn": loss(lambda variables: LINEN.apply(variables, START, XS)[1].sum()),
    "brainstate loss_fn": loss(lambda: BRAINSTATE(XS).sum()),
    # Functions of no framework.
    "block": kind(lambda c, x: (c, x), but="function", bad=NO_BLOCKS),
    "unroll carry": kind(START, but="None dictionary key"),
    "unroll xs": kind(XS, but="key", bad=(filled(), (), {"a": filled(4, 1), "b": filled(3, 1)})),
    **{f"{host} unroll carry": CARRY for host in ("nnx", "linen")},
    **{f"{host} unroll xs": SEQUENCE for host in ("nnx", "linen", "brainstate")},
    "block_size": kind(1, 3, np.int64(2), bad=NO_COUNT),
    "reduce": kind(None, "mean", "max", "last", bad=WORD.bad),
    "params": Kind(({"w": jnp.float32(2.0)},), (None, "a", {}, [], {"w": 1})),
    "check_gradients loss_fn": loss(lambda p: bs.Arctan()(XS * p["w"]).sum(), "function", [lambda p: jnp.inf]),
    "spike_fns": kind({"f": bs.Arctan()}, bad=[{"f": value} for value in (None, "a", 3, bs.Sigmoid, np.ones(2))]),
    "diagnose loss_fn": loss(lambda fns: fns["f"](XS).sum(), "function", [lambda fns: 1.0]),
    "library": kind("snntorch", "SNNTorch", bad=("snntorc", "", "brainsurr", "SNNTORCH ", 3, True, np.zeros(2))),
    "equivalent name": kind("fast_sigmoid", bad=("fast_sigmoi", "", 3, True, np.zeros(2))),
    "slope": kind(25.0, bad=(True, 1j), odd=(math.nan, 0.0, -1.0)),
    "optim bounds": kind({"alpha": (0.0, 1.0)}, None, bad=[*NO_TREE_OF_BOUNDS, *({"alpha": p} for p in NO_BOUNDS)]),
    "schedule": loss(lambda n: 0.5 * n.astype(float), bad=[lambda n: [None]]),
    "update": Kind((jnp.float32(0.25),), (), (jnp.float32(math.nan), jnp.float32(math.inf))),
    "source": kind(tree(), bad=({}, [], *NO_TREES), odd=TREES),
    "target": kind(tree(), but="None", bad=NO_TREES, odd=TREES),
    "transposed": kind(None, (), bad=("layers.0.kernel", "kernel", ("bias",))),
    "framework": kind("nnx", "linen", bad=("equinox", "", "NNX", 3, np.zeros(2))),
    "to_nir net": kind(bs.nnx.SpikingSequential([bs.nnx.LIF(2, reset="zero")]), bad=NO_NETWORKS),
    "to_nir input_shape": kind((2,), [2], bad=((), (0,), (-1,), (2.5,), (True,), (2, math.nan), np.ones((2, 2)), 2)),
    "graph": kind(graph(), bad=NO_GRAPHS),
    "host": WORD._replace(good=("nnx", "linen", "brainstate")),
    "r": WORD,
    "reset": WORD,
    "from_nir spike_fn": kind(None, bs.Arctan(), but="function"),
    "dt": kind(0.5, 1.0, bad=(0, 0.0, -1.0, math.nan, math.inf, True, np.ones(2), 1j), odd=(np.float64(0.5),)),
    # Pictures.
    "surrogates": Kind(((bs.Sigmoid(),), (bs.Sigmoid(), bs.Arctan())), (("a",), (), (3,), (None,))),
    "plot alpha": kind([0.25, 0.5], (1.0,), bad=(0.1, [], [None], ["a"], [1j], [True], [np.ones(3)], math.nan)),
    "xlim": kind((-3.0, 3.0), [-1, 2], bad=((1.0, 1.0), (2.0, 1.0), (math.nan, 1.0), (0.0, math.inf), (0.0,), 3.0)),
    "axes": kind(None, bad=(3,)),
    "unit": kind("ms", but="text", bad=(3,)),
    "v": array(4, 3, bad=(filled(), filled(2, 2, 2))),
    "spikes": array(4, 3, bad=(filled(), filled(2, 2, 2))),
    "plot threshold": kind(None, 1.0, bad=(1j, True, np.ones(3))),
}
