"""Measure what Loihi's integers cost: digits in Lava before and after training with rounding, and other simulators.

``python -m benchmarks.nir.loihi --out benchmarks/results/loihi`` with the variables LAVA, SANAFE and NENGO_LOIHI, each
the Python of an environment in which that tool is installed; docs/nir.md shows the result.
"""

import os
import subprocess
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
import optax
from flax import nnx

from brainsurr import encoders
from brainsurr.nir import quantized, to_nir
from brainsurr.nnx import LIF, SpikingSequential

from ..digits import task
from ..lib import results
from ..lib.study import arguments
from ..lib.training import train_network
from . import peers, trials

STEPS, EPOCHS, MORE, BATCH, RATE, LATER = 16, 12, 6, 64, 2e-3, 5e-4
SEEDS, BITS = range(3), (8, 4, 2)
SIMULATORS = {"sanafe": ("SANAFE", ()), "nengo-loihi": ("NENGO_LOIHI", ("nengo", "numpy"))}


def network(seed: int) -> SpikingSequential:
    """Return 64-64-10 neurons; the digit is the one that fires most."""
    rngs = nnx.Rngs(seed)
    pairs = [(nnx.Linear(64, n, rngs=rngs), LIF(n, decay=0.9, reset="zero")) for n in (64, 10)]
    return SpikingSequential([layer for pair in pairs for layer in pair])


def spikes(net: SpikingSequential, xs, bits: int | None = None) -> jax.Array:
    """Return the spikes of the last layer, in floats or in integers."""
    net = net if bits is None else quantized(net, reader="lava", bits=bits)
    return net(net.initialize_carry(xs.shape[1:]), xs)[1]


def trained(net: SpikingSequential, known, key, *, epochs: int, rate: float, bits: int | None = None):
    """Return a network trained on spikes that are drawn anew at each step."""

    def logits(net, images, key):
        return spikes(net, encoders.rate(images, STEPS, key=key), bits).sum(0)

    how = {"epochs": epochs, "batch": BATCH, "optimizer": optax.adam(rate)}
    return train_network(net, logits, key, *known, **how)[0]


def digits(seed: int, folder: Path):
    """Yield, for floats and each number of bits, before and after training with rounding, what Lava makes of it."""
    import nir

    known, (images, labels) = task.load()
    first, second, third = jax.random.split(jax.random.key(seed), 3)
    xs, labels = encoders.rate(images, STEPS, key=third), np.asarray(labels)
    before = trained(network(seed), known, first, epochs=EPOCHS, rate=RATE)
    nets = {how: trained(before, known, second, epochs=MORE, rate=LATER, bits=how) for how in (None, *BITS)}
    for bits, how in ((None, None), *((n, how) for n in BITS for how in (None, n))):
        net, path = nets[how], folder / "digits.nir"
        nir.write(path, to_nir(net, (64,), dt=peers.LAVA_DT, reader="lava"))
        there, floats, here = peers.lava_reads(path, xs, bits=bits), spikes(net, xs), spikes(net, xs, bits)
        yield {
            "seed": seed,
            "bits": bits,
            "trained": how,
            "accuracy": float(np.mean(there.sum(0).argmax(-1) == labels)),
            "floats": float(np.mean(there != floats)),
            "here": float(np.mean(there != here)),
        }


def simulated(tool: str, folder: Path) -> dict:
    """Return the share of spikes that another simulator of Loihi computes otherwise than we, of the same integers."""
    variable, others = SIMULATORS[tool]
    trial = next(t for t in trials.TRIALS if t.reader == "lava" and t.network == "without biases")
    net, xs = trials.network(trial), trials.inputs(trial.network, "lava")[:, :2]
    arrays, held = {"xs": xs}, quantized(net, reader="lava").layers
    for i, (weights, neurons) in enumerate(zip(held[::2], held[1::2], strict=True)):
        arrays |= {f"w{i}": np.asarray(weights.kernel[...]).T, f"vth{i}": np.floor(neurons.threshold[...])}
        arrays |= {f"dv{i}": np.round(4096 * (1 - np.asarray(neurons.decay[...]))), f"du{i}": 4096}
    np.savez(folder / "integers.npz", **arrays)
    python, script = os.environ[variable], Path(__file__).with_name("simulators.py")
    command = [python, script, tool, folder / "integers.npz", folder / "spikes.npy"]
    subprocess.run(command, check=True, capture_output=True)
    there, here = np.load(folder / "spikes.npy"), np.asarray(spikes(net, xs, 8))
    assert here.any()
    versions = peers.versions(python, tool, *others)
    return {"tool": tool, "outputs": here.size, "differ": float(np.mean(there != here)), "versions": versions}


def main(argv=None):
    """Measure, and write the result."""
    args = arguments("nir.loihi", __doc__, argv)
    start, about = time.perf_counter(), results.environment()
    with tempfile.TemporaryDirectory() as folder:
        about["digits"] = [row for seed in SEEDS for row in digits(seed, Path(folder))]
        about["simulators"] = [simulated(tool, Path(folder)) for tool in SIMULATORS]
    about["lava"] = peers.versions(os.environ["LAVA"], "lava-nc", "nir", "numpy")
    results.write(args.out / "result.json", about | {"seconds": time.perf_counter() - start})


if __name__ == "__main__":
    main()
