"""Write the tables of docs/nir.md from the result file."""

import json
import re

from ..nir import report
from .evidence import RESULTS, ROOT

PAGE = ROOT / "docs/nir.md"


def rendered(text: str, result) -> str:
    """Replace the tables of a text, between ``<!-- tables -->`` and ``<!-- /tables -->``."""
    marked = re.compile(r"(<!-- tables -->\n).*?(<!-- /tables -->)", re.DOTALL)
    if not marked.search(text):
        raise ValueError("docs/nir.md has no <!-- tables --> ... <!-- /tables -->")
    return marked.sub(lambda match: f"{match[1]}\n{report.part(result)}\n\n{match[2]}", text)


def load(folder=RESULTS):
    """Load the result of `benchmarks.nir`."""
    return json.loads((folder / "nir/result.json").read_text())


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text(), load()))
