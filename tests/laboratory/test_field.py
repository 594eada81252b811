"""The benchmarks that the field cites: who takes part, what a network is, and that the page shows where we lose."""

import json
import sys

import numpy as np
import pytest
from pages import cells

from benchmarks.field import __main__ as field
from benchmarks.field import report
from benchmarks.field.published import CANNOT, PUBLISHED, QUICK, WAYS
from benchmarks.lib import timing
from benchmarks.lib.tries import Tries
from benchmarks.speed import libraries
from benchmarks.speed.libraries import AS_DOCUMENTED, EVERY_CORE, OURS
from benchmarks.speed.peers.task import NETWORKS, Network

SPEECH = "Spyx, 128"


@pytest.mark.slow
def test_a_quick_run_writes_what_the_page_shows(quick):
    """Both of our ways train the same, on every core too, and the loss falls."""
    folder, printed = quick("field")
    result = json.loads((folder / "result.json").read_text())
    assert {"versions", "device", "commit", "python"} <= set(result)
    assert result["missing"] == []
    assert all(part in printed for part in report.parts(result).values())
    for trial in QUICK:
        runs = [run for run in result["runs"] if run["trial"] == trial]
        assert {(run["terms"], run["mode"]) for run in runs} == {(t, m) for t in report.TERMS for m in WAYS[OURS]}
        for run in runs:
            assert run["losses"][:3] == pytest.approx(runs[0]["losses"][:3], rel=0.02)
            assert run["losses"][-1] < run["losses"][0]
            for what in ("train", "forward"):
                low, high = run[what]["quartiles"]
                assert 0 < low <= run[what]["median"] <= high


def a_run(name, mode, terms, forward, train, trial=SPEECH):
    times = {"forward": timing.summary([forward]), "train": timing.summary([train])}
    kept = {
        "first_step": 2.0 + train,
        "losses": [3.0, 2.5, 2.0],
        "notes": [],
        "python": "3",
        "versions": {name: "1", "jax": "2"},
    }
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
    missing = [
        slow | {"why": f"{libraries.SLOW} 60 s"},
        *(slow | {"name": "sparx", "terms": t, "why": "no"} for t in report.TERMS),
    ]
    result = {"networks": networks, "limit": 60, "runs": runs, "missing": missing, "device": "a CPU"}
    parts = report.parts(result)
    said = " ".join(parts["answer"].split())
    assert said.startswith("brainsurr, dense or by events, is the fastest library in 2 of 4 measurements;")
    assert f"where it loses most ({SPEECH}, every core: train step) it takes 1.60 times as long as spyx." in said
    *_, row = cells(report.answer(result).split("\n\n")[2])
    assert row == [SPEECH, "**1.50** spyx", "0.80 spyx", "0.50 spyx", "**1.60** spyx"]
    rows = {row[0]: row[1:] for row in cells(report.section(result, SPEECH).split("\n\n")[2])}
    assert rows["brainsurr, events"] == ["600 ms, 3.00x", "400 ms, 1.00x", "-", "-", "2.0 s", "3.0000 2.0000"]
    assert rows["spyx"][:4] == ["200 ms, 1.00x", "500 ms, 1.25x", "600 ms, 2.00x", "500 ms, 1.00x"]
    assert rows["norse"][2:4] == 2 * ["more than 60 s"]
    assert rows["sparx"] == [*5 * "-", ""]
    assert f"- sparx: {SPEECH} not measured, no." in parts["tables"]


def test_who_cannot_build_a_network_is_not_started(tmp_path, monkeypatch):
    """What fails is named with its reason; a measurement that was stopped goes on."""
    started = []

    def run_peer(python, name, terms, **job):
        started.append((name, job["network"], terms))
        assert job["forward"]
        if name == "norse":
            raise RuntimeError("broken")
        return a_run(name, "", terms, 1, 1) | {"seconds": [1.0], "forward": [0.5]}

    monkeypatch.setattr(field, "run_peer", run_peer)
    monkeypatch.setattr(libraries, "environment", lambda name, peer: name)
    monkeypatch.setattr(field, "kept_in", lambda folder: tmp_path / "kept.jsonl")
    first = field.measure(quick=False)
    assert not {(name, PUBLISHED[trial].network) for name, trial in CANNOT} & {it[:2] for it in started}
    why = {(run["name"], run["trial"]): run["why"] for run in first["missing"]}
    assert why == CANNOT | {("norse", trial): "broken" for trial in PUBLISHED}
    started.clear()
    assert field.measure(quick=False) == first
    assert {name for name, *_ in started} == {"norse"}
    assert len(Tries(tmp_path / "kept.jsonl").kept) == len(WAYS) + len(first["runs"])


def test_layers_read_images_in_either_layout():
    """The first product after the convolutions gives the same for channels last and channels first."""
    network = NETWORKS["quick images"]
    ys = np.random.default_rng(0).normal(size=(3, 2, 2, network.channels[-1]))
    first, last = (network.weights(channels_first=is_first)[0] for is_first in (True, False))
    assert np.moveaxis(ys, -1, 1).reshape(3, -1) @ first == pytest.approx(ys.reshape(3, -1) @ last)
    assert [w.shape for w in network.kernels()] == [(3, 3, 3, 4), (3, 3, 4, 8)]
    assert network.inputs(2, 5).shape == (5, 2, 8, 8, 3)


def test_inputs_are_spikes_at_their_rate_or_normal():
    spikes, normal = (Network((64, 2), spikes=share).inputs(32, 50) for share in (0.22, None))
    assert set(np.unique(spikes)) == {0, 1}
    assert spikes.mean() == pytest.approx(0.22, abs=0.01)
    assert (normal.mean(), normal.std()) == pytest.approx((0, 1), abs=0.02)


def test_a_process_that_takes_too_long_is_stopped():
    command = ["timeit", "-n1", "-r1", "import time; time.sleep(60)"]
    with pytest.raises(RuntimeError, match=rf"^{libraries.SLOW} 0\.2 s$"):
        libraries.run_on(AS_DOCUMENTED, sys.executable, "sleep", *command, timeout=0.2)
