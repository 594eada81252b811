"""Trained neurons: the scale on which decays are trained, and delays per synapse against networks of the same size.

``python -m benchmarks.studies.trained --speech free_spoken_digits.npz``. Each entry trains at every learning rate from
the same seeds. A fixed learning rate stands for the mean over them, and a tuned one has the best mean validation score.
Delays train `LONGEST` times as fast as weights, so in units of the longest one, and their Gaussians become narrower.
"""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from scipy import stats

import brainsurr as bs
from brainsurr.nnx import SynapticDelays

from ..lib.report import table
from ..lib.study import Runs, arguments, finished, provenance, rows
from ..lib.training import adamw, dense
from . import comparison, data, sequences, settings, speech

KEY, MEASURED = ("task", "entry", "rate"), ("validation", "test", "seconds", "cpu_seconds")
SURROGATE, SEEDS, RATES = bs.Sigmoid(4.0), list(range(5)), comparison.Grid().rates
LONGEST = 10  # time steps


def scales(recordings):
    """Return the tasks, and for each its settings by name: with fixed decays, or trained on a scale."""
    tasks, scales = {}, ("identity", "logit", "log_tau")
    for task, names in {"speech": ("decay",), "memory": ("decay", "adaptation_decay"), "chaos": ("decay",)}.items():
        made = settings.setting(task, recordings if task == "speech" else None)
        learnable = {"fixed": ()} | {scale: dict.fromkeys(names, scale) for scale in scales}
        neurons = {name: partial(made.network.keywords["neurons"], learnable=of) for name, of in learnable.items()}
        tasks[task] = {name: made._replace(network=partial(made.network, neurons=of)) for name, of in neurons.items()}
    return tasks


def delayed(inputs, outputs, rngs, learnable=("kernel", "delay"), width=LONGEST / 2):
    """Create weights as `dense` does, each with a random delay."""
    kernel, delay = jax.random.normal(rngs(), (inputs, outputs)), jax.random.uniform(rngs(), (inputs, outputs))
    of = {"longest": LONGEST, "delay": LONGEST * delay, "width": jnp.float32(width), "learnable": learnable}
    return SynapticDelays(inputs, kernel=kernel / np.sqrt(inputs), **of)


def narrower(net):
    """Make the Gaussians of any delays narrower, down to half a step."""
    if hasattr(net.layers[0], "width"):
        net.layers[0].width[...] = jnp.maximum(0.5, 0.8 * net.layers[0].width[...])
    return nnx.state(net)


def faster(rate, steps, weight_decay):
    """Create AdamW that trains delays in units of the longest."""
    chosen = partial(jax.tree_util.tree_map_with_path, lambda path, _: "delay" in jax.tree_util.keystr(path))
    return optax.chain(adamw(rate, steps, 0.0), optax.masked(optax.scale(LONGEST), chosen))


def delays(recordings):
    """Return the tasks, and for each its settings by name: with delays, or as many parameters in another network."""
    spoken, tasks, still = settings.setting("speech", recordings), {}, partial(delayed, learnable="kernel", width=0.5)
    spoken = spoken._replace(optimizer=faster, after=narrower)
    interval = spoken._replace(data=data.intervals, noise=settings.Setting._field_defaults["noise"], batch=50)
    for task, made, inputs in (("speech", spoken, speech.BANDS), ("interval", interval, 2 * data.VOLLEYS)):
        recipe, tasks[task] = made.network.keywords["recipe"], {}
        outputs, delayed_of = recipe.classes, {"trained delays": delayed, "random delays": still}
        count = 2 * inputs * recipe.hidden + (recipe.hidden + 1) * outputs
        for name in (*delayed_of, "wider", "recurrent"):
            recurrent, hidden = name == "recurrent", recipe.hidden
            if (
                name not in delayed_of
            ):  # the hidden neurons n that solve r n^2 + (inputs + 1 + outputs) n + outputs = count
                hidden = round(max(np.roots([recurrent, inputs + 1 + outputs, outputs - count])))
            how = {"features": inputs, "recipe": recipe._replace(hidden=hidden), "neurons": sequences.lifs(hidden)}
            how |= {"first": delayed_of.get(name, dense), "recurrent": recurrent}
            tasks[task][name] = made._replace(network=partial(sequences.lif, **how))
    return tasks


@partial(jax.jit, static_argnames="setting")
def train(setting, rate, seeds, parts):
    """Train from several seeds in one program."""
    return jax.vmap(partial(comparison.train, setting, SURROGATE, rate, ()))(seeds, parts)


STUDIES = {"scales": scales, "delays": delays}


def main(argv=None):
    """Run both studies."""
    args = arguments(
        "studies.trained", __doc__, argv, quick="200 examples, one epoch", settings=dict.fromkeys(STUDIES, "speech")
    )
    for study in args.settings:
        tasks, counts = STUDIES[study](args.speech), {}
        seeds, rates, most = ([0, 1], RATES[1:3], 200) if args.quick else (SEEDS, RATES, None)
        runs = Runs(args.out / f"{study}.json", {"surrogate": str(SURROGATE), "seeds": seeds}, KEY, MEASURED)
        for task, entries in tasks.items():
            drawn = [next(iter(entries.values())).parts(seed) for seed in seeds]
            parts = jax.tree.map(lambda *each: jnp.stack(each)[:, :most], *drawn)  # noqa: B023
            for entry, made in entries.items():
                made = made._replace(epochs=1 if args.quick else made.epochs)
                for rate in rates:
                    runs.run(partial(train, made, rate, jnp.array(seeds), parts), task, entry, rate)
                params = nnx.state(made.network(jax.random.key(0), [SURROGATE]), nnx.Param)
                counts[f"{task}, {entry}"] = sum(leaf.size for leaf in jax.tree.leaves(params))
        runs.finish(study, parameters=counts)


# The report


def interval(values):
    """Format a mean over seeds in per cent, with its 95 % interval."""
    return f"{100 * np.mean(values):z.1f} ± {100 * stats.sem(values) * stats.t.ppf(0.975, len(values) - 1):.1f}"


def section(path: Path) -> str:
    """Make the table of a study: a row for each task and entry."""
    lines, of = [], {}
    for row in rows(path):
        of.setdefault((row["task"], row["entry"]), []).append(row)
    for name, count in finished(path, path.stem)["parameters"].items():
        ran = of[tuple(name.split(", "))]
        best = max(ran, key=lambda row: np.mean(row["validation"]))
        fixed = np.mean([row["test"] for row in ran], 0)
        lines.append((name, count, interval(fixed), f"{interval(best['test'])} ({best['rate']:g})"))
    head = ("task and entry", "parameters", "fixed learning rate (%)", "tuned learning rate (%)")
    return f"{table(head, lines)}\n\n{provenance(path)}."


if __name__ == "__main__":
    main()
