"""Long sequences: time and memory of a training step of 64-128-128-10 with batch 16, up to T = 100,000.

*blocks, full* is `unroll` with `remat="full"`. *scan over steps* runs the whole network for one time step after the
other, as most libraries do. *layer by layer* runs each layer over the whole sequence. Temporary memory is allocated for
intermediate arrays. Lower is better.
"""

import jax
from tqdm import tqdm

from brainsurr.nnx import LIF, LIFCell

from ...lib.report import at_most, picture, ratio_at_most, table
from ..peers.task import LONG
from . import compiled, megabytes, seconds, timed
from .train_step import LAYERS, blocks, data, train_step

BATCH = 16
BLOCKS, STEPS = "blocks, full", "scan over steps"


def scan_over_steps(net, xs):
    """Return the loop of most libraries: the whole network, one time step after another."""
    hidden, decay = net.layers[:-1], net.layers[-1].decay
    cells = [LIFCell(layer.features, spike_fn=layer.spike_fn) if isinstance(layer, LIF) else layer for layer in hidden]

    def step(carry, x):
        after = []
        for cell, v in zip(cells, carry, strict=False):
            v, x = (None, cell(x)) if v is None else cell(v, x)
            after.append(v)
        potential = decay * carry[-1] + x
        return (*after, potential), potential

    return jax.lax.scan(step, net.initialize_carry(xs.shape[1:]), xs)[1].mean(0)


def measure(quick):
    lengths, longest, rounds = ((16, 64), 256, 2) if quick else ((100, 1000, 10_000), 100_000, 9)
    runs = []
    for steps in tqdm((*lengths, longest), desc="long"):
        every = {BLOCKS: blocks("full"), STEPS: scan_over_steps, LAYERS: blocks("none", block_size=steps)}
        ways = every if steps in lengths else {BLOCKS: every[BLOCKS]}  # the others would need gigabytes
        given = data(LONG, BATCH, steps)
        programs = {name: compiled(*train_step(LONG, logits), *given) for name, logits in ways.items()}
        runs += timed(programs, rounds, steps=steps)
    about = {"network": "-".join(map(str, LONG.sizes)), "batch": BATCH, "lengths": list(lengths), "longest": longest}
    return {**about, "runs": runs}


def claims(result):
    runs = {(run["steps"], run["name"]): run for run in result["runs"]}
    (first, *_, last), longest = result["lengths"], result["longest"]
    ours, scan = runs[last, BLOCKS], runs[last, STEPS]
    growth = ours["temporaries"] / runs[first, BLOCKS]["temporaries"]
    per_step, before = (runs[steps, BLOCKS]["time"]["median"] / steps for steps in (longest, last))
    compared = f"blocks, full / scan over steps, T = {last:,}"
    return [
        at_most(1 / 20, f"temporary memory, {compared}", ours["temporaries"] / scan["temporaries"]),
        ratio_at_most(0.6, f"training step, {compared}", ours["time"], scan["time"]),
        at_most(15, f"temporary memory, blocks, full, T = {last:,} / T = {first:,}", growth),
        at_most(1.2, f"time per time step, blocks, full, T = {longest:,} / T = {last:,}", per_step / before),
    ]


def report(result):
    rows = []
    for run in result["runs"]:
        a_step = f"{1e6 * run['time']['median'] / run['steps']:.3g} us"
        what = f"T = {run['steps']:,}, {run['name']}"
        rows.append((what, seconds(run["time"]), a_step, megabytes(run["temporaries"])))
    return table(("sequence length and method", "training step", "time per time step", "temporary memory"), rows)


def draw(result, path):
    """Draw memory and time against T."""
    with picture(path, columns=2, size=(9, 3.4), dpi=150) as (axes,):
        for name in (BLOCKS, STEPS, LAYERS):
            runs = [run for run in result["runs"] if run["name"] == name]
            steps = [run["steps"] for run in runs]
            axes[0].plot(steps, [run["temporaries"] / 1e6 for run in runs], "o-", label=name)
            axes[1].plot(steps, [run["time"]["median"] for run in runs], "o-", label=name)
        for axis, label in zip(axes, ("temporaries of a train step (MB)", "seconds of a train step"), strict=True):
            axis.set(xlabel="time steps", ylabel=label, xscale="log", yscale="log")
        axes[0].legend(frameon=False)
