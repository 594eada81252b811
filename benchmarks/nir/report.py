"""The tables of docs/appendix/nir.md."""

import re

from brainsurr._nir.targets import TARGETS

from ..lib.report import table
from .trials import KINDS

NAMES = ["brainsurr", *filter(None, TARGETS)]
TITLES = {name: name for name in NAMES} | {"snntorch": "snnTorch", "spikingjelly": "SpikingJelly", "speck": "Speck"}
TITLES |= {"lava": "Lava"}


def part(result) -> str:
    """Return the table of libraries that exchange files, the table of the digits, and the versions."""
    named = [row for row in result["trials"] if is_named(row)]
    others = [row for row in result["trials"] if not is_named(row)]
    parts = [matrix(named), ways(others), digits(result["digits"]), versions(result["libraries"])]
    return "\n\n".join(parts)


def is_named(row) -> bool:
    """Return whether brainsurr wrote the file for itself or with the name of a reader."""
    named = "reader=" in row["how"] or row["reader"] == "brainsurr"
    return row["writer"] == "brainsurr" and named and row["network"] in KINDS


def name(row) -> str:
    """Return the name of a reader for which brainsurr wrote the file."""
    said = re.search(r"reader='(\w+)'", row["how"])
    return said[1] if said else row["reader"]


def matrix(rows) -> str:
    """Return the table with a row for each network, and a column for each reader."""
    cells = {(row["network"], name(row)): cell(row, refused="-") for row in rows}
    readers = [reader for reader in NAMES if reader in {reader for _, reader in cells}]
    shown = [(kind, *(cells.get((kind, reader), "") for reader in readers)) for kind in KINDS]
    return table(("network", *(TITLES[reader] for reader in readers)), shown)


def ways(rows) -> str:
    """Return the table with a row for each file that another library wrote."""
    shown = [
        (row["network"], TITLES[row["writer"]], TITLES[row["reader"]], row["how"] and f"`{row['how']}`", cell(row))
        for row in rows
    ]
    return table(("network", "written by", "read by", "arguments in brainsurr", "outputs that differ"), shown)


def cell(row, refused: str | None = None) -> str:
    """Return the fraction of outputs that differ, or the reason why there are none."""
    if row["differ"] is None:
        return refused if refused and "to_nir: " in row["error"] else f"stops: {row['error']}"
    return "**0**" if row["differ"] == 0 else f"{100 * row['differ']:.1f} %"


def digits(by_library) -> str:
    """Return the table of the digit accuracies here and in each library."""
    rows = [
        (TITLES[name], row["network"], *(percent(row.get(of)) for of in ("here", "accuracy", "several")), cell(row))
        for name, row in by_library.items()
    ]
    heads = "library", "network", *(f"test accuracy, {how}" for how in ("brainsurr", "library", "multiple spikes"))
    return table((*heads, "spikes that differ"), rows)


def percent(share: float | None) -> str:
    """Return a fraction as a percentage, or empty text if it was not measured."""
    return "" if share is None else f"{100 * share:.2f} %"


def versions(libraries) -> str:
    """Return the versions of the libraries."""
    rows = [
        (TITLES[name], found["version"], ", ".join(f"{part} {found[part]}" for part in found if part != "version"))
        for name, found in sorted(libraries.items(), key=lambda item: NAMES.index(item[0]))
    ]
    return table(("library", "version", "environment"), rows)
