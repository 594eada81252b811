"""Whether the gradients of a Flax Linen network are right."""

from collections.abc import Callable
from typing import Any

from flax import linen as nn

from .. import _gradients
from .._gradients.report import GradientReport


def check_gradients(variables: Any, loss_fn: Callable[[Any], Any]) -> GradientReport:
    """Check the gradients of a network in each of its variables: :func:`brainsurr.check_gradients`.

    Args:
      variables: what ``loss_fn`` takes, such as ``net.init(...)`` or its ``"params"``.
      loss_fn: what is trained, ``loss_fn(variables) -> scalar`` through ``net.apply``, on a small batch.

    Raises:
      TypeError: the loss is not a scalar, or ``variables`` is a module.
      ValueError: there are no variables of a floating dtype, or the loss is not finite.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import linen as nn
      >>> from brainsurr.linen import LI, LIF, SpikingSequential, check_gradients
      >>> net, key = SpikingSequential([nn.Dense(3), LIF(3), LI(3)]), jax.random.key(0)
      >>> xs = jnp.linspace(0.1, 0.9, 20).reshape(5, 2, 2)
      >>> carry = net.initialize_carry(key, (2, 2))
      >>> variables = net.init(key, carry, xs)
      >>> loss_fn = lambda variables: jnp.mean(net.apply(variables, carry, xs)[1] ** 2)
      >>> check_gradients(variables, loss_fn).fine
      True
    """
    if isinstance(variables, nn.Module):
        raise TypeError(
            f"expected variables, such as net.init(...) gives them, got a module, {type(variables).__name__}"
        )
    return _gradients.check_gradients(variables, loss_fn)
