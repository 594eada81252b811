"""Three reruns that a review of the first edition asked for, from the grids of the comparison."""

from collections.abc import Mapping, Sequence

from ...lib import results
from ...lib.report import wrapped
from ..shapes import Call
from .family import pilot_table
from .outcomes import FOCUS, Outcomes

SCALES, RATES = ("3", "0.03"), {"rate .005": 0.333333, "rate .015": 1.0}
ALPHAS, WIDTHS = (0.01, 0.1), (0.1, 0.25, 0.5, 1.0, 2.0)
CALLS = (Call(FOCUS, 0.01, 1.0), Call("S2NN", None, 0.5), Call("Arctan", None, 0.5))


def section(outcomes: Outcomes) -> str:
    """Write the section: small weights, deep networks and the gain, as far as their settings are there."""
    parts = ["## Three reruns", wrapped("What a review of the first edition measured, repeated; validation, one seed.")]
    if {"randman-0.03", "randman-3"} <= set(outcomes):
        header = ["Randman, by learning rate", *(f"x {scale}, {rate}" for scale in SCALES for rate in RATES)]
        grids = [outcomes[f"randman-{scale}"].grid for scale in SCALES]
        lines = {f"`{c}`": [grid.get((str(c), rate)) for grid in grids for rate in RATES.values()] for c in CALLS}
        parts += [*complete(header, lines), command("randman-3 randman-0.03")]
    if "depth-12" in outcomes:
        header, grid = [f"{FOCUS} in 12 layers", *(f"width {width:g}" for width in WIDTHS)], outcomes["depth-12"].grid
        lines = {f"alpha {a:g}": [grid.get((str(Call(FOCUS, a, width)), 1.0)) for width in WIDTHS] for a in ALPHAS}
        parts += [*complete(header, lines), command("depth-12")]
    for name in [name for name in ("depth-16", "depth-12") if name in outcomes][:1]:
        about = wrapped(f"The gain of the weights, in the setting *{name}*:")
        parts += [about, pilot_table(outcomes[name]), command(name)]
    return "\n\n".join(parts)


def complete(header: Sequence[str], lines: Mapping[str, Sequence[float | None]]) -> list[str]:
    """Make a table of the lines of which every point is there, if there are any."""
    table = [[name, *(f"{value:.1f}" for value in values)] for name, values in lines.items() if None not in values]
    return [results.table(header, table)] if table else []


def command(settings: str) -> str:
    """Write how the settings are run."""
    return f"`python -m benchmarks.studies.family {settings}`"
