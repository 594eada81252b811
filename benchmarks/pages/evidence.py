"""The parts of docs/evidence.md and docs/studies.md, and that of the README about them."""

import json
from pathlib import Path

from ..digits import report as digits
from ..lib.report import listed, wrapped
from ..lib.results import RESULTS, committed
from ..lib.study import provenance
from ..robustness.reports import precision
from ..studies import learn_alpha, report
from ..studies.report import Outcomes


def parts(outcomes: Outcomes) -> dict[str, str]:
    """Write the parts of docs/evidence.md."""
    settings = "; ".join(f"*{name}*: {outcome.about}" for name, outcome in outcomes.items())
    return {
        "advice": "\n\n".join(map(wrapped, report.advice(outcomes))),
        "table": report.overview(outcomes),
        "settings": wrapped(f"Settings. {settings}."),
    }


def readme(outcomes: Outcomes) -> str:
    """Write the README's part: what to type, and five lines of the table."""
    return f"{wrapped(report.what_to_type(outcomes))}\n\n{report.overview(outcomes, 5)}"


def studies(outcomes: Outcomes) -> dict[str, str]:
    """Write the parts of docs/studies.md."""
    alphas = learn_alpha.load(RESULTS / "learn_alpha")
    study = committed("precision")
    of_digits = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("digits*/result.json"))]
    half = f"`{study['settings']['surrogate']}`, digits: {precision.line(study)[-1]}."
    return {
        "ran": wrapped(" ".join(dict.fromkeys(_ran(RESULTS / "comparison" / f"{name}.json") for name in outcomes))),
        "sure": "\n\n".join(map(wrapped, report.how_sure(outcomes))),
        "settings": "\n\n".join(report.sections(outcomes)),
        "alpha": "\n\n".join([*learn_alpha.parts(alphas), listed(learn_alpha.claims(alphas))]),
        "half": wrapped(half),
        "digits": digits.section(
            [json.loads(path.read_text()) for path in sorted(RESULTS.glob("digits*/result.json"))]
        ),
    }


def _ran(path: Path) -> str:
    return f"*{path.stem}*: {provenance(path)}."
