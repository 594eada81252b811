"""The pages of docs: what they show is run."""

import re
from pathlib import Path

HOSTS = Path(__file__).parent.parent / "docs" / "hosts"


def run_page(host: str) -> dict:
    """`run` of the page of a host."""
    return run(HOSTS / f"{host}.md")


def run(page: Path) -> dict:
    """Run every python block of a page, in order and in one scope, and give the names it leaves behind."""
    scope: dict = {}
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    assert blocks, f"{page} shows no python"
    for block in blocks:
        exec(compile(block, str(page), "exec"), scope)
    return scope
