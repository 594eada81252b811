"""The parts of docs/studies.md: each study's tables, and what became of earlier claims."""

import json
from collections.abc import Iterable

from ..digits import report as digits
from ..lib.report import Claim, listed, wrapped
from ..lib.results import RESULTS
from ..lib.study import provenance
from ..studies import learn_alpha, others
from ..studies.reports import claims, family
from ..studies.reports.outcomes import Outcomes


def section(module, *parts: str) -> str:
    """Write the section of a study: the docstring of its module, then its parts and its command."""
    title, *about = module.__doc__.strip().split("\n\n")
    name, _, asked = title.partition(": ")
    paragraphs = [asked[0].upper() + asked[1:], *about, *parts]
    stem = module.__name__.rpartition(".")[2]
    command = f"`python -m benchmarks.studies.{stem} --speech free_spoken_digits.npz --out benchmarks/results/{stem}`"
    return "\n\n".join([f"## {name}", *map(rewrapped, paragraphs), command])


def rewrapped(part: str) -> str:
    """Wrap the paragraphs of a part, and leave its tables."""
    return "\n\n".join(text if text.startswith("|") else wrapped(text) for text in part.split("\n\n"))


def environments() -> str:
    """Write where the comparison ran, and by which code."""
    commits_by_place: dict[str, set[str]] = {}
    for path in sorted((RESULTS / "family").glob("*.json")):
        for here in json.loads(path.read_text())["environments"]:
            where = f"{here['device']}, Python {here['python']}, jax {here['versions']['jax']}"
            commits_by_place.setdefault(where, set()).add(here["commit"][:7])
    return "; ".join(f"{where}: commit {', '.join(sorted(commits))}" for where, commits in commits_by_place.items())


def every_claim(outcomes: Outcomes) -> Iterable[Claim]:
    """Yield the claims of all studies."""
    yield from claims.claims(outcomes)
    yield from others.claims(others.load(RESULTS / "others"), outcomes)
    yield from learn_alpha.claims(learn_alpha.load(RESULTS / "learn_alpha"))


def settings(outcomes: Outcomes) -> str:
    """Write each setting's table."""
    parts = []
    for name, outcome in outcomes.items():
        parts += [f"### {name}", f"{outcome.about}; gain {outcome.gain:g}.", family.setting_table(outcome)]
    return "\n\n".join(parts)


def studies(outcomes: Outcomes) -> Iterable[str]:
    """Yield the sections of the other studies."""
    yield section(others, *others.parts(others.load(RESULTS / "others"), outcomes))
    took = f"It took {provenance(RESULTS / 'learn_alpha/result.json')}."
    alphas = learn_alpha.parts(learn_alpha.load(RESULTS / "learn_alpha"))
    yield section(learn_alpha, *alphas, took)
    yield digits.section([json.loads(path.read_text()) for path in sorted(RESULTS.glob("digits*/result.json"))])


def parts(outcomes: Outcomes) -> dict[str, str]:
    """Write the parts of docs/studies.md."""
    shapes = len(next(iter(outcomes.values())).tuned)
    return {
        "ran": wrapped(f"{shapes} shapes took part. Ran on {environments()}."),
        "claims": listed(every_claim(outcomes)),
        "settings": settings(outcomes),
        "adapted": f"{family.adapted_summary(outcomes)}\n\n{family.adapted_table(outcomes)}",
        "reruns": "\n\n".join(family.reruns(outcomes)),
        "studies": "\n\n".join(studies(outcomes)),
    }
