"""The pages of docs: what they show is run."""

import re
from pathlib import Path

HOSTS = Path(__file__).parent.parent / "docs" / "hosts"


def run_page(host: str) -> dict:
    """`run_blocks` of the page of a host."""
    return run_blocks(HOSTS / f"{host}.md")


def run_blocks(page: Path) -> dict:
    """Run every python block of a page, in order and in one scope, and give the names it leaves behind."""
    scope: dict = {}
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    assert blocks, f"{page} shows no python"
    for block in blocks:
        exec(compile(block, str(page), "exec"), scope)
    return scope


def patched(program: str, diff: str) -> str:
    """Apply a diff of a page, whose hunks are parted by lines of ``@@``: each must fit in one place."""
    for hunk in re.split(r"^@@\n", diff, flags=re.MULTILINE):
        lines = hunk.splitlines(keepends=True)
        assert all(line[0] in " +-" for line in lines), hunk
        before, after = ("".join(line[1:] for line in lines if line[0] in kinds) for kinds in (" -", " +"))
        assert program.count(before) == 1 if before.strip() else program.startswith(before), hunk
        program = program.replace(before, after, 1)
    return program
