"""The networks that one library writes to a file and another reads, and the pairs of libraries."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import nir
import numpy as np
from flax import nnx

from brainsurr._nir.targets import TARGETS, Target
from brainsurr.nir import from_nir, to_nir
from brainsurr.nnx import LI, LIF, Delay, SpikingSequential

from ..lib.training import over_time
from . import peers
from .peers import OUT, B, H, N, T

normal = nnx.initializers.normal(0.1)
LATE = {"reset": "subtract", "reset_delay": True}  # the default of snnTorch; spyx, whose spikes are another step later
EXPONENTIAL = {"dt": 1e-3, "method": "exp"}


class Trial(NamedTuple):
    """A network that one library writes to a file and another reads.

    Attributes:
      network: the name of the network.
      writer: the library that writes the file.
      reader: the library that reads it.
      how: the arguments of `to_nir` or `from_nir`; of both if brainsurr writes and reads.
      options: the arguments of the function in `peers`.
      manners: the library whose resets our network uses.
    """

    network: str
    writer: str
    reader: str
    how: Mapping[str, Any] = MappingProxyType({})
    options: Mapping[str, Any] = MappingProxyType({})
    manners: str | None = None

    def about(self) -> dict[str, str]:
        """Return the values that identify the trial, as the table shows them."""
        several = ", several spikes in a step" if self.options == SEVERAL else ""
        how = ", ".join(f"{name}={value!r}" for name, value in self.how.items())
        return {"network": f"{self.network}{several}", "writer": self.writer, "reader": self.reader, "how": how}


class Layers:
    """Creates the layers of a random network for a library: its resets, and delays or synapses if it needs them."""

    def __init__(self, target: Target):
        self.rngs = nnx.Rngs(0)
        self.late, self.synaptic = target.delayed, target is TARGETS["rockpool"]
        self.biases = target is not TARGETS["lava"]  # before synapses and recurrent weights
        self.usual = {"decay": 1.0 if target is TARGETS["speck"] else 0.9, "threshold": 0.7}
        self.reset = dict(zip(("reset", "reset_delay"), target.reset, strict=True))

    def linear(self, inputs: int, outputs: int, **how) -> nnx.Linear:
        return nnx.Linear(inputs, outputs, bias_init=normal, rngs=self.rngs, **how)

    def lif(self, n: int, synapse: dict | None = None, **how) -> list:
        synapse = {"decay": 0.75} if self.synaptic and synapse is None else synapse
        before = [] if synapse is None else [LI(n, **synapse)]
        how = {**self.usual, "rngs": self.rngs, **self.reset, **how}
        return [*before, LIF(n, **how), *([Delay(n, 1)] if self.late else [])]

    def two(self, *first, bias: bool = True, last: list | None = None) -> list:
        """Return two layers of neurons, each after a linear layer."""
        apart = any(isinstance(layer, LI) or getattr(layer, "recurrent", False) for layer in first)
        how = {"use_bias": bias and (self.biases or not apart)}
        last = self.lif(OUT) if last is None else last
        return [self.linear(N, H, **how), *(first or self.lif(H)), self.linear(H, OUT, **how), *last]

    def conv(self, side: int, middle: tuple = (), neurons: dict | None = None, window: tuple = (3, 3), **how) -> list:
        """Return a convolution with neurons, and a last layer for a side of the resulting image."""
        conv = nnx.Conv(2, 4, window, bias_init=normal, rngs=self.rngs, **how)
        last = self.linear(4 * side ** len(window), OUT)
        return [conv, *self.lif(4, **neurons or {}), *middle, _flatten, last, *self.lif(OUT)]


def _flatten(xs):
    return xs.reshape(*xs.shape[:2], -1)


EACH = np.linspace(0.5, 0.95, H).astype(np.float32)
IF = {"decay": 1.0, "threshold": 2.0}
POOL = (functools.partial(nnx.avg_pool, window_shape=(2, 2), strides=(2, 2)),)
KINDS: dict[str, Callable[[Layers], list]] = {
    "`LIF`": lambda h: h.two(),
    "without biases": lambda h: h.two(bias=False),
    "a decay for each": lambda h: h.two(*h.lif(H, decay=EACH)),
    "a threshold for each": lambda h: h.two(*h.lif(H, threshold=EACH)),
    "`decay_input=True`": lambda h: h.two(*h.lif(H, decay_input=True, threshold=0.2)),
    "`decay=1.0`": lambda h: h.two(*h.lif(H, **IF)),
    "`LI`, `LIF`": lambda h: h.two(*h.lif(H, {"decay": 0.75})),
    "both `decay_input=True`": lambda h: h.two(
        *h.lif(H, {"decay": 0.75, "decay_input": True}, decay_input=True, threshold=0.05)
    ),
    "both a decay for each": lambda h: h.two(*h.lif(H, {"decay": EACH[::-1].copy()}, decay=EACH)),
    "`recurrent=True`": lambda h: h.two(*h.lif(H, recurrent=True)),
    "`LI` at the end": lambda h: h.two(last=[LI(OUT, decay=0.9)]),
    "the same, `decay_input=True`": lambda h: h.two(last=[LI(OUT, decay=0.9, decay_input=True)]),
    "linear at the end": lambda h: h.two(last=[]),
    '`reset="none"`': lambda h: h.two(LIF(H, decay=0.9, reset="none")),
    "`Delay(n, 3)`": lambda h: h.two(*h.lif(H), Delay(H, 3)),
    "`Conv`": lambda h: h.conv(8),
    "`Conv`, `decay=1.0`": lambda h: h.conv(8, neurons=IF),
    "`Conv`, a threshold for each": lambda h: h.conv(8, neurons={"threshold": EACH[::8]}),
    "`Conv`, strides": lambda h: h.conv(3, strides=2, padding="VALID"),
    "`Conv`, dilation": lambda h: h.conv(8, kernel_dilation=2),
    "`Conv`, groups": lambda h: h.conv(8, feature_group_count=2),
    "`Conv`, average pool": lambda h: h.conv(4, POOL),
    "the same, `decay=1.0`": lambda h: h.conv(4, POOL, IF),
    "`Conv` over one axis": lambda h: h.conv(8, window=(3,)),
}
SEVERAL = {"single": False}
# Other time steps than the 1e-3 of their files.
OTHER_STEPS = {"snntorch": 1e-4, "spikingjelly": 1e-4, "spyx": 1.0, "sinabs": 1.0, "speck": 1.0}
TRIALS = [Trial(kind, "brainsurr", "brainsurr", {"dt": 1e-3}) for kind in KINDS]
TRIALS += [
    Trial(kind, "brainsurr", peers.package(name), {"dt": OTHER_STEPS.get(name, 1e-3), "reader": name}, manners=name)
    for name in filter(None, TARGETS)
    for kind in KINDS
]
# Networks that they read differently: without a reader name, or with multiple spikes per step.
TRIALS += [
    Trial("`LIF`", "brainsurr", "spyx", {"dt": 1.0}),
    Trial("`LIF`", "brainsurr", "sinabs", {"dt": 1.0, "method": "exp"}),
    Trial("`LIF`", "brainsurr", "sinabs", {"dt": 1.0, "reader": "sinabs"}, SEVERAL, "sinabs"),
    Trial("`Conv`, `decay=1.0`", "brainsurr", "sinabs", {"dt": 1.0, "reader": "speck"}, SEVERAL, "speck"),
    Trial("`LIF`", "brainsurr", "rockpool", EXPONENTIAL),
    Trial("`LI`, `LIF`", "brainsurr", "rockpool", {**EXPONENTIAL, "lossy": True}, manners="rockpool"),
    Trial("`LI`, `LIF`", "brainsurr", "rockpool", {"dt": 1e-3, "reader": "rockpool"}, SEVERAL, "rockpool"),
    Trial("`LI`, `LIF`", "brainsurr", "spyx", {"dt": 1.0, "r": "tau/dt", "lossy": True}, manners="spyx"),
    Trial("`decay=1.0`", "brainsurr", "norse", {"dt": 1e-3}),
    Trial("`decay=1.0`", "brainsurr", "snntorch", {"dt": 1e-4, "r": "tau/dt"}),
    Trial("`recurrent=True`", "brainsurr", "snntorch", {"dt": 1e-4, "r": "tau/dt"}),
    Trial("`Conv`, average pool", "brainsurr", "norse", {"dt": 1e-3}),
    Trial("`LIF`", "brainsurr", "norse", {"dt": 1e-3, "lossy": True}, manners="sinabs"),
    Trial("`LIF`", "brainsurr", "snntorch", {"dt": 1e-4, "lossy": True}, manners="sinabs"),
]
TAU, AT_ONCE = {"r": "tau/dt"}, {"reset_mechanism": "zero", "reset_delay": False}
SINABS, NORSE = {"dt": 1.0, "method": "exp"}, {"dt": peers.NORSE_DT**2}
SUBTRACT = {"reset": "subtract"}
CELLS = ("Leaky", "Synaptic", "RLeaky", "RSynaptic")
SNNTORCH = [  # the suffix of a cell's name, the cells, and the rest as in `READ`
    ("", CELLS, LATE, {}, ["snntorch"]),
    (", `beta=0`", CELLS, LATE, {"beta": 0.0, "threshold": 0.2}, []),
    (", subtract, at once", CELLS[:3], SUBTRACT, {"reset_delay": False}, []),
    (", zero", CELLS[:1], {}, {"reset_mechanism": "zero"}, []),
    (", zero", CELLS[1:], {"reset_delay": True}, {"reset_mechanism": "zero"}, []),
    (", zero, at once", CELLS[:3], {}, AT_ONCE, ["snntorch"]),
    (", none", CELLS, {"reset": "none"}, {"reset_mechanism": "none"}, []),
]
READ = [  # network, writer, how brainsurr reads it, the writer's options, and other readers
    *(
        (f"{cell}{what}", "snntorch", {"dt": 1e-4, **how}, {"cell": cell, **options}, theirs)
        for what, cells, how, options, theirs in SNNTORCH
        for cell in cells
    ),
    ("LIFBoxCell", "norse", NORSE, {}, ["norse"]),  # it writes its time constants times dt
    ("LIFCell, its `w_in` changed", "norse", NORSE, {"cell": "LIFCell"}, []),
    ("IAFCell, its `r` changed", "norse", NORSE, {"cell": "IAFCell"}, []),
    ("LIBoxCell", "norse", NORSE, {"cell": "LIBoxCell"}, []),
    ("LIFNode", "spikingjelly", {"dt": 1e-4}, {}, ["spikingjelly"]),
    ("LIF", "spyx", {"dt": 1.0, **TAU, **LATE}, {}, ["spyx", "snntorch"]),
    ("LIF, zero", "jaxpike", EXPONENTIAL, {}, ["jaxpike"]),
    ("LIF, zero", "sparx", EXPONENTIAL, {}, ["sparx"]),
    ("LIF, SingleSpike", "sinabs", {**SINABS, **SUBTRACT}, {}, ["sinabs"]),
    ("the same, `norm_input=False`", "sinabs", {**SINABS, **TAU, **SUBTRACT}, {"norm_input": False}, ["sinabs"]),
    ("IAF, SingleSpike", "sinabs", {**SINABS, **SUBTRACT}, {"cell": "IAF"}, ["sinabs"]),
    ("ExpLeak", "sinabs", {**SINABS, **TAU}, {"cell": "ExpLeak"}, ["sinabs"]),
    ("LIF", "sinabs", {**SINABS, **SUBTRACT}, SEVERAL, []),
    ("LIFTorch, 1 spike", "rockpool", {**EXPONENTIAL, **TAU, **SUBTRACT}, {}, ["rockpool"]),
    ("the same, its thresholds changed", "rockpool", {**EXPONENTIAL, **TAU, **SUBTRACT}, {"change": True}, []),
]
for network, writer, how, options, readers in READ:
    TRIALS += [Trial(network, writer, "brainsurr", how, options)]
    TRIALS += [Trial(network, writer, reader, {}, options) for reader in readers]


def network(trial: Trial) -> SpikingSequential:
    """Return a brainsurr network with the resets of a library, or those of NIR."""
    return SpikingSequential(KINDS[trial.network](Layers(TARGETS[trial.manners])))


def image_network(side: int, seed: int) -> SpikingSequential:
    """Return a convolution, a pool and a linear layer for Speck; the output neuron that fires most is the class."""
    strides, rngs = side // 7, nnx.Rngs(seed)
    conv = nnx.Conv(1, 8, (3, 3), strides, padding=1, use_bias=False, rngs=rngs)
    last = nnx.Linear(8 * (side // strides // 2) ** 2, 10, use_bias=False, rngs=rngs)
    return SpikingSequential([conv, LIF(8, decay=1.0), *POOL, _flatten, last, LIF(10, decay=1.0)])


def dense_network(size: int, seed: int, synapse: float | None, *, bias: bool = False, **how) -> SpikingSequential:
    """Return two layers of 64 and 10 neurons, each after an `LI` if a synaptic decay is given."""
    layers, rngs = list[Any](), nnx.Rngs(seed)
    for inputs, n in ((size, 64), (64, 10)):
        synapses = [] if synapse is None else [LI(n, decay=synapse)]
        layers += [nnx.Linear(inputs, n, use_bias=bias, rngs=rngs), *synapses, LIF(n, **how)]
    return SpikingSequential(layers)


def inputs(network: str, reader: str | None = None) -> np.ndarray:
    """Return the inputs, with channels last; for Lava they are spikes."""
    image = network.startswith(("`Conv`", "the same, `decay=1.0`"))
    size = (8, 2) if "one axis" in network else (8, 8, 2) if image else (N,)
    xs = np.random.default_rng(2).normal(0.3, 1.0, (T, B, *size)).astype(np.float32)
    return (xs > 0.5).astype(np.float32) if reader == "lava" else xs


def run_network(net: SpikingSequential, xs) -> np.ndarray:
    """Return the outputs of a brainsurr network."""
    return np.asarray(over_time(net, xs))


def differ(expected: np.ndarray, actual: np.ndarray) -> float:
    """Return the fraction of outputs that differ: unequal spikes, or sums that differ by more than their rounding."""
    spikes = np.isin(expected, (0, 1)).all()
    return float(np.mean(actual != expected if spikes else ~np.isclose(actual, expected, rtol=1e-5, atol=1e-4)))


def outputs(trial: Trial, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the outputs of the network in the library that wrote it, and in the library that read the file.

    Raises:
      ValueError: `to_nir` rejects the network.
    """
    path, xs = folder / "net.nir", inputs(trial.network, trial.reader)
    how = dict(trial.how)
    if trial.writer == "brainsurr":
        net = network(trial)
        nir.write(path, to_nir(net, xs.shape[2:], **how))
        expected = run_network(net, xs)
    else:
        with peers.quietly():
            expected = peers.WRITERS[trial.writer](path, xs, **trial.options)
    if trial.reader == "brainsurr":
        net = from_nir(path, "nnx", **how)
        actual = run_network(delayed(net) if trial.writer == "spyx" else net, xs)
    else:
        with peers.quietly():
            theirs = {} if trial.writer != "brainsurr" else trial.options
            actual = peers.READERS[trial.reader](path, np.moveaxis(xs, -1, 2) if xs.ndim > 3 else xs, **theirs)
    return expected, np.asarray(actual)


def delayed(net: SpikingSequential) -> SpikingSequential:
    """Return a network whose neurons emit spikes one step later, like those of spyx."""
    pairs = [[layer, Delay(layer.features, 1)] if isinstance(layer, LIF) else [layer] for layer in net.layers]
    return SpikingSequential([layer for pair in pairs for layer in pair])
