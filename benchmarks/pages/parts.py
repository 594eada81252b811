"""What pages share: folders, results by name, and generated parts of a page whose other text is written by hand."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results"
PICTURES = ROOT / "docs/pictures"


def result(name: str):
    """Read the result of a study by the name of its folder."""
    return json.loads((RESULTS / name / "result.json").read_text())


def filled(page: str, parts: Mapping[str, str]) -> str:
    """Return the text of a page with these parts, each between ``<!-- name -->`` and ``<!-- /name -->``.

    Raises:
      ValueError: the page lacks the markers of a part.
    """
    text = (ROOT / page).read_text()
    for name, part in parts.items():
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not marked.search(text):
            raise ValueError(f"{page} has no <!-- {name} --> ... <!-- /{name} -->")
        text = marked.sub(lambda match, part=part: f"{match[1]}\n{part}\n\n{match[2]}", text)
    return text
