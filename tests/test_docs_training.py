"""What docs/training-parameters.md shows runs, and does what it says."""

import pathlib
import re

import numpy as np
import pytest

PAGE = (pathlib.Path(__file__).parent.parent / "docs" / "training-parameters.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMON, NNX, NNX_FILTER, LINEN, BRAINSTATE, BRAINSTATE_FILTER = BLOCKS


def run(*blocks):
    scope: dict = {}
    for block in blocks:
        exec(compile(block, "docs/training-parameters.md", "exec"), scope)
    return scope


pytestmark = pytest.mark.usefixtures("lenient")  # optax.adam, brainstate's Linear


def test_nnx():
    scope = run(COMMON, NNX)
    assert scope["step"](scope["net"], scope["optimizer"], scope["xs"], scope["target"]) < scope["before"]
    alpha = np.asarray(scope["act"].alpha[...])
    assert alpha != np.float32(0.02)
    weights = np.asarray(scope["net"].layers[0].kernel[...])
    exec(NNX_FILTER, scope)
    np.testing.assert_array_equal(scope["act"].alpha[...], alpha)
    assert (np.asarray(scope["net"].layers[0].kernel[...]) != weights).any()


def test_linen():
    scope = run(COMMON, LINEN)
    assert scope["after"] < scope["before"]
    assert scope["params"]["layers_1"]["spike_fn"]["alpha"] != np.float32(0.02)


def test_brainstate():
    scope = run(COMMON, BRAINSTATE, BRAINSTATE_FILTER)
    assert scope["act"].alpha.value() != np.float32(0.02)
    assert list(scope["params"]) == [("layers", 0, "weight"), ("layers", 2, "weight")]
    assert list(scope["bounds"](scope["net"], scope["weights"]).values()) == [None, None]


def test_each_group_has_its_own_rate():
    """Adam's first steps have the length of its rate: 1e-3 twice for alpha; frozen, it stays."""
    alpha = run(COMMON, LINEN)["params"]["layers_1"]["spike_fn"]["alpha"]
    np.testing.assert_allclose(np.abs(alpha - 0.02), 2e-3, rtol=0.1)
    scope = run(COMMON.replace("optax.adam(1e-3)", "optax.set_to_zero()"), LINEN)
    assert scope["params"]["layers_1"]["spike_fn"]["alpha"] == np.float32(0.02)


def test_a_schedule_is_followed():
    schedule = "follow(optax.linear_schedule(0.1, 0.0, 4))"
    imported = COMMON.replace("import project", "import follow, project")
    scope = run(imported.replace("optax.adam(1e-3)", schedule), LINEN)
    alpha = scope["params"]["layers_1"]["spike_fn"]["alpha"]
    np.testing.assert_allclose(alpha, 0.05, rtol=1e-5)  # two of four steps
