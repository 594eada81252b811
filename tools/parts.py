"""Fill in the generated parts of pages that are otherwise written by hand."""

import re
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent


def filled(page: str, parts: Mapping[str, str]) -> str:
    """Return the text of a page with the given parts, each between ``<!-- name -->`` and ``<!-- /name -->``.

    Args:
      page: its path, relative to the root of the repository.
      parts: the text of each part by name.

    Raises:
      ValueError: The page lacks the markers of a part.
    """
    text = (ROOT / page).read_text(encoding="utf-8")
    for name, part in parts.items():
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not marked.search(text):
            raise ValueError(f"expected <!-- {name} --> ... <!-- /{name} --> in {page}")
        text = marked.sub(lambda match, part=part: f"{match[1]}\n{part.rstrip()}\n\n{match[2]}", text)
    return text
