"""The published benchmarks: a quick run, the table by hand, and what cannot be built or takes too long."""

import json

import pytest
from pages import cells

from benchmarks.field import report
from benchmarks.field.published import PUBLISHED, QUICK, WAYS
from benchmarks.lib import timing
from benchmarks.speed import libraries
from benchmarks.speed.libraries import AS_DOCUMENTED, EVERY_CORE, OURS

SPEECH = "Spyx, 128"


@pytest.mark.slow
def test_a_quick_run_writes_what_the_page_shows(quick):
    """Both of our ways train the same, on every core too, and the loss falls."""
    folder, printed = quick("field")
    result = json.loads((folder / "result.json").read_text())
    assert result["missing"] == []
    assert report.parts(result)["tables"] in printed
    for trial in QUICK:
        runs = [run for run in result["runs"] if run["trial"] == trial]
        assert {(run["terms"], run["mode"]) for run in runs} == {(t, m) for t in report.TERMS for m in WAYS[OURS]}
        for run in runs:
            assert run["losses"][:3] == pytest.approx(runs[0]["losses"][:3], rel=0.02)
            assert run["losses"][-1] < run["losses"][0]


def a_run(name, mode, terms, forward, train, trial=SPEECH):
    times = {"forward": timing.summary([forward]), "train": timing.summary([train])}
    kept = {"first_step": 2.0 + train, "losses": [3.0, 2.5, 2.0], "notes": [], "python": "3", "versions": {"jax": "2"}}
    return {"trial": trial, "terms": terms, "name": name, "mode": mode, **times, **kept}


def test_the_table_shows_where_we_lose():
    """A quotient is of our faster way and the fastest other library, bold above 1; a slow one has its limit."""
    runs = [
        a_run(OURS, "layer by layer", AS_DOCUMENTED, 0.3, 0.8),
        a_run(OURS, "layer by layer, events", AS_DOCUMENTED, 0.6, 0.4),
        a_run("spyx", "scan", AS_DOCUMENTED, 0.2, 0.5),
        a_run("norse", "layer by layer", AS_DOCUMENTED, 9.0, 9.0),
        a_run(OURS, "layer by layer", EVERY_CORE, 0.3, 0.8),
        a_run("spyx", "scan", EVERY_CORE, 0.6, 0.5),
    ]
    slow = {"trial": SPEECH, "terms": EVERY_CORE, "name": "norse", "mode": "layer by layer"}
    networks = {SPEECH: {"about": PUBLISHED[SPEECH].about()}}
    missing = [slow | {"why": f"{libraries.SLOW} 60 s"}]
    missing += [slow | {"name": "sparx", "terms": terms, "why": "no"} for terms in report.TERMS]
    result = {"networks": networks, "limit": 60, "runs": runs, "missing": missing, "device": "a CPU"}
    *_, row = cells(report.answer(result))
    assert row == [SPEECH, "**1.50** spyx", "0.80 spyx", "0.50 spyx", "**1.60** spyx"]
    rows = {row[0]: row[1:] for row in cells(report.section(result, SPEECH).split("\n\n")[2])}
    assert rows["brainsurr, events"] == ["600 ms, 3.00x", "400 ms, 1.00x", "-", "-", "2.0 s", "3.0000 2.0000"]
    assert rows["spyx"][:4] == ["200 ms, 1.00x", "500 ms, 1.25x", "600 ms, 2.00x", "500 ms, 1.00x"]
    assert rows["norse"][2:4] == 2 * ["more than 60 s"]
    assert rows["sparx"] == [*5 * "-", ""]
    assert f"- sparx: {SPEECH} not measured, no." in report.notes(result)
