"""The reports of the tests in docs/withstands.md, each made from its result file.

Each module has ``parts(result)``, which returns its parts of the page by name, and, if there is a picture,
``draw(result, folder)``. This folder may import from `lib`.
"""

from ...lib.results import committed, where
from . import precision, scale, soak

SHOWN = ("jax", "flax", "brainstate", "optax", "orbax-checkpoint")
TRIALS = {"scale": scale, "precision": precision, "soak": soak}  # reports, by the name of program and result


def parts() -> dict[str, str]:
    """Return the parts of docs/withstands.md: the tables of each test, with the machine below the last one."""
    made: dict[str, str] = {}
    for name, report in TRIALS.items():
        trial = committed(name)
        made |= report.parts(trial)
        made[[*made][-1]] += f"\n\n{trial['seconds'] / 60:.0f} minutes on {where(trial, *SHOWN)}."
    return made


def draw(folder):
    """Draw the pictures."""
    for name, report in TRIALS.items():
        if hasattr(report, "draw"):
            report.draw(committed(name), folder)
