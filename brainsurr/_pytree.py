"""Pytree functions for `Value`: flattening, leaf names, comparison by value, and serialisation for jax and flax."""

import collections
import json
import sys
import threading
from functools import partial

import jax
import numpy as np
from jax import export

from ._arrays import is_number, mapped

_names: collections.Counter[str] = collections.Counter()  # the number of registered classes with each name
_unknown_to_flax: list[type] = []
_lock = threading.Lock()


# jax calls these functions many times per trace, so they avoid slow Python calls.


def flatten(f):
    """Return the parameters of a value, and its static structure: the parameter names, and the flags by name."""
    parameters, static = {}, []
    for item in f.__dict__.items():
        if item[0] in f._flags:
            static.append(item)
        else:
            parameters[item[0]] = item[1]
    return tuple(parameters.values()), (tuple(parameters), tuple(static))


def flatten_with_keys(f):
    """Flatten, and pair each parameter with its name as a key."""
    parameters, structure = flatten(f)
    return tuple(zip(map(jax.tree_util.GetAttrKey, structure[0]), parameters, strict=True)), structure


def unflatten(cls, structure, parameters):
    """Rebuild a value from the result of `flatten`. jax may pass arbitrary objects as parameters."""
    names, flags = structure
    f = object.__new__(cls)  # without `__init__` and its checks
    f.__dict__.update(zip(names, parameters, strict=True))
    f.__dict__.update(flags)
    object.__setattr__(f, "_flags", frozenset(dict(flags)))
    return f


def rebuild(cls, structure, parameters):
    """Rebuild a value from the result of `flatten`, with copies of its arrays."""
    return unflatten(cls, structure, map(frozen, parameters))


def leaf_names(paths) -> list[str]:
    """Name each parameter after its attribute, plus an index in a container; duplicates get their full paths."""
    names = []
    for path in paths:
        last = max(i for i, key in enumerate(path) if isinstance(key, jax.tree_util.GetAttrKey))
        names.append(_join(path[last:]))
    before: list[str] = []
    while names != before:  # a path may equal the name of another parameter
        before = names
        names = [_join(path) if before.count(name) > 1 else name for path, name in zip(paths, before, strict=True)]
    if len(set(names)) < len(names):
        raise ValueError(f"two parameters of a value have the same name: {', '.join(names)}. Rename an attribute")
    return names


_join = partial(jax.tree_util.keystr, simple=True, separator="_")


def is_parameter(value) -> bool:
    """Return whether a value is a number, an array, a `Value`, or a container with only these."""
    leaves = jax.tree.leaves(value)
    return (bool(leaves) or isinstance(value, list | tuple | dict)) and all(map(is_number, leaves))


def frozen(value):
    """Copy arrays and containers. Copied arrays are read-only and lists become tuples; a dict can still be changed."""

    def read_only(leaf):
        if isinstance(leaf, np.ndarray):
            leaf = leaf.copy()
            leaf.flags.writeable = False
        return leaf

    return mapped(read_only, value)


def unhashable(value) -> str:
    """Return the name of the first unhashable type in a value, such as an array, or an empty string.

    The value itself is not hashed.
    """
    if isinstance(value, tuple):
        return next(filter(None, map(unhashable, value)), "")
    can = type(value).__hash__ is not None and not isinstance(value, jax.Array)
    return "" if can else type(value).__name__


def value_key(value):
    """Return the structure of a value and its leaves in a hashable form: arrays by dtype, shape and bytes."""

    def key(leaf):
        if isinstance(leaf, jax.core.Tracer):
            return "traced", id(leaf)
        if isinstance(leaf, np.ndarray | np.generic | jax.Array) and not isinstance(leaf, float):
            leaf = np.asarray(leaf)
            return str(leaf.dtype), leaf.shape, leaf.tobytes()
        return leaf

    leaves, structure = jax.tree.flatten(value)
    return structure, tuple(map(key, leaves))


def short(value) -> str:
    """Return the repr of a value, or only the dtype and shape of an array that is long or was donated."""
    is_array = isinstance(value, (np.ndarray, jax.Array))
    deleted = isinstance(value, jax.Array) and not isinstance(value, jax.core.Tracer) and value.is_deleted()
    if is_array and (value.size > 4 or deleted):
        return f"{value.dtype}[{','.join(map(str, value.shape))}]" + deleted * " (deleted)"
    return repr(value)


# Registration --------------------------------------------------------------------------------------------------------


def register(cls: type):
    """Register a new class with jax now, and with flax as soon as it is loaded."""
    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, partial(unflatten, cls), flatten)
    name = f"{cls.__module__}.{cls.__qualname__}"
    _names[name] += 1
    # jax raises an error for a second class of the same name (a notebook cell that runs twice), so number the classes.
    # A program that loads an exported function must have defined the class as often as the program that saved it.
    if _names[name] > 1:
        name = f"{name}#{_names[name]}"
    export.register_pytree_node_serialization(
        cls, serialized_name=name, serialize_auxdata=_json, deserialize_auxdata=lambda data: tuples(json.loads(data))
    )
    _unknown_to_flax.append(cls)
    register_with_flax()


def register_with_flax():
    """Register the remaining classes with flax if it is loaded. There is no hook for the import of flax."""
    if not _unknown_to_flax or sys.modules.get("flax.serialization") is None:
        return
    from flax import serialization

    with _lock:
        while _unknown_to_flax:
            cls = _unknown_to_flax.pop()
            if not serialization.is_serializable(cls):  # a user may have registered it
                serialization.register_serialization_state(cls, _to_state, _from_state)


def _json(structure) -> bytes:
    return json.dumps(structure).encode()  # turns tuples into lists


def tuples(value):
    """Convert nested lists to tuples."""
    return mapped(lambda leaf: leaf, value)


def _to_state(f) -> dict:
    """Return the parameters by name. When restoring, the class and flags come from the target surrogate."""
    from flax.serialization import to_state_dict

    return to_state_dict(_parameters(f))


def _from_state(f, state: dict):
    from flax.serialization import current_path, from_state_dict

    parameters = _parameters(f)
    if not isinstance(state, dict) or state.keys() != parameters.keys():  # flax would ignore surplus entries
        got = f"{list(state) if isinstance(state, dict) else state!r} at path {current_path()}"
        raise ValueError(f"{type(f).__name__}: expected a state with the parameters {list(parameters)}, got {got}")
    return rebuild(type(f), flatten(f)[1], from_state_dict(parameters, state).values())


def _parameters(f) -> dict:
    return {name: value for name, value in vars(f).items() if name not in f._flags}
