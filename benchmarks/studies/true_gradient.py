"""True gradient: the surrogate gradient and that of the expected loss, in networks so small that both are exact.

Gygax & Zenke 2025 ("Elucidating the theoretical underpinnings of surrogate gradient learning in spiking neural
networks") ask where a surrogate gradient points if neurons fire at random. Here a neuron fires with the probability
sigmoid(4 (v - threshold)), a function of its potential. Two layers of two neurons for three steps have 4096 patterns of
spikes, so the expectation is a sum over them: of probability times loss, whose derivative is the true gradient; and of
probability times the surrogate gradient, taken with these spikes. The report has the share of weights at which the two
have the same sign, and the cosine of the angle between them, over random networks and inputs.
"""

import itertools
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from ..lib.report import table
from ..lib.study import Runs, arguments, finished, of_seeds, rows
from .choice import GRID
from .shapes import SHAPES, Call

INPUTS, NEURONS, LAYERS, STEPS = 3, 2, 2, 3
DECAY, STEEPNESS = 0.9, 4.0
NETWORKS = 20  # of each seed
BITS = LAYERS * NEURONS * STEPS
PATTERNS = np.array(np.unravel_index(np.arange(2**BITS), (2,) * BITS), np.float32).T
PATTERNS = PATTERNS.reshape(-1, STEPS, LAYERS, NEURONS)
KEY, MEASURED = ("call", "seed"), ("sign", "cosine")


def problem(key):
    """Draw weights and inputs ``[time, features]``; the loss is the squared distance of the readout from a target."""
    keys = jax.random.split(key, LAYERS + 2)
    sizes = (INPUTS,) + (NEURONS,) * LAYERS + (1,)
    weights = [
        1.5 * jax.random.normal(key, size) / jnp.sqrt(size[0])
        for key, size in zip(keys[1:], itertools.pairwise(sizes), strict=True)
    ]
    return weights, jax.random.bernoulli(keys[0], 0.5, (STEPS, INPUTS)).astype(jnp.float32)


def loss(weights, xs, pattern, spike):
    """Run the network with given spikes; return its loss and the log probability of the spikes.

    Args:
      weights: of each layer and of the readout.
      xs: inputs over time.
      pattern: the spikes ``[time, layers, neurons]``.
      spike: ``spike(x, s)``, the spike ``s`` with a derivative in ``x``, potential minus threshold.
    """

    def step(potentials, now):
        x, spikes = now
        after, log_probability = [], 0.0
        for v, kernel, s in zip(potentials, weights[:-1], spikes, strict=True):
            margin = DECAY * v + x @ kernel - 1
            log_probability += jax.nn.log_sigmoid((2 * s - 1) * STEEPNESS * margin).sum()
            x = spike(margin, s)
            after.append(margin + 1 - x)  # reset by subtraction
        return jnp.stack(after), ((x @ weights[-1])[0], log_probability)

    start = jnp.zeros((LAYERS, NEURONS))
    _, (outputs, log_probabilities) = jax.lax.scan(step, start, (xs, jnp.asarray(pattern)))
    return (outputs.sum() - 1) ** 2, log_probabilities.sum()


def expected_loss(weights, xs):
    """Sum over all patterns: its derivative is the true gradient, for the spikes do not depend on the weights."""
    losses, logs = jax.vmap(lambda pattern: loss(weights, xs, pattern, lambda x, s: s))(PATTERNS)
    return jnp.sum(jnp.exp(logs) * losses)


def expected_surrogate_gradient(surrogate, weights, xs):
    """Return the surrogate gradient of the loss, averaged over the patterns with their probabilities."""

    def spike(x, s):
        g = surrogate.surrogate_fun(x)
        return g + jax.lax.stop_gradient(s - g)

    def one(pattern):
        gradient, log_probability = jax.grad(loss, has_aux=True)(weights, xs, pattern, spike)
        return jax.tree.map(lambda leaf: jnp.exp(log_probability) * leaf, gradient)

    return jax.tree.map(lambda leaf: leaf.sum(0), jax.vmap(one)(PATTERNS))


@partial(jax.jit, static_argnames="networks")
def agreement(surrogate, seed, networks=NETWORKS):
    """Return the share of hidden weights with the right sign, and the mean cosine, over random networks."""

    def one(key):
        weights, xs = problem(key)
        true, ours = jax.grad(expected_loss)(weights, xs), expected_surrogate_gradient(surrogate, weights, xs)
        true, ours = (jnp.concatenate([leaf.ravel() for leaf in tree[:-1]]) for tree in (true, ours))
        matter = jnp.abs(true) > 1e-4 * jnp.abs(true).max()  # an input that never fires has a gradient of 0
        same = (jnp.sign(true) == jnp.sign(ours)) & matter
        cosine = true @ ours / (jnp.linalg.norm(true) * jnp.linalg.norm(ours) + 1e-12)
        return same.sum() / matter.sum(), cosine

    sign, cosine = jax.lax.map(one, jax.random.split(jax.random.key(seed), networks))
    return {"sign": sign.mean(), "cosine": cosine.mean()}


def main(argv=None):
    """Compare every call of the grid."""
    args = arguments("studies.true_gradient", __doc__, argv, quick="two shapes, two networks, two seeds")
    networks, seeds = (2, GRID.seeds[:2]) if args.quick else (NETWORKS, GRID.seeds[:5])
    every = [call for shape in list(SHAPES)[: 2 if args.quick else None] for call in GRID.calls(shape)]
    about = {"networks": networks, "neurons": (INPUTS, *(NEURONS,) * LAYERS, 1), "steps": STEPS, "decay": DECAY}
    about |= {"steepness": STEEPNESS}
    runs = Runs(args.out / "result.json", about, KEY, MEASURED, total=len(every) * len(seeds))
    for call, seed in itertools.product(every, seeds):
        runs.run(partial(agreement, call.surrogate, seed, networks), str(call), seed)
    runs.finish("true_gradient", calls=list(map(str, every)), seeds=seeds)


# The report


def load(folder: Path) -> dict[str, tuple[float, float]]:
    """Read, for each call, the share of equal signs and the cosine, means of the seeds; nothing if not finished."""
    grid = finished(folder / "result.json", "true_gradient")
    if grid is None:
        return {}
    runs = of_seeds(rows(folder / "result.json"), grid["seeds"], "call")
    return {call: tuple(float(runs[call][name].mean()) for name in MEASURED) for call in grid["calls"]}


def parts(calls) -> list[str]:
    """List what the page has: a summary, and a table with the best call of each shape, by the cosine."""
    if not calls:
        return ["This study has not been finished."]
    order = sorted(calls, key=lambda call: -calls[call][1])
    best = {Call.parse(call).shape: call for call in reversed(order)}  # the last one of a shape is its best
    lines = [[f"`{c}`", f"{calls[c][0]:.1%}", f"{calls[c][1]:.3f}"] for c in order if c in best.values()]
    cosines = np.array([cosine for _, cosine in calls.values()])
    summary = (
        f"The closest is `{order[0]}` (cosine {cosines.max():.3f}, {calls[order[0]][0]:.0%} of the signs); over all "
        f"configurations the cosine is {cosines.min():.3f} to {cosines.max():.3f}, its median {np.median(cosines):.3f}."
    )
    return [summary, table(["best configuration of each shape", "same sign", "cosine"], lines)]


if __name__ == "__main__":
    main()
