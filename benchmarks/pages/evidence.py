"""The parts of docs/evidence.md and docs/studies.md, and that of the README about them."""

from ..digits import report as digits
from ..fashion import report as fashion
from ..lib.report import wrapped
from ..lib.results import RESULTS, committed, read
from ..lib.study import provenance
from ..robustness.reports import precision
from ..studies import report, weights
from ..studies.report import Outcomes

PICTURE = """![Points behind the best, a dot a setting](pictures/evidence/comparison.png)

Blue is the recommended configuration, red are those of `LogTailedRelu`, orange is the fast sigmoid of slope 25.
"""


def parts(outcomes: Outcomes) -> dict[str, str]:
    """Write the parts of docs/evidence.md."""
    settings = "; ".join(f"*{name}*: {outcome.about}" for name, outcome in outcomes.items())
    shown = [PICTURE, report.overview(outcomes), wrapped(f"Settings. {settings}.")]
    return {"advice": paragraphs(report.advice(outcomes)), "table": "\n\n".join(shown)}


def readme(outcomes: Outcomes) -> str:
    """Write the README's part: what to type, and five lines of the table."""
    return f"{paragraphs([report.what_to_type(outcomes), *report.missing(outcomes)])}\n\n{report.overview(outcomes, 5)}"


def studies(outcomes: Outcomes) -> dict[str, str]:
    """Write the parts of docs/studies.md."""
    study = committed("precision")
    of_digits = [read(path) for path in sorted(RESULTS.glob("digits*/result.json"))]
    ran = (RESULTS / "comparison" / f"{name}.json" for name in outcomes)
    return {
        "ran": wrapped(f"It took {provenance(*ran)}."),
        "sure": wrapped(report.how_sure(outcomes)),
        "settings": "\n\n".join(report.sections(outcomes)),
        "fashion": fashion.section(RESULTS / "fashion"),
        "half": wrapped(f"`{study['settings']['surrogate']}`, digits: {precision.line(study)[-1]}."),
        "digits": digits.section(of_digits),
        "weights": weights.section(RESULTS / "weights"),
    }


def paragraphs(texts: list[str]) -> str:
    """Wrap the lines of each paragraph."""
    return "\n\n".join("\n".join(map(wrapped, text.splitlines())) for text in texts)
