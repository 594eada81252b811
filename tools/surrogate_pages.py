"""Write a page and a picture for each surrogate into docs/surrogates: ``python -m tools.surrogate_pages``."""

import inspect
import shutil
from pathlib import Path

import brainsurr as bs

from . import surrogate_pictures
from .surrogate_pictures import exported_surrogates

FOLDER = Path(__file__).parent.parent / "docs" / "surrogates"

PAGE = """\
# {name}

```{{image}} {name}.png
:alt: {name}, primitive and gradient
:width: 600px
```

{bounds}

```{{eval-rst}}
.. currentmodule:: brainsurr
.. autoclass:: {name}
{function}
```
"""


PICTURE = """\
```{{image}} surrogates/{name}.png
:alt: {name}, primitive and gradient
:class: gallery
:target: surrogates/{name}.html
```
"""


def page(name: str, f: bs.Surrogate) -> str:
    """Return the page of a surrogate: its picture, the bounds of its parameters, its class and its function."""
    intervals = type(f).bounds if isinstance(type(f).bounds, dict) else {}  # Scaled has those of its surrogate
    bounds = [f"`{parameter}` in [{low:g}, {high:g}]" for parameter, (low, high) in intervals.items()]
    function = functions().get(name)
    return PAGE.format(
        name=name,
        bounds=f"By default, a layer that trains it keeps {', '.join(bounds)}." if bounds else "",
        function=f".. autofunction:: {function}" if function else "",
    )


def functions() -> dict[str, str]:
    """Return the function of each class that has one, by the class name in lower case without underscores."""
    lower = {name.replace("_", ""): name for name in bs.__all__ if inspect.isfunction(getattr(bs, name))}
    return {cls: lower[cls.lower()] for cls in exported_surrogates() if cls.lower() in lower}


def main():
    """Write all pages and pictures again, and the part of the gallery that links to them."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    surrogate_pictures.each(FOLDER)
    for name, f in exported_surrogates().items():
        (FOLDER / f"{name}.md").write_text(page(name, f), encoding="utf-8")
    (FOLDER / "pictures.txt").write_text("\n".join(PICTURE.format(name=name) for name in exported_surrogates()))


if __name__ == "__main__":
    main()
