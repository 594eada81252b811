"""A LIF layer over time against what it takes to move its inputs and outputs: 256 neurons, T = 100."""

import jax
import jax.numpy as jnp
import numpy as np

from brainsurr.nnx import LIF

from ...lib.report import at_most, table
from . import compiled, seconds, timed

MOVE = "an array read and written"
# How many arrays must be read or written, at the least: the inputs and the spikes; with gradient also the slopes, which
# the forward pass writes and the backward pass reads, the cotangents, and the gradients.
ARRAYS = {"forward": 2, "with gradient": 6}


def measure(quick):
    steps, batch, neurons, rounds = (10, 8, 16, 2) if quick else (100, 1024, 256, 15)
    layer = LIF(neurons)
    rng, shape = np.random.default_rng(0), (steps, batch, neurons)
    xs, cotangents = (jnp.asarray(rng.standard_normal(shape, np.float32)) for _ in range(2))
    carry = layer.initialize_carry(shape[1:])

    def spikes(xs):
        return layer(carry, xs)[1]

    def gradient(xs, cotangents):
        ys, pullback = jax.vjp(spikes, xs)
        return ys, pullback(cotangents)[0]

    programs = {
        MOVE: compiled(lambda xs: xs + 1, xs),
        "forward": compiled(spikes, xs),
        "with gradient": compiled(gradient, xs, cotangents),
    }
    return {"shape": list(shape), "platform": jax.devices()[0].platform, "runs": timed(programs, rounds)}


def ratios(result):
    """Return the time of the layer over that of moving its arrays, by pass."""
    times = {run["name"]: run["time"]["median"] for run in result["runs"]}
    return {name: times[name] / (times[MOVE] * arrays / 2) for name, arrays in ARRAYS.items()}


def claims(result):
    """Claim nothing of a CPU, which runs the loop on one thread and fills what it writes with zeros before."""
    if result["platform"] == "cpu":
        return []
    why = "a kernel for each time step, which also reads and writes the potential"
    return [at_most(1.3, f"LIF over time, {n} / moving its arrays", r, why=why) for n, r in ratios(result).items()]


def report(result):
    over = {name: f"{ratio:.2f}" for name, ratio in ratios(result).items()}
    rows = [(run["name"], seconds(run["time"]), over.get(run["name"], "")) for run in result["runs"]]
    return table((" x ".join(map(str, result["shape"])), "time", "/ moving its arrays"), rows)
