"""Write every page: ``python -m benchmarks.pages``, which `make evidence` runs."""

from ..speed import report as speed
from . import evidence, studies, tables, withstands
from .parts import RESULTS, ROOT

if __name__ == "__main__":
    for page in (evidence, studies, withstands, tables):
        page.main()
    (ROOT / "docs/speed.md").write_text(speed.page(RESULTS / "speed"))
