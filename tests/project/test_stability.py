"""The changelog names each change of a public name or signature since the release in ``public_names.txt``.

``python tests/project/test_stability.py`` records the names of a new release there.
"""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import brainsurr as bs

RECORD = Path(__file__).parent / "public_names.txt"


class Default:
    """A default, written the same with all versions of Python, jax and the frameworks."""

    def __init__(self, value):
        own = type(value).__module__.partition(".")[0] in ("builtins", "brainsurr")
        self.text = getattr(value, "__qualname__", repr(value) if own else type(value).__qualname__)

    def __repr__(self):
        return self.text


def signature(function):
    """Names, kinds and defaults. The order of arguments that are passed by name doesn't count."""
    given = inspect.signature(function).parameters
    others = {"self", "parent", "name"} if "parent" in given else {"self"}  # flax adds two to a Linen module
    kept = [p.replace(annotation=p.empty) for name, p in given.items() if name not in others and name[0] != "_"]
    plain = [p if p.default is p.empty else p.replace(default=Default(p.default)) for p in kept]
    return str(inspect.Signature(sorted(plain, key=lambda p: (p.kind, p.name if p.kind is p.KEYWORD_ONLY else ""))))


def members(value):
    """The signature of a function, or of a constructor, and of the methods and properties that brainsurr defines."""
    if not isinstance(value, type):
        return {"": signature(value)}
    found = {"": signature(value.__new__ if issubclass(value, tuple) else value.__init__)}
    for name in filter(re.compile("[^_]|__call__$").match, dir(value)):
        member = getattr(value, name)
        function = inspect.unwrap(getattr(member, "fget", member))
        if inspect.isfunction(function) and function.__module__.startswith("brainsurr"):
            found[f".{name}"] = "" if isinstance(member, property) else signature(function)
    return found


def surface():
    """The signature of each public name. Methods that a public base class has too are listed there."""
    names = [name for _, name, _ in pkgutil.iter_modules(bs.__path__) if name[0] != "_" and name != "surrogates"]
    modules = [bs, *(importlib.import_module(f"brainsurr.{name}") for name in names)]
    public = {f"{module.__name__}.{name}": getattr(module, name) for module in modules for name in module.__all__}
    found = {}
    for path, value in public.items():
        inherited = next((members(base) for base in getattr(value, "__mro__", ())[1:] if base in public.values()), {})
        found |= {path + name: text for name, text in members(value).items() if not name or inherited.get(name) != text}
    return found


def unlisted(old, new, changelog):
    """The changes that no entry of the changelog names as code. What is removed needs a row of the table."""
    parts = [part for part in changelog.split("\n### ") if not part.startswith("Fixed")]
    entries = [entry for part in parts for entry in re.split(r"\n(?=[-|] )", part)]
    words = {entry: set(re.findall(r"\w+", " ".join(re.findall("`([^`]+)`", entry)))) for entry in entries}
    for path in sorted(old.keys() | new.keys()):
        owner, before, after = path.rpartition(".")[0], old.get(path), new.get(path)
        if before != after and (owner in old) == (owner in new):
            names = {path.removesuffix(".__call__").rpartition(".")[2]}
            if before and after:
                differ = set(before[1:-1].split(", ")) ^ set(after[1:-1].split(", "))
                names |= {name for argument in differ if (name := argument.partition("=")[0]).isidentifier()}
            if not any(names <= words[entry] for entry in entries if after is not None or entry[0] == "|"):
                yield f"{path}: {before} -> {after}"


def test_the_changelog_names_what_changed_since_the_last_release():
    version, *lines = RECORD.read_text().splitlines()
    changelog = (Path(__file__).parents[2] / "CHANGELOG.md").read_text()
    assert version in re.findall(r"^## \[(\d.+?)\]", changelog, re.MULTILINE)[:2], "record the last release"
    old = dict(re.match(r"([^(]*)(.*)", line).groups() for line in lines)
    found = list(unlisted(old, surface(), changelog.partition(f"\n## [{version}]")[0]))
    assert not found


if __name__ == "__main__":
    RECORD.write_text("\n".join([bs.__version__, *sorted(map("".join, surface().items())), ""]))
