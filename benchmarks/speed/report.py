"""Tables of the measured speed, for a terminal, the README and docs/speed.md, from the JSON files alone."""

from ..lib.report import claim_table
from ..lib.results import read, where
from .claims import activation, convolution, events, first_step, imports, live, long, peers, train_step

CLAIMS = {
    "train-step": train_step,
    "events": events,
    "long": long,
    "convolution": convolution,
    "live": live,
    "first-step": first_step,
    "activation": activation,
    "import": imports,
    "peers": peers,
}


def show(name, result):
    """Show the section of a target: its table, and the numbers with a limit."""
    claims = CLAIMS[name].claims(result)
    return "\n\n".join([section(name, result), *([claim_table(claims)] if claims else [])])


def section(name, result):
    """Return the docstring of a claim, which readers of the page get, and its table; None is what was not measured."""
    heading = CLAIMS[name].__doc__.strip()
    return f"## {name}\n\n{heading}\n\n{'Not measured.' if result is None else CLAIMS[name].report(result)}"


def draw(name, result, out):
    """Draw a target's picture, if it has one."""
    if hasattr(CLAIMS[name], "draw"):
        CLAIMS[name].draw(result, out / f"{name}.png")


def load(folder):
    """Return the results, by target."""
    return {name: read(path) for name in CLAIMS if (path := folder / f"{name}.json").exists()}


def _where(result):
    return where(result, "jax", "flax")


def readme(folder):
    """Return the README's part: a row for each jax library, and the machine."""
    result = read(folder / "peers.json")
    of_jax = result | {"runs": [run for run in result["runs"] if "jax" in run["versions"]]}
    return f"{peers.chooser(result, of_jax=True)}\n\nOn {_where(result)}{_elsewhere(of_jax)}."


def part(folder, name, make):
    """Return a table that ``make`` makes from a target's result, and the machine."""
    result = read(folder / f"{name}.json")
    return f"{make(result)}\n\nOn {_where(result)}."


def _elsewhere(result):
    """List the libraries that ran on another Python or jax than the caption names, and the torch versions."""
    usual = result["python"], result["versions"]["jax"]
    others: dict[str, list[str]] = {}
    for run in result["runs"]:
        versions = run["versions"]
        if (run["python"], versions.get("jax")) != usual:
            shown = ", ".join(f"{name} {versions[name]}" for name in ("jax", "torch") if name in versions)
            others.setdefault(f"Python {run['python']}, {shown}", []).append(run["name"])
    return "".join(f"; {', '.join(dict.fromkeys(names))}: {on}" for on, names in others.items())


def all_claims(folder):
    """Return the table of all targets."""
    by_claim = load(folder)
    claims = [claim for name, result in by_claim.items() for claim in CLAIMS[name].claims(result)]
    return f"{claim_table(claims)}\n\nOn {_where(by_claim['train-step'])}{_elsewhere(by_claim['peers'])}."


def tables(folder):
    """Return the tables of all targets."""
    by_claim = load(folder)
    return "\n\n".join(section(name, by_claim.get(name)) for name in CLAIMS)
