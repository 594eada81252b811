"""Checks of arguments, with consistent error messages: string options, booleans, surrogates, numbers and dtypes."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._arrays import is_number
from ._pytree import short


def check_word(name: str, value: Any, words: Sequence[str | None]):
    """Raise a ValueError unless the value is one of the given strings, or None if that is among them."""
    # Check the type first, since the comparison of an array with a string has no truth value.
    if not isinstance(value, str | None) or value not in words:
        raise ValueError(f"{_expected(name)} one of {', '.join(map(repr, words))}, got {value!r}")


def check_flag(name: str, value: Any, optional: bool = False):
    """Raise a TypeError unless the value is a Python boolean, or None if ``optional`` is True."""
    if not isinstance(value, bool) and not (optional and value is None):
        raise TypeError(f"{_expected(name)} True{', False or None' if optional else ' or False'}, got {value!r}")


def check_surrogate(name: str, value: Any):
    """Raise a TypeError unless the value is a surrogate."""
    if isinstance(value, type) or not hasattr(value, "is_distribution"):  # importing the class here would be a cycle
        raise TypeError(f"{name} is {value!r}, not a surrogate of brainsurr such as LogTailedRelu(0.1)")


def check_distribution(name: str, surrogate: Any):
    """Raise a ValueError unless the surrogate function rises from 0 to 1, so that it can be a probability."""
    if not (surrogate.is_distribution and _rises_from_0_to_1(surrogate)):
        how = "such as Sigmoid(4.0); in your own class, set is_distribution = True"
        raise ValueError(f"{name} is {surrogate!r}: random spikes need one that rises from 0 to 1, {how}")


@jax.jit
def _primitive(surrogate, x):
    return surrogate.surrogate_fun(x)


def _rises_from_0_to_1(surrogate: Any) -> bool:
    """Return whether the surrogate function rises from 0 to 1; True if a parameter is traced and can't be checked."""
    parameters = jax.tree.leaves(surrogate)
    if any(isinstance(parameter, jax.core.Tracer) for parameter in parameters):
        return True
    shape = np.broadcast_shapes(*map(np.shape, parameters))
    points = np.array([-30.0, -3.0, -1.0, 0.0, 1.0, 3.0, 30.0], np.float32).reshape(-1, *[1] * len(shape))
    with jax.ensure_compile_time_eval():  # before jax 0.9, a custom_jvp without jit returns a tracer here
        g = np.asarray(_primitive(surrogate, np.broadcast_to(points, (len(points), *shape))))
    rises = np.all(np.diff(g, axis=0) > -1e-6) and np.all((g[0] < 0.5) & (g[-1] > 0.5))
    return bool(rises and np.all((g > -1e-6) & (g < 1 + 1e-6)))


def check_random(owner: str, random: Any, surrogate: Any, fixed: Sequence[str]):
    """Raise an error if a layer has random spikes, but its surrogate does not support them.

    Args:
      owner: the name of the layer, for messages.
      random: the option of the layer. If True, its spikes are random.
      surrogate: the surrogate of the layer.
      fixed: the names of the surrogate parameters that the layer does not train. A height or width can't be trained,
        since the surrogate function would then no longer end at 1.
    """
    check_flag(f"{owner}: random", random)
    if random:
        check_distribution(f"{owner}: the surrogate of random spikes", surrogate)
        for name in ("height", "width") if hasattr(surrogate, "surrogate") else ():  # a `Scaled`
            if name not in fixed or not isinstance(getattr(surrogate, name), int | float | np.generic):
                raise ValueError(f"{owner}: {name} can't be trained with random=True; train the inner surrogate")


def check_positive_integer(name: str, value: Any):
    """Raise a ValueError unless the value is a positive integer."""
    if not is_integer(value) or value < 1:
        raise ValueError(f"{_expected(name)} a positive integer, got {value!r}")


def check_number(name: str, value: Any, what: str, fits: Callable[[np.ndarray], Any]):
    """Raise a ValueError unless each number in the value is finite and ``fits``. Traced values are not checked."""
    number = None if isinstance(value, jax.core.Tracer) else np.asarray(value if is_number(value) else [])
    if not (number is None or (number.size and np.all(np.isfinite(number) & fits(number)))):
        raise ValueError(f"{_expected(name)} a number {what}, got {short(value)}")


def check_dtype(name: str, value: Any, any_real: bool = False):
    """Raise a TypeError unless the value is a floating dtype, or, with ``any_real``, an integer or boolean dtype."""
    kinds = (jnp.floating, jnp.integer, jnp.bool_) if any_real else (jnp.floating,)
    try:
        is_real = any(jnp.issubdtype(jnp.dtype(value), kind) for kind in kinds)
        # NumPy reads None as float64, and a jax array as its dtype.
        fits = is_real and not isinstance(value, jax.Array | np.ndarray | None)
    except (TypeError, ValueError, DeprecationWarning):  # deprecated names of dtypes are not floating anyway
        fits = False
    if not fits:
        what = "a dtype of real numbers" if any_real else "a floating dtype"
        raise TypeError(f"{_expected(name)} {what} such as jnp.float32, got {value!r}")


def is_integer(value: Any) -> bool:
    """Return whether the value is a Python or NumPy integer. Booleans don't count."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def check_counts(name: str, count: int, dtype: Any):
    """Raise a ValueError unless a dtype has each integer up to a count."""
    if count > (most := 2 / float(jnp.finfo(dtype).eps)):
        raise ValueError(f"{_expected(name)} at most {most:.0f} in {jnp.dtype(dtype)}, got {count}: use float32")


def shapes(tree: Any) -> Any:
    """Return the shape of each array in a tree, or the type of any other leaf, for messages."""
    return jax.tree.map(lambda leaf: getattr(leaf, "shape", type(leaf).__name__), tree)


def _expected(name: str) -> str:
    """Return the start of a message, such as ``LIF: expected reset to be`` for the name ``LIF: reset``."""
    *owner, argument = name.rpartition(": ")
    return f"{''.join(owner)}expected {argument} to be"
