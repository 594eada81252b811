"""What NNX and Linen share: how a linear layer or a convolution computes; flax is not imported."""

from typing import Any

import jax


def functions_replaced(layer: Any) -> tuple[str, ...]:
    """Return the names of the functions of a linear layer or a convolution of flax that are the user's."""
    names = ("dot_general", "dot_general_cls", "conv_general_dilated", "conv_general_dilated_cls")
    usual = (None, jax.lax.dot_general, jax.lax.conv_general_dilated)
    replaced = [name for name in names if getattr(layer, name, None) not in usual]
    if not is_of_flax(layer.promote_dtype, "promote_dtype"):
        replaced.append("promote_dtype")
    return tuple(replaced)


def is_of_flax(function, name: str) -> bool:
    """Return whether a function is flax's own of that name."""
    return getattr(function, "__name__", "") == name and getattr(function, "__module__", "").startswith("flax.")
