"""Imports have no cycles, of modules or of folders."""

import ast
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest
from pages import ROOT

import brainsurr


def modules(package: str) -> dict[str, Path]:
    """Return the files of a package, by module; of the package as it is installed."""
    home = Path(brainsurr.__file__).parent if package == "brainsurr" else ROOT / package
    names = {path: (package, *path.relative_to(home).with_suffix("").parts) for path in sorted(home.rglob("*.py"))}
    assert names
    return {".".join(parts[: len(parts) - (parts[-1] == "__init__")]): path for path, parts in names.items()}


def imported(name: str, path: Path, known) -> set[str]:
    """Return the modules among ``known`` that a module imports when it runs, within functions too."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    imports, tree = set(), ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            source = resolve_name("." * node.level + (node.module or ""), package)
            # `from package import name` takes the module of that name where there is one, else what the package has.
            names = {f"{source}.{alias.name}" for alias in node.names}
            imports |= {name if name in known else source for name in names}
    return {name for name in imports if name in known}


def folder(module: str) -> str:
    """Return the folder of its package that a module is in; "" for the package itself."""
    return [*module.split("."), ""][1]


@pytest.mark.parametrize("of", [str, folder], ids=["module", "folder"])
@pytest.mark.parametrize("package", ["brainsurr", "benchmarks"])
def test_imports_have_no_cycle(package, of):
    """A file next to the folders is a folder of its own."""
    known = modules(package)
    graph: dict[str, set[str]] = {}
    for name, path in known.items():
        graph.setdefault(of(name), set()).update(set(map(of, imported(name, path, known))) - {of(name)})
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"expected imports without a cycle, got {' <- '.join(error.args[1])}")


HOSTS = ("brainsurr.nnx", "brainsurr.linen", "brainsurr.brainstate", "brainsurr.equinox")
BELOW = [("brainsurr", "benchmarks"), ("brainsurr", "tools"), ("tools", "benchmarks")]  # tests of both use the tools


@pytest.mark.parametrize(("package", "above"), BELOW + [("brainsurr", host) for host in HOSTS])
def test_a_package_does_not_import_one_above_it(package, above):
    """Nor a folder of the library that of a framework, but its own."""
    known = modules("brainsurr") | modules("benchmarks") | modules("tools")
    for name, path in modules(package).items():
        if not name.startswith(above) and name != "brainsurr.interop":
            assert not {other for other in imported(name, path, known) if other.startswith(above)}, name
