"""The README's first lines: what is new, each with its number and its page."""

import numpy as np

from ..accelerators import report as accelerators
from ..fashion import report as fashion
from ..lib.report import wrapped
from ..lib.results import RESULTS, read
from ..lib.study import of_seeds, rows
from ..speed.claims import events, peers
from ..speed.libraries import OURS

ITEMS = (
    "**Half the time on a CPU.** With `events=True` a train step of 700-256-256-20 takes {ours:.0f} ms on two cores, "
    "{other:.0f} in the next library on jax. Convolutions take {apart:.2f} of their dense time, {pooled:.2f} with "
    "pools: [fast on a CPU](./docs/fast-on-a-cpu.md).",
    "**Known to the kernel on a GPU.** A train step launches {launches:,} kernels on an H100, of other libraries "
    "{fewest:,} to {most:,}: [read from the program, never timed](./docs/accelerators.md).",
    "**Four frameworks.** [A neuron](./docs/neurons.md) is a layer of Flax NNX, Linen, brainstate and Equinox, and "
    "plain jax.",
    "**Networks that people build.** Residual blocks reach {residual} % on Fashion-MNIST (without spikes "
    "{residual_twin}), attention {attention} (softmax {attention_twin}): "
    "[how](./notebooks/9-residual-and-attention.ipynb), [all numbers](./docs/studies.md#fashion-mnist).",
    "**Eight bits.** In the integers of the chip Speck, {speck} % of digits are right, in floats {floats}: [before the "
    "chip](./docs/eight-bits.md).",
)


def part() -> str:
    """Write the list."""
    took = peers.on_jax(read(RESULTS / "speed/peers.json"), peers.BATCH_256)
    launched = {name: accelerators.launches(row) for name, row in accelerators.fewest(RESULTS / "accelerators").items()}
    numbers = {"launches": launched.pop(OURS), "fewest": min(launched.values()), "most": max(launched.values())}
    numbers |= {"ours": min(ms for name, ms in took.items() if name.startswith(OURS))}
    numbers |= {"other": min(ms for name, ms in took.items() if not name.startswith(OURS))}
    times = events.times_of_networks(read(RESULTS / "speed/events.json"))
    for name, kind in {"apart": "not pooled", "pooled": "pooled"}.items():
        followed, dense = (times[f"convolutions, {kind}", way]["median"] for way in (events.EVENTS, events.DENSE))
        numbers[name] = followed / dense
    for (name, kind), trained in fashion.load(RESULTS / "fashion").items():
        mean = np.mean([run["test"] for run in trained.values()])
        numbers[name if kind == "LIF" else f"{name}_twin"] = f"{100 * mean:.2f}"
    bits = rows(RESULTS / "eight-bits/result.json")
    speck = of_seeds(bits, sorted({row["seed"] for row in bits}), "data", "network")["digits", "Speck"]
    numbers |= {"speck": f"{100 * speck['after'].mean():.1f}", "floats": f"{100 * speck['floats'].mean():.1f}"}
    return "\n".join(wrapped(f"- {item.format(**numbers)}", indent="  ") for item in ITEMS)
