"""What docs/saving.md shows runs, and does what it says."""

import jax.numpy as jnp
import numpy as np
import pytest
from pages import HOSTS, run_blocks

pytestmark = pytest.mark.usefixtures("lenient")  # optax.adam, flax's Linear


def test_page(capsys):
    scope = run_blocks(HOSTS.parent / "saving.md")
    differ = "the parameters differ: ['layers.0.spike_fn.alpha'] only in the source, [] only in the target"
    assert differ in " ".join((HOSTS.parent / "saving.md").read_text().split())
    assert differ in capsys.readouterr().out.splitlines()
    neuron = scope["fixed"].layers[0]
    assert (neuron.spike_fn.alpha, neuron.decay[...]) == (0.25, np.float32(0.9))
    for one, other in (scope["nnx_losses"], scope["linen_losses"]):
        np.testing.assert_array_equal(one, other)
    anew = scope["make"]()
    assert scope["step"](*anew) != scope["nnx_losses"][0], "what was restored is not a fresh start"
    act = scope["again"][0].layers[1].spike_fn
    assert float(act.alpha[...]) != np.float32(0.02)
    assert (scope["spikes"].dtype, scope["v"].dtype) == (jnp.bfloat16, jnp.float32)
    restored = scope["serialization"].from_bytes(scope["blank"], scope["written"])["f"]
    np.testing.assert_array_equal(restored.alpha, np.float32([0.1, 0.2]))
    np.testing.assert_array_equal(scope["exported_spikes"], [0.0, 1.0])
