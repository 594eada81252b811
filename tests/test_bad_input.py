"""Every public call answers rightly or refuses in clear words; and the fuzz that says so sees what does not."""

import inspect
import json

import jax
import numpy as np
import pytest
from family import FAMILY

import brainsurr as bs
from benchmarks import bad_input
from benchmarks.evidence import RESULTS
from benchmarks.inputs import Argument, Call, good, one_of
from benchmarks.reports.bad_input import section

EXAMPLES = 10


@pytest.mark.parametrize("name", bad_input.CALLS)
def test_no_input_gets_past_the_door_unexplained(name):
    """Whatever must be refused, by itself, which is quick; and a few mixtures of good and bad."""
    call = bad_input.CALLS[name]
    fine, *bad = bad_input.singles(call)
    refused = [given for given in bad if any(g.refused for g in given.values())]
    tally = bad_input.fuzz(call, [fine, *refused], EXAMPLES, seed=0)
    assert not tally["failures"]
    assert tally["right"]
    assert tally["clear"] >= len(refused)


def test_every_public_name_is_called():
    called = {name.partition(" ")[0] for name in bad_input.CALLS}
    assert called | set(bad_input.RECORDS) == set(bad_input.public_names())


def test_every_argument_of_a_public_name_is_spoilt():
    """But for what is spoilt under another name, or is the host's own."""
    elsewhere = {"args", "kwargs", "parameters", "wrt", "parent", "name", "origin"}
    for public in bad_input.public_names():
        calls = [call for name, call in bad_input.CALLS.items() if name.partition(" ")[0] == public]
        spoilt = {argument for call in calls for argument in call.arguments}
        module, _, name = public.rpartition(".")
        value = getattr(bad_input.importlib.import_module(module), name)
        if calls and public != "brainsurr.Surrogate":
            assert set(inspect.signature(value).parameters) - spoilt <= elsewhere, public


def call(run, judge=lambda answer, given: None):
    arguments = {"size": Argument(good(1), one_of("text", "a", refused=True) + one_of("zero", 0))}
    return Call("call", arguments, run, judge)


@pytest.mark.parametrize(
    ("run", "judge", "what"),
    [
        (lambda size: size, None, "accepted size (text)"),
        (lambda size: jax.numpy.zeros(size), None, "raised in"),
        (lambda size: bs._checks.check_word("word", size, ("b",)), None, "refused good input"),
        (lambda size: size == 1 or bs._checks.check_word("word", size, ("b",)), None, "names none of size"),
        (lambda size: size == 1 or bs._checks.check_word("size", size, ("b",)), None, None),
        (lambda size: size == 1 or bs._checks.check_word("size", size, ("b",)), "wrong", "wrong"),
    ],
)
def test_what_the_fuzz_sees(run, judge, what):
    one = call(run, lambda answer, given: judge)
    tally = bad_input.fuzz(one, bad_input.singles(one), 20, seed=0)
    whats = [failure["what"] for failure in tally["failures"]]
    assert any(what in each for each in whats) if what else not whats
    assert tally["examples"] == tally["right"] + tally["clear"] + tally["failed"]


PARAMETERS = [(e, name) for e in FAMILY for name in e.settings[0] if name not in e.static and e.function]


@pytest.mark.parametrize(("entry", "name"), PARAMETERS, ids=lambda p: getattr(getattr(p, "make", p), "__name__", p))
def test_a_parameter_out_of_the_ordinary_is_refused_or_obeys_the_formula(entry, name):
    x = np.array([-2.0, -0.75, -0.25, 0.25, 0.75, 2.0], np.float32)
    above = entry.make(**entry.settings[0])._above.get(name, -np.inf)
    # A negative steepness: the table has |alpha x| for it, the class alpha |x|. They are the same from 0 on.
    least = 0 if entry.make is bs.SoftSign else -np.inf
    for value in (-1.75, -0.625, 0.0, 0.375, 1e3):
        setting = entry.settings[0] | {name: value}
        if value <= above:
            with pytest.raises(ValueError, match=f"expected {name} to be above"):
                entry.make(**setting)
        elif value >= least:
            with np.errstate(all="ignore"):
                expected = np.broadcast_to(entry.dg(x.astype(np.float64), **setting), x.shape)
            slope = np.asarray(entry.make(**setting).surrogate_grad(x))
            np.testing.assert_allclose(slope, expected, rtol=1e-4, atol=1e-30 + 1e-6 * np.abs(expected).max())


def test_the_result_is_whole_and_shown():
    result = json.loads((RESULTS / "bad_input/result.json").read_text())
    assert set(result["calls"]) == set(bad_input.CALLS), "run `python -m benchmarks.bad_input`"
    assert all(not call["failed"] and not call["failures"] for call in result["calls"].values())
    text = section(result)
    assert all(f"| `{name}` " in text for name in bad_input.CALLS)
    assert "0 failed." in " ".join(text.split())


def test_a_failure_is_written_and_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bad_input, "CALLS", {"call": call(lambda size: size)})
    assert bad_input.main(["--examples", "20", "--out", str(tmp_path)])
    assert "call: accepted size (text)" in capsys.readouterr().out
    assert "- `call`: accepted size (text)" in section(json.loads((tmp_path / "result.json").read_text()))


@pytest.mark.parametrize("dtype", ["int8", "int32", "bool"])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_reductions_of_what_has_no_gradient(dtype, size):
    xs = np.array([[0, 1], [1, 1], [0, 0], [1, 1], [1, 1]]).astype(dtype)
    for reduce, expected in (("mean", [0.6, 0.8]), ("max", xs.max(0)), ("last", xs[-1])):
        answer = bs.unroll(lambda c, x: (c, x), None, xs, block_size=size, reduce=reduce)[1]
        assert answer.dtype == ("float32" if reduce == "mean" else dtype)
        np.testing.assert_allclose(np.asarray(answer, np.float64), expected, rtol=1e-6)
