"""Write the generated parts of README.md, and docs/speed.md, from the result files."""

from ..speed import report as speed
from ..studies.reports.outcomes import load
from . import evidence
from .parts import RESULTS, ROOT, filled


def parts():
    """Generate each part, by the name in its markers, ``<!-- name -->`` and ``<!-- /name -->``."""
    return {"speed": speed.part(RESULTS / "speed"), "evidence": evidence.readme(load(RESULTS / "family"))}


def rendered(text):
    """Replace every generated part of a text."""
    return filled(text, parts(), "README.md")


def main():
    """Write both files."""
    readme = ROOT / "README.md"
    readme.write_text(rendered(readme.read_text()))
    (ROOT / "docs/speed.md").write_text(speed.page(RESULTS / "speed"))


if __name__ == "__main__":
    main()
