"""The reports of the trials in docs/withstands.md, each made from a result file alone.

Each module has ``section(result)``, which returns its part of the page; ``line(result)``, which returns its row in the
summary; and, for a picture, ``draw(result, folder)``. May import from `lib`.
"""

from ...lib.report import table
from ...lib.results import committed, where
from . import precision, scale, soak

SHOWN = ("jax", "flax", "brainstate", "optax", "orbax-checkpoint")
TRIALS = {"scale": scale, "precision": precision, "soak": soak}  # reports, by the name of program and result
KILLED = "being killed", "`kill -9` before, in and after a write, by a test", "the same bits as without kills"


def parts() -> dict[str, str]:
    """Write the parts of docs/withstands.md."""
    lines = [KILLED, *(report.line(committed(name)) for name, report in TRIALS.items())]
    summary = table(("", "tested", "result"), lines)
    return {"summary": summary, "trials": "\n\n".join(map(section, TRIALS))}


def section(name):
    """Write the section of a trial in Markdown, with its command and machine."""
    trial, command = committed(name), f"python -m benchmarks.robustness.{name} --out benchmarks/results/{name}"
    took = f"{trial['seconds'] / 60:.0f} minutes on {where(trial, *SHOWN)}"
    return f"{TRIALS[name].section(trial).strip()}\n\n`{command}`: {took}."


def draw(folder):
    """Draw the pictures."""
    for name, report in TRIALS.items():
        if hasattr(report, "draw"):
            report.draw(committed(name), folder)
