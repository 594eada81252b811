"""What docs/saving.md shows runs, and does what it says."""

import jax.numpy as jnp
import numpy as np
import pytest
from pages import HOSTS, run

pytestmark = pytest.mark.usefixtures("lenient")  # optax.adam, flax's Linear


def test_page():
    scope = run(HOSTS.parent / "saving.md")
    for one, other in (scope["nnx_losses"], scope["linen_losses"]):
        np.testing.assert_array_equal(one, other)
    anew = scope["make"]()
    assert scope["step"](*anew) != scope["nnx_losses"][0], "what was restored is not a fresh start"
    act = scope["again"][0].layers[1].spike_fn
    assert float(act.alpha[...]) != np.float32(0.02)
    assert (scope["spikes"].dtype, scope["v"].dtype) == (jnp.bfloat16, jnp.float32)
