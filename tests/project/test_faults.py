"""`tools.faults`, which plants faults that no one chose: its rules, and its draw."""

import ast
from collections import Counter
from pathlib import Path

import pytest

import brainsurr
from tools import faults

PLANTED = {  # (source, kind): what the rule plants, in the order of the source
    ("a < b <= c == d", "comparison"): [],  # of several, none is changed alone
    ("not (a >= b)", "comparison"): ["a > b"],
    ("a - (b + c) * d", "operator"): ["a + (b + c) * d", "(b + c) / d", "b - c"],
    ("x and not y", "operator"): ["x or not y", "(y)"],
    ("f(a, b, c)", "swapped arguments"): ["f(b, a, c)"],
    ("s = stop_gradient(x + y)", "lost call"): ["(x + y)"],
    ("check(x)", "lost call"): ["pass", "(x)"],
    ("sum(x, axis=-1, dtype=d)", "keyword"): ["sum(x, dtype=d)", "sum(x, axis=-1)"],
    ("zip(a, b, strict=True)", "keyword"): [],  # a check of what can't be, which the linter asks for
    ("sum(x, axis=-1)", "axis"): ["1"],
    ("y = a if b else c", "branch"): ["True", "False"],
    ("jnp.float32", "dtype"): ["jnp.float16"],
    ("pick('mean', 'of two words')", "name"): ["'mean_'"],
    ("def f(a: Literal['b'] = 0.5, *, c=True): 'text'", "default"): ["0.625", "False"],
    ("class A:\n  'text'\n  b: float = 2.0", "default"): ["2.5"],
    ("if b:\n  raise E('b', 1)", "name"): [],
    ("if TYPE_CHECKING:\n  a = 1", "constant"): [],
}


@pytest.mark.parametrize(("source", "kind"), PLANTED)
def test_a_rule_plants_what_it_says(source, kind):
    changes = [text for its, _, text in faults.changes(ast.parse(source)) if its == kind]
    assert changes == PLANTED[source, kind]


def test_a_draw_shares_faults_among_folders_and_repeats(monkeypatch):
    """Each is a program that differs from the file, in the lines that it names alone."""
    monkeypatch.setattr(faults, "ROOT", Path(brainsurr.__file__).parent.parent)
    drawn = faults.drawn(26, seed=3)
    assert drawn == faults.drawn(26, seed=3) != faults.drawn(26, seed=4)
    counts = Counter(fault.path.rpartition("/")[0] for fault in drawn)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert len({fault.kind for fault in drawn}) > 5
    for fault in drawn:
        before = (faults.ROOT / fault.path).read_text().splitlines()
        after, rest = fault.text.splitlines(), len(before) - fault.lines[-1]
        assert ast.dump(ast.parse(fault.text)) != ast.dump(ast.parse("\n".join(before)))
        assert after[: fault.lines[0] - 1] == before[: fault.lines[0] - 1]
        assert after[len(after) - rest :] == before[len(before) - rest :]
