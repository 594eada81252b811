"""`transfer`: convert the parameters of a network from one framework to another."""

import re
from collections.abc import Iterable
from itertools import dropwhile
from typing import Any

import jax
import jax.numpy as jnp

from ._arrays import as_array, is_float
from ._bounds import names_of

__all__ = ["transfer"]


def transfer(source: Any, target: Any, *, transposed: str | Iterable[str] | None = None) -> Any:
    """Convert the parameters of one network to the parameter tree of the same network in another framework.

    The layers of :mod:`brainsurr.nnx`, :mod:`brainsurr.linen` and :mod:`brainsurr.brainstate` use the same parameter
    names. This function translates the names in dense and convolutional layers of the frameworks. Other parameters
    whose names differ between the frameworks, as in embeddings, normalisation layers and recurrent cells, raise an
    error.

    flax and brainstate store the kernel of a transposed convolution differently: the spatial axes are reversed, and the
    input and output channels are exchanged. A parameter does not say which kind of convolution it belongs to, so name
    these kernels in ``transposed``.

    Args:
      source: a tree of parameters: ``nnx.state(model, nnx.Param)``, ``variables["params"]`` or
        ``model.states(brainstate.ParamState).to_dict_values()``.
      target: the parameter tree to convert to, which defines the structure, shapes and dtypes.
      transposed: the name or names of the kernels of all Flax ``ConvTranspose`` layers, such as ``"layers.0.kernel"``,
        except layers with ``transpose_kernel=True``, whose layout is the same as in brainstate. Pass ``()`` if there
        are none. If None, a conversion between flax and brainstate raises an error for a kernel that could be of either
        kind, with as many input channels as output channels. Between NNX and Linen, this has no effect.

    Returns:
      A tree like ``target``, for ``nnx.update(model, tree)``, ``module.apply({"params": tree}, ...)`` or
      ``model.states(brainstate.ParamState).assign_dict_values(tree)``.

    Raises:
      TypeError: a parameter is not an array, or its dtypes in the two trees differ and are not both floating.
      ValueError: a parameter is missing in one tree, or its shape differs; two parameters of a tree have the same name;
        a kernel may belong to a transposed convolution, or ``transposed`` names something else.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.interop import transfer
      >>> flax = {"layers_0": {"kernel": jnp.ones((1, 1)), "bias": jnp.zeros(1)}}
      >>> weight = {"weight": jnp.zeros((1, 1)), "bias": jnp.ones(1)}
      >>> transferred = transfer(flax, {("layers", 0, "weight"): weight})
      >>> print(transferred[("layers", 0, "weight")])
      {'bias': Array([0.], dtype=float32), 'weight': Array([[1.]], dtype=float32)}
    """
    given, wanted = _by_name(source, "source"), _by_name(target, "target")
    if given.keys() != wanted.keys():
        only = sorted(given.keys() - wanted.keys()), sorted(wanted.keys() - given.keys())
        raise ValueError(f"the parameters differ: {only[0]} only in the source, {only[1]} only in the target")
    kernels = None if transposed is None else names_of("transfer", transposed, "transposed")
    known = [name for name, (_, new) in given.items() if name.endswith("kernel") and getattr(new, "ndim", 0) > 2]
    for name in kernels or ():
        if name not in known:
            raise ValueError(f"transfer: expected transposed to name kernels of convolutions, of {known}, got {name!r}")

    def value(path, like):
        name = _name(path)
        origin, new = given[name]
        new = as_array(new, f"{name} in the source")
        if new.dtype != like.dtype and not (is_float(new) and is_float(like)):
            raise TypeError(f"{name}: dtype {new.dtype} in the source, {like.dtype} in the target")
        moved = new
        if new.ndim > 2 and _is_brainstates(origin) != _is_brainstates(path):  # a convolution
            other = jnp.flip(new, range(new.ndim - 2)).swapaxes(-1, -2)
            if kernels is None and new.shape == other.shape:
                how = "add it to transposed= if it is, without transpose_kernel=True; otherwise pass transposed=()"
                raise ValueError(f"transfer: {name} of {new.shape} may be the kernel of a ConvTranspose of flax: {how}")
            if name in (kernels or ()):
                moved = other
        if _ending(name, moved.shape) != _ending(name, like.shape):
            raise ValueError(f"{name}: shape {new.shape} in the source, {like.shape} in the target")
        fitted = moved.astype(like.dtype).reshape(like.shape)
        if not isinstance(fitted, jax.core.Tracer) and jnp.isinf(fitted).sum() > jnp.isinf(moved).sum():
            raise ValueError(f"{name}: numbers in the source are too large for {like.dtype}, the dtype in the target")
        return fitted

    return jax.tree_util.tree_map_with_path(value, target)


def _by_name(tree, side: str) -> dict[str, tuple[Any, Any]]:
    """Return the path and value of each parameter by name. Names must be unique."""
    by_name: dict[str, tuple[Any, Any]] = {}
    for path, value in jax.tree_util.tree_leaves_with_path(tree):
        name = _name(path)
        if name in by_name:
            both = " and ".join(jax.tree_util.keystr(p) for p in (by_name[name][0], path))
            raise ValueError(f"transfer: {both} in the {side} are both called {name} here: rename one of them")
        by_name[name] = path, value
    return by_name


def _ending(name: str, shape) -> tuple[int, ...]:
    """Return a shape, for a bias without leading ones: brainstate stores convolution biases as (1, 1, channels)."""
    return tuple(dropwhile(lambda n: n == 1, shape)) if name.endswith("bias") else tuple(shape)


def _name(path) -> str:
    """Return a name such as ``layers.0.spike_fn.alpha``, which is the same in every framework."""
    name = re.sub(r"(^|\.)layers_(\d+)", r"\1layers.\2", _dotted(path))  # linen numbers the modules of a list
    name = re.sub(r"\.(val|value)$", "", name)  # brainstate's Param, flax's Variable
    return re.sub(r"(^|\.)weight\.(weight|bias)$", lambda m: m[1] + ("bias" if m[2] == "bias" else "kernel"), name)


def _is_brainstates(path) -> bool:
    """Return whether this is a path to a kernel in brainstate."""
    return re.search(r"(^|\.)weight\.weight$", _dotted(path)) is not None


def _dotted(path) -> str:
    return ".".join(re.findall(r"[^][()'\", .]+", jax.tree_util.keystr(path)))  # brainstate uses whole paths as keys
