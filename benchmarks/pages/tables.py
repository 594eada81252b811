"""Write the generated parts of pages that are written by hand: README, docs/neurons.md, nir.md, training-parameters.md.

A part stands between ``<!-- name -->`` and ``<!-- /name -->``.
"""

import re
from collections.abc import Mapping

import braintools

import brainsurr as bs

from ..lib.study import provenance
from ..nir import report as nir
from ..speed import report as speed
from ..studies import neurons
from ..studies.reports import family
from ..studies.reports.outcomes import load
from ..studies.shapes import SAME_AS, SHAPES
from . import evidence
from .parts import RESULTS, ROOT, result

COMMAND = "python -m benchmarks.studies.neurons --speech free_spoken_digits.npz --out benchmarks/results/neurons"


def neurons_part() -> str:
    """Write the part of docs/neurons.md: what the study of neurons found, how and where."""
    settings = result("neurons")["settings"]
    recipe, grid = settings["recipe"], result("neurons")["finished"]["neurons"]
    about = (
        f"{settings['task']}, {settings['split']['train']} of them to train on; {recipe['hidden']} neurons, "
        f"`{settings['surrogate']}`, {settings['optimiser']}, {recipe['epochs']} epochs; {len(grid['seeds'])} seeds."
    )
    where = f"`{COMMAND}`: {provenance(RESULTS / 'neurons/result.json')}."
    return "\n\n".join([*neurons.parts(RESULTS / "neurons"), about, where])


PARTS = {  # of each page, by the name in its markers
    "README.md": {
        "speed": lambda: speed.part(RESULTS / "speed"),
        "evidence": lambda: evidence.readme(load(RESULTS / "family")),
    },
    "docs/neurons.md": {"table": neurons_part},
    "docs/nir.md": {"tables": lambda: nir.part(result("nir"))},
    "docs/training-parameters.md": {"widths": lambda: family.adapted_summary(load(RESULTS / "family"))},
}


def rendered(page: str) -> str:
    """Return the text of a page with its generated parts of now."""
    text = filled((ROOT / page).read_text(), {name: part() for name, part in PARTS[page].items()}, page)
    return counted(text) if page == "README.md" else text


def filled(text: str, parts: Mapping[str, str], page: str) -> str:
    """Replace the parts of a text, by the name in their markers.

    Raises:
      ValueError: the text, that of ``page``, lacks the markers of a part.
    """
    for name, part in parts.items():
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not marked.search(text):
            raise ValueError(f"{page} has no <!-- {name} --> ... <!-- /{name} -->")
        text = marked.sub(lambda match, part=part: f"{match[1]}\n{part}\n\n{match[2]}", text)
    return text


def counted(text):
    """Write the number of surrogates of each library into the row of that name, in the README's table of libraries."""
    (head,) = re.findall(r"^\| +(\| brainsurr .*)\|$", text, re.MULTILINE)
    columns = head.removeprefix("|").split("|")
    cells = [f" {surrogates_of(column.strip())}".ljust(len(column)) for column in columns]
    return re.sub(r"^(\| surrogates +\|).*\|$", rf"\g<1>{'|'.join(cells)}|", text, flags=re.MULTILINE)


def surrogates_of(library):
    """Count the surrogates of a library: those of braintools have the same names here, the others rows of a table."""
    if library not in ("brainsurr", "braintools"):
        return len(bs.equivalents(library))
    ours = {*SHAPES, *SAME_AS}
    return len(ours if library == "brainsurr" else ours & set(vars(braintools.surrogate)))


def main():
    """Write every part."""
    for page in PARTS:
        (ROOT / page).write_text(rendered(page))
