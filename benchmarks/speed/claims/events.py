"""Sparse and dense networks compared, and sparse products at several fractions of nonzero inputs.

The first table shows training steps with dense products and with sparse products (`events=True`), on all cores with one
jax device per core; 5 % of the inputs are 1. The second table shows one product on one device: the time of the sparse
loops divided by the time of the dense product, for each fraction of nonzero inputs. *Transposed* is the gradient of
the weights. At the *crossover*, both take equally long; it is interpolated. Lower is better.
"""

import itertools
import json
import sys
from unittest import mock

import jax.numpy as jnp
import numpy as np
from flax import nnx
from tqdm import tqdm

import brainsurr as bs
from brainsurr import cpu
from brainsurr.events import _product
from brainsurr.nnx import LI, LIF, SpikingSequential

from ...lib.report import picture, ratio_at_most, table
from ...lib.training import flat, pooled
from ..libraries import AS_DOCUMENTED, EVERY_CORE, run_on
from ..peers.task import ALPHA
from . import compiled, seconds, timed
from .train_step import layer_by_layer, step_of

DENSE, EVENTS = "dense", "events"
RATE = 0.05  # of the inputs
# The maximum time of a training step relative to the dense one.
NETWORKS = {
    "700-256-256-20": 0.65,
    "700-256 recurrent-20": 0.45,
    "700-1024-1024-20": 0.60,
    "convolutions, pooled": 0.80,
    "convolutions, not pooled": 0.65,
}
SHARES, WIDTHS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.5), (128, 256, 512, 1024, 2048, 4096)
IMAGES = (32, 64, 14)  # channels in and out, and the image size, of the single convolution


def network(name):
    """Return the layers of a network, the shape of one input, its batch and its time steps."""
    rngs = nnx.Rngs(0)

    def lif(features, **how):
        return LIF(features, spike_fn=bs.Arctan(ALPHA), **how)

    def linear(i, o):
        scale = nnx.initializers.normal(1.5 / i**0.5)  # scaled so that neurons fire
        return nnx.Linear(i, o, use_bias=False, kernel_init=scale, rngs=rngs)

    if name.startswith("convolutions"):
        between, side = ((pooled,), 28 // 4) if name.endswith(", pooled") else ((), 28)
        layers = []
        for i, o in ((1, 16), (16, 32)):
            wide = nnx.initializers.normal(1.5 / (9 * i * RATE) ** 0.5)
            layers += [nnx.Conv(i, o, (3, 3), kernel_init=wide, rngs=rngs), lif(o), *between]
        return [*layers, flat, linear(32 * side**2, 10), LI(10)], (28, 28, 1), 64, 10
    how = {"recurrent": True, "rngs": rngs} if "recurrent" in name else {}
    sizes = [int(size.split()[0]) for size in name.split("-")]
    hidden = [layer for i, o in itertools.pairwise(sizes[:-1]) for layer in (linear(i, o), lif(o, **how))]
    return [*hidden, linear(*sizes[-2:]), LI(sizes[-1])], sizes[:1], 128 if 1024 in sizes else 256, 100


def timed_network(name, rounds, small):
    """Time a training step with dense and with sparse products, the batch split among the devices of this process."""
    layers, shape, batch, steps = network(name)
    batch, steps = (4, 4) if small else (batch, steps)
    rng, programs = np.random.default_rng(0), {}
    xs = (rng.random((steps, batch, *shape), np.float32) < RATE).astype(np.float32)
    given = cpu.split(xs, axis=1), cpu.split(rng.integers(10, size=batch))
    for way in (DENSE, EVENTS):
        step, params = step_of(SpikingSequential(layers, events=way == EVENTS), layer_by_layer)
        programs[way] = compiled(step, cpu.split(params, axis=None), *given)
    return timed(programs, rounds, "way", network=name)


def timed_products(kind, width, rounds, small):
    """Time a product sparse, dense, and with the automatic choice, for each fraction of nonzero inputs."""
    rng, rows, runs = np.random.default_rng(0), 64 if small else 25600 * 256 // max(256, width), []
    weights, window, shape = (width, width), None, (rows, width)
    if kind.startswith("convolution"):
        (i, o, side), window = IMAGES, ((1, 1), ((1, 1), (1, 1)), (1, 1))
        weights, shape = (3, 3, i, o), (4 if small else 512, side, side, i)
    product = _product.Product(weights[:-1], window, None, are_spikes=False, transposed=kind.endswith("transposed"))
    other = weights if not product.transposed else (*shape[:-1], weights[-1])
    w = jnp.asarray(rng.standard_normal(other, np.float32))
    for share in SHARES[::4] if small else SHARES:
        x = jnp.asarray(rng.random(shape, np.float32) < share, jnp.float32)
        programs = {}
        for way, crossing in (("loops", 2.0), (DENSE, -1.0), ("chosen", None)):
            forced = {} if crossing is None else dict.fromkeys(_product.CROSSINGS, crossing)
            with mock.patch.dict(_product.CROSSINGS, forced):
                programs[way] = compiled(lambda x, w: _product.multiply(product, x, w), x, w)
        runs += timed(programs, rounds, "way", kind=kind, width=width, share=share)
    return runs


def measure(quick):
    rounds, runs = 2 if quick else 15, []
    kinds = [(kind, width) for kind in ("product", "product, transposed") for width in WIDTHS]
    kinds += [("convolution", IMAGES[0]), ("convolution, transposed", IMAGES[0])]
    names, kinds = (list(NETWORKS)[-1:], kinds[-1:]) if quick else (NETWORKS, kinds)
    jobs = [("networks", EVERY_CORE, [name]) for name in names] + [("products", AS_DOCUMENTED, kind) for kind in kinds]
    for what, terms, which in (bar := tqdm(jobs, desc="events")):
        bar.set_postfix_str(" ".join(map(str, which)))
        job = json.dumps([what, *which, rounds, quick])
        runs += run_on(terms, sys.executable, "events", __name__, job)
    return {"runs": runs}


def _ratios(result):
    """Return the time of a product relative to the dense one, by kind, width, fraction and method."""
    times = {key: time["median"] for key, time in _products(result).items()}
    return {key: time / times[*key[:-1], DENSE] for key, time in times.items() if key[-1] != DENSE}


def _products(result):
    runs = [run for run in result["runs"] if "kind" in run]
    return {(run["kind"], run["width"], run["share"], run["way"]): run["time"] for run in runs}


def times_of_networks(result):
    """Return the time of a training step, by network and method."""
    return {(run["network"], run["way"]): run["time"] for run in result["runs"] if "network" in run}


def claims(result):
    made = []
    times = times_of_networks(result)
    for name in dict.fromkeys(name for name, _ in times):
        what = f"training step of {name}, all cores, sparse / dense"
        made.append(ratio_at_most(NETWORKS[name], what, times[name, EVENTS], times[name, DENSE]))
    times = _products(result)
    chosen = {key[:-1]: ratio for key, ratio in _ratios(result).items() if key[-1] == "chosen"}
    for kind in dict.fromkeys(key[0] for key in chosen):
        worst = max((key for key in chosen if key[0] == kind), key=chosen.get)
        what = f"one {kind}, automatic choice / dense, slowest case ({worst[1]} features, {worst[2]:.0%} nonzero)"
        made.append(ratio_at_most(1.1, what, times[*worst, "chosen"], times[*worst, DENSE]))
    return made


def crossing(result, kind, width):
    """Return the fraction of nonzero inputs at which sparse and dense products are equally fast, interpolated."""
    ratios = {key[2]: ratio for key, ratio in _ratios(result).items() if (*key[:2], key[3]) == (kind, width, "loops")}
    for (low, before), (high, after) in itertools.pairwise(sorted(ratios.items())):
        if before <= 1 < after:
            return low + (high - low) * (1 - before) / (after - before)
    return None


def networks(result):
    """Return the table of training steps."""
    times = times_of_networks(result)
    names = dict.fromkeys(name for name, _ in times)
    rows = [(name, *(seconds(times[name, way]) for way in (DENSE, EVENTS))) for name in names]
    return table(("network", "training step, dense", "training step, sparse"), rows)


def report(result):
    ratios, rows = _ratios(result), []
    shares = sorted({key[2] for key in ratios})
    for kind, width in dict.fromkeys(key[:2] for key in ratios):
        crosses = crossing(result, kind, width)
        cells = (f"{ratios[kind, width, share, 'loops']:.2f}" for share in shares)
        rows.append((f"{kind}, {width} features", *cells, f"{crosses:.0%}" if crosses else "none"))
    header = ("time of the loops / dense product", *(f"{share:.0%} nonzero" for share in shares), "crossover")
    return f"{networks(result)}\n\n{table(header, rows)}"


def draw(result, path):
    """Draw the time of sparse products relative to dense ones, against the fraction of nonzero inputs."""
    ratios = _ratios(result)
    kinds, of_images = list(dict.fromkeys(key[0] for key in ratios)), "{}-{}, {} x {}".format(*IMAGES, IMAGES[2])
    with picture(path, columns=len(kinds), size=(3.2 * len(kinds), 3.2), dpi=150) as (axes,):
        for axis, kind in zip(axes, kinds, strict=True):
            for width in dict.fromkeys(key[1] for key in ratios if key[0] == kind):
                of = {key[2]: r for key, r in ratios.items() if (*key[:2], key[3]) == (kind, width, "loops")}
                label = f"{width} features" if kind.startswith("product") else of_images
                axis.plot([100 * share for share in of], list(of.values()), marker=".", label=label)
            axis.axhline(1, color="0.5", linewidth=0.8)
            axis.set(title=kind, xlabel="% of the inputs that are not 0", ylim=(0, 2))
            axis.legend(frameon=False, fontsize=7)
        axes[0].set_ylabel("time of the loops / dense")


if __name__ == "__main__":
    what, *job = json.loads(sys.argv[1])
    print(json.dumps({"networks": timed_network, "products": timed_products}[what](*job)))
