"""Write the tables of docs/nir.md from the result file."""

import json

from ..nir import report
from .parts import RESULTS, ROOT, filled

PAGE = ROOT / "docs/nir.md"


def rendered(text: str, result) -> str:
    """Replace the tables of a text, between ``<!-- tables -->`` and ``<!-- /tables -->``."""
    return filled(text, {"tables": report.part(result)}, "docs/nir.md")


def load(folder=RESULTS):
    """Load the result of `benchmarks.nir`."""
    return json.loads((folder / "nir/result.json").read_text())


def main():
    """Write the tables into docs/nir.md."""
    PAGE.write_text(rendered(PAGE.read_text(), load()))


if __name__ == "__main__":
    main()
