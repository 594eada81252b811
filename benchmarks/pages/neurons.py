"""Write the table of docs/neurons.md from the result file."""

import json

from ..studies.reports import neurons
from .parts import RESULTS, ROOT, filled, provenance

PAGE = ROOT / "docs/neurons.md"
COMMAND = "python -m benchmarks.studies.neurons free_spoken_digits.npz --out benchmarks/results/neurons"


def rendered(text: str, result) -> str:
    """Replace the table of a text, between ``<!-- table -->`` and ``<!-- /table -->``."""
    settings = result["settings"]
    recipe = settings["recipe"]
    about = (
        f"{settings['task']}, {settings['split']['train']} of them to train on; {recipe['hidden']} neurons, "
        f"`{settings['surrogate']}`, {settings['optimiser']}, {recipe['epochs']} epochs; "
        f"{len(settings['seeds'])} seeds."
    )
    parts = [neurons.summary(result), neurons.tables(result), about, f"`{COMMAND}`: {provenance(result)}."]
    return filled(text, {"table": "\n\n".join(parts)}, "docs/neurons.md")


def load(folder=RESULTS):
    """Load the result of the study."""
    return json.loads((folder / "neurons/result.json").read_text())


def main():
    """Write the table into docs/neurons.md."""
    PAGE.write_text(rendered(PAGE.read_text(), load()))


if __name__ == "__main__":
    main()
