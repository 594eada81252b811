"""Memory and time over the number of time steps, up to 100,000 in blocks: 64-128-128-10, batch 16."""

import jax
import jax.numpy as jnp
from tqdm import tqdm

from brainsurr.nnx import LIF, LIFCell

from ...lib import results, timing
from ..peers import task
from . import Mark, compiled, megabytes, ratio, seconds
from .train_step import LAYERS, blocks, layer_by_layer, spiking, train_step

NETWORK, BATCH = task.NETWORKS["long"], 16
BLOCKS, STEPS = "blocks, full", "scan over steps"


def scan_over_steps(net, xs):
    """Return the loop of most libraries: one time step of the whole network after the other."""
    decay = net.layers[-1].decay
    cells = [
        LIFCell(layer.features, spike_fn=layer.spike_fn) if isinstance(layer, LIF) else layer
        for layer in net.layers[:-1]
    ]

    def step(carry, x):
        after = []
        for cell, v in zip(cells, carry, strict=False):
            if v is None:
                x = cell(x)
            else:
                v, x = cell(v, x)
            after.append(v)
        potential = decay * carry[-1] + x
        return (*after, potential), potential

    return jax.lax.scan(step, net.initialize_carry(xs.shape[1:]), xs)[1].mean(0)


def measure(quick):
    lengths, longest, rounds = ((16, 64), 256, 2) if quick else ((100, 1000, 10_000), 100_000, 9)
    net, runs = spiking(NETWORK), []
    every = {BLOCKS: blocks("full"), STEPS: scan_over_steps, LAYERS: layer_by_layer}
    labels = jnp.asarray(task.labels(BATCH, NETWORK.sizes[-1]))
    with tqdm(total=(len(lengths) * len(every) + 1) * (1 + rounds), desc="long") as bar:
        for steps in (*lengths, longest):
            ways = every if steps in lengths else {BLOCKS: every[BLOCKS]}  # the others would need gigabytes
            xs, programs = jax.device_put(task.inputs(BATCH, steps, NETWORK.sizes[0])), {}
            for name, logits in ways.items():
                step, params = train_step(net, logits)
                programs[name] = compiled(step, params, xs, labels)
                bar.update()
            times = timing.interleaved({name: p.call for name, p in programs.items()}, rounds, each=bar.update)
            runs += [{"steps": steps, "name": name, "time": times[name], **p.costs} for name, p in programs.items()]
    about = {"network": "-".join(map(str, NETWORK.sizes)), "batch": BATCH, "lengths": list(lengths), "longest": longest}
    return {**about, "runs": runs}


def marks(result):
    runs = {(run["steps"], run["name"]): run for run in result["runs"]}
    first, *_, last = result["lengths"]
    ours, scan = runs[last, BLOCKS], runs[last, STEPS]
    growth = ours["temporaries"] / runs[first, BLOCKS]["temporaries"]
    longest = runs.get((result.get("longest"), BLOCKS))
    per_step = longest and longest["time"]["median"] / longest["steps"]
    length = result.get("longest", 100_000)
    why = "the time of a step does not grow with their number, but the inputs no longer fit into the caches"
    return [
        Mark(
            f"temporaries / scan over steps, T = {last:,}",
            1 / 20,
            ours["temporaries"] / scan["temporaries"],
            why="some sqrt(T) states and one block of some sqrt(T) steps are kept, of T that the scan keeps",
        ),
        Mark.of(
            f"time / scan over steps, T = {last:,}",
            0.6,
            ours["time"],
            scan["time"],
            why="each neuron's loop over time is the same in both, on one thread; what blocks save is in the products",
        ),
        Mark(f"temporaries at T = {last:,} / at T = {first:,}", 15, growth, why="they grow with the square root of T"),
        Mark(
            f"time of a time step at T = {length:,} / at T = {last:,}",
            1.2,
            ratio(per_step, ours["time"]["median"] / last),
            why=why,
        ),
    ]


def report(result):
    rows = [
        (
            f"T = {run['steps']:,}, {run['name']}",
            seconds(run["time"]),
            f"{1e6 * run['time']['median'] / run['steps']:.3g} us",
            megabytes(run["temporaries"]),
        )
        for run in result["runs"]
    ]
    return results.table(
        (f"{result['network']}, batch {result['batch']}", "train step", "a time step", "temporaries"), rows
    )


def draw(result, plt):
    """Draw memory and time over T."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for name in (BLOCKS, STEPS, LAYERS):
        runs = [run for run in result["runs"] if run["name"] == name]
        steps = [run["steps"] for run in runs]
        axes[0].plot(steps, [run["temporaries"] / 1e6 for run in runs], "o-", label=name)
        axes[1].plot(steps, [run["time"]["median"] for run in runs], "o-", label=name)
    for axis, label in zip(axes, ("temporaries of a train step (MB)", "seconds of a train step"), strict=True):
        axis.set(xlabel="time steps", ylabel=label, xscale="log", yscale="log")
    axes[0].legend(frameon=False)
    return figure
