"""The tables of docs/field.md, from the JSON file: the times of each library on each published network."""

from ..lib.report import table
from ..speed.claims import seconds
from ..speed.claims.peers import entry
from ..speed.libraries import AS_DOCUMENTED, EVERY_CORE, OURS, PEERS, SLOW
from .published import EACH_STEP, IMAGES

TERMS = (AS_DOCUMENTED, EVERY_CORE)
COLUMNS = {
    "forward": (AS_DOCUMENTED, "forward"),
    "train step": (AS_DOCUMENTED, "train"),
    "forward, all cores": (EVERY_CORE, "forward"),
    "train step, all cores": (EVERY_CORE, "train"),
}


def _medians(result, trial, column):
    """Return the median of each library that ran, by name."""
    terms, what = COLUMNS[column]
    runs = [run for run in result["runs"] if (run["trial"], run["terms"]) == (trial, terms)]
    return {entry(run["name"], run["mode"]): run[what]["median"] for run in runs}


def _against(result, trial, column):
    """Return our best time over the best of the others, to two digits, and its library; None if one is missing."""
    medians = _medians(result, trial, column)
    ours, others = ({k: m for k, m in medians.items() if k.startswith(OURS) == mine} for mine in (True, False))
    if not ours or not others:
        return None
    fastest = min(others, key=others.__getitem__)
    return round(min(ours.values()) / others[fastest], 2), fastest


def answer(result):
    """Make the table of our best time over that of the fastest other library; bold if ours is slower."""

    def shown(trial, column):
        if (found := _against(result, trial, column)) is None:
            return "-"
        quotient, name = found
        return f"**{quotient:.2f}** {name}" if quotient > 1 else f"{quotient:.2f} {name}"

    rows = [(trial, *(shown(trial, column) for column in COLUMNS)) for trial in result["networks"]]
    return table(("network", *COLUMNS), rows)


def section(result, trial):
    """Return the table of a network, with a row per library, and the description of its layers."""
    best = {column: min(_medians(result, trial, column).values(), default=None) for column in COLUMNS}
    found = {}
    for run in result["runs"] + result["missing"]:
        if run["trial"] == trial:
            found.setdefault(entry(run["name"], run["mode"]), {})[run["terms"]] = run

    def cell(runs, column):
        terms, what = COLUMNS[column]
        run = runs.get(terms, {"why": ""})
        if what in run:
            return f"{seconds(run[what])}, {run[what]['median'] / best[column]:.2f}x"
        return f"more than {result['limit']} s" if run["why"].startswith(SLOW) else "-"

    rows = []
    for name, runs in found.items():
        run = runs[AS_DOCUMENTED]
        compiles = "jax" in run.get("versions", ())
        beyond = f"{run['first_step'] - run['train']['median']:.1f} s" if compiles else "-"
        losses = " ".join(f"{loss:.4f}" for loss in run.get("losses", ())[:3:2])
        rows.append((name, *(cell(runs, column) for column in COLUMNS), beyond, losses))
    header = (trial, *COLUMNS, "compile", "loss of steps 1, 3")
    return f"## {trial}\n\n{result['networks'][trial]['about']}.\n\n{table(header, rows)}"


def notes(result):
    """List what each library does otherwise, what it can't build, and why a run is missing."""
    said = {f"{run['name']}: {note}" for run in result["runs"] for note in PEERS[run["name"]].notes}
    if IMAGES in result["networks"]:
        said |= {f"{name}: normalises each time step of {IMAGES} separately, so losses differ" for name in EACH_STEP}
    said |= {
        f"{run['name']}: {run['trial']} not measured, {run['why']}"
        for run in result["missing"]
        if not run["why"].startswith(SLOW)
    }
    return "\n".join(f"- {note}." for note in sorted(said))


def where(result):
    """Return the machine and the version of each library."""
    versions = {}
    for run in result["runs"]:
        own = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
        versions[run["name"]] = f"{own} (Python {run['python']})"
    shown = "; ".join(f"{name}: {own}" if not own.startswith(name) else own for name, own in versions.items())
    return f"On {result['device']}. {shown}."


def parts(result):
    """Return the parts of docs/field.md."""
    tables = "\n\n".join(section(result, trial) for trial in result["networks"])
    return {"answer": f"{answer(result)}\n\n{where(result)}", "tables": f"{tables}\n\n{notes(result)}"}
