"""Trained neurons: the scale on which decays train, and delays per synapse against other networks of the same size.

``python -m benchmarks.studies.trained --speech free_spoken_digits.npz``. Each entry trains at every learning rate from
the same seeds. A fixed learning rate is the mean over the rates; a tuned one has the best mean validation score. Delays
train `LONGEST` times as fast as weights, so in units of the longest one, and their Gaussians become narrower.
"""

import itertools
from functools import partial

import jax
import numpy as np
import optax
from flax import nnx
from scipy import stats

from brainsurr.nnx import LIF, SynapticDelays

from ..lib.report import table
from ..lib.study import Runs, arguments, finished, provenance, rows
from ..lib.training import adamw, dense
from . import comparison, data, sequences, settings

KEY, MEASURED = ("task", "entry", "rate"), ("validation", "test", "seconds", "cpu_seconds")
SURROGATE, SEEDS, RATES, LONGEST, LINES = LIF(1).spike_fn.surrogate, list(range(5)), comparison.Grid().rates, 10, 10
DECAYS = {"speech": ("decay",), "memory": ("decay", "adaptation_decay"), "chaos": ("decay",)}


def scales(recordings):
    """Return settings by task and entry, whose decays are fixed or trained on a scale."""
    made = {}
    for task, scale in itertools.product(DECAYS, ("fixed", "identity", "logit", "log_tau")):
        alone = settings.setting(task, recordings if task == "speech" else None)
        learnable = dict.fromkeys(DECAYS[task] if scale != "fixed" else (), scale)
        neurons = partial(alone.network.keywords["neurons"], learnable=learnable)
        made[task, scale] = alone._replace(network=partial(alone.network, neurons=neurons))
    return made


def delays(recordings):
    """Return settings by task and entry, with delays, or with as many parameters in a wider or recurrent network."""
    speech, still, made = settings.setting("speech", recordings), partial(delayed, learnable="kernel", width=0.5), {}
    timed = speech._replace(data=intervals, noise=lambda key, inputs: inputs, batch=50)
    firsts = {"trained delays": delayed, "random delays": still, "wider": dense, "recurrent": dense}
    for task, of, inputs, *sizes in (("speech", speech, 32, 64, 64, 110, 51), ("interval", timed, 20, 64, 64, 103, 43)):
        for (entry, first), n in zip(firsts.items(), sizes, strict=True):
            how = {"sizes": (inputs, n, 10), "neurons": sequences.lifs(n), "recurrent": entry == "recurrent"}
            network, after = partial(of.network, first=first, **how), narrower if first is delayed else nnx.state
            made[task, entry] = of._replace(network=network, optimizer=faster, after=after)
    return made


def intervals(seed):
    """Draw spikes ``[examples, time, lines]`` in noise, and the time between the volleys of two groups of lines."""
    rng = np.random.default_rng(seed)
    first, lag = rng.integers(0, LONGEST, (2, 6000))
    volleys = np.stack([first, first + lag], 1)[:, None] == np.arange(2 * LONGEST)[:, None]
    spikes = rng.random((*volleys.shape[:2], 2 * LINES)) < np.where(volleys, 0.8, 0.02).repeat(LINES, -1)
    return data.drawn(spikes.astype(np.uint8), lag.astype(np.int32), 2000, 2000, seed)


def delayed(inputs, outputs, rngs, learnable=("kernel", "delay"), width=LONGEST / 2):
    """Create weights as `dense` does, each with a random delay."""
    kernel, delay = (draw(rngs(), (inputs, outputs)) for draw in (jax.random.normal, jax.random.uniform))
    how = {"longest": LONGEST, "delay": LONGEST * delay, "width": jax.numpy.float32(width), "learnable": learnable}
    return SynapticDelays(inputs, kernel=kernel / np.sqrt(inputs), **how)


def narrower(net):
    """Make the Gaussians of delays narrower, down to half a step."""
    net.layers[0].width[...] = (0.8 * net.layers[0].width[...]).clip(0.5)
    return nnx.state(net)


def faster(rate, steps, weight_decay):
    """Create AdamW without weight decay that trains delays faster."""
    chosen = partial(jax.tree_util.tree_map_with_path, lambda path, _: "delay" in jax.tree_util.keystr(path))
    return optax.chain(adamw(rate, steps, 0.0), optax.masked(optax.scale(LONGEST), chosen))


def main(argv=None):
    """Train every entry, all seeds of a learning rate in one program."""
    args, counts = arguments("studies.trained", __doc__, argv, settings=["speech"]), {}
    runs = Runs(args.out / "result.json", {"surrogate": str(SURROGATE), "seeds": SEEDS}, KEY, MEASURED)
    for (task, entry), made in (scales(args.speech) | delays(args.speech)).items():
        parts = jax.tree.map(lambda *each: np.stack(each), *map(made.parts, SEEDS))
        train = jax.jit(jax.vmap(partial(comparison.train, made, SURROGATE), (None, None, 0, 0)))
        for rate in RATES:
            runs.run(partial(train, rate, (), np.array(SEEDS), parts), task, entry, rate)
        params = nnx.state(made.network(jax.random.key(0), [SURROGATE]), nnx.Param)
        counts[f"{task}, {entry}"] = sum(leaf.size for leaf in jax.tree.leaves(params))
    runs.finish("trained", parameters=counts)


# The report


def interval(values):
    """Format a mean over seeds in per cent, with its 95 % interval."""
    return f"{100 * np.mean(values):.1f} ± {100 * stats.sem(values) * stats.t.ppf(0.975, len(values) - 1):.1f}"


def section(path):
    """Make the table of docs/appendix/studies.md: a row for each task and entry."""
    ran, lines = rows(path), []
    for name, count in finished(path, "trained")["parameters"].items():
        rates = [row for row in ran if f"{row['task']}, {row['entry']}" == name]
        best, fixed = max(rates, key=lambda row: np.mean(row["validation"])), np.mean([row["test"] for row in rates], 0)
        lines.append((name, count, interval(fixed), f"{interval(best['test'])} ({best['rate']:g})"))
    head = ("task and entry", "parameters", "fixed learning rate (%)", "tuned learning rate (%)")
    return f"{table(head, lines)}\n\n{provenance(path)}."


if __name__ == "__main__":
    main()
