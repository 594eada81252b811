"""Mutation testing: plant random faults in copies of the tree, one in each, and check whether `make test` finds them.

``python -m tools.faults --draw 40 --seed 1`` draws faults from the whole package. Each folder has the same share, as
has each kind of fault within a folder. Each copy is tested until the first failure, which must occur again when that
test runs alone. The tests that run the changed line come first, then all others. coverage.py finds these tests once for
each state of package and tests, which takes two minutes on two cores. A fault takes ten seconds, or five minutes if no
test finds it. The program prints each surviving fault as a diff, and the score with its interval. Faults that survive
but change nothing are listed by hand, with the reason, in `tools/equivalent_faults.toml`, and are not counted.
"""

import argparse
import ast
import difflib
import hashlib
import itertools
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from coverage import CoverageData
from scipy.stats import binomtest
from tqdm import tqdm

ROOT = Path(__file__).parent.parent
EQUIVALENT = Path(__file__).with_name("equivalent_faults.toml")
LEFT_OUT = (".git", ".venv", ".*_cache", "__pycache__", "runs", "site", "dist")  # not copied with the tree
QUICK = re.search(r"^QUICK := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]  # the selection of `make test`
FOCUSED = 300  # number of tests of the changed line that run before all others
LIMIT_S = 1800  # six times `make test` in one process; a fault that hangs the tests counts as found

_PAIRS = (
    "Lt LtE, LtE Lt, Gt GtE, GtE Gt, Eq NotEq, NotEq Eq, Is IsNot, IsNot Is, In NotIn, NotIn In, Add Sub, Sub Add, "
)
_PAIRS += "Mult Div, Div Mult, FloorDiv Div, Mod FloorDiv, Pow Mult, BitAnd BitOr, BitOr BitAnd, And Or, Or And"
_OPPOSITE = {getattr(ast, one): getattr(ast, other) for one, other in map(str.split, _PAIRS.split(","))}
_PAIRS = "float64 float32, float32 float16, bfloat16 float16, float16 bfloat16, inexact floating, floating inexact, "
_PAIRS += "complex128 complex64, int32 int8, bool_ int8"
_DTYPES = dict(map(str.split, _PAIRS.split(",")))
_SYMMETRIC = ("min", "max", "jnp.minimum", "jnp.maximum", "np.minimum", "np.maximum", "math.gcd", "math.lcm")


class Fault(NamedTuple):
    """A changed part of a file of the package.

    Attributes:
      path: the file, relative to the tree.
      kind: the kind of rule that made the change.
      lines: the lines of the changed part.
      text: the whole file with the fault.
    """

    path: str
    kind: str
    lines: range
    text: str

    def diff(self) -> str:
        """Return the changed lines as a diff."""
        pair = (ROOT / self.path).read_text(encoding="utf-8").splitlines(), self.text.splitlines()
        return "\n".join(line.rstrip() for line in [*difflib.unified_diff(*pair, lineterm="", n=0)][3:])


def faults_of(path: str) -> dict[str, list[tuple]]:
    """Return all possible changes to a file, by kind: ``(path, kind, lines, first byte, last byte, text)``."""
    source = (ROOT / path).read_text(encoding="utf-8").encode()
    starts = [0, *itertools.accumulate(map(len, source.splitlines(keepends=True)))]
    found = defaultdict(list)
    for kind, node, text in changes(ast.parse(source)):
        first, last = starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
        found[kind].append((path, kind, range(node.lineno, node.end_lineno + 1), first, last, text))
    return found


def planted(path, kind, lines, first, last, text) -> Fault | None:
    """Return the file with a change, or None if the change is invalid or leaves the program the same."""
    source = (ROOT / path).read_text(encoding="utf-8").encode()
    changed = (source[:first] + text.encode() + source[last:]).decode()
    try:
        same = ast.dump(ast.parse(changed)) == ast.dump(ast.parse(source))
    except SyntaxError:
        return None
    return None if same else Fault(path, kind, lines, changed)


def changes(tree) -> Iterator[tuple[str, ast.expr | ast.stmt, str]]:
    """Yield ``(kind, node, text)`` for each part of a program that a rule can change, and its replacement text."""
    for node in _code(tree):
        if isinstance(node, ast.Compare | ast.BinOp | ast.BoolOp | ast.UnaryOp):
            yield from _operators(node)
        elif isinstance(node, ast.If | ast.IfExp | ast.While):
            yield from (("branch", node.test, str(taken)) for taken in (True, False))
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield "lost call", node, "pass"
        elif isinstance(node, ast.Call):
            yield from _calls(node)
        elif isinstance(node, ast.Attribute) and node.attr in _DTYPES:
            yield "dtype", node, f"{ast.unparse(node.value)}.{_DTYPES[node.attr]}"
        elif isinstance(node, ast.Constant):
            yield from ((kind, node, repr(value)) for kind, value in _constants(node.value))
        elif isinstance(node, ast.arguments):
            defaults = [*node.defaults, *filter(None, node.kw_defaults)]
            yield from (("default", default, text) for default in defaults for text in _defaults(default))
        elif isinstance(node, ast.ClassDef):
            values = [one.value for one in node.body if isinstance(one, ast.Assign | ast.AnnAssign) and one.value]
            yield from (("default", value, text) for value in values for text in _defaults(value))
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant | ast.UnaryOp):
            yield from (("axis", node.slice, text) for text in _defaults(node.slice) if node.slice)


def _code(node) -> Iterator[ast.AST]:
    """Walk over the code that runs: no annotations, docstrings, error messages, or `strict`, which ruff asks for."""
    yield node
    for name, value in ast.iter_fields(node):
        children = [child for child in (value if isinstance(value, list) else [value]) if isinstance(child, ast.AST)]
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in children:
            is_text = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
            is_text |= isinstance(child, ast.keyword) and child.arg == "strict"
            for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            if not (is_text or for_types or isinstance(child, ast.Import | ast.ImportFrom | ast.Raise | ast.JoinedStr)):
                yield from _code(child)


def _operators(node):
    if isinstance(node, ast.UnaryOp):
        if isinstance(node.op, ast.Not | ast.USub) and not isinstance(node.operand, ast.Constant):
            yield "operator", node, f"({ast.unparse(node.operand)})"
        return
    ops = node.ops if isinstance(node, ast.Compare) else [node.op]
    if len(ops) == 1 and (opposite := _OPPOSITE.get(type(ops[0]))):
        changed = {"ops": [opposite()]} if isinstance(node, ast.Compare) else {"op": opposite()}
        kind = "comparison" if isinstance(node, ast.Compare) else "operator"
        yield kind, node, ast.unparse(type(node)(**{**dict(ast.iter_fields(node)), **changed}))


def _calls(node):
    args, plain = node.args, not any(isinstance(one, ast.Starred) for one in node.args)
    if len(args) > 1 and plain and ast.unparse(node.func) not in _SYMMETRIC:
        yield "swapped arguments", node, ast.unparse(ast.Call(node.func, [args[1], args[0], *args[2:]], node.keywords))
    if len(args) == 1 and plain and not node.keywords:
        is_method = isinstance(node.func, ast.Attribute) and node.func.attr in ("astype", "reshape")
        yield "lost call", node, f"({ast.unparse(node.func.value if is_method else args[0])})"
    for i, keyword in enumerate(node.keywords):
        if keyword.arg not in (None, "strict"):
            yield "keyword", node, ast.unparse(ast.Call(node.func, args, node.keywords[:i] + node.keywords[i + 1 :]))
        if keyword.arg in ("axis", "axes", "dimension"):
            yield from (("axis", keyword.value, text) for text in _defaults(keyword.value))


def _constants(value):
    if isinstance(value, str) and value.isidentifier():
        yield "name", value + "_"
    elif isinstance(value, bool):
        yield "constant", not value
    elif isinstance(value, int | float):
        yield "constant", value + 1 if isinstance(value, int) else 1.25 * value or 1.0


def _defaults(node):
    if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant):
        yield ast.unparse(node.operand)
    elif isinstance(node, ast.Constant):
        yield from (repr(value) for kind, value in _constants(node.value) if kind == "constant")


def drawn(n: int, seed: int) -> list[Fault]:
    """Draw faults, with equal shares for all folders and, within a folder, for all kinds of faults."""
    rng, by_folder = random.Random(seed), defaultdict(lambda: defaultdict(list))
    for path in sorted((ROOT / "brainsurr").rglob("*.py")):
        for kind, changes in faults_of(path.relative_to(ROOT).as_posix()).items():
            by_folder[path.parent][kind] += changes
    chosen: list[Fault] = []
    while by_folder and len(chosen) < n:
        for folder in rng.sample(sorted(by_folder), len(by_folder)):
            changes = by_folder[folder][rng.choice(sorted(by_folder[folder]))]
            fault = planted(*changes.pop(rng.randrange(len(changes)))) if changes else None
            chosen += [fault] if fault else []
    return chosen[:n]


def measured() -> Path:
    """Return the coverage file that lists the tests of each line; run the tests first if code or tests have changed."""
    files = (path for folder in ("brainsurr", "tests") for path in sorted((ROOT / folder).rglob("*.py")))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files))
    path = ROOT / ".pytest_cache" / f"quick-{digest.hexdigest()[:16]}"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        command = ["-n", str(os.cpu_count()), "--dist", "worksteal", "--cov=brainsurr", "--cov-context=test"]
        done = _tested(ROOT, [*command, "--cov-report=", "tests", "brainsurr"], COVERAGE_FILE=str(path))
        if done.returncode:
            path.unlink(missing_ok=True)
            raise SystemExit(f"the tests fail without a fault:\n{done.stdout[-4000:]}")
    return path


def tests_of(faults: list[Fault]) -> list[list[str]]:
    """Return for each fault the tests that run its lines, else nearby lines, else the file; the most focused first."""
    data = CoverageData(basename=str(measured()))
    data.read()
    runs = {path: data.contexts_by_lineno(path) for path in data.measured_files()}
    extent = Counter(context for lines in runs.values() for contexts in lines.values() for context in contexts)

    def of(fault):
        lines = runs.get(str(ROOT / fault.path), {})
        found, near = set[str](), range(fault.lines[0], fault.lines[-1] + 30)
        for some in (fault.lines, near, lines):  # the last one for a line that runs on import
            found = found or set().union(*(lines.get(line, ()) for line in some)) - {""}
        return list(dict.fromkeys(name.rpartition("|")[0] for name in sorted(found, key=extent.__getitem__)))[:FOCUSED]

    return [of(fault) for fault in faults]


def _tested(tree, arguments, limit=None, **variables):
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", "-m", QUICK]
    cache = {"JAX_COMPILATION_CACHE_DIR": str(ROOT / ".pytest_cache" / "jax"), "PYTHONPATH": str(tree)}
    run = {"cwd": tree, "env": os.environ | cache | variables, "capture_output": True, "text": True, "timeout": limit}
    return subprocess.run([*command, *arguments], **run)


def found_by(fault: Fault, tests: list[str]) -> str | None:
    """Return the first test that fails because of the fault, or a description of what broke; None if nothing fails."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*LEFT_OUT))
        (tree / fault.path).write_text(fault.text, encoding="utf-8")
        for names in filter(None, (tests, ["tests", "brainsurr"])):
            try:
                done = _tested(tree, ["-x", *names], LIMIT_S)
                failed = re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
                if failed and _tested(tree, failed[:1], LIMIT_S).returncode:  # the test must also fail by itself
                    return failed[0]
            except subprocess.TimeoutExpired:
                return "a test that hangs"
            names_changed = names is tests and done.returncode == 4  # names of tests can contain default values
            if done.returncode and not failed and not names_changed:
                return f"pytest, which ended with {done.returncode}"
    return None


def main(argv=None):
    """Draw faults, run the tests on each, and print the surviving faults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draw", type=int, default=20, metavar="N", help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    args = parser.parse_args(argv)
    equivalent = {row["diff"].strip() for row in tomllib.loads(EQUIVALENT.read_text()).get("fault", [])}
    faults = drawn(args.draw, args.seed)
    counted = [fault for fault in faults if fault.diff() not in equivalent]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = [*tqdm(pool.map(found_by, counted, tests_of(counted)), desc="faults", unit="fault", total=len(counted))]
    for fault, by in zip(counted, found, strict=True):
        print(f"\n{fault.path}:{fault.lines[0]}, {fault.kind}: {by or 'SURVIVES'}\n{fault.diff()}")
    print(f"\n{len(faults) - len(counted)} of {len(faults)} drawn are equivalent by {EQUIVALENT.name}")
    n = sum(map(bool, found))
    interval = binomtest(n, len(found)).proportion_ci(method="wilson")
    share = f"{n / len(found):.0%} (95 % interval {interval.low:.0%} to {interval.high:.0%})"
    print(f"found by make test: {n} of {len(found)}, {share}")


if __name__ == "__main__":
    main()
