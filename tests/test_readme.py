"""What the README shows runs, prints what it says, and holds no number that was typed."""

import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from brainsurr import nnx

README = Path(__file__).parent.parent / "README.md"


def snippets():
    return re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def test_snippets(capsys, lenient):
    scope = {}  # one for all, as a reader goes down the page
    for code in snippets():
        exec(compile(code, README.name, "exec"), scope)
        printed = capsys.readouterr().out.splitlines()
        promised = re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)
        assert printed[: len(promised)] == promised
    # The layer is trained: an output of zero has a loss of 1, and alpha started at 0.1.
    assert float(scope["loss"]) < 0.2
    alpha = float(scope["act"].surrogate.alpha)
    assert 0 <= alpha <= 1
    assert alpha != pytest.approx(0.1, abs=1e-3)


def test_batch_first_data_is_turned_around_by_the_line_that_is_shown(lenient):
    assert "Time comes first: `xs` is `[time, batch, features]`." in README.read_text()
    (line,) = re.findall(r"`(xs = [^`]*)` turns it around", README.read_text())
    lif = nnx.LIF(3, decay=0.5)
    batch_first = jnp.asarray(np.random.default_rng(0).uniform(0, 2, (4, 5, 3)), jnp.float32)
    exec(line, scope := {"jnp": jnp, "xs": batch_first})
    _, spikes = lif(lif.initialize_carry((4, 3)), scope["xs"])
    for example, one in zip(batch_first, jnp.swapaxes(spikes, 0, 1), strict=True):
        np.testing.assert_array_equal(lif(lif.initialize_carry((3,)), example)[1], one)
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(lif(lif.initialize_carry((5, 3)), batch_first)[1], jnp.swapaxes(spikes, 0, 1))


def test_numbers_are_those_of_the_result_files():
    from benchmarks.pages import readme

    text = README.read_text()
    assert readme.rendered(text) == text, "run `make readme`"
    page = (README.parent / "docs/speed.md").read_text()
    assert readme.speed.page(readme.RESULTS / "speed") == page, "run `make readme`"
    assert "test accuracy" in text
    with pytest.raises(ValueError, match="has no <!-- speed -->"):
        readme.rendered("")


def test_every_local_link_exists():
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text())
    assert links
    for link in links:
        assert link.startswith("https://") or (README.parent / link).exists(), link


def test_every_make_target_exists():
    targets = set(re.findall(r"^(\w+):", (README.parent / "Makefile").read_text(), re.MULTILINE))
    shown = set(re.findall(r"(?:`|^)make (\w+)", README.read_text(), re.MULTILINE))
    assert {"train", "test", "lint", "format", "docs", "notebooks", "bench", "evidence"} <= shown <= targets
