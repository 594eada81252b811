"""Every public call answers rightly or refuses in clear words; and the fuzz that says so sees what does not."""

import dataclasses
import inspect
import json
import re

import jax
import numpy as np
import pytest
from close import assert_close
from dtypes import why_no_float16
from surrogate_table import FAMILY

import brainsurr as bs
from benchmarks.bad_input import __main__ as command
from benchmarks.bad_input import fuzzing as bad_input
from benchmarks.bad_input.register import Argument, Call, Given, Shaped, good, one_of
from benchmarks.bad_input.report import section
from benchmarks.pages.evidence import RESULTS

EXAMPLES = 10


def compilable(call):
    """The call without values in float16, where jax can't compile it."""

    def is_float16(given):
        value = given.value.make((2, 2, 3)) if isinstance(given.value, Shaped) else given.value
        return getattr(value, "dtype", None) == np.float16

    def left(argument):
        return Argument(argument.good, [given for given in argument.bad if not is_float16(given)])

    arguments = {name: left(argument) for name, argument in call.arguments.items()}
    return dataclasses.replace(call, arguments=arguments) if why_no_float16() else call


def quick_first(name):
    """Slow: what has the checks of another surrogate, framework or neuron; and pictures."""
    public = name.partition(" ")[0].removeprefix("brainsurr.")
    alike = {make.__name__ for entry in FAMILY[1:] for make in (entry.make, entry.function) if make}
    is_slow = public in alike or public.split(".")[0] in ("plot", "linen", "brainstate")
    is_slow |= f"{name} (recurrent)" in bad_input.CALLS or public.endswith(("ALIF", "Cell"))
    return pytest.param(name, marks=pytest.mark.slow if is_slow else ())


@pytest.mark.parametrize("name", [quick_first(name) for name in bad_input.CALLS])
def test_every_bad_input_is_an_error_that_explains_itself(name):
    """Whatever is good or must be refused, by itself, which is quick; and a few mixtures of good and bad."""
    call = compilable(bad_input.CALLS[name])
    fine, *bad = bad_input.singles(call)
    refused = [given for given in bad if any(g.refused for g in given.values())]
    fines = [fine | {key: good} for key, argument in call.arguments.items() for good in argument.good]
    tally = bad_input.fuzz(call, [*fines, *refused], EXAMPLES, seed=0)
    assert not tally["failures"]
    assert tally["right"]
    assert tally["clear"] >= len(refused)


def test_every_public_name_is_called():
    called = {name.partition(" ")[0] for name in bad_input.CALLS}
    assert called == set(bad_input.public_names())


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


def judged(name, spoil, **chosen):
    """What the judge of a call says of an answer that was right and is then spoilt."""
    call = bad_input.CALLS[name]
    given = {key: argument.good[0] for key, argument in call.arguments.items()}
    values = bad_input.values_of(given | {key: Given("good", value) for key, value in chosen.items()})
    answer = call.run(**values)
    assert call.judge(answer, values) is None
    return call.judge(spoil(answer), values)


@pytest.mark.parametrize("name", [name for name, call in bad_input.CALLS.items() if "origin" in call.arguments])
@pytest.mark.parametrize("origin", [False, True])
def test_a_primitive_of_nan_is_seen(name, origin):
    def spoil(answer):
        value, gradient, derivative, primitive = answer
        nan = jax.numpy.full_like(primitive, np.nan)
        return nan if origin else value, gradient, derivative, nan

    assert judged(name, spoil, origin=origin).startswith("g(x) is NaN")


@pytest.mark.parametrize("name", [name for name, call in bad_input.CALLS.items() if "reduce" in call.arguments])
@pytest.mark.parametrize("reduce", [None, "mean", "max", "last"])
def test_a_wrong_output_of_unroll_is_seen(name, reduce):
    ys = 0 if "brainstate" in name else 1

    def spoilt(change):
        return lambda answer: tuple(change(part) if i == ys else part for i, part in enumerate(answer))

    for change in (lambda y: y.at[..., -1].add(1), lambda y: y[None], lambda y: y.astype("bfloat16"), lambda y: None):
        assert judged(name, spoilt(change), reduce=reduce)


STATEFUL = [name for name in bad_input.CALLS if re.search(r"\.(LIF|LIFCell|LI|SpikingSequential)\b", name)]


@pytest.mark.parametrize("name", [name for name in STATEFUL if name != "brainsurr.brainstate.SpikingSequential"])
def test_a_missing_state_is_seen(name):
    """But for brainstate's SpikingSequential, which has none of its own."""
    network = "Sequential" in name
    assert "state" in judged(name, lambda answer: ((None, None) if network else None, answer[1]))
    if "recurrent" in name:
        assert "state" in judged(name, lambda answer: (answer[0][:1], answer[1]))


@pytest.mark.parametrize("name", STATEFUL)
def test_a_wrong_output_of_a_layer_is_seen(name):
    assert "output" in judged(name, lambda answer: (answer[0], answer[1].at[..., -1].add(1)))


def test_a_decay_out_of_its_bounds_is_seen():
    call = bad_input.CALLS["brainsurr.nnx.LI"]
    values = bad_input.values_of({name: argument.good[0] for name, argument in call.arguments.items()})
    values |= {"decay": 1.5, "learnable": "decay", "bounds": None}
    answer = call.run(**values)
    assert call.judge(answer, values) is None
    for bounded in ({"bounds": {}}, {"learnable": ()}):
        assert "decay outside [0, 1]" in call.judge(answer, values | bounded)


PARAMETERS = [(e, name) for e in FAMILY for name in e.settings[0] if name not in e.static and e.function]


@pytest.mark.parametrize(("entry", "name"), PARAMETERS, ids=lambda p: getattr(getattr(p, "make", p), "__name__", p))
def test_a_parameter_out_of_the_ordinary_is_refused_or_obeys_the_formula(entry, name):
    x = np.array([-2.0, -0.75, -0.25, 0.25, 0.75, 2.0], np.float32)
    above = entry.make(**entry.settings[0])._lower_limits.get(name, -np.inf)
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
            assert_close(slope, expected, 32)


def test_the_result_is_shown():
    result = json.loads((RESULTS / "bad_input/result.json").read_text())
    text = section(result)
    assert all(f"| `{name}` " in text for name in result["calls"])
    failed = sum(call["failed"] for call in result["calls"].values())
    assert f"{failed} failed." in " ".join(text.split())
    called = [name.partition(" ")[0] for name in result["calls"]]
    assert not any(what in section(result, called) + text for what in ("Not called", "Removed since"))
    assert "Not called: `brainsurr.Cube`, `brainsurr.cube`." in section(result, ["brainsurr.Cube", "brainsurr.cube"])
    assert f"Removed since: `{called[0]}`." in section(result, [name for name in called if name != called[0]])


def test_a_failure_is_written_and_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "CALLS", {"call": call(lambda size: size)})
    assert command.main(["--examples", "20", "--out", str(tmp_path)])
    assert "call: accepted size (text)" in capsys.readouterr().out
    assert "- `call`: accepted size (text)" in section(json.loads((tmp_path / "result.json").read_text()))


@pytest.mark.parametrize("dtype", ["int8", "int32", "bool"])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_reductions_of_what_has_no_gradient(dtype, size):
    xs = np.array([[0, 1], [1, 1], [0, 0], [1, 1], [1, 1]]).astype(dtype)
    for reduce, expected in (("mean", [0.6, 0.8]), ("max", xs.max(0)), ("last", xs[-1])):
        answer = bs.unroll(lambda c, x: (c, x), None, xs, block_size=size, reduce=reduce)[1]
        assert answer.dtype == ("float32" if reduce == "mean" else dtype)
        assert_close(np.asarray(answer, np.float32), expected, 2, each=True)  # sums of integers are exact
