"""What other libraries read, as data: a row says what a library computes of a file, and which nodes it knows.

A graph for one is at first NIR's own, with the method and the resistances that the library takes as they are meant.
`suit` makes of it what the library computes as the same. The rows hold for the versions that docs/nir.md names, where
they are measured.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import nir
import numpy as np

from .chain import LINEAR, SPIKING, Convention, Writer, expect, naming, near

PRODUCTS = LINEAR | nir.Conv1d | nir.Conv2d
INSTEAD = {  # of a node that a library does not know
    nir.LI: "end the network before it, and integrate what comes out",
    nir.I: "end the network before it, and sum what comes out",
    nir.IF: "give it a decay below 1",
    nir.LIF: "put an LI before it",
    nir.Threshold: "give it a reset, and a decay above 0",
    nir.Delay: "leave it out",
    nir.AvgPool2d: "leave it out, for strides in the convolution before it",
    nir.Conv1d: "make it one over two axes, one of them of length 1",
    nir.Conv2d: "make it a linear layer",
    nir.Flatten: "leave it out, for an input of one axis",
}


class Library(NamedTuple):
    """How a library reads.

    Attributes:
      method: how it steps, ``"euler"`` or ``"exp"``.
      r: a resistance with which it computes what is meant, ``"1"`` or ``"tau/dt"``.
      nodes: the kinds that it reads.
      dt: its step, if it has no other.
      reset: that of its neurons, with ``reset_delay``.
      late: whether spikes leave its neurons a step later, as with a `Delay` of 1 behind them.
      recurrent: whether it reads recurrent weights.
      same: the fields of a node in which all its neurons have to be the same.
      change: makes of a node the one that says to the library what the node means.
    """

    method: str
    r: str
    nodes: tuple[type, ...]
    dt: float | None = None
    reset: tuple[str, bool] = ("zero", False)
    late: bool = False
    recurrent: bool = False
    same: tuple[str, ...] = ()
    change: Callable[[Any, Convention], Any] = lambda node, how: node


def suit(to: Writer, reader: str):
    """Make of the graph that is written what a library computes as the same, or raise a ValueError."""
    library = LIBRARIES[reader]
    for name in to.nodes if not library.recurrent else ():
        with naming(to.owners[name]):
            expect(not name.endswith("_recurrent"), f"no recurrent weights, which {reader} does not read", "some")
    if library.late:
        _leave_out_delays(to, reader)
    _fold(to, library)
    known = ", ".join(kind.__name__ for kind in library.nodes)
    for name, node in to.nodes.items():
        kind = nir.Threshold if name.endswith("_potential") else type(node)  # of neurons that don't reset
        with naming(to.owners[name]):
            got = f"{kind.__name__}: {INSTEAD.get(kind, 'leave it out')}"
            expect(kind in (nir.Input, nir.Output, *library.nodes), f"what {reader} reads, {known}", got)
            single = getattr(node, "groups", 1) == 1
            expect(single, "one group of channels, without which nir.read refuses a file", "more")
            for field in library.same:
                value = np.ravel(getattr(node, field, 0.0))
                expect(np.all(near(value, value[0])), f"one {field} for all neurons, as {reader} needs", "several")
            to.nodes[name] = library.change(node, to.how)


def _leave_out_delays(to: Writer, reader: str):
    """Leave out the delays of one step behind neurons, whose spikes are late anyway."""
    for (name, node), (after, delay) in itertools.pairwise(list(to.nodes.items())):
        if isinstance(node, SPIKING):
            late = type(delay) is nir.Delay and np.all(near(delay.delay, to.how.dt))
            with naming(to.owners[name]):
                expect(late, f"a Delay(features, 1) behind it, since spikes leave {reader} a step late", "none")
            del to.nodes[after]
    to.edges = [*itertools.pairwise(to.nodes)]


def _fold(to: Writer, library: Library):
    """Make averages sums, and thresholds 1, by the weights behind and before, where the library reads no others."""
    before, summed = None, 1.0
    for name, node in to.nodes.items():
        if isinstance(node, PRODUCTS):
            if summed != 1:
                _divide(node, "weight", np.full(len(node.weight), summed))
            before = before if name.endswith("_recurrent") else node
            summed = 1.0
        elif type(node) is nir.AvgPool2d and nir.SumPool2d in library.nodes and not np.any(node.padding):
            to.nodes[name] = nir.SumPool2d(node.kernel_size, node.stride, node.padding)
            summed *= float(np.prod(node.kernel_size))
        elif isinstance(node, SPIKING) and "v_threshold" in library.same and before is not None:
            each, loop = node.v_threshold.reshape(len(node.v_threshold), -1)[:, 0], to.nodes.get(f"{name}_recurrent")
            if np.ptp(each) > 0 and np.all(each > 0):
                for weights in filter(None, (before, loop)):
                    _divide(weights, "weight", each)
                _divide(before, "bias", each)
                node.v_threshold = np.ones_like(node.v_threshold)
        if not isinstance(node, PRODUCTS | nir.LI | nir.I):
            before = None
        if not isinstance(node, PRODUCTS | nir.AvgPool2d | nir.Flatten):
            with naming(to.owners[name]):
                expect(
                    summed == 1, "a linear layer or convolution behind an average pool, which is a sum there", "none"
                )


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
        size, padding = np.array(node.weight.shape[2:]), node.padding
        same = padding == "same" or (np.all(2 * np.array(padding) + 1 == size) and np.all(np.array(node.stride) == 1))
        fits = (same or not np.any(padding)) and np.all(np.array(node.dilation) == 1)
        expect(fits, "padding VALID, or SAME with strides of 1, and no dilation, as jaxpike reads", "another")
        node.padding = "same" if same else "valid"
    expect(type(node) is not nir.LI or np.all(near(node.r, 1)), "decay_input=True, as in jaxpike", "False")
    return node


def _for_sinabs(node: Any, how: Convention) -> Any:
    """Give weights a bias, and integrators, which let all in, the resistance that is asked for."""
    if type(node) is nir.Linear:
        return nir.Affine(node.weight, np.zeros(len(node.weight), node.weight.dtype), metadata=node.metadata)
    if type(node) is nir.LI:
        expect(np.all(near(node.r, how.r_of(node.tau, node.r))), "decay_input=False, as in sinabs", "True")
        node.r = np.ones_like(node.r)
    image = type(node) is nir.LIF and node.tau.ndim > 1
    expect(not image, "neurons on images to have decay=1.0, since sinabs fails to read others", "a leak")
    return node


def _for_rockpool(node: Any, how: Convention) -> Any:
    """Say the step by the resistance, tau / dt - 1, and expect potentials that the synapse decays once more."""
    if type(node) is nir.CubaLIF:
        node.r, node.w_in = node.tau_mem / how.dt - 1, np.ones_like(node.w_in)
        node.v_threshold = node.v_threshold * how.decay_of(node.tau_syn)
    return node


DENSE, IMAGES = (nir.Linear, nir.Affine), (nir.Conv2d, nir.Flatten)
ONE_THRESHOLD, ONE_TAU = ("v_threshold",), ("tau", "tau_mem", "tau_syn")
SUBTRACT = ("subtract", False)
OTHERWISE = ("spyx", "sinabs", "rockpool")  # whose files mean something else to NIR
READS = {
    "norse": (*DENSE, *IMAGES, nir.SumPool2d, nir.LIF, nir.IF, nir.CubaLIF),
    "snntorch": (*DENSE, *IMAGES, nir.AvgPool2d, nir.LIF, nir.CubaLIF),
    "spikingjelly": (*DENSE, *IMAGES, nir.Conv1d, nir.AvgPool2d, nir.LIF, nir.IF, nir.CubaLIF),
    "spyx": (*DENSE, nir.LIF, nir.IF),
    "jaxpike": (*DENSE, *IMAGES, nir.AvgPool2d, nir.LIF, nir.LI),
    "sparx": (*DENSE, *IMAGES, nir.LIF, nir.IF, nir.LI),
    "sinabs": (*DENSE, *IMAGES, nir.SumPool2d, nir.LIF, nir.IF, nir.LI),
    "rockpool": (*DENSE, nir.CubaLIF),
}
LIBRARIES = {
    "norse": Library("euler", "1", READS["norse"], recurrent=True, change=_for_norse),
    "snntorch": Library("euler", "tau/dt", READS["snntorch"], dt=1e-4, same=ONE_THRESHOLD),
    "spikingjelly": Library("euler", "tau/dt", READS["spikingjelly"], recurrent=True, same=(*ONE_THRESHOLD, *ONE_TAU)),
    "spyx": Library("euler", "tau/dt", READS["spyx"], reset=("subtract", True), late=True),
    "jaxpike": Library("exp", "1", READS["jaxpike"], same=(*ONE_THRESHOLD, *ONE_TAU), change=_for_jaxpike),
    "sparx": Library("exp", "tau/dt", READS["sparx"], recurrent=True, same=ONE_THRESHOLD),
    "sinabs": Library("exp", "tau/dt", READS["sinabs"], dt=1.0, reset=SUBTRACT, change=_for_sinabs),
    "rockpool": Library("exp", "tau/dt", READS["rockpool"], reset=SUBTRACT, change=_for_rockpool),
}
