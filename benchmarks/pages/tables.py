"""Assemble the text of every page that has generated parts."""

from tools.parts import filled

from ..accelerators import report as accelerators
from ..digits import report as digits
from ..fashion import report as fashion
from ..field import report as field
from ..lib.report import claim_table
from ..lib.results import PICTURES, RESULTS, committed, read
from ..lib.study import provenance
from ..nir import eight_bits
from ..nir import report as nir
from ..robustness import reports as robustness
from ..speed import report as speed
from ..studies import causes, neurons, report, trained, weights, yin_yang


def pages() -> dict[str, str]:
    """Return the text of each page, with its current generated parts."""
    found = report.load(RESULTS / "comparison")
    compiled, published = RESULTS / "accelerators", field.parts(committed("field"))
    ran = (RESULTS / "comparison" / f"{name}.json" for name in found.outcomes)
    parts = {
        "README.md": {"speed": speed.readme(RESULTS / "speed"), "evidence": report.short(found)},
        "docs/evidence.md": {"gaps": report.gaps(found)},
        "docs/appendix/studies.md": {
            "ran": f"{provenance(*ran)}.",
            "table": report.overview(found),
            "rates": report.by_rate(found),
            "answers": report.answers(found),
            "sure": report.candidates(found),
            "settings": "\n\n".join(report.sections(found)),
            "causes": causes.section(RESULTS / "causes"),
            "fashion": fashion.section(RESULTS / "fashion"),
            "digits": digits.section([read(path) for path in sorted(RESULTS.glob("digits*/result.json"))]),
            "weights": weights.section(RESULTS / "weights"),
            "trained": trained.section(RESULTS / "trained/result.json"),
        },
        "docs/speed.md": {"claims": speed.all_claims(RESULTS / "speed")},
        "docs/appendix/speed.md": {"tables": speed.tables(RESULTS / "speed")},
        "docs/field.md": {"answer": published["answer"]},
        "docs/appendix/field.md": {"tables": published["tables"]},
        "docs/sparse-products.md": {"events": speed.part(RESULTS / "speed", "events", speed.events.networks)},
        "docs/every-core.md": {"gains": speed.part(RESULTS / "speed", "peers", speed.peers.gains)},
        "docs/appendix/accelerators.md": {
            "tables": f"{accelerators.table_of(compiled)}\n\n{claim_table(accelerators.claims(compiled))}"
        },
        "docs/withstands.md": robustness.parts(),
        "docs/spike-timing.md": {"yin-yang": yin_yang.section(RESULTS / "yin_yang/result.json")},
        "docs/time-and-memory.md": {},
        "paper/paper.md": {},
        "docs/appendix/neurons.md": {"table": neurons.part(RESULTS / "neurons")},
        "docs/appendix/nir.md": {"tables": nir.part(committed("nir"))},
        "docs/appendix/chips.md": {"table": eight_bits.part(RESULTS / "eight-bits/result.json")},
    }
    return {page: filled(page, of_page) for page, of_page in parts.items()}


def draw():
    """Draw the pictures of the pages."""
    report.draw(report.load(RESULTS / "comparison"), PICTURES / "evidence/comparison.png")
    robustness.draw(PICTURES / "withstands")
