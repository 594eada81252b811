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
      nodes: the kinds that it reads.
      method: how it steps, ``"euler"`` or ``"exp"``.
      r: a resistance with which it computes what is meant, ``"1"`` or ``"tau/dt"``; without a leak the latter.
      dt: its step, if it has no other.
      reset: that of its neurons, with ``reset_delay``.
      late: whether spikes leave its neurons a step later, as with a `Delay` of 1 behind them.
      recurrent: whether it reads recurrent weights.
      same: the fields of a node in which all its neurons have to be the same.
      change: makes of a node the one that says to the library what the node means.
    """

    nodes: tuple[type, ...]
    method: str
    r: str
    dt: float | None = None
    reset: tuple[str, bool] = ("zero", False)
    late: bool = False
    recurrent: bool = False
    same: tuple[str, ...] = ()
    change: Callable[[Any, Convention], Any] = lambda node, how: node


def suit(to: Writer, reader: str):
    """Make of the graph that is written what a library computes as the same, or raise a ValueError."""
    library, product, scale = LIBRARIES[reader], None, 1.0
    if library.late:
        _drop_delays(to, reader)
    for name, node in list(to.nodes.items()):
        with naming(to.owners.get(name, reader)):
            if isinstance(node, PRODUCTS) and not name.endswith("_recurrent"):
                product = _divide(node, np.full(len(node.weight), scale))
                scale = 1.0
            elif type(node) is nir.AvgPool2d and type(node) not in library.nodes and nir.SumPool2d in library.nodes:
                node, scale = (
                    nir.SumPool2d(node.kernel_size, node.stride, node.padding),
                    float(np.prod(node.kernel_size)),
                )
                expect(not np.any(node.padding), f"a pool without padding, which {reader} reads", node.padding)
            elif isinstance(node, SPIKING):
                expect(scale == 1, f"a linear layer behind an average pool, which {reader} takes for a sum", "none")
                loop = to.nodes.get(f"{name}_recurrent")
                expect(library.recurrent or loop is None, f"no recurrent weights, which {reader} does not read", "some")
                if "v_threshold" in library.same and np.ptp(node.v_threshold) > 0:
                    expect(
                        product is not None, f"one threshold for all, or a linear layer before, for {reader}", "several"
                    )
                    each = node.v_threshold.reshape(len(node.v_threshold), -1)[:, 0]
                    for weights in filter(None, [product, loop]):
                        _divide(weights, each)
                    node.v_threshold = np.ones_like(node.v_threshold)
            kind = nir.Threshold if name.endswith("_potential") else type(node)  # of neurons that don't reset
            known = ", ".join(kind.__name__ for kind in library.nodes)
            got = f"{kind.__name__}: {INSTEAD.get(kind)}"
            expect(kind in (nir.Input, nir.Output, *library.nodes), f"what {reader} reads, {known}", got)
            expect(
                getattr(node, "groups", 1) == 1, "one group of channels, without which nir.read refuses a file", "more"
            )
            for field in library.same:
                value = np.asarray(getattr(node, field, 0.0))
                expect(np.all(near(value, np.ravel(value)[0])), f"one {field} for all, which {reader} needs", "several")
            to.nodes[name] = library.change(node, to.how)


def _drop_delays(to: Writer, reader: str):
    """Leave out the delays of one step behind neurons, whose spikes are late anyway."""
    for (name, node), (after, delay) in itertools.pairwise(list(to.nodes.items())):
        if isinstance(node, SPIKING):
            late = type(delay) is nir.Delay and np.all(near(delay.delay, to.how.dt))
            with naming(to.owners[name]):
                expect(late, f"a Delay(features, 1) behind it: spikes leave {reader} a step late", "none")
            del to.nodes[after]
    to.edges = [*itertools.pairwise(to.nodes)]


def _divide(node: Any, by: np.ndarray) -> Any:
    """Divide what a linear layer or a convolution gives to each neuron, or channel."""
    if np.any(by != 1):
        node.metadata = {}  # not of the dtype that it had
        for field in {"weight", "bias"} & vars(node).keys():
            value = getattr(node, field)
            setattr(node, field, (value.T / by).T.astype(value.dtype))
    return node


def _for_norse(node: Any, how: Convention) -> Any:
    """Let neurons without a leak take all of their input, as they do in norse whatever the resistance."""
    if type(node) is nir.IF:
        gain = how.gain_of(None, node.r)
        node.r, node.v_threshold = node.r / gain, node.v_threshold / gain
    return node


def _for_jaxpike(node: Any, how: Convention) -> Any:
    """Say in a word how a convolution is padded, without which jaxpike pads none."""
    if type(node) is nir.Conv2d:
        size, padding = np.array(node.weight.shape[2:]), np.ravel(node.padding)
        same = node.padding == "same" or (np.all(2 * padding + 1 == size) and np.all(np.ravel(node.stride) == 1))
        fits = (same or not np.any(padding)) and node.groups == 1 and np.all(np.ravel(node.dilation) == 1)
        expect(
            fits, "padding that is SAME with strides of 1 or VALID, one group and no dilation, for jaxpike", "another"
        )
        node.padding = "same" if same else "valid"
    if type(node) is nir.LI:
        expect(np.all(near(node.r, 1)), "decay_input=True, as in jaxpike", "False")
    return node


def _for_sinabs(node: Any, how: Convention) -> Any:
    """Give weights a bias, and integrators, which let all in, the resistance that is asked for."""
    if type(node) is nir.Linear:
        return nir.Affine(node.weight, np.zeros(len(node.weight), node.weight.dtype), metadata=node.metadata)
    if type(node) is nir.LI:
        expect(np.all(near(node.r, how.r_of(node.tau, node.r))), "decay_input=False, as in sinabs", "True")
        node.r = np.ones_like(node.r)
    images = type(node) is nir.LIF and node.v_leak.ndim > 1
    expect(not images, "decay=1.0 of neurons on images, where sinabs reads IF alone", "a leak")
    return node


def _for_rockpool(node: Any, how: Convention) -> Any:
    """Say the step by the resistance, tau / dt - 1, and take the input of the synapse for decayed once more."""
    if type(node) is nir.CubaLIF:
        node.r, node.w_in = node.tau_mem / how.dt - 1, np.ones_like(node.w_in)
        node.v_threshold = node.v_threshold * how.decay_of(node.tau_syn)
    return node


DENSE = (nir.Linear, nir.Affine)
LIBRARIES = {
    "norse": Library(
        (*DENSE, nir.Conv2d, nir.SumPool2d, nir.Flatten, nir.LIF, nir.IF, nir.CubaLIF),
        "euler",
        "1",
        recurrent=True,
        change=_for_norse,
    ),
    "snntorch": Library(
        (*DENSE, nir.Conv2d, nir.AvgPool2d, nir.Flatten, nir.LIF, nir.CubaLIF),
        *("euler", "tau/dt"),
        dt=1e-4,
        same=("v_threshold",),
    ),
    "spikingjelly": Library(
        (*DENSE, nir.Conv1d, nir.Conv2d, nir.AvgPool2d, nir.Flatten, nir.LIF, nir.IF, nir.CubaLIF),
        *("euler", "tau/dt"),
        same=("v_threshold", "tau", "tau_mem", "tau_syn"),
        recurrent=True,
    ),
    "spyx": Library((*DENSE, nir.LIF, nir.IF), "euler", "tau/dt", reset=("subtract", True), late=True),
    "jaxpike": Library(
        (*DENSE, nir.Conv2d, nir.AvgPool2d, nir.Flatten, nir.LIF, nir.LI),
        *("exp", "1"),
        same=("v_threshold", "tau"),
        change=_for_jaxpike,
    ),
    "sparx": Library(
        (*DENSE, nir.Conv2d, nir.Flatten, nir.LIF, nir.IF, nir.LI),
        *("exp", "tau/dt"),
        same=("v_threshold",),
        recurrent=True,
    ),
    "sinabs": Library(
        (*DENSE, nir.Conv2d, nir.SumPool2d, nir.Flatten, nir.LIF, nir.IF, nir.LI),
        *("exp", "tau/dt"),
        dt=1.0,
        reset=("subtract", False),
        change=_for_sinabs,
    ),
    "rockpool": Library((*DENSE, nir.CubaLIF), "exp", "tau/dt", reset=("subtract", False), change=_for_rockpool),
}
