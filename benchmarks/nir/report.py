"""The tables of docs/nir.md."""

from ..lib.report import table

TITLES = {"brainsurr": "brainsurr", "snntorch": "snnTorch", "norse": "norse", "spyx": "spyx", "jaxpike": "jaxpike"}
SHOWN = ("nir", "snntorch", "norse", "spyx", "jaxpike", "nirtorch", "torch", "jax", "flax")


def part(result) -> str:
    """Return who reads whom, the digits, and with which versions."""
    named = ", ".join(f"{name} {result['versions'][name]}" for name in SHOWN if name in result["versions"])
    return f"{matrix(result['trials'])}\n\n{digits(result['digits'])}\n\nPython {result['python']}, {named}."


def matrix(trials) -> str:
    """Return a row for each way of a file."""
    rows = [
        (row["network"], TITLES[row["writer"]], TITLES[row["reader"]], row["how"] and f"`{row['how']}`", cell(row))
        for row in trials
    ]
    return table(("network", "written by", "read by", "said to brainsurr", "differ"), rows)


def cell(row) -> str:
    """Return the share of outputs that differ, or why there are none."""
    if row["differ"] is None:
        return f"stops: {row['error']}"
    return "**0**" if row["differ"] == 0 else f"{100 * row['differ']:.1f} %"


def digits(by_library) -> str:
    """Return the accuracy of the digits in each library."""
    rows = [
        (TITLES[name], f"{100 * row['accuracy']:.2f} %", "" if name == "brainsurr" else cell(row))
        for name, row in by_library.items()
    ]
    return table(("digits in", "test accuracy", "spikes that differ"), rows)
