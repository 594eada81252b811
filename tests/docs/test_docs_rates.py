"""What docs/rate-penalty.md shows runs, and does what it says."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from close import assert_close
from pages import DOCS, blocks, run

from brainsurr.nnx import diagnose

PAGE = DOCS / "rate-penalty.md"
COMMON, NNX, OTHERS, LINEN, BRAINSTATE, RESIDUAL, PLAIN = blocks(PAGE)
pytestmark = pytest.mark.usefixtures("lenient")  # optax.adam, brainstate's Linear


def numbers(text):
    return np.array([re.findall(r"\d\.\d+", line) for line in text.splitlines()], float)


@pytest.mark.slow
def test_nnx_fires_less_and_is_as_accurate(capsys):
    scope = run(COMMON, NNX, OTHERS)
    (shown,) = re.findall(r"```text\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (accuracy, *rates), (after, *fewer) = printed = numbers(capsys.readouterr().out)
    assert accuracy == after == 1
    assert all(0 < few < rate for few, rate in zip(fewer, rates, strict=True))
    assert sum(fewer) < sum(rates) / 2
    np.testing.assert_allclose(printed, numbers(shown), atol=0.02)  # rounding goes on into spikes, in 50 steps

    by_hand = {1: jnp.array([[0.5, 0.0], [0.25, 0.0]]), 3: jnp.array([[0.125], [0.125]])}
    assert scope["fires_at_most"](by_hand, 0.125) == 0.25**2
    assert scope["fires_at_least"](by_hand, 0.25) == 0.25**2 + 0.125**2

    net = scope["net"]
    _, rates = scope["loss_fn"](net, 1.0)
    report = diagnose(net, lambda net: scope["loss_fn"](net, 1.0)[0])
    for index, rate in rates.items():  # the same spikes: both count them
        assert_close(report[f"layers.{index}"].rate, rate, scope["xs"].shape[0] + 64 * 32, dtype=jnp.float32)


@pytest.mark.slow
def test_linen_and_brainstate():
    scope = run(COMMON, LINEN, BRAINSTATE)
    for gradients in (scope["by_linen"], scope["by_brainstate"]):
        assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradients) if leaf.ndim == 2)


def test_layers_of_ones_own():
    scope = run(COMMON, "from flax import nnx", RESIDUAL, PLAIN)
    assert {index: rate.shape for index, rate in scope["rates"].items()} == {0: (32, 16), 1: (32, 16)}
    assert scope["outputs"]["rate"].shape == (32, 16)
    for rate in (*scope["rates"].values(), scope["outputs"]["rate"]):
        assert 0 < float(rate.mean()) < 1
