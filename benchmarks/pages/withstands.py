"""The parts of docs/withstands.md, the trials of robustness."""

from ..lib.report import table
from ..robustness.reports import precision, scale, soak
from .parts import PICTURES, result

SHOWN = ("jax", "flax", "brainstate", "optax", "orbax-checkpoint")
TRIALS = {  # by the folder of the result: the report, and the command that wrote it
    "scale": (scale, "robustness.scale"),
    "precision": (precision, "robustness.precision"),
    "soak": (soak, "robustness.soak"),
    "soak-without-checkpoints": (soak, "robustness.soak --no-checkpoints --minutes 6"),
}

KILLED = "being killed", "`kill -9` before, in and after a write, by a test", "the same bits as without kills"


def parts() -> dict[str, str]:
    """Write the parts of docs/withstands.md."""
    lines = [KILLED, *(report.line(result(name)) for name, (report, _) in TRIALS.items())]
    summary = table(("", "tested", "result"), lines)
    return {"summary": summary, "trials": "\n\n".join(map(section, TRIALS))}


def section(name):
    """Write the section of a trial in Markdown, with its command and machine."""
    (report, module), trial = TRIALS[name], result(name)
    versions = ", ".join(f"{package} {version}" for package, version in trial["versions"].items() if package in SHOWN)
    command = f"python -m benchmarks.{module} --out benchmarks/results/{name}"
    where = f"{trial['seconds'] / 60:.0f} minutes on {trial['device']}; Python {trial['python']}, {versions}"
    return f"{report.section(trial).strip()}\n\n`{command}`: {where}."


def draw():
    """Draw the pictures."""
    for name, (report, _) in TRIALS.items():
        if hasattr(report, "draw"):
            report.draw(result(name), PICTURES / "withstands")
