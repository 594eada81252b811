"""The text of every page that has generated parts."""

from tools.parts import filled

from ..accelerators import report as accelerators
from ..digits import report as digits
from ..field import report as field
from ..lib.results import PICTURES, RESULTS, committed
from ..lib.study import provenance
from ..nir import eight_bits
from ..nir import report as nir
from ..robustness import reports as robustness
from ..speed import report as speed
from ..studies import neurons, report
from . import evidence, news

COMMAND = "python -m benchmarks.studies.neurons --speech free_spoken_digits.npz --out benchmarks/results/neurons"


def of_neurons() -> str:
    """Write the part of docs/neurons.md: what the study of neurons found, how and where."""
    settings = committed("neurons")["settings"]
    recipe, grid = settings["recipe"], committed("neurons")["finished"]["neurons"]
    about = (
        f"{settings['task']}, {settings['split']['train']} of them to train on; {recipe['hidden']} neurons, "
        f"`{settings['surrogate']}`, {settings['optimiser']}, {recipe['epochs']} epochs; {len(grid['seeds'])} seeds."
    )
    where = f"`{COMMAND}`: {provenance(RESULTS / 'neurons/result.json')}."
    return "\n\n".join([*neurons.parts(RESULTS / "neurons"), about, where])


def pages() -> dict[str, str]:
    """Return the text of each page, with its generated parts of now."""
    found = report.load(RESULTS / "comparison")
    parts = {
        "README.md": {
            "new": news.part(),
            "train": digits.line(committed("digits")),
            "speed": speed.readme(RESULTS / "speed"),
            "evidence": evidence.readme(found),
        },
        "docs/evidence.md": evidence.parts(found),
        "docs/studies.md": evidence.studies(found),
        "docs/speed.md": speed.parts(RESULTS / "speed"),
        "docs/field.md": field.parts(committed("field")),
        "docs/fast-on-a-cpu.md": speed.on_a_cpu(RESULTS / "speed"),
        "docs/accelerators.md": accelerators.parts(RESULTS / "accelerators"),
        "docs/withstands.md": robustness.parts(),
        "docs/neurons.md": {"table": of_neurons()},
        "docs/nir.md": {"tables": nir.part(committed("nir"))},
        "docs/eight-bits.md": {"table": eight_bits.part(RESULTS / "eight-bits/result.json")},
    }
    return {page: filled(page, of_page) for page, of_page in parts.items()}


def draw():
    """Draw the pictures of the pages."""
    report.draw(report.load(RESULTS / "comparison"), PICTURES / "evidence/comparison.png")
    robustness.draw(PICTURES / "withstands")
