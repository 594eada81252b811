"""Write the generated parts of README.md, and docs/speed.md, from the result files."""

import re

from ..speed import report as speed
from . import evidence
from .evidence import RESULTS, ROOT


def parts():
    """Generate each part, by the name in its markers, ``<!-- name -->`` and ``<!-- /name -->``."""
    return {"speed": speed.part(RESULTS / "speed"), "evidence": evidence.readme(evidence.load())}


def rendered(text):
    """Replace every generated part of a text."""
    for name, part in parts().items():
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not marked.search(text):
            raise ValueError(f"README.md has no <!-- {name} --> ... <!-- /{name} -->")
        text = marked.sub(lambda match, part=part: f"{match[1]}\n{part}\n\n{match[2]}", text)
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(rendered(readme.read_text()))
    (ROOT / "docs/speed.md").write_text(speed.page(RESULTS / "speed"))
