"""Write every page with generated parts: ``python -m benchmarks.pages``, which `make evidence` runs."""

from ..lib.results import ROOT
from .tables import draw, pages

if __name__ == "__main__":
    draw()
    for page, text in pages().items():
        (ROOT / page).write_text(text, encoding="utf-8")
