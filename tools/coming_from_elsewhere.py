"""Write docs/libraries and the tables of docs/coming-from-elsewhere.md: ``python -m tools.coming_from_elsewhere``.

The rows are in tools/other_libraries.toml.
"""

import json
from collections.abc import Iterable

import brainsurr as bs

from .other_libraries import Row, rows, table
from .parts import ROOT, filled

PAGE = "docs/coming-from-elsewhere.md"
RUNS = "benchmarks/results/ports/result.json"  # written by `tools.ports`

# Names that mean several functions: the surrogates with that name elsewhere, and those here with their formulas.
NAMES = {
    "SuperSpike": (
        "spyx.superspike jaxsnn.superspike norse.super spikingjelly.SuperSpike snnax.superspike_surrogate",
        {"1 / (1 + alpha |x|)^2": bs.InvSquareGrad()},
    ),
    "Fast sigmoid": (
        "snntorch.fast_sigmoid jaxpike.FastSigmoid sparx.FastSigmoid slax.fast_sigmoid",
        {"1 / (1 + alpha |x|)^2": bs.InvSquareGrad(), "(alpha / 2) / (1 + alpha |x|)^2": bs.SoftSign()},
    ),
    "Arctan": (
        "snntorch.atan spikingjelly.ATan jaxpike.ATan sparx.ATan slax.atan spyx.arctan",
        {"(alpha / 2) / (1 + (pi/2 alpha x)^2)": bs.Arctan()},
    ),
    "Triangle": (
        "spikingjelly.PiecewiseQuadratic norse.triangle spyx.triangular jaxpike.Triangular sparx.Triangle "
        "snntorch.triangular",
        {"alpha max(0, 1 - alpha |x|)": bs.PiecewiseQuadratic(), "alpha max(0, width - |x|)": bs.ReluGrad()},
    ),
    "QPseudoSpike": (
        "spikingjelly.QPseudoSpike",
        {
            "(1 + 2 |x| / (alpha + 1))^-alpha": bs.QPseudoSpike(),
            "(1 + 2 |x| / (alpha - 1))^-alpha": bs.NormalizedQPseudoSpike(),
        },
    ),
    "Tanh and sigmoid": (
        "snntorch.sigmoid spikingjelly.Sigmoid sparx.Sigmoid norse.tanh spyx.tanh",
        {"alpha s (1 - s), s = sigmoid(alpha x)": bs.Sigmoid()},
    ),
    "Rectangle, boxcar": (
        "spikingjelly.Rect spyx.boxcar jaxpike.Boxcar sparx.Rectangle snnax.piecewise_surrogate",
        {"1 / (2 w) for |x| <= w, else c": bs.PiecewiseLeakyRelu(c=0.0)},
    ),
}

# Classes that change their shape with their parameters: their defaults are not compared.
SHAPES = (bs.LeakyRelu, bs.PiecewiseLeakyRelu, bs.ReluGrad)


def pages() -> dict[str, str]:
    """Return the text of each page by its path: the page about all libraries, and one page per library."""
    parts = {"arguments": arguments(), "defaults": defaults()}
    parts |= {name: same_name(*members) for name, members in NAMES.items()}
    libraries = dict.fromkeys(row.library for kind in TABLES for row in rows(kind))
    return {PAGE: filled(PAGE, parts)} | {f"docs/libraries/{library}.md": of_library(library) for library in libraries}


def of_library(library: str) -> str:
    """Return the page of a library: the tables of its encoders and losses, its neurons and its surrogates."""
    parts, listed = [], []
    for kind, (heading, tables) in TABLES.items():
        if of_kind := [row for row in rows(kind) if row.library == library]:
            about = table()[library].get("about") if kind == "surrogate" else None
            parts += [f"## {heading}\n", *([f"{about}\n"] if about else []), *tables(of_kind)]
            listed += of_kind
    columns = "[How to read the tables](../coming-from-elsewhere.md)\n"
    return "\n".join([f"# {title(listed[0])} {listed[0].version}\n", columns, *parts])


def functions(listed: list[Row]) -> list[str]:
    """Return the table of a library's encoders and losses."""
    return [markdown(["there", "here", "notes"], [[code(row.there), code(row.here), row.note] for row in listed])]


def neurons(listed: list[Row]) -> list[str]:
    """Return the table of a library's neurons with the measured differences, and a list of neurons without a port."""
    runs, lines = json.loads((ROOT / RUNS).read_text())["rows"], []
    for row in listed:
        if row.here:
            run = runs[f"{row.library}.{row.there}"]
            note = " ".join(filter(None, [row.note, row.gradient and f"Its gradient {row.gradient}."]))
            differ = f"{run['differ']}" if run["unmet"] is None else f"{run['differ']}; else {run['unmet']:,}"
            lines.append([code(row.there), code(row.here), differ, f"{run['gradient']:.0e}", note])
    without = [[", ".join(map(code, row.names)), row.why_none] for row in listed if not row.here]
    ported = markdown(["there", "here", "differ", "gradient", "notes"], lines)
    return [ported, markdown(["no port", "because"], without)] if without else [ported]


def surrogates(listed: list[Row]) -> list[str]:
    """Return the table of a library's surrogates."""
    lines = [[code(row.there), code(row.gradient), at_0(row), here(row), row.note] for row in listed]
    return [markdown(["original, defaults", "gradient as computed", "spikes at 0", "here", "notes"], lines)]


# The tables of a library: the kind of row and the heading.
TABLES = {
    "function": ("Encoders, losses, resets", functions),
    "neuron": ("Neurons", neurons),
    "surrogate": ("Surrogates", surrogates),
}


def arguments() -> str:
    """Return the table that translates the arguments of neurons."""
    lines = []
    for row in table()["argument"]:
        ours = row["here"].split()[0]
        if not ours.startswith("surrogate"):
            names = ", ".join(code(name) for name in row["there"].split() if name != ours)
            lines.append([names, row["note"].replace("{}", ours)])
    return markdown(["elsewhere", "here"], lines)


def same_name(members: str, ours: dict[str, bs.Surrogate]) -> str:
    """Return a table that compares the surrogates of one name with ours, at their default parameters."""
    known = {f"{row.library}.{row.name}": row for row in rows("surrogate")}
    theirs = [known[name] for name in members.split()]
    lines = [[title(row), code(row.there), code(row.gradient), *numbers(at_defaults(row)), here(row)] for row in theirs]
    lines += [["**here**", code(f), code(gradient), *numbers(f), ""] for gradient, f in ours.items()]
    return markdown(["library", "name", "gradient", "at 0", "area", "equivalent"], lines)


def defaults() -> str:
    """Return a table of our classes with their defaults, and of the surrogates elsewhere with other defaults."""
    by_class: dict[type, dict[str, list[str]]] = {}
    for row in rows("surrogate"):
        f = at_defaults(row)
        if row.why_none or isinstance(f, (bs.Scaled, *SHAPES)) or required(row) or f == type(f)():
            continue
        # 25 and 25.0 are the same default
        floats = {name: float(v) for name, v in vars(f).items() if type(v) is int and name not in f._always_static}
        others = by_class.setdefault(type(f), {}).setdefault(repr(f.replace(**floats)), [])
        others.append(f"{title(row)} `{row.name}`")
    lines = [
        [code(cls()), "; ".join(f"{code(value)} in {', '.join(names)}" for value, names in others.items())]
        for cls, others in sorted(by_class.items(), key=lambda item: item[0].__name__)
    ]
    return markdown(["here", "elsewhere"], lines)


def title(row: Row) -> str:
    """Return the name of a library as people write it."""
    return table()[row.library]["title"]


def required(row: Row) -> dict[str, int]:
    """Return the parameters that have no default, each with a value to use."""
    return {name: 1 for name, p in row.parameters.items() if p.default is p.empty}


def at_defaults(row: Row) -> bs.Surrogate:
    """Return our equivalent of a row, at the defaults of the original."""
    return row.make(**required(row))


def numbers(f: bs.Surrogate) -> tuple[str, str]:
    """Return the gradient at 0 and the area under it, which is the difference between the limits of the primitive."""
    area = float(f.surrogate_fun(float("inf")) - f.surrogate_fun(float("-inf")))
    return f"{float(f.surrogate_grad(0.0)):.3g}", "-" if area != area else f"{area:.3g}"


def at_0(row: Row) -> str:
    """Return whether a surrogate spikes at 0, as text."""
    return {0: "no", 1: "yes", "random": "drawn"}.get(row.at_0, f"{row.at_0}")


def here(row: Row) -> str:
    """Return our equivalent of a row, or the reason why there is none."""
    return f"none: {row.why_none.format(code(row.here))}" if row.why_none else code(row.here)


def code(text) -> str:
    """Format text as inline code."""
    return f"`{text}`"


def markdown(heads: list[str], lines: Iterable[list[str]]) -> str:
    """Return a Markdown table."""
    body = [heads, ["---"] * len(heads), *([cell.replace("|", r"\|") for cell in line] for line in lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in body) + "\n"


if __name__ == "__main__":
    for path, text in pages().items():
        (ROOT / path).write_text(text, encoding="utf-8")
