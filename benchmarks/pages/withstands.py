"""The parts of docs/withstands.md, the trials of robustness."""

from ..bad_input import report as bad_input
from ..bad_input.fuzzing import public_names
from ..lib.report import table
from ..robustness.reports import kills, precision, scale, soak
from .parts import PICTURES, result

SHOWN = ("jax", "flax", "brainstate", "optax", "orbax-checkpoint")
TRIALS = {  # by the folder of the result: the report, and the command that wrote it
    "scale": (scale, "robustness.scale"),
    "kills": (kills, "robustness.kills"),
    "precision": (precision, "robustness.precision"),
    "bad_input": (bad_input, "bad_input"),
    "soak": (soak, "robustness.soak"),
    "soak-without-checkpoints": (soak, "robustness.soak --no-checkpoints --minutes 6"),
}


def parts() -> dict[str, str]:
    """Write the parts of docs/withstands.md."""
    summary = table(("", "tested", "result"), [report.line(result(name)) for name, (report, _) in TRIALS.items()])
    return {"summary": summary, "trials": "\n\n".join(map(section, TRIALS))}


def section(name):
    """Write the section of a trial in Markdown, with its command and machine."""
    (report, module), trial = TRIALS[name], result(name)
    versions = ", ".join(f"{package} {version}" for package, version in trial["versions"].items() if package in SHOWN)
    command = f"python -m benchmarks.{module} --out benchmarks/results/{name}"
    where = f"{trial['seconds'] / 60:.0f} minutes on {trial['device']}; Python {trial['python']}, {versions}"
    about = (trial, public_names()) if name == "bad_input" else (trial,)
    return f"{report.section(*about).strip()}\n\n`{command}`: {where}."


def draw():
    """Draw the pictures."""
    for name, (report, _) in TRIALS.items():
        if hasattr(report, "draw"):
            report.draw(result(name), PICTURES / "withstands")
