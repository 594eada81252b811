"""The networks that one library writes to a file and another reads, and which libraries do."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from flax import nnx

from brainsurr.nir import from_nir, to_nir
from brainsurr.nnx import LI, LIF, Delay, SpikingSequential

from . import peers
from .peers import OUT, B, H, N, T

SIDE = 8  # of an image, of 2 channels
LATE = {"reset": "subtract", "reset_delay": True}  # the default of snnTorch; spyx, whose spikes come a step later still
EXPONENTIAL = {"dt": 1e-3, "method": "exp"}


class Trial(NamedTuple):
    """A network that one library writes to a file and another reads.

    Attributes:
      network: the name of the network.
      writer: the library that writes the file.
      reader: the library that reads it.
      how: the arguments of `to_nir` or `from_nir`; of both if brainsurr writes and reads.
      options: the arguments of `snntorch_writes`.
    """

    network: str
    writer: str
    reader: str
    how: Mapping[str, Any] = MappingProxyType({})
    options: Mapping[str, Any] = MappingProxyType({})


def two_layers(middle: Callable, **how) -> SpikingSequential:
    """Return two layers of neurons, each after a linear layer; ``middle`` makes the first."""
    rngs = nnx.Rngs(0)
    layers = [nnx.Linear(N, H, rngs=rngs), *middle(rngs), nnx.Linear(H, OUT, rngs=rngs)]
    return SpikingSequential([*layers, LIF(OUT, decay=0.9, threshold=0.7, **how)])


def late(net: SpikingSequential) -> SpikingSequential:
    """Return a network whose neurons emit spikes one step later, like those of spyx."""
    pairs = [[layer, Delay(layer.features, 1)] if isinstance(layer, LIF) else [layer] for layer in net.layers]
    return SpikingSequential([layer for pair in pairs for layer in pair])


def lif(**how) -> Callable:
    """Return what makes a layer of neurons with these arguments."""
    return lambda rngs: [LIF(H, decay=0.9, threshold=0.7, rngs=rngs, **how)]


def convolutional(*, pool: bool) -> SpikingSequential:
    """Return a convolution of images, with or without a pool."""
    rngs, side = nnx.Rngs(0), SIDE // 2 if pool else SIDE
    first = [nnx.Conv(2, 4, (3, 3), rngs=rngs), LIF(4, decay=0.9, threshold=0.7, reset="zero")]
    middle = [functools.partial(nnx.avg_pool, window_shape=(2, 2), strides=(2, 2))] if pool else []
    last = [nnx.Linear(4 * side**2, OUT, rngs=rngs), LIF(OUT, decay=0.9, threshold=0.7, reset="zero")]
    return SpikingSequential([*first, *middle, _flatten, *last])


def _flatten(xs):
    return xs.reshape(*xs.shape[:2], -1)


OURS: dict[str, Callable[[], SpikingSequential]] = {
    "reset to zero": lambda: two_layers(lif(reset="zero"), reset="zero"),
    "one decay for each neuron": lambda: two_layers(
        lambda rngs: [LIF(H, decay=np.linspace(0.5, 0.95, H, dtype=np.float32), reset="zero")], reset="zero"
    ),
    "synapses": lambda: two_layers(lambda rngs: [LI(H, decay=0.75), *lif(reset="zero")(rngs)], reset="zero"),
    "recurrent": lambda: two_layers(lif(reset="zero", recurrent=True), reset="zero"),
    "convolution": lambda: convolutional(pool=False),
    "convolution, average pool": lambda: convolutional(pool=True),
    "reset by subtraction": lambda: two_layers(lif(), reset="subtract"),
    "reset by subtraction, late": lambda: two_layers(lif(reset_delay=True), reset_delay=True),
    "reset by subtraction and spikes, late": lambda: late(two_layers(lif(reset_delay=True), reset_delay=True)),
}
SNNTORCH, NORSE = {"dt": peers.SNNTORCH_DT}, {"dt": peers.NORSE_DT}
TAU = {"r": "tau/dt"}
AT_ONCE = {"reset_mechanism": "zero", "reset_delay": False}
BOTH = {"snntorch": SNNTORCH, "norse": NORSE}
OF_TAU = {"snntorch": {**SNNTORCH, **TAU}, "norse": NORSE}
LOSSY = {"lossy": True}
WRITTEN = {  # by brainsurr, for whom and how
    "reset to zero": {**BOTH, "jaxpike": EXPONENTIAL, "spyx": {"dt": 1.0}},
    "one decay for each neuron": OF_TAU,
    "synapses": OF_TAU,
    "recurrent": OF_TAU,
    "convolution": BOTH,
    "convolution, average pool": BOTH,
    "reset by subtraction": {reader: {**how, **LOSSY} for reader, how in BOTH.items()},
    "reset by subtraction and spikes, late": {"spyx": {"dt": 1.0, **TAU, **LOSSY}},
}
READ = [  # network, writer, how brainsurr reads it, the writer's options, and who reads it, too
    ("Leaky, zero, at once", "snntorch", SNNTORCH, AT_ONCE, ["snntorch"]),
    ("Leaky", "snntorch", {**SNNTORCH, **LATE}, {}, ["snntorch"]),
    ("Synaptic", "snntorch", {**SNNTORCH, **LATE}, {"synaptic": True}, ["snntorch"]),
    ("RLeaky, zero, at once", "snntorch", SNNTORCH, {"recurrent": True, **AT_ONCE}, ["snntorch"]),
    ("LIFBoxCell", "norse", {"dt": peers.NORSE_DT**2}, {}, ["norse"]),  # it writes its time constants times dt
    ("LIF", "spyx", {"dt": 1.0, **TAU, **LATE}, {}, ["spyx", "snntorch"]),
    ("LIF, zero", "jaxpike", EXPONENTIAL, {}, ["jaxpike"]),
]
TRIALS = [
    Trial(network, "brainsurr", "brainsurr", {**NORSE, **(LOSSY if "subtraction" in network else {})})
    for network in OURS
]
TRIALS += [Trial(n, "brainsurr", reader, how) for n, readers in WRITTEN.items() for reader, how in readers.items()]
for network, writer, how, options, readers in READ:
    TRIALS += [Trial(network, writer, "brainsurr", how, options)]
    TRIALS += [Trial(network, writer, reader, {}, options) for reader in readers]


def inputs(network: str) -> np.ndarray:
    """Return what goes in, channels last."""
    size = (SIDE, SIDE, 2) if network.startswith("convolution") else (N,)
    return np.random.default_rng(2).normal(0.3, 1.0, (T, B, *size)).astype(np.float32)


def run_network(net: SpikingSequential, xs) -> np.ndarray:
    """Return what comes out of a network of ours."""
    return np.asarray(net(net.initialize_carry(xs.shape[1:]), xs)[1])


def outputs(trial: Trial, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return what comes out of the network where it was written, and of the file where it is read."""
    import nir

    path, xs = folder / "net.nir", inputs(trial.network)
    how, read_options = dict(trial.how), {}
    if trial.writer == "brainsurr":
        net = OURS[trial.network]()
        expected = run_network(net, xs)
        nir.write(path, to_nir(net, xs.shape[2:], **how))
        read_options = {"dt": how["dt"], "method": how.get("method", "euler")}
    else:
        with peers.quietly():
            expected = peers.WRITERS[trial.writer](path, xs, **trial.options)
        read_options = how
    if trial.reader == "brainsurr":
        loaded = from_nir(path, "nnx", **read_options)
        actual = run_network(late(loaded) if trial.writer == "spyx" else loaded, xs)
    else:
        with peers.quietly():
            actual = peers.READERS[trial.reader](path, np.moveaxis(xs, -1, 2) if xs.ndim > 3 else xs)
    return expected, np.asarray(actual)
