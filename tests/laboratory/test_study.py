"""A table of runs: each is made once, a stopped study goes on, and what must not be mixed is refused."""

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.lib.study import Runs, finished, of_seeds, rows


def open_runs(path, **settings):
    measured = ("test", "layers", "seconds", "cpu_seconds")
    return Runs(path, {"epochs": 3, "scales": (0.1, 1.0)} | settings, key=("call", "seed"), measured=measured)


def outcome(test):
    return {"test": np.float32(test), "layers": jnp.array([test, 1 / 3]), "not kept": 0}


def test_a_run_is_made_once_and_a_stopped_study_goes_on(tmp_path):
    path = tmp_path / "a.json"
    first = open_runs(path)
    row = first.run(lambda: outcome(0.5), "b", 1)
    assert (row["test"], row["layers"]) == (0.5, [0.5, 0.333333])
    with pytest.raises(ZeroDivisionError):
        first.run(lambda: 1 / 0, "b", 2)
    again = open_runs(path)
    assert again.run(lambda: outcome(0.7), "b", 1) == row
    again.run(lambda: outcome(0.8), "a", 0)
    assert [(row["call"], row["seed"], row["test"]) for row in rows(path)] == [("a", 0, 0.8), ("b", 1, 0.5)]
    assert finished(path, "all") is finished(tmp_path / "none.json", "all") is None
    again.finish("all", seeds=(0, 1), rules={"b": 1, "a": 2})
    assert str(finished(path, "all")) == "{'seeds': [0, 1], 'rules': {'b': 1, 'a': 2}}", "in the order that was given"


def test_a_file_of_other_settings_is_refused(tmp_path):
    path = tmp_path / "a.json"
    open_runs(path).run(lambda: outcome(0.5), "a", 0)
    with pytest.raises(ValueError, match=r"settings"):
        open_runs(path, epochs=4)


def test_runs_are_read_by_what_has_all_seeds():
    table = [{"call": call, "seed": seed, "test": seed / 10} for call, seed in (("a", 2), ("a", 1), ("a", 3), ("b", 1))]
    (columns,) = of_seeds(table, [1, 2], "call").values()
    np.testing.assert_array_equal(columns["test"], [0.1, 0.2])
    assert list(of_seeds(table, [1], "call", "seed")) == [("a", 1), ("b", 1)]
