"""What other libraries read, as data: a row says what a library computes of a file, and which nodes it knows.

A graph for one is at first NIR's own, with the method and the resistances that the library takes as they are meant.
`suit` makes of it what the library computes as the same. The rows hold for the versions that docs/nir.md names, where
they are measured.
"""

import itertools
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import nir
import numpy as np

from .chain import PRODUCTS, SPIKING, Convention, Writer, expect, near

INSTEAD = {  # of a node that a library does not know
    "IF": "give it a decay below 1, and put an LI before it",
    "LIF": "put an LI before it",
    "Threshold": "make it a LIF with a reset, and a decay above 0",
    "AvgPool2d": "leave it out, for strides in the convolution before it",
    "Conv1d": "make it a linear layer, of flat inputs",
    "Conv2d": "make it a linear layer, of flat inputs",
    "Flatten": "give the network flat inputs, input_shape=(features,)",
}
AT_THE_END = {"LI": "integrate", "I": "sum"}
WITH_A_LEAK = {"IF": "LIF", "I": "LI"}
APART = "no CubaLIF of it and the LI before it: give it a decay below 1, a reset, and no recurrent weights"


class Library(NamedTuple):
    """How a library reads.

    Attributes:
      method: how it steps, ``"euler"`` or ``"exp"``.
      r: a resistance with which it computes what is meant, ``"1"`` or ``"tau/dt"``.
      nodes: the kinds that it reads, by name.
      dt: its step, if it has no other.
      reset: that of its neurons, with ``reset_delay``.
      late: whether spikes leave its neurons a step later, as with a `Delay` of 1 behind them.
      recurrent: the kinds of neurons whose recurrent weights it reads, by name.
      one: the fields of a node in which all its neurons have to be the same, with what they are here.
      needs: how a field has to be, given the step, and what to say of it.
      before: the kinds that may stand before a kind, or before ``"recurrent ..."``, by name; empty if any may.
      change: makes of a node the one that says to the library what the node means.
    """

    method: str
    r: str
    nodes: str
    dt: float | None = None
    reset: tuple[str, bool] = ("zero", False)
    late: bool = False
    recurrent: str = ""
    one: Mapping[str, str] = MappingProxyType({})
    needs: Mapping[str, tuple[Callable[[np.ndarray, float], Any], str]] = MappingProxyType({})
    before: Mapping[str, str] = MappingProxyType({})
    change: Callable[[Any, Convention], Any] = lambda node, how: node


def suit(to: Writer, reader: str):
    """Make of the graph that is written what a library computes as the same, and note what it refuses."""
    library = LIBRARIES[reader]
    known, lacking = library.nodes.split(), bool(to.refused)
    for name in filter(lambda name: name.endswith("_recurrent"), to.nodes):
        kind = type(to.nodes[name.removesuffix("_recurrent")]).__name__
        fits, what = kind in library.recurrent.split(), f"no recurrent weights of {kind}, which {reader} does not read"
        to.refuse_unless(fits, what, "some", to.owners[name])
    if library.late:
        _leave_out_delays(to, reader)
    _fold(to, "SumPool2d" in known and "AvgPool2d" not in known, "v_threshold" in library.one)
    behind, before = dict(itertools.pairwise(_chain(to))), None
    for name, node in to.nodes.items():
        kind = "Threshold" if name.endswith("_potential") else type(node).__name__  # of neurons that don't reset
        after = behind.get(name, "")
        fires = after.endswith("_potential") or isinstance(to.nodes.get(after), nir.LIF | nir.IF)
        fused = fires and "CubaLIF" in known
        apart = kind == "LI" and fused  # the neurons are at fault
        got = APART if apart else f"{kind}: {_instead(kind, known, fused, after == 'output')}"
        refuse_unless = partial(to.refuse_unless, owner=to.owners[after if apart else name])
        reads = kind in ("Input", "Output", *known)
        refuse_unless(reads, f"what {reader} reads, {', '.join(known)}", got)
        if reads:
            single = getattr(node, "groups", 1) == 1
            refuse_unless(single, "one group of channels, without which nir.read refuses a file", "more")
            for field, what in library.one.items():
                value = np.ravel(getattr(node, field, 0.0))
                refuse_unless(np.all(near(value, value[0])), f"one {what}, as {reader} needs", "several")
            for field, (right, what) in library.needs.items():
                holds = not hasattr(node, field) or np.all(right(getattr(node, field), to.how.dt))
                refuse_unless(holds, f"{what}, as {reader} needs", "others")
            here = f"recurrent {kind}" if f"{name}_recurrent" in to.nodes else kind
            fit = library.before.get(here, library.before.get(kind, "")).split()
            what = f"{', '.join(fit)} before {here}, as {reader} needs: weights (Affine: with a bias), LIF, pools"
            refuse_unless(lacking or not (fit and before) or before in fit, what, before)
            with to.noting(to.owners[name]):
                to.nodes[name] = library.change(node, to.how)
        if not name.endswith("_recurrent"):
            before = kind if reads else None  # what is refused says nothing of what is behind it


def _instead(kind: str, known: list[str], fused: bool, last: bool) -> str:
    """Return what to do about a node that a library does not know."""
    if kind == "LIF" and "IF" in known:
        return "train it with decay=1.0, without a leak"
    if WITH_A_LEAK.get(kind) in known or (kind == "I" and fused):
        return "give it a decay below 1"
    if last and kind in AT_THE_END:
        return f"end the network before it, and {AT_THE_END[kind]} what comes out"
    return INSTEAD.get(kind, "leave it out")


def _chain(to: Writer) -> list[str]:
    """Return the names of the nodes in order, without recurrent weights."""
    return [name for name in to.nodes if not name.endswith("_recurrent")]


def _leave_out_delays(to: Writer, reader: str):
    """Leave out the delays of one step behind neurons, whose spikes are late anyway."""
    for name, after in itertools.pairwise(_chain(to)):
        if isinstance(to.nodes.get(name), SPIKING):
            delay = to.nodes[after]
            late = type(delay) is nir.Delay and np.all(near(delay.delay, to.how.dt))
            what = f"a Delay(features, 1) behind it, since spikes leave {reader} a step late"
            to.refuse_unless(late, what, "none", to.owners[name])
            if late:
                del to.nodes[after]
    to.edges = [*itertools.pairwise(to.nodes)]


def _fold(to: Writer, sums: bool, ones: bool):
    """Make averages sums, by whose size the weights behind are divided, and thresholds 1, which divide those before."""
    before, summed = None, 1.0
    for name in _chain(to):
        node = to.nodes[name]
        if isinstance(node, PRODUCTS):
            if summed != 1:
                _divide(node, "weight", np.full(len(node.weight), summed))
            before, summed = node, 1.0
        elif sums and isinstance(node, nir.AvgPool2d | nir.SumPool2d):
            what = "a pool without padding, which this reader ignores"
            to.refuse_unless(not np.any(node.padding), what, "one with it", to.owners[name])
            summed *= float(np.prod(node.kernel_size)) if type(node) is nir.AvgPool2d else 1.0
            before, to.nodes[name] = None, nir.SumPool2d(node.kernel_size, node.stride, node.padding)
        elif type(node) is not nir.Flatten:
            what = "a linear layer or convolution behind an average pool, as for a sum"
            to.refuse_unless(summed == 1, what, "none", to.owners[name])
            if ones and before is not None and isinstance(node, SPIKING) and np.all(node.v_threshold > 0):
                each = node.v_threshold.reshape(len(node.v_threshold), -1)[:, 0]
                if np.ptp(each) > 0:
                    for weights in filter(None, (before, to.nodes.get(f"{name}_recurrent"))):
                        _divide(weights, "weight", each)
                    _divide(before, "bias", each)
                    node.v_threshold = np.ones_like(node.v_threshold)
            before = before if isinstance(node, nir.LI | nir.I) else None
        else:
            before = None


def _divide(node: Any, field: str, by: np.ndarray):
    """Divide what weights or a bias give to each neuron, or channel."""
    if hasattr(node, field):
        value, node.metadata = getattr(node, field), {}  # not of the dtype that it had
        setattr(node, field, (value.T / by).T.astype(value.dtype))


def _for_norse(node: Any, how: Convention) -> Any:
    """Let neurons without a leak take all of their input, as they do in norse whatever the resistance."""
    if type(node) is nir.IF:
        gain = how.gain_of(None, node.r)
        node.r, node.v_threshold = node.r / gain, node.v_threshold / gain
    return node


def _for_jaxpike(node: Any, how: Convention) -> Any:
    """Say in a word how a convolution is padded, without which jaxpike pads none."""
    if type(node) is nir.Conv2d:
        same = node.padding == "same"
        fits = (same or not np.any(node.padding)) and np.all(np.array(node.dilation) == 1)
        expect(fits, "padding VALID, or SAME with strides of 1, and no dilation, as jaxpike reads", "another")
        node.padding = "same" if same else "valid"
    expect(type(node) is not nir.LI or np.all(near(node.r, 1)), "decay_input=True, as in jaxpike", "False")
    padded = type(node) is nir.AvgPool2d and np.any(node.padding)
    expect(not padded, "an average pool without padding, which jaxpike ignores", "one with it")
    return node


def _for_sparx(node: Any, how: Convention) -> Any:
    """Refuse integrators that don't let all in, which sparx can make only of weights right before them."""
    fits = type(node) is not nir.LI or np.all(near(node.r, how.r_of(node.tau, node.r)))
    expect(fits, "decay_input=False, as in sparx and sinabs", "True")
    return node


def _for_sinabs(node: Any, how: Convention) -> Any:
    """Give weights a bias, and integrators, which let all in, the resistance that is asked for."""
    if type(node) is nir.Linear:
        return nir.Affine(node.weight, np.zeros(len(node.weight), node.weight.dtype), metadata=node.metadata)
    image = type(node) in (nir.LIF, nir.LI) and node.tau.ndim > 1
    what = "neurons on images to be LIF with decay=1.0, since sinabs fails to read others"
    expect(not image, what, f"an {type(node).__name__} with a leak")
    if type(node) is nir.LI:
        node = _for_sparx(node, how)
        node.r = np.ones_like(node.r)
    if type(node) is nir.IF:
        node.v_threshold = node.v_threshold.astype(np.float32)  # as weights are, for sinabs casts none
    return node


def _for_speck(node: Any, how: Convention) -> Any:
    """Refuse what no core of Speck computes, and say in numbers how a convolution is padded."""
    kind, size = type(node), np.ravel(getattr(node, "input_type", {}).get("input", ())).tolist()
    expect(kind is not nir.Input or len(size) == 3, "an image, (1, 1, features), and a flatten behind it", tuple(size))
    expect(kind is not nir.Flatten or size[1] == size[2], "square images before a flatten", size[1:])
    square = kind is not nir.SumPool2d or len({*node.kernel_size, *node.stride}) == 1
    expect(square, "a pool of square windows, with strides as large", "another")
    if kind is nir.Conv2d:
        expect(np.all(np.equal(node.dilation, 1)), "no dilation, which sinabs does not send to Speck", node.dilation)
        (height, width), same = node.weight.shape[-2:], node.padding == "same"
        expect(height == width, "a square kernel, as in Speck", (height, width))
        expect(width % 2 or not same, "a kernel of an odd size for padding SAME, alike on both sides", width)
        node.padding = (width // 2, width // 2) if same else node.padding
    return _for_sinabs(node, how)


def _for_rockpool(node: Any, how: Convention) -> Any:
    """Say the step by the resistance, tau / dt - 1, and expect potentials that the synapse decays once more."""
    if type(node) is nir.CubaLIF:
        node.r, node.w_in = node.tau_mem / how.dt - 1, np.ones_like(node.w_in)
        node.v_threshold = node.v_threshold * how.decay_of(node.tau_syn)
    return node


DENSE, IMAGES, SUBTRACT = "Linear Affine", "Linear Affine Conv2d Flatten", ("subtract", False)
ONE_THRESHOLD = {"v_threshold": "threshold for all neurons, or a linear layer before them"}
TIMES = ("tau", "tau_mem", "tau_syn")
ONE_OF_ALL = dict.fromkeys(TIMES, "decay for all neurons") | ONE_THRESHOLD
KEPT = dict.fromkeys(TIMES, (lambda tau, dt: tau > dt, "decays above 0"))
SLOW = {"tau": (lambda tau, dt: tau > dt, "decays above exp(-1), 0.37")}
OFF_REST = {"v_threshold": (lambda v, dt: v != 0, "a threshold other than 0, at which neurons at rest fire here alone")}
ABOVE_REST = {"v_threshold": (lambda v, dt: v > 0, "thresholds above 0")}
OTHERWISE = ("spyx", "sinabs", "speck", "rockpool")  # whose files mean something else to NIR
# A core of Speck has weights, then neurons, then pools.
SPECK = dict.fromkeys(("Conv2d", "Linear", "Affine", "Flatten"), "Input IF SumPool2d Flatten")
SPECK |= {"IF": "Conv2d Linear Affine", "SumPool2d": "IF SumPool2d", "Output": "IF"}
# A Dense of Lava takes spikes and gives them to neurons, whose bias goes past the synapse, and comes before the spikes.
FIRE = "LIF IF CubaLIF"
LAVA = dict.fromkeys(("Linear", "Affine"), f"Input {FIRE}") | dict.fromkeys(("LIF", "IF"), "Linear Affine")
LAVA |= dict.fromkeys(("CubaLIF", "recurrent LIF", "recurrent IF"), "Linear") | {"Output": FIRE}
LIBRARIES: dict[str | None, Library] = {
    "norse": Library(
        "euler", "1", f"{IMAGES} SumPool2d LIF IF CubaLIF", recurrent="LIF IF", needs=OFF_REST, change=_for_norse
    ),
    "snntorch": Library(
        "euler", "tau/dt", f"{IMAGES} AvgPool2d LIF CubaLIF", dt=1e-4, one=ONE_THRESHOLD, needs=ABOVE_REST
    ),
    "spikingjelly": Library(
        "euler", "tau/dt", f"{IMAGES} Conv1d AvgPool2d LIF IF CubaLIF", recurrent="LIF IF", one=ONE_OF_ALL, needs=KEPT
    ),
    "spyx": Library("euler", "tau/dt", f"{DENSE} LIF IF", reset=("subtract", True), late=True, needs=ABOVE_REST),
    "jaxpike": Library(
        "exp", "1", f"{IMAGES} AvgPool2d LIF LI", one=ONE_OF_ALL, needs=OFF_REST | SLOW, change=_for_jaxpike
    ),
    "sparx": Library("exp", "tau/dt", f"{IMAGES} LIF IF LI", recurrent="LIF", one=ONE_THRESHOLD, change=_for_sparx),
    "sinabs": Library("exp", "tau/dt", f"{IMAGES} SumPool2d LIF IF LI", dt=1.0, reset=SUBTRACT, change=_for_sinabs),
    "speck": Library(
        "exp", "tau/dt", f"{IMAGES} SumPool2d IF", 1.0, SUBTRACT, one=ONE_THRESHOLD, before=SPECK, change=_for_speck
    ),
    "lava": Library(
        "euler", "tau/dt", f"{DENSE} {FIRE}", recurrent="LIF IF", one=ONE_OF_ALL, needs=KEPT | ABOVE_REST, before=LAVA
    ),
    "rockpool": Library("exp", "tau/dt", f"{DENSE} CubaLIF", reset=SUBTRACT, needs=ABOVE_REST, change=_for_rockpool),
    None: Library("euler", "1", "CubaLIF"),  # NIR's own
}
