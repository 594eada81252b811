"""What docs/time-and-memory.md and docs/numerics.md show runs, and does what they say."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pages import DOCS, blocks, run, run_blocks

import brainsurr as bs

pytestmark = [pytest.mark.slow, pytest.mark.numbers, pytest.mark.usefixtures("lenient")]  # optax.adam, flax's Linear


def printed_on(page):
    (shown,) = re.findall(r"```text\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    return shown


def test_blocks_need_less_memory_and_pieces_are_trained_on(capsys):
    before, truncated = blocks(DOCS / "time-and-memory.md")
    scope = run(before)
    texts = capsys.readouterr().out, printed_on("time-and-memory.md")
    (whole, dots, full), shown = ([float(size) for size in re.findall(r"([\d.]+) MB", text)] for text in texts)
    np.testing.assert_allclose((whole, dots, full), shown, rtol=0.3)
    assert 8 * full < whole
    assert full < dots < whole / 2
    kernel = scope["params"]["layers"][0]["kernel"][...]
    scope = run(truncated, **scope)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(scope["carry"]))
    assert np.abs(scope["net"].layers[0].kernel[...] - kernel).max() > 1e-3


def test_the_block_size_of_the_page():
    lengths = []
    xs = jax.ShapeDtypeStruct((10_000, 16, 64), jnp.float32)
    jax.eval_shape(lambda xs: bs.unroll(lambda carry, xs: (carry, lengths.append(len(xs)) or xs), None, xs), xs)
    assert lengths == [100]


def test_numerics(capsys):
    scope = run_blocks(DOCS / "numerics.md")
    spikes, dtypes, error = capsys.readouterr().out.splitlines()
    assert spikes.startswith("0.0 ")  # the second spike depends on the processor
    assert dtypes == "bfloat16 float32"
    assert error == " ".join(printed_on("numerics.md").split())
    assert scope["spikes"].shape == (10, 4, 8)
