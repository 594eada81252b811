"""Generated parts of a page that is written by hand, between markers."""

import re
from collections.abc import Mapping


def filled(text: str, parts: Mapping[str, str], page: str) -> str:
    """Replace the parts of a text, by the name in their markers, ``<!-- name -->`` and ``<!-- /name -->``.

    Raises:
      ValueError: the text, that of ``page``, lacks the markers of a part.
    """
    for name, part in parts.items():
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not marked.search(text):
            raise ValueError(f"{page} has no <!-- {name} --> ... <!-- /{name} -->")
        text = marked.sub(lambda match, part=part: f"{match[1]}\n{part}\n\n{match[2]}", text)
    return text
