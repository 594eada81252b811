"""The benchmarks of speed run, say where their numbers came from, and show nothing but what is in their files."""

import collections
import json

import jax
import numpy as np
import pytest
from close import bound
from pages import cells

from benchmarks.lib import timing, tries
from benchmarks.lib.report import at_most, claim_table, ratio_at_most
from benchmarks.speed import claims, libraries
from benchmarks.speed import report as speed
from benchmarks.speed.claims import peers
from benchmarks.speed.peers import task

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lenient")]


@pytest.fixture(scope="module")
def out(quick):
    """The folder of every claim."""
    return quick("speed")[0]


@pytest.fixture(scope="module")
def measured(out):
    return {name: json.loads((out / f"{name}.json").read_text()) for name in speed.CLAIMS}


@pytest.mark.parametrize("name", speed.CLAIMS)
def test_a_result_says_where_it_came_from_and_is_shown(name, measured, out):
    """Times have a spread; the printed tables and claims are those of the file, and stand on the page."""
    result, stdout, page = measured[name], (out / "stdout").read_text(), speed.parts(out)["claims"]
    assert {"versions", "device", "commit", "python"} <= set(result)
    assert (result["claim"], result["quick"]) == (name, True)
    times = result["times"].values() if "times" in result else [run["time"] for run in result["runs"]]
    assert times
    for time in times:
        low, high = time["quartiles"]
        assert 0 < low <= time["median"] <= high
        assert time["rounds"] >= 2
    assert speed.show(name, result) in stdout
    tables = [part for part in speed.show(name, result).split("\n\n") if part.startswith("|")]
    assert tables
    assert all(len({len(row) for row in table.splitlines()}) == 1 for table in tables), "columns align"
    made = speed.CLAIMS[name].claims(result)
    assert made
    for claim in made:
        assert any(line.startswith(f"| {claim.text} ") for line in page.splitlines())
        assert any(line.startswith("- ") and claim.text in line for line in page.splitlines()) == (not claim.holds)
        assert claim.why or claim.holds, claim.text


def test_a_measurement_of_libraries_that_stopped_goes_on(tmp_path, monkeypatch):
    """What fails is named, and tried once; ways far from a library's fastest run once; torch runs once at all."""
    before, tried = [], []
    answer = {"memory_after_import": 1, "memory_before_training": 2, "first_step": 1.0, "live": {"median": 1.0}}
    answer |= {"losses": [1.0], "notes": [], "python": "", "versions": {"jax": ""}}

    def run_peer(python, name, terms, mode, **job):
        if len(tried) == 40 and not before:
            raise KeyboardInterrupt
        tried.append((name, mode, terms))
        if name == "spyx":
            raise RuntimeError("no")
        return answer | {"seconds": [2.0 if mode == "full" else 1.0], "peak_memory": 9 if mode == "full" else 3}

    trial = peers.Trial("usual", 8, 20, rounds=2)
    monkeypatch.setattr(tries, "ROOT", tmp_path)
    for name, value in {"TRIALS": {"one": trial}, "run_peer": run_peer}.items():
        monkeypatch.setattr(peers, name, value)
    monkeypatch.setattr(libraries, "environment", lambda name, peer: name)
    with pytest.raises(KeyboardInterrupt):
        peers.measure(quick=False)
    before += tried
    tried.clear()
    result = peers.measure(quick=False)
    counts = collections.Counter(before + tried)
    assert {what.partition(",")[0] for what in result["missing"]} == {"spyx"}
    assert counts["spyx", "scan", "as documented"] == 2  # once in each process
    assert counts["brainsurr", "full", "as documented"] == 2  # of two forms of inputs, a round
    assert counts["brainsurr", "dots", "as documented"] == 4
    assert counts["norse", "layer by layer", "every core"] == 1
    assert {run["time"]["rounds"] for run in result["runs"] if run["mode"] == "dots"} == {2}


def test_claims_are_in_a_table_with_their_verdict():
    """A ratio is undecided where its limit lies within the spread of the quartiles; what fails has its reason below."""
    one, other = timing.summary([9, 10, 11]), timing.summary([18, 20, 22])
    made = [ratio_at_most(limit, "a / b", one, other, f"{limit}") for limit in (0.4, 0.46, 0.54, 0.6)]
    made.append(at_most(60, "import", 38.25, unit=" ms"))
    rows, _, reasons = claim_table(made).split("\n\n")
    shown = [row[1:] for row in cells(rows)[2:]]
    ratio = "0.5 (0.452-0.553)"
    verdicts = ["**no**", "undecided", "undecided", "yes"]
    assert shown[:4] == [[f"{c.limit}", ratio, verdict] for c, verdict in zip(made[:4], verdicts, strict=True)]
    assert shown[4] == ["60 ms", "38.2 ms", "yes"]
    assert reasons == "- a / b: 0.4.\n- a / b: 0.46."


def test_what_was_not_measured_is_said_and_what_was_on_a_gpu_is_shown(measured, tmp_path):
    def write(folder, names):
        folder.mkdir()
        for name in names:
            (folder / f"{name}.json").write_text(json.dumps(measured[name] | {"device": f"a {folder.name}"}))
        return speed.parts(tmp_path / "speed")

    parts = write(tmp_path / "speed", ("train-step", "peers"))
    assert parts["tables"].count("\n\nNot measured.") == len(speed.CLAIMS) - 2
    assert "## live\n\nStreaming: one time step of a jitted network" in parts["tables"]
    assert parts["gpu"].startswith("Not measured.")
    assert f"`{speed.COMMAND}`" in parts["gpu"]
    text = write(tmp_path / "speed-gpu", speed.ON_A_GPU)["gpu"]
    assert "On a speed-gpu; Python" in text
    assert "### activation, on a GPU" in text
    assert "Not measured" not in text


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
    other = a_peer("spyx", "loop", 0.05, 9 * 10**8)
    slimmer = a_peer("spyx", "loop", 0.06, 6 * 10**8, inputs="uint8")
    runs = [fast, small, other, slimmer, long]
    result = {"runs": runs, "networks": {speed.peers.BATCH_256: "4-3-2"}, "live": {}}
    *_, first, second = cells(speed.peers.chooser(result)[0])
    assert first == ["spyx 1.0", "50 ms", "500 MB", *2 * ["not measured"]]
    assert second == ["brainsurr", "100 ms", "100 MB", "4 s", "200 MB"]
    own, any_form = speed.peers.claims(result)[-2:]
    assert (own.numbers, any_form.numbers) == ("0.125 (0.125-0.125)", "0.2 (0.2-0.2)")
    # On every core in a column of its own, and claims on the same terms and against a process as it is.
    every_core = {"products": ("all steps at once", 0.04), "brainsurr": ("dots", 0.02), "spyx": ("loop", 0.025)}
    for name, how in every_core.items():
        runs.append(a_peer(name, *how, 5 * 10**8, terms="every core", versions={"jax": "1"}))
    other["versions"] = slimmer["versions"] = {"jax": "1"}
    rows = cells(speed.peers.chooser(result)[0])[2:]
    assert [row[:3] for row in rows] == [["spyx 1", "50 ms", "25 ms"], ["brainsurr", "100 ms", "20 ms"]]
    assert len(speed.peers.chooser(result, of_jax=True)[0].splitlines()) == 3, "which leaves out ours, of no jax here"
    held = {claim.limit: claim.numbers.split()[0] for claim in speed.peers.claims(result)}
    assert held == {"1.15": "0.5", "0.8": "2", "0.6": "0.8", "0.667": "0.2"}
    # With events in a row of its own, and held against the same.
    runs.append(a_peer("brainsurr", "dots, events", 0.01, 5 * 10**8, terms="every core", versions={"jax": "1"}))
    runs.append(a_peer("brainsurr", "full, events", 0.05, 3 * 10**8, versions={"jax": "1"}))
    assert [row[0] for row in cells(speed.peers.chooser(result)[0])[2:]] == ["spyx 1", "brainsurr, events", "brainsurr"]
    held = {claim.limit: claim.numbers.split()[0] for claim in speed.peers.claims(result)}
    assert held == {"1.15": "0.5", "0.65": "0.25", "0.8": "1", "0.6": "0.4", "0.667": "0.2"}


def test_what_every_core_gains_is_shown_of_each_of_our_modes():
    on = {"as documented": 0.4, "a device for each core": 0.3, "every core": 0.1}
    runs = [a_peer("brainsurr", "dots", seconds, 10**9, inputs="float32", terms=terms) for terms, seconds in on.items()]
    runs.append(a_peer("brainsurr", "full", 1.0, 10**9, inputs="float32"))  # not on all terms
    runs += [a_peer("brainsurr", "dots", 9.0, 10**9, inputs="uint8", terms=terms) for terms in on]  # of other inputs
    *_, row = cells(speed.peers.gains({"runs": runs}))
    assert row == ["batch 256, `dots`", "400 ms", "300 ms", "100 ms", "0.25"]


def test_blocks_need_less_memory_and_a_stream_compiles_once(measured):
    assert measured["live"]["compiled"] == 1
    memory = {run["name"]: run["temporaries"] for run in measured["long"]["runs"] if run["steps"] == 64}
    assert memory["blocks, full"] < 0.6 * memory["scan over steps"] < memory["layer by layer"]


def test_brainsurr_trains_the_same_from_both_forms_of_inputs(out, measured):
    runs = measured["peers"]["runs"]
    assert measured["peers"]["missing"] == {}
    assert list(measured["peers"]["live"]) == ["brainsurr"]
    assert speed.readme(out).count("\n| brainsurr ") == 1
    losses = [run["losses"] for run in runs if run["name"] == "brainsurr" and run["batch"] == 8]
    assert len(losses) == 4  # of bytes and of floats, as documented and on every core
    operations = sum(task.USUAL.sizes) + 20  # the sums over the inputs of each layer, and over time
    for curve in losses:
        assert curve[0] == pytest.approx(losses[0][0], rel=bound(operations, 1))
        assert curve == pytest.approx(losses[0], rel=0.02)  # rounding of the weights may carry a spike across
        assert curve[-1] < curve[0]


def test_twenty_layers_fire_to_the_last_and_learn():
    """Else the libraries would be timed on zeros."""
    network = task.NETWORKS["deep"]
    xs, labels = claims.train_step.data(network, 8, 50)
    step, params = claims.train_step.train_step(network, claims.train_step.layer_by_layer)
    step, losses = jax.jit(step), []
    for _ in range(4):
        params, loss = step(params, xs, labels)
        losses.append(float(loss))
    assert losses[0] != pytest.approx(np.log(network.sizes[-1]), rel=1e-3)  # what an output of zeros has
    assert losses[-1] < losses[0]


def test_functions_take_turns():
    called = []
    times = timing.interleaved({name: lambda name=name: called.append(name) for name in "ab"}, rounds=2, calls=3)
    assert "".join(called) == "ab" + 2 * "aaabbb"
    assert {name: time["rounds"] for name, time in times.items()} == {"a": 2, "b": 2}


def test_a_peer_that_cannot_be_installed_is_named():
    nowhere = libraries.Peer(("nothing",), ("0.1",), ("loop",), ("float32",), ("nothing",))
    with pytest.raises(RuntimeError, match=r"needs python0\.1, which is not here"):
        libraries.environment("nowhere", nowhere)
