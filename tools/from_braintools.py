"""Replace braintools.surrogate by brainsurr in your code: ``python tools/from_braintools.py *.py``.

It changes only code, not strings, docstrings or comments. It keeps the original of each changed file as ``.bak``, and
prints the lines that you have to change by hand.
"""

import ast
import glob
import itertools
import shutil
import sys
from pathlib import Path

BEFORE = "braintools.surrogate"


def main(paths: list[str]):
    """Convert files."""
    for path in map(Path, itertools.chain(*(glob.glob(path) or [path] for path in paths))):  # no shell on Windows does
        try:
            source = path.read_bytes().decode("utf-8-sig").encode()  # `ast` counts bytes, without a byte order mark
            new, left = convert(source)
        except (OSError, SyntaxError, UnicodeDecodeError) as error:
            print(f"{path}: not converted: {error}")
            continue
        if new != source:
            shutil.copy2(path, path.with_name(f"{path.name}.bak"))
            path.write_bytes(new)
        for line in left:
            print(f"{path}:{line}:{source.splitlines()[line - 1].decode()}")


def convert(source: bytes) -> tuple[bytes, list[int]]:
    """Return the converted program, and the numbers of the lines to change by hand."""
    starts = [0, *itertools.accumulate(map(len, source.splitlines(keepends=True)))]
    nodes, edits, imports, names, left = list(ast.walk(ast.parse(source))), [], {}, set(), []

    def place(node):
        return starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset

    def text(node):
        return source[slice(*place(node))].decode()

    def edit(node, new):
        edits.append((*place(node), new))

    for node in nodes:
        for alias in node.names if isinstance(node, ast.Import) else ():
            if alias.name == BEFORE:
                edit(alias, f"brainsurr as {alias.asname}" if alias.asname else "braintools")
            if alias.name == "braintools" or (alias.name.startswith("braintools.") and not alias.asname):
                names.add(alias.asname or "braintools")
                imports.setdefault(node.col_offset and node.lineno, node)  # one for the module, one for each block
        if not isinstance(node, ast.ImportFrom) or node.level:
            continue
        if node.module == BEFORE:
            edit(node, text(node).replace(BEFORE, "brainsurr", 1))
        elif node.module == "braintools" and {"surrogate", "*"} & {alias.name for alias in node.names}:
            (first, *others) = node.names
            if others or first.name == "*" or "#" in text(node):
                left.append(node.lineno)
            else:
                edit(node, f"import brainsurr as {first.asname or first.name}")

    uses = {f"{name}.surrogate" for name in names}
    for node in nodes:
        if not isinstance(node, ast.Attribute) or ast.unparse(node) not in uses:
            continue
        if text(node) in uses:
            edit(node, "brainsurr")
        else:  # before Python 3.12, `ast` gives no positions inside an f-string
            left.append(node.lineno)
    if any(new == "brainsurr" for *_, new in edits):
        for node in imports.values():
            start, at = starts[node.lineno - 1], starts[node.lineno - 1] + node.col_offset
            before = source[start:at].decode()
            edits.append((at, at, "import brainsurr" + ("; " if before.strip() else f"\n{before}")))
    for start, end, new in sorted(edits, reverse=True):
        source = source[:start] + new.encode() + source[end:]
    return source, left


if __name__ == "__main__":
    main(sys.argv[1:])
