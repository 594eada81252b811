"""The benchmarks of speed run, and their tables have the numbers of their files, by hand."""

import json

import pytest
from pages import cells

from benchmarks.lib import timing
from benchmarks.lib.report import at_most, claim_table, ratio_at_most
from benchmarks.speed import report as speed

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lenient")]


@pytest.fixture(scope="module")
def out(quick):
    """The folder of every claim."""
    return quick("speed")[0]


@pytest.fixture(scope="module")
def measured(out):
    return {name: json.loads((out / f"{name}.json").read_text()) for name in speed.CLAIMS}


@pytest.mark.parametrize("name", speed.CLAIMS)
def test_a_result_has_times_and_is_shown(name, measured, out):
    result = measured[name]
    times = result["times"].values() if "times" in result else [run["time"] for run in result["runs"]]
    assert times
    for time in times:
        low, high = time["quartiles"]
        assert 0 < low <= time["median"] <= high
        assert time["rounds"] >= 2
    assert speed.show(name, result) in (out / "stdout").read_text()
    assert all(claim.text in speed.all_claims(out) for claim in speed.CLAIMS[name].claims(result))


def test_claims_are_in_a_table_with_their_verdict():
    """A ratio is undecided where its limit lies within the spread of the quartiles."""
    one, other = timing.summary([9, 10, 11]), timing.summary([18, 20, 22])
    made = [ratio_at_most(limit, "a / b", one, other) for limit in (0.4, 0.46, 0.54, 0.6)]
    shown = [row[1:] for row in cells(claim_table([*made, at_most(60, "import", 38.25, unit=" ms")]))[2:]]
    verdicts = {"0.4": "**no**", "0.46": "undecided", "0.54": "undecided", "0.6": "yes"}
    assert shown[:4] == [[limit, "0.5 (0.452-0.553)", verdict] for limit, verdict in verdicts.items()]
    assert shown[4] == ["60 ms", "38.2 ms", "yes"]


def a_peer(name, mode, seconds, peak, **more):
    memory = {"peak_memory": peak, "added": timing.summary([peak - 10**8])}
    run = {"trial": speed.peers.BATCH_256, "batch": 256, "name": name, "mode": mode, "inputs": "float32"}
    run["terms"] = "as documented"
    return run | {"time": timing.summary([seconds]), "versions": {name: "1.0"}, **memory, **more}


def test_a_chooser_sees_each_library_in_its_best_mode():
    """In either form of inputs; the claim about memory takes each library's own."""
    fast = a_peer("brainsurr", "fast", 0.1, 5 * 10**8, inputs="uint8")
    small = a_peer("brainsurr", "small", 0.2, 2 * 10**8, inputs="uint8")
    long = a_peer("brainsurr", "small", 4, 3 * 10**8, trial=speed.peers.T_10_000)
    other = a_peer("spyx", "loop", 0.05, 9 * 10**8, versions={"jax": "1"})
    slimmer = a_peer("spyx", "loop", 0.06, 6 * 10**8, inputs="uint8", versions={"jax": "1"})
    runs = [fast, small, other, slimmer, long]
    result = {"runs": runs, "networks": {speed.peers.BATCH_256: "4-3-2"}, "live": {}}
    own, any_form = speed.peers.claims(result)[-2:]
    assert (own.numbers, any_form.numbers) == ("0.125 (0.125-0.125)", "0.2 (0.2-0.2)")
    # On every core in a column of its own, with events in a row of its own, and claims on the same terms.
    for name, *how, terms in (
        ("products", "all steps at once", 0.04, "every core"),
        ("brainsurr", "dots", 0.02, "every core"),
        ("spyx", "loop", 0.025, "every core"),
        ("brainsurr", "dots, events", 0.01, "every core"),
        ("brainsurr", "full, events", 0.07, "as documented"),
    ):
        runs.append(a_peer(name, *how, 5 * 10**8, terms=terms, versions={"jax": "1"}))
    assert cells(speed.peers.chooser(result))[2:] == [
        ["spyx 1", "50 ms", "25 ms", "500 MB", *3 * ["not measured"]],
        ["brainsurr, events", "70 ms", "10 ms", "400 MB", *3 * ["not measured"]],
        ["brainsurr", "100 ms", "20 ms", "100 MB", "4 s", "not measured", "200 MB"],
    ]
    assert len(cells(speed.peers.chooser(result, of_jax=True))) == 4, "which leaves out ours, of no jax here"
    held = {claim.limit: claim.numbers.split()[0] for claim in speed.peers.claims(result)}
    assert held == {"1.15": "0.5", "0.65": "0.25", "0.35": "1.4", "0.3": "0.4", "1": "0.2"}


def test_brainsurr_trains_the_same_from_both_forms_of_inputs(out, measured):
    runs = measured["peers"]["runs"]
    assert measured["peers"]["missing"] == {}
    assert list(measured["peers"]["live"]) == ["brainsurr"]
    assert speed.readme(out).count("\n| brainsurr ") == 1
    first, *others = [run["losses"] for run in runs if run["name"] == "brainsurr" and run["batch"] == 8]
    assert first[-1] < first[0]
    assert others == 3 * [pytest.approx(first, rel=0.02)]  # of bytes, and on every core; rounding may move a spike
