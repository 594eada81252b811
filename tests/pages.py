"""The pages of docs: what they show is run."""

import re
from pathlib import Path

import jax

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
LIBRARIES = DOCS / "other-libraries.md"
PYTHON = r"```python\n(.*?)```"


def run_blocks(page: Path, section: str = "") -> dict:
    """Run every python block of a page or section, in order and in one scope, and give the names it leaves behind."""
    return run(*blocks(page, section))


def blocks(page: Path, section: str = "") -> list[str]:
    """Give the python blocks of a page, or of a section of it by title. Some of them continue others."""
    text = page.read_text().partition(f"\n## {section}\n")[2].partition("\n## ")[0] if section else page.read_text()
    found = re.findall(PYTHON, text, re.DOTALL)
    assert found, f"{page} {section} shows no python"
    return found


def run(*blocks: str, **scope) -> dict:
    """Run blocks in one scope, and give the names in it."""
    for block in blocks:
        exec(compile(block, "docs", "exec"), scope)
    return scope


def by_section(page: Path) -> dict[str, dict]:
    """Run a page from top to bottom, and give by title the names that there are at the end of each of its sections."""
    scopes, scope = {}, {}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):  # optax.adam, flax's Linear
        for section in page.read_text().split("\n## "):
            scope = run(*re.findall(PYTHON, section, re.DOTALL), **scope)
            scopes[section.partition("\n")[0]] = scope
    return scopes


def cells(table: str) -> list[list[str]]:
    """The cells of a table in Markdown, row by row."""
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()]


def patched(program: str, diff: str) -> str:
    """Apply a diff of a page, whose hunks are parted by lines of ``@@``: each must fit in one place."""
    for hunk in re.split(r"^@@\n", diff, flags=re.MULTILINE):
        lines = hunk.splitlines(keepends=True)
        assert all(line[0] in " +-" for line in lines), hunk
        before, after = ("".join(line[1:] for line in lines if line[0] in kinds) for kinds in (" -", " +"))
        assert program.count(before) == 1 if before.strip() else program.startswith(before), hunk
        program = program.replace(before, after, 1)
    return program
