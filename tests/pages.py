"""The pages of docs/hosts: what they show is run."""

import re
from pathlib import Path

HOSTS = Path(__file__).parent.parent / "docs" / "hosts"


def run_page(host: str) -> dict:
    """Run every python block of a page, in order and in one scope, and give the names it leaves behind."""
    scope: dict = {}
    page = HOSTS / f"{host}.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    assert blocks, f"{page} shows no python"
    for block in blocks:
        exec(compile(block, str(page), "exec"), scope)
    return scope
