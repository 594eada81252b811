r"""What Lava's bit-accurate processes hold of a network for Loihi: the rounding of `rounding.TOOLS` for ``lava``.

A layer has one scale. Its weights are integers of 8 bits with the sign, times 2, so up to 254; of fewer bits with zeros
behind. Its threshold is an integer up to :math:`2^{17} - 1`. Biases are in 64ths of these, of 13 bits and a shift of up
to 7, and decays in 4096ths.
"""

from typing import Any

import jax.numpy as jnp

from .._kernel import detached
from .on_chip import straight_through


def integers(
    weights: list[Any], bias: Any, threshold: Any, decay: Any, synapse: Any = 0.0, bits: int = 8
) -> tuple[list[Any], Any, Any, Any, Any, Any]:
    """Round a layer to the numbers that Loihi has, on the scale on which none is clipped.

    Args:
      weights: those of its input, and recurrent ones if there are any, float32.
      bias: of its neurons, or 0.
      threshold: one for all.
      decay: of the potential, one for all; the least is 1 / 4096.
      synapse: the decay of the current before it, one for all; 0 without one, at most 1 - 1 / 4096.
      bits: of the weights, 2 to 8.

    Returns:
      The same but ``bits``, rounded, and the scale: how many integers are 1 of what was given.
    """
    step, most, threshold = 2 ** (9 - bits), jnp.abs(jnp.asarray(bias)).max(), jnp.asarray(threshold)
    largest = jnp.stack([jnp.abs(w).max() for w in weights]).max()
    scale = detached(jnp.stack([(256 - step) / largest, 131071 / threshold, 8190 / most]).min())
    part = detached(2 ** jnp.ceil(jnp.log2(jnp.maximum(64 * scale * most / 4095, 1)))) / 64
    return (
        [_rounded(w * scale, step) for w in weights],
        _rounded(bias * scale, part),
        _rounded(threshold * scale, 1) + 1 / 128,  # it fires above, not at it
        _rounded(jnp.clip(decay, 1 / 4096, 1), 1 / 4096),
        _rounded(jnp.clip(synapse, 0, 1 - 1 / 4096), 1 / 4096),
        scale,
    )


def _rounded(value: Any, step: Any) -> Any:
    return straight_through(jnp.round(value / step) * step, value)
