"""The tables and the picture of docs/appendix/accelerators.md, made from the result file."""

from ..lib.report import at_most, picture, table
from ..lib.results import read
from ..speed.claims import megabytes
from ..speed.libraries import OURS
from .targets import TARGETS, TPU

SHOWN, LAUNCHES = "H100", "kernel launches"  # the accelerator of the picture
NETWORKS = {  # of this library alone, beside the usual one: what their hidden layers are
    "recurrent": "recurrent LIF",
    "adaptive": "ALIF",
    "trained": "LIF with trained decay and surrogate width",
    "convolution": "convolutions with LIF and pooling, 28 x 28, T = 10",
}
LIMITS = {  # limits at T = 100, by accelerator and mode: counts, memory traffic and memory in use
    (SHOWN, "layer by layer"): {"launches": 349, "bytes": 1400e6, "temporaries": 140e6},
    (SHOWN, "dots"): {"launches": 600, "temporaries": 80e6},
    (SHOWN, "full"): {"launches": 600, "temporaries": 34e6},
    (TPU, "layer by layer"): {"fusions": 700, "bytes": 360e6},
    (TPU, "dots"): {"bytes": 75e6},
}
CALLED = {"bytes": (1e9, "memory traffic, GB"), "temporaries": (1e6, "temporary memory, MB"), "launches": (1, LAUNCHES)}


def usual(rows, steps=100):
    """Return the rows of the reference network, which every library has."""
    return [row for row in rows if (row["network"], row["steps"]) == ("usual", steps) and "why" not in row]


def claims(out):
    """Compare the programs of brainsurr with `LIMITS`."""
    ours = (row for row in usual(read(out / "result.json")["rows"]) if row["name"] == OURS)
    rows = {(row["target"], row["mode"]): row for row in ours}
    made = []
    for of, what, limit in ((of, *each) for of, limits in LIMITS.items() for each in limits.items()):
        unit, called = CALLED.get(what, (1, what))
        made.append(at_most(limit / unit, f"{', '.join(of)}: {called}", rows[of][what] / unit))
    return made


def launches(row):
    """Return the count to show: launches on a GPU, and fusions on a TPU, which gets a whole program."""
    return row["fusions" if row["target"] == TPU else "launches"]


def table_of(out):
    """Make a table for each accelerator and number of steps, and one of the other networks."""
    result, parts = read(out / "result.json"), list[str]()
    for target in TARGETS:
        of_target = [row for row in result["rows"] if row["target"] == target and "why" not in row]
        for steps in (100, 1000):
            parts.append(_section(f"{target}, T = {steps:,}", usual(of_target, steps), lambda row: row["name"]))
        others = [row for row in of_target if row["network"] != "usual"]
        title = f"{target}, other networks of brainsurr, T = 100"
        parts.append(_section(title, others, lambda row: NETWORKS[row["network"]]))
    missing = {f"{row['name']}, `{row['mode']}`: {row['why']}" for row in result["rows"] if "why" in row}
    parts += [f"Not counted: {'; '.join(sorted(missing))}."] if missing else []
    versions = {f"{row['name']}: {', '.join(f'{k} {v}' for k, v in row['versions'].items())}" for row in result["rows"]}
    return "\n\n".join([*filter(None, parts), f"{'; '.join(sorted(versions))}."])


def _section(title, rows, name):
    """Make a section with a table of some programs, or nothing if there are none."""
    if not rows:
        return ""
    what = "fusions" if rows[0]["target"] == TPU else LAUNCHES
    header = ("program", what, "in loops", "memory traffic", "traffic / minimum", "temporary memory", "compile time")
    cells = [
        (
            f"{name(row)}, `{row['mode']}`",
            f"{launches(row):,.0f}",
            f"{row['in_loops'] / max(1, row['launches']):.0%}",
            megabytes(row["bytes"]),
            f"{row['bytes'] / row['least']:.1f}",
            megabytes(row["temporaries"]),
            f"{row['compile_seconds']:.1f} s",
        )
        for row in rows
    ]
    return f"## {title}\n\n{table(header, cells)}"


def draw(out):
    """Draw the launches and memory traffic of the reference network, T = 100, for one accelerator."""
    rows = [row for row in usual(read(out / "result.json")["rows"]) if row["target"] == SHOWN]
    names = [f"{row['name']}, {row['mode']}" for row in rows]
    colours = ["tab:blue" if row["name"] == OURS else "tab:gray" for row in rows]
    shown = {LAUNCHES: [launches(row) for row in rows], "memory traffic (MB)": [row["bytes"] / 1e6 for row in rows]}
    with picture(out / "launches.png", 1, 2, size=(10, 1 + 0.3 * len(rows)), sharey=True) as ((first, second),):
        for axis, (what, numbers) in zip((first, second), shown.items(), strict=True):
            axis.barh(names, numbers, color=colours)
            axis.set_xlabel(f"{what}: {SHOWN}, compiled, never run")
        first.invert_yaxis()
        first.set_xscale("log")
