"""Write the generated parts of README.md, and docs/speed.md, from the result files and the table of other libraries."""

import re

import braintools

import brainsurr as bs

from ..speed import report as speed
from ..studies.reports.outcomes import load
from ..studies.shapes import SAME_AS, SHAPES
from . import evidence
from .parts import RESULTS, ROOT, filled


def parts():
    """Generate each part, by the name in its markers, ``<!-- name -->`` and ``<!-- /name -->``."""
    return {"speed": speed.part(RESULTS / "speed"), "evidence": evidence.readme(load(RESULTS / "family"))}


def surrogates_of(library):
    """Count the surrogates of a library: those of braintools have the same names here, the others rows of a table."""
    if library not in ("brainsurr", "braintools"):
        return len(bs.equivalents(library))
    ours = {*SHAPES, *SAME_AS}
    return len(ours if library == "brainsurr" else ours & set(vars(braintools.surrogate)))


def counted(text):
    """Write the number of surrogates of each library into the row of that name, in the table of libraries."""
    (head,) = re.findall(r"^\| +(\| brainsurr .*)\|$", text, re.MULTILINE)
    columns = head.removeprefix("|").split("|")
    cells = [f" {surrogates_of(column.strip())}".ljust(len(column)) for column in columns]
    return re.sub(r"^(\| surrogates +\|).*\|$", rf"\g<1>{'|'.join(cells)}|", text, flags=re.MULTILINE)


def rendered(text):
    """Replace every generated part of a text."""
    return counted(filled(text, parts(), "README.md"))


def main():
    """Write both files."""
    readme = ROOT / "README.md"
    readme.write_text(rendered(readme.read_text()))
    (ROOT / "docs/speed.md").write_text(speed.page(RESULTS / "speed"))


if __name__ == "__main__":
    main()
