"""What a terminal, the README and docs/performance.md show of what was measured; from the JSON alone."""

import json

import matplotlib

from ..lib import results
from .claims import activation, imports, long, peers, train_step

CLAIMS = {"train-step": train_step, "long": long, "activation": activation, "import": imports, "peers": peers}
WHY_NOT = """Where a mark is not met: `full` repeats the forward products, which the products alone do once. `dots`
repeats none, but the neurons between the products take their time, and on a CPU XLA copies each `[time, batch]`
gradient before the product of a weight; the same products on flat inputs are the second row of the table *train-step*.
A process that has imported jax and flax, before it trains, already holds what the column *before training* says, which
leaves little of two thirds of the smallest peak. In bfloat16 a CPU widens and rounds each number, and 1 / x costs more
of that than a maximum; small arrays of bfloat16 fare worse than those of the mark, the forward pass included: see the
table *activation*. At batch 32 another library is the fastest: see the table *peers*."""


def show(name, result):
    """A claim's table, and each mark below it."""
    claim = CLAIMS[name]
    return "\n".join([f"{claim.__doc__.splitlines()[0]}\n", claim.report(result), "", *map(str, claim.marks(result))])


def draw(name, result, out):
    """A claim's picture, if it has one."""
    if hasattr(CLAIMS[name], "draw"):
        matplotlib.use("Agg")
        figure = CLAIMS[name].draw(result, matplotlib.pyplot)
        figure.savefig(out / f"{name}.png", dpi=150)
        matplotlib.pyplot.close(figure)


def load(folder):
    """What was measured, by claim."""
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in CLAIMS}


def part(folder):
    """The README's part: every mark, and where it was measured; from the JSON alone."""
    found = load(folder)
    marks = [mark for name, result in found.items() for mark in CLAIMS[name].marks(result)]
    rows = [(m.what, f"{m.limit:.3g}{m.unit}", f"{m.value:.3g}{m.unit}", results.yes(m.met)) for m in marks]
    run = found["train-step"]
    where = f"{run['device']}; Python {run['python']}, jax {run['versions']['jax']}, flax {run['versions']['flax']}"
    return f"{results.table(('what', 'at most', 'measured', 'met'), rows)}\n\nOn {where}."


def page(folder):
    """docs/performance.md: every mark and every table; from the JSON alone."""
    texts = [
        "# Performance",
        "Written by `make bench`. Times are medians, with quartiles in brackets.",
        part(folder),
        WHY_NOT,
    ]
    for name, result in load(folder).items():
        heading = CLAIMS[name].__doc__.splitlines()[0]
        texts.append(f"## {name}\n\n{heading}\n\n{CLAIMS[name].report(result)}")
    texts += [f"![{name}](../benchmarks/results/speed/{name}.png)" for name in ("long", "activation")]
    return "\n\n".join(texts) + "\n"
