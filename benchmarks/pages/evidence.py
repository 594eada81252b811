"""The parts of docs/evidence.md and docs/studies.md, and that of the README about them."""

from pathlib import Path

from ..digits import report as digits
from ..fashion import report as fashion
from ..lib.report import wrapped
from ..lib.results import RESULTS, committed, read
from ..lib.study import provenance
from ..robustness.reports import precision
from ..studies import causes, report, weights
from ..studies.report import Comparison

PICTURE = """![Points behind the best, a dot for each family of settings](pictures/evidence/comparison.png)

A dot is a family of settings, a line the mean over them; the axis is logarithmic from 1 on.
"""


def parts(found: Comparison, measured: Path = RESULTS / "causes") -> dict[str, str]:
    """Write the parts of docs/evidence.md."""
    why = f"**Why training fails.** {causes.advice(causes.load(measured))}"
    shown = [report.overview(found), wrapped(f"Whose default: {report.whose()}."), PICTURE]
    return {
        "advice": "\n\n".join(map(wrapped, [*report.advice(found), why, *report.missing(found)])),
        "table": "\n\n".join(shown),
    }


def readme(found: Comparison) -> str:
    """Write the README's part: what to type, and the short table."""
    texts = map(wrapped, [report.what_to_type(found), *report.missing(found)])
    return "\n\n".join([*texts, report.short(found)])


def studies(found: Comparison) -> dict[str, str]:
    """Write the parts of docs/studies.md."""
    study = committed("precision")
    of_digits = [read(path) for path in sorted(RESULTS.glob("digits*/result.json"))]
    ran = (RESULTS / "comparison" / f"{name}.json" for name in found.outcomes)
    return {
        "ran": wrapped(f"It took {provenance(*ran)}."),
        "sure": "\n\n".join([report.candidates(found), wrapped(report.how_sure(found))]),
        "settings": "\n\n".join(report.sections(found)),
        "causes": causes.section(RESULTS / "causes"),
        "fashion": fashion.section(RESULTS / "fashion"),
        "half": wrapped(f"`{study['settings']['surrogate']}`, digits: {precision.line(study)[-1]}."),
        "digits": digits.section(of_digits),
        "weights": weights.section(RESULTS / "weights"),
    }
