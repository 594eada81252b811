"""A table of the target libraries: how each library interprets a NIR file, and which graphs it supports.

`to_nir` writes a graph with the method and the resistances of the target; `adapt_to_target` then changes the graph so
that the target computes the same result. The rows were measured with the library versions listed in docs/nir.md.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import nir
import numpy as np

from .chain import PRODUCTS, SPIKING, Discretization, GraphWriter, near
from .rounding import lava, rockpool, speck

Rule = tuple[str, Callable[[Any, Discretization], Any], str]
"""A requirement: the names of the node types it applies to, a check of one node, and a description for messages."""


class Target(NamedTuple):
    """How a target library reads a graph.

    Attributes:
      method: how the library discretises the equations, ``"euler"`` or ``"exp"``.
      r: the resistance that makes its neurons follow the NIR equations, ``"1"`` or ``"tau/dt"``.
      nodes: the names of the node types that it reads, separated by spaces.
      recurrent: the names of the neuron types whose recurrent weights it reads, separated by spaces.
      rules: requirements on nodes that the library itself does not check.
      dt: its time step, if it is fixed.
      reset: the ``reset`` and ``reset_delay`` of its neurons. NIR itself can't express a reset by subtraction, so such
        a file is correct for this library only.
      delayed: if True, its neurons emit spikes one step late, like neurons followed by a `Delay` of 1.
      convert: a function that changes a node so that the library computes the same result.
      round: a function that rounds layers to the integers of the chip, see `rounding`. None if there is no chip.
      chain: a regular expression for the sequence of node types; types with recurrent weights are prefixed with
        ``recurrent``.
      option: the argument of ``quantized`` that the chip supports, ``"lowest"`` or ``"bits"``.
      on_chip: a chain for rounding, if the chip is stricter than the library.
    """

    method: str
    r: str
    nodes: str
    recurrent: str = ""
    rules: tuple[Rule, ...] = ()
    dt: float | None = None
    reset: tuple[str, bool] = ("zero", False)
    delayed: bool = False
    convert: Callable[[Any, Discretization], Any] = lambda node, how: node
    round: Callable[..., list[Any]] | None = None
    chain: str = ".*"
    option: str = ""
    on_chip: str = ""


def adapt_to_target(to: GraphWriter):
    """Change a graph so that its target computes the same result, and record unsupported nodes as errors."""
    target, reader, known, chain = to.target, to.reader, to.target.nodes.split(), ""
    _fold(to, "SumPool2d" in known and "AvgPool2d" not in known, ONE_THRESHOLD in target.rules)
    for name, node in to.nodes.items():
        kind = "Threshold" if name.endswith("_potential") else type(node).__name__  # neurons without a reset
        to.owner = to.owners[name]
        reads, is_recurrent = kind in ("Input", "Output", *known), name in to.recurrent
        to.refuse_unless(reads, f"{reader} reads {', '.join(known)}, not {kind}: see docs/nir.md#instead")
        to.refuse_unless(not is_recurrent or kind in target.recurrent.split(), f"{reader} can't read recurrent {kind}")
        for kinds, fits, needed in (ONE_GROUP, *target.rules) if reads else ():
            to.refuse_unless(kind not in kinds.split() or fits(node, to.how), f"{reader} needs {needed}")
        if kind not in ("Input", "Output"):
            chain += f"recurrent {kind} " if is_recurrent else f"{kind} "
        to.nodes[name] = target.convert(node, to.how)
    if not to.refused and not re.fullmatch(target.chain, chain):
        to.refused.append(f"{reader} needs nodes {target.chain!r}, got {chain!r}: see docs/nir.md#instead")
    if target.delayed:
        to.nodes = {name: node for name, node in to.nodes.items() if type(node) is not nir.Delay}


def _fold(to: GraphWriter, sums: bool, ones: bool):
    """Replace average pooling by sum pooling, and unequal thresholds by 1.

    The weights after a sum pool are divided by its window size; the weights before neurons by their thresholds.
    """
    before, summed = None, 1.0
    for name, node in to.nodes.items():
        to.owner = to.owners[name]
        if isinstance(node, PRODUCTS):
            if summed != 1:
                _divide(node, "weight", np.full(len(node.weight), summed))
            before, summed = node, 1.0
        elif sums and isinstance(node, nir.AvgPool2d | nir.SumPool2d):
            to.refuse_unless(not np.any(node.padding), f"{to.reader} ignores the padding of a pool")
            summed *= float(np.prod(node.kernel_size)) if type(node) is nir.AvgPool2d else 1.0
            before, to.nodes[name] = None, nir.SumPool2d(node.kernel_size, node.stride, node.padding)
        elif type(node) is nir.Flatten:
            before = None
        else:
            what = f"{to.reader} supports only sum pooling: add a linear layer or convolution to divide the sum"
            to.refuse_unless(summed == 1, what)
            if ones and before is not None and isinstance(node, SPIKING) and np.all(node.v_threshold > 0):
                each = node.v_threshold.reshape(len(node.v_threshold), -1)[:, 0]
                if np.ptp(each) > 0:
                    for weights in filter(None, (before, to.recurrent.get(name))):
                        _divide(weights, "weight", each)
                    _divide(before, "bias", each)
                    node.v_threshold = np.ones_like(node.v_threshold)
            before = before if isinstance(node, nir.LI | nir.I) else None


def _divide(node: Any, field: str, by: np.ndarray):
    """Divide weights or a bias by one number per neuron or channel."""
    if hasattr(node, field):
        value, node.metadata = getattr(node, field), {}  # the dtype in its metadata no longer applies
        setattr(node, field, (value.T / by).T.astype(value.dtype))


# Requirements of the targets -----------------------------------------------------------------------------------------

FIRE, LEAK, TIMES = "LIF IF CubaLIF", "LIF LI CubaLIF", ("tau", "tau_mem", "tau_syn")


def _uniform(*fields: str) -> Callable[[Any, Discretization], Any]:
    return lambda n, _: all(np.all(near(v, np.ravel(v)[0])) for v in (getattr(n, field, 0.0) for field in fields))


def _own_r(n: Any, how: Discretization) -> Any:
    return np.all(near(n.r, how.r_of(n.tau, n.r)))


def _is_slow(n: Any, how: Discretization) -> Any:
    return all(np.all(getattr(n, field, np.inf) > how.dt) for field in TIMES)


ONE_GROUP: Rule = "Conv1d Conv2d", lambda n, _: n.groups == 1, "one group of channels, since nir.read fails otherwise"
ONE_THRESHOLD: Rule = FIRE, _uniform("v_threshold"), "one threshold for all neurons, or a linear layer before them"
OFF_REST: Rule = FIRE, lambda n, _: np.all(n.v_threshold != 0), "a threshold other than 0, the resting potential"
ABOVE_REST: Rule = FIRE, lambda n, _: np.all(n.v_threshold > 0), "thresholds above 0"
ONE_STEP: Rule = "Delay", lambda n, how: np.all(near(n.delay, how.dt)), "a Delay(features, 1)"
ALL_IN: Rule = "LI", _own_r, "decay_input=False"
NO_DILATION: Rule = "Conv2d", lambda n, _: np.all(np.equal(n.dilation, 1)), "a convolution without dilation"
SLOW: Rule = LEAK, _is_slow, "decays above 0, or above exp(-1) for jaxpike"
UNIFORM: tuple[Rule, ...] = (LEAK, _uniform(*TIMES), "one decay for all neurons"), ONE_THRESHOLD, SLOW
JAXPIKE: tuple[Rule, ...] = (
    *(*UNIFORM, OFF_REST, NO_DILATION, ("LI", _own_r, "decay_input=True")),
    ("Conv2d", lambda n, _: n.padding == "same" or not np.any(n.padding), "padding VALID, or SAME with strides of 1"),
    ("AvgPool2d", lambda n, _: not np.any(n.padding), "average pooling without padding"),
)
SINABS: tuple[Rule, ...] = ALL_IN, ("LIF LI", lambda n, _: n.tau.ndim == 1, "LIF with decay=1.0 and no LI on images")
SPECK: tuple[Rule, ...] = (
    *(ONE_THRESHOLD, NO_DILATION),
    ("Conv2d", lambda n, _: n.weight.shape[-1] == n.weight.shape[-2], "a square kernel"),
    ("Conv2d", lambda n, _: n.padding != "same" or n.weight.shape[-1] % 2, "equal padding on both sides"),
    ("Input", lambda n, _: n.input_type["input"].size == 3, "images, such as (1, 1, features)"),
    ("Flatten", lambda n, _: np.ptp(n.input_type["input"][1:]) == 0, "square images before a flatten"),
    ("SumPool2d", lambda n, _: len({*n.kernel_size, *n.stride}) == 1, "square windows with strides of the same size"),
)


# Conversion of nodes -------------------------------------------------------------------------------------------------


def _for_norse(node: Any, how: Discretization) -> Any:
    """Give neurons without a leak an input gain of 1, since norse ignores their resistance."""
    if type(node) is nir.IF:
        gain = how.gain_of(None, node.r)
        node.r, node.v_threshold = node.r / gain, node.v_threshold / gain
    return node


def _for_jaxpike(node: Any, how: Discretization) -> Any:
    """Write the padding of a convolution as a string, since jaxpike ignores numbers."""
    if type(node) is nir.Conv2d:
        node.padding = "same" if node.padding == "same" else "valid"
    return node


def _for_sinabs(node: Any, how: Discretization) -> Any:
    """Add a zero bias to linear layers, and set the resistance of integrators to 1, as sinabs requires.

    The integrators of sinabs have an input gain of 1.
    """
    if type(node) is nir.Linear:
        return nir.Affine(node.weight, np.zeros(len(node.weight), node.weight.dtype), metadata=node.metadata)
    if type(node) is nir.LI:
        node.r = np.ones_like(node.r)
    if type(node) is nir.IF:
        node.v_threshold = node.v_threshold.astype(np.float32)  # the dtype of the weights, since sinabs does not cast
    return node


def _for_speck(node: Any, how: Discretization) -> Any:
    """Convert as for sinabs, and write the padding of a convolution as numbers."""
    if type(node) is nir.Conv2d and node.padding == "same":
        node.padding = (node.weight.shape[-1] // 2,) * 2
    return _for_sinabs(node, how)


def _for_xylo(node: Any, how: Discretization) -> Any:
    """Set r to tau / dt - 1, and scale the threshold by the decay of the synapse.

    Rockpool computes the time step from r, and its synapse decays the input once more.
    """
    if type(node) is nir.CubaLIF:
        node.r, node.w_in = node.tau_mem / how.dt - 1, np.ones_like(node.w_in)
        node.v_threshold = node.v_threshold * how.decay_of(node.tau_syn)
    return node


# The table -----------------------------------------------------------------------------------------------------------

DENSE, IMAGES, POOLS = "Linear Affine", "Linear Affine Conv2d Flatten", "Linear Affine Conv2d Flatten SumPool2d"
SUBTRACT, LATE, SPYX = ("subtract", False), ("subtract", True), (ABOVE_REST, ONE_STEP)
XYLO, LAVA = (ABOVE_REST,), (*UNIFORM, ABOVE_REST)
# A core of Speck has weights, then neurons, then pooling.
CORE = "(Conv2d|Linear|Affine) L?IF "
ON_SPECK = rf"(Flatten )*({CORE}(\w+Pool2d )*(Flatten )*)*{CORE}"
# Lava's Dense accepts spikes only and must be followed by neurons. Their bias bypasses the synapse, so a CubaLIF or
# recurrent neurons need a linear layer without a bias.
ON_LOIHI = "((Linear|Affine) L?IF |Linear (CubaLIF|recurrent L?IF) )+"
ON_XYLO = "(Linear CubaLIF ){2,}"
# spyx neurons emit spikes one step late. The Delay after each of them expresses this, and is not written.
IN_SPYX = "((Linear|Affine|L?IF Delay) )*"
TARGETS: dict[str | None, Target] = {
    "norse": Target("euler", "1", f"{IMAGES} SumPool2d {FIRE}", "LIF IF", (OFF_REST,), convert=_for_norse),
    "snntorch": Target("euler", "tau/dt", f"{IMAGES} AvgPool2d LIF CubaLIF", "", (ONE_THRESHOLD, ABOVE_REST), 1e-4),
    "spikingjelly": Target("euler", "tau/dt", f"{IMAGES} Conv1d AvgPool2d {FIRE}", "LIF IF", UNIFORM),
    "spyx": Target("euler", "tau/dt", f"{DENSE} LIF IF Delay", "", SPYX, None, LATE, delayed=True, chain=IN_SPYX),
    "jaxpike": Target("exp", "1", f"{IMAGES} AvgPool2d LIF LI", "", JAXPIKE, convert=_for_jaxpike),
    "sparx": Target("exp", "tau/dt", f"{IMAGES} LIF IF LI", "LIF", (ONE_THRESHOLD, ALL_IN)),
    "sinabs": Target("exp", "tau/dt", f"{POOLS} LIF IF LI", "", SINABS, 1.0, SUBTRACT, convert=_for_sinabs),
    "speck": Target(
        "exp", "tau/dt", f"{POOLS} IF", "", SPECK, 1.0, SUBTRACT, False, _for_speck, speck, ON_SPECK, "lowest"
    ),
    "lava": Target("euler", "tau/dt", f"{DENSE} {FIRE}", "LIF IF", LAVA, round=lava, chain=ON_LOIHI, option="bits"),
    "rockpool": Target(
        "exp", "tau/dt", f"{DENSE} CubaLIF", "", XYLO, None, SUBTRACT, False, _for_xylo, rockpool, ".*", "", ON_XYLO
    ),
    None: Target("euler", "1", "CubaLIF"),  # NIR's own definitions
}
