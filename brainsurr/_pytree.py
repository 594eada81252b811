"""A surrogate as a pytree and as a value: what a leaf is, what it is called, how two are compared."""

import jax
import numpy as np

from ._arrays import is_number


def flatten(f):
    """The parameters of a surrogate, and what stays static: their names, and the flags."""
    parameters, flags = f._split()
    return tuple(parameters.values()), (tuple(parameters), tuple(flags.items()))


def flatten_with_keys(f):
    """The same, each parameter with its name."""
    children, structure = flatten(f)
    return tuple(zip(map(jax.tree_util.GetAttrKey, structure[0]), children, strict=True)), structure


def unflatten(cls, structure, children):
    """A surrogate of a class from what `flatten` gave, or from what jax puts there."""
    names, flags = structure
    f = object.__new__(cls)  # not __init__: it may check or convert, and jax puts anything into a leaf
    f.__dict__.update(zip(names, children, strict=True))
    f.__dict__.update(flags)
    object.__setattr__(f, "_static", frozenset(name for name, _ in flags))
    return f


def leaf_name(path) -> str:
    """The name of a parameter: its attribute, with an index where the attribute is a container."""
    last = max(i for i, key in enumerate(path) if isinstance(key, jax.tree_util.GetAttrKey))
    return "_".join([path[last].name, *(jax.tree_util.keystr((key,)).strip("[]'") for key in path[last + 1 :])])


def is_parameter(value) -> bool:
    """A number, an array, a surrogate, or a container of nothing but these."""
    leaves = jax.tree.leaves(value)
    return (bool(leaves) or isinstance(value, list | tuple | dict)) and all(map(is_number, leaves))


def frozen(value):
    """A value that does not change with the arrays and containers it was made from, nor, but for a dict, in place."""
    if isinstance(value, np.ndarray):
        value = value.copy()
        value.flags.writeable = False
    elif isinstance(value, list) or type(value) is tuple:
        value = tuple(map(frozen, value))
    elif type(value) is dict:
        value = {key: frozen(entry) for key, entry in value.items()}
    return value


def unhashable(value) -> str:
    """The type of what in a value can't be hashed, such as an array; empty if all can. Hashes nothing itself."""
    if isinstance(value, tuple):
        return next(filter(None, map(unhashable, value)), "")
    can = type(value).__hash__ is not None and not isinstance(value, jax.Array)
    return "" if can else type(value).__name__


def value_key(value):
    """What is compared and hashed in place of a value: for an array its dtype, shape and bytes."""
    if not is_parameter(value):
        return value
    leaves, structure = jax.tree.flatten(value)
    return structure, tuple(map(leaf_key, leaves))


def leaf_key(leaf):
    """The same for one leaf."""
    if isinstance(leaf, (int, float)):
        return leaf
    if isinstance(leaf, jax.core.Tracer):
        return "traced", id(leaf)
    leaf = np.asarray(leaf)
    return str(leaf.dtype), leaf.shape, leaf.tobytes()


def short(value) -> str:
    """Return what `repr` shows of a value: of an array that is long or was donated, its dtype and shape."""
    is_array = isinstance(value, (np.ndarray, jax.Array))
    deleted = isinstance(value, jax.Array) and not isinstance(value, jax.core.Tracer) and value.is_deleted()
    if is_array and (value.size > 4 or deleted):
        return f"{value.dtype}[{','.join(map(str, value.shape))}]" + deleted * " (deleted)"
    return repr(value)
