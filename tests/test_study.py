"""A result file fills up, is gone on with after a stop, and does not mix what must not be mixed."""

import json

import jax.numpy as jnp
import pytest

from benchmarks.lib import results
from benchmarks.lib.study import Study, arguments, environment_of

SETTINGS = {"epochs": 3, "scales": (0.1, 1.0)}


def begin(out, settings=SETTINGS):
    return Study("example", settings, out, total=3)


def outcome(seed, ran):
    ran.append(seed)
    return {"test": jnp.array([0.1 * seed, 0.1, 0.2]), "nested": {"loss": seed / 3}}


def without_seconds(path):
    result = json.loads(path.read_text())
    return result | {
        "runs": {key: {k: v for k, v in run.items() if "seconds" not in k} for key, run in result["runs"].items()}
    }


def test_a_stopped_study_goes_on_to_the_same_file(tmp_path):
    ran = []
    for out, stops in ((tmp_path / "whole", ()), (tmp_path / "stopped", (1,))):
        study = begin(out)
        for seed in range(3):
            if seed in stops:
                study = begin(out)  # as a new process would
                for before in range(seed):
                    study.record(f"seed {before}", lambda: pytest.fail("ran again"))
            study.record(f"seed {seed}", lambda seed=seed: outcome(seed, ran))
        study.finish()
    assert ran == [0, 1, 2, 0, 1, 2]
    assert without_seconds(tmp_path / "whole/result.json") == without_seconds(tmp_path / "stopped/result.json")


def test_a_finished_study_is_left_as_it_is(tmp_path):
    begin(tmp_path).record("one", lambda: outcome(0, []))
    before = (tmp_path / "result.json").read_bytes()
    given = begin(tmp_path).record("one", lambda: pytest.fail("ran again"))
    assert (tmp_path / "result.json").read_bytes() == before
    assert given["test"] == [0.0, 0.1, 0.2]


def test_a_run_of_another_commit_says_so(tmp_path, monkeypatch):
    here = results.environment()

    def at(commit):
        monkeypatch.setattr(results, "environment", lambda: here | {"commit": commit})

    at("first")
    begin(tmp_path).record("one", lambda: outcome(0, []))
    at("second")
    study = begin(tmp_path)
    at("third")  # somebody commits while it runs
    study.record("two", lambda: outcome(1, []))
    at("first")
    begin(tmp_path).record("three", lambda: outcome(2, []))
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["commit"] == "first"
    assert {key: environment_of(result, key)["commit"] for key in result["runs"]} == {
        "one": "first",
        "two": "second",
        "three": "first",
    }
    assert {key for key, run in result["runs"].items() if "environment" in run} == {"two"}


def test_what_a_run_gives_is_what_the_file_gives(tmp_path):
    """Whether it has just run or was read: lists and numbers, so that a choice made of it is the same."""
    first = begin(tmp_path).record("one", lambda: outcome(1, []))
    assert begin(tmp_path).record("one", lambda: None) == first
    assert isinstance(first["test"], list)
    assert first["seconds"] >= 0
    assert first["cpu_seconds"] >= 0


@pytest.mark.parametrize("field", ["versions", "device", "python"])
def test_a_study_is_extended_elsewhere(tmp_path, field):
    """What was there stays as it is; each new configuration carries the environment that it ran in."""
    begin(tmp_path).record("one", lambda: outcome(0, []))
    path = tmp_path / "result.json"
    older = {"jax": "0.1"} if field == "versions" else "another"
    before = json.loads(path.read_text()) | {field: older}
    path.write_text(json.dumps(before))
    study = begin(tmp_path)
    assert study.record("one", lambda: pytest.fail("ran again")) == before["runs"]["one"]
    study.record("two", lambda: outcome(1, []))
    result = json.loads(path.read_text())
    assert result | {"runs": None} == before | {"runs": None}
    assert result["runs"]["one"] == before["runs"]["one"]
    assert environment_of(result, "one")[field] == environment_of(result)[field] == older
    assert environment_of(result, "two") == results.environment()


def test_a_configuration_of_other_values_is_refused(tmp_path):
    begin(tmp_path).record("one", lambda: outcome(0, []), surrogates=["A()"])
    before = (tmp_path / "result.json").read_bytes()
    begin(tmp_path).record("one", lambda: pytest.fail("ran again"), surrogates=["A()"])
    with pytest.raises(ValueError, match=r"holds 'one' with surrogates \['A\(\)'\], now it is \['B\(\)'\].*--out"):
        begin(tmp_path).record("one", lambda: outcome(0, []), surrogates=["B()"])
    assert (tmp_path / "result.json").read_bytes() == before


@pytest.mark.parametrize("field", ["settings", "study"])
def test_another_setting_is_refused(tmp_path, field):
    begin(tmp_path).record("one", lambda: outcome(0, []))
    path = tmp_path / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: "another"}))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"begun with {field} another.*--out"):
        begin(tmp_path)
    assert path.read_bytes() == before


def test_a_failure_leaves_the_file_whole(tmp_path):
    study = begin(tmp_path)
    study.record("one", lambda: outcome(0, []))
    with pytest.raises(ZeroDivisionError):
        study.record("two", lambda: 1 / 0)
    assert list(json.loads((tmp_path / "result.json").read_text())["runs"]) == ["one"]


def test_arguments(tmp_path, capsys):
    args = arguments("example", "What it is.", 10, ["--out", str(tmp_path)])
    assert (args.seeds, args.quick, args.out) == (10, False, tmp_path)
    assert arguments("example", "What it is.", 10, ["--quick"]).seeds < 10
    with pytest.raises(SystemExit):
        arguments("example", "What it is.", 10, ["--seeds", "0"])
    assert "expected a positive integer, got 0" in capsys.readouterr().err
