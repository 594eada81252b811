"""The target libraries, as data: what each computes from a file, and what it needs.

`to_nir` writes a graph with the method and the resistances of the target; `adapt_to_target` changes it to one from
which the target computes the same. The rows hold for the versions in docs/nir.md, where they are measured.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import nir
import numpy as np

from .chain import PRODUCTS, SPIKING, Discretization, GraphWriter, near

Rule = tuple[str, Callable[[Any, Discretization], Any], str]
"""The kinds of nodes that a rule is of, by name, whether a node fits, and the words for what is needed."""


class Target(NamedTuple):
    """How a target library reads a graph.

    Attributes:
      method: how it solves the equations, ``"euler"`` or ``"exp"``.
      r: the resistance with which it computes NIR's equations, ``"1"`` or ``"tau/dt"``.
      nodes: the kinds of nodes that it reads, by name.
      recurrent: the kinds of neurons whose recurrent weights it reads.
      rules: what it needs of nodes, and would not check.
      dt: its time step, if it has only one.
      reset: the reset of its neurons, with ``reset_delay``; by subtraction, its files mean something else to NIR.
      delayed: whether spikes leave its neurons one step late, as with a `Delay` of 1 behind them.
      convert: changes a node to one from which the library computes the same.
      chain: a pattern of the kinds of its nodes one after another, ``recurrent`` before those with recurrent weights.
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
    chain: str = ".*"


def adapt_to_target(to: GraphWriter):
    """Change a graph to one from which its target computes the same, and record what the target does not support."""
    target, reader, known, chain = to.target, to.reader, to.target.nodes.split(), ""
    _fold(to, "SumPool2d" in known and "AvgPool2d" not in known, ONE_THRESHOLD in target.rules)
    for name, node in to.nodes.items():
        kind = "Threshold" if name.endswith("_potential") else type(node).__name__  # neurons without a reset
        to.owner = to.owners[name]
        reads, is_recurrent = kind in ("Input", "Output", *known), name in to.recurrent
        to.refuse_unless(reads, f"{reader} reads {', '.join(known)}, not {kind}: see docs/nir.md#instead")
        to.refuse_unless(not is_recurrent or kind in target.recurrent.split(), f"{reader} reads no recurrent {kind}")
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
    """Make averages sums, by whose size the weights behind are divided, and thresholds 1, which divide those before."""
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
            what = f"{to.reader} sums in a pool: put a linear layer or convolution behind it, which divides the sum"
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
    """Divide weights or a bias for each neuron, or channel."""
    if hasattr(node, field):
        value, node.metadata = getattr(node, field), {}  # not of the dtype that it had
        setattr(node, field, (value.T / by).T.astype(value.dtype))


# What targets need ---------------------------------------------------------------------------------------------------

FIRE, LEAK, TIMES = "LIF IF CubaLIF", "LIF LI CubaLIF", ("tau", "tau_mem", "tau_syn")


def _uniform(*fields: str) -> Callable[[Any, Discretization], Any]:
    return lambda n, _: all(np.all(near(v, np.ravel(v)[0])) for v in (getattr(n, field, 0.0) for field in fields))


def _own_r(n: Any, how: Discretization) -> Any:
    return np.all(near(n.r, how.r_of(n.tau, n.r)))


def _is_slow(n: Any, how: Discretization) -> Any:
    return all(np.all(getattr(n, field, np.inf) > how.dt) for field in TIMES)


ONE_GROUP: Rule = "Conv1d Conv2d", lambda n, _: n.groups == 1, "one group of channels, without which nir.read fails"
ONE_THRESHOLD: Rule = FIRE, _uniform("v_threshold"), "one threshold for all neurons, or a linear layer before them"
OFF_REST: Rule = FIRE, lambda n, _: np.all(n.v_threshold != 0), "a threshold other than 0, where neurons rest"
ABOVE_REST: Rule = FIRE, lambda n, _: np.all(n.v_threshold > 0), "thresholds above 0"
ONE_STEP: Rule = "Delay", lambda n, how: np.all(near(n.delay, how.dt)), "a Delay(features, 1)"
ALL_IN: Rule = "LI", _own_r, "decay_input=False"
NO_DILATION: Rule = "Conv2d", lambda n, _: np.all(np.equal(n.dilation, 1)), "a convolution without dilation"
SLOW: Rule = LEAK, _is_slow, "decays above 0, or above exp(-1) for jaxpike"
UNIFORM: tuple[Rule, ...] = (LEAK, _uniform(*TIMES), "one decay for all neurons"), ONE_THRESHOLD, SLOW
JAXPIKE: tuple[Rule, ...] = (
    *(*UNIFORM, OFF_REST, NO_DILATION, ("LI", _own_r, "decay_input=True")),
    ("Conv2d", lambda n, _: n.padding == "same" or not np.any(n.padding), "padding VALID, or SAME with strides of 1"),
    ("AvgPool2d", lambda n, _: not np.any(n.padding), "an average pool without padding"),
)
SINABS: tuple[Rule, ...] = ALL_IN, ("LIF LI", lambda n, _: n.tau.ndim == 1, "decay=1.0 of LIF on images, and no LI")
SPECK: tuple[Rule, ...] = (
    *(ONE_THRESHOLD, NO_DILATION),
    ("Conv2d", lambda n, _: n.weight.shape[-1] == n.weight.shape[-2], "a square kernel"),
    ("Conv2d", lambda n, _: n.padding != "same" or n.weight.shape[-1] % 2, "padding alike on both sides"),
    ("Input", lambda n, _: n.input_type["input"].size == 3, "images, such as (1, 1, features)"),
    ("Flatten", lambda n, _: np.ptp(n.input_type["input"][1:]) == 0, "square images before a flatten"),
    ("SumPool2d", lambda n, _: len({*n.kernel_size, *n.stride}) == 1, "square windows, with strides as large"),
)


# How nodes are changed -----------------------------------------------------------------------------------------------


def _for_norse(node: Any, how: Discretization) -> Any:
    """Let neurons without a leak take all of their input, as they do in norse whatever the resistance."""
    if type(node) is nir.IF:
        gain = how.gain_of(None, node.r)
        node.r, node.v_threshold = node.r / gain, node.v_threshold / gain
    return node


def _for_jaxpike(node: Any, how: Discretization) -> Any:
    """Write the padding of a convolution as a string, without which jaxpike pads none."""
    if type(node) is nir.Conv2d:
        node.padding = "same" if node.padding == "same" else "valid"
    return node


def _for_sinabs(node: Any, how: Discretization) -> Any:
    """Give weights a bias, and integrators, which take all of their input, the resistance that sinabs asks for."""
    if type(node) is nir.Linear:
        return nir.Affine(node.weight, np.zeros(len(node.weight), node.weight.dtype), metadata=node.metadata)
    if type(node) is nir.LI:
        node.r = np.ones_like(node.r)
    if type(node) is nir.IF:
        node.v_threshold = node.v_threshold.astype(np.float32)  # as weights are, for sinabs casts none
    return node


def _for_speck(node: Any, how: Discretization) -> Any:
    """Write the padding of a convolution in numbers, too."""
    if type(node) is nir.Conv2d and node.padding == "same":
        node.padding = (node.weight.shape[-1] // 2,) * 2
    return _for_sinabs(node, how)


def _for_xylo(node: Any, how: Discretization) -> Any:
    """State the step by the resistance, tau / dt - 1, and expect potentials that the synapse decays once more."""
    if type(node) is nir.CubaLIF:
        node.r, node.w_in = node.tau_mem / how.dt - 1, np.ones_like(node.w_in)
        node.v_threshold = node.v_threshold * how.decay_of(node.tau_syn)
    return node


# The table -----------------------------------------------------------------------------------------------------------

DENSE, IMAGES, POOLS = "Linear Affine", "Linear Affine Conv2d Flatten", "Linear Affine Conv2d Flatten SumPool2d"
SUBTRACT, LATE, SPYX = ("subtract", False), ("subtract", True), (ABOVE_REST, ONE_STEP)
# A core of Speck has weights, then neurons, then pools.
CORE = "(Conv2d|Linear|Affine) L?IF "
ON_SPECK = rf"(Flatten )*({CORE}(\w+Pool2d )*(Flatten )*)*{CORE}"
# A Dense of Lava takes spikes and gives them to neurons, whose bias goes past the synapse, and comes before the spikes.
ON_LOIHI = "((Linear|Affine) L?IF |Linear (CubaLIF|recurrent L?IF) )+"
# Spikes leave neurons of spyx one step late, as with the delays behind them, which are left out.
IN_SPYX = "((Linear|Affine|L?IF Delay) )*"
TARGETS: dict[str | None, Target] = {
    "norse": Target("euler", "1", f"{IMAGES} SumPool2d {FIRE}", "LIF IF", (OFF_REST,), convert=_for_norse),
    "snntorch": Target("euler", "tau/dt", f"{IMAGES} AvgPool2d LIF CubaLIF", "", (ONE_THRESHOLD, ABOVE_REST), 1e-4),
    "spikingjelly": Target("euler", "tau/dt", f"{IMAGES} Conv1d AvgPool2d {FIRE}", "LIF IF", UNIFORM),
    "spyx": Target("euler", "tau/dt", f"{DENSE} LIF IF Delay", "", SPYX, None, LATE, delayed=True, chain=IN_SPYX),
    "jaxpike": Target("exp", "1", f"{IMAGES} AvgPool2d LIF LI", "", JAXPIKE, convert=_for_jaxpike),
    "sparx": Target("exp", "tau/dt", f"{IMAGES} LIF IF LI", "LIF", (ONE_THRESHOLD, ALL_IN)),
    "sinabs": Target("exp", "tau/dt", f"{POOLS} LIF IF LI", "", SINABS, 1.0, SUBTRACT, convert=_for_sinabs),
    "speck": Target("exp", "tau/dt", f"{POOLS} IF", "", SPECK, 1.0, SUBTRACT, False, _for_speck, ON_SPECK),
    "lava": Target("euler", "tau/dt", f"{DENSE} {FIRE}", "LIF IF", (*UNIFORM, ABOVE_REST), chain=ON_LOIHI),
    "rockpool": Target("exp", "tau/dt", f"{DENSE} CubaLIF", "", (ABOVE_REST,), None, SUBTRACT, convert=_for_xylo),
    None: Target("euler", "1", "CubaLIF"),  # NIR's own
}
