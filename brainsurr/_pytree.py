"""A value as a pytree: its leaves, their names, how two values are compared, and how jax and flax write one."""

import collections
import json
import sys
import threading
from functools import partial

import jax
import numpy as np
from jax import export

from ._arrays import is_number, mapped

_names: collections.Counter[str] = collections.Counter()  # how many classes of each name were registered
_unknown_to_flax: list[type] = []
_lock = threading.Lock()


# jax calls these many times in each trace: they call nothing of Python's.


def flatten(f):
    """Return the parameters of a value, and what is static: their names, and the flags with theirs."""
    parameters, static = {}, []
    for item in f.__dict__.items():
        if item[0] in f._flags:
            static.append(item)
        else:
            parameters[item[0]] = item[1]
    return tuple(parameters.values()), (tuple(parameters), tuple(static))


def flatten_with_keys(f):
    """Flatten, each parameter with its name."""
    parameters, structure = flatten(f)
    return tuple(zip(map(jax.tree_util.GetAttrKey, structure[0]), parameters, strict=True)), structure


def unflatten(cls, structure, parameters):
    """Make a value from what `flatten` gave, or with whatever jax puts in the place of parameters."""
    names, flags = structure
    f = object.__new__(cls)  # without `__init__` and its checks
    f.__dict__.update(zip(names, parameters, strict=True))
    f.__dict__.update(flags)
    object.__setattr__(f, "_flags", frozenset(dict(flags)))
    return f


def rebuild(cls, structure, parameters):
    """Make a value from what `flatten` gave, with copies of its arrays."""
    return unflatten(cls, structure, map(frozen, parameters))


def leaf_names(paths) -> list[str]:
    """Name each parameter after its attribute, with an index where that is a container; two alike by their paths."""
    names = []
    for path in paths:
        last = max(i for i, key in enumerate(path) if isinstance(key, jax.tree_util.GetAttrKey))
        names.append(_join(path[last:]))
    before: list[str] = []
    while names != before:  # a path may be the name of another parameter
        before = names
        names = [_join(path) if before.count(name) > 1 else name for path, name in zip(paths, before, strict=True)]
    if len(set(names)) < len(names):
        raise ValueError(f"two parameters of a value have the same name, of {', '.join(names)}: rename an attribute")
    return names


def _join(path) -> str:
    return "_".join(jax.tree_util.keystr((key,)).strip("[]'.") for key in path)


def is_parameter(value) -> bool:
    """Return whether it is a number, an array, a value, or a container of nothing but these."""
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
    """Name the type in a value that has no hash, such as an array; empty if there is none. Nothing is hashed."""
    if isinstance(value, tuple):
        return next(filter(None, map(unhashable, value)), "")
    can = type(value).__hash__ is not None and not isinstance(value, jax.Array)
    return "" if can else type(value).__name__


def value_key(value):
    """Return the structure of a value, and its leaves in a form to compare and hash: the dtype and bytes of arrays."""

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
    """Return what `repr` shows of a value: of an array that is long or was donated, its dtype and shape."""
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
    # jax refuses a second class of the same name (a notebook cell that is run twice), so number them. The reading
    # program must have defined its class as often as the writing one.
    if _names[name] > 1:
        name = f"{name}#{_names[name]}"
    export.register_pytree_node_serialization(
        cls, serialized_name=name, serialize_auxdata=_json, deserialize_auxdata=lambda data: tuples(json.loads(data))
    )
    _unknown_to_flax.append(cls)
    register_with_flax()


def register_with_flax():
    """Register with flax, if it is loaded, the classes that are not yet. Its import can't be observed."""
    if not _unknown_to_flax or sys.modules.get("flax.serialization") is None:
        return
    from flax import serialization

    with _lock:
        while _unknown_to_flax:
            cls = _unknown_to_flax.pop()
            if not serialization.is_serializable(cls):  # a user may have registered it
                serialization.register_serialization_state(cls, _to_state, _from_state)


def _json(structure) -> bytes:
    return json.dumps(structure).encode()  # which turns tuples into lists


def tuples(value):
    """Return lists as tuples, nested ones too."""
    return mapped(lambda leaf: leaf, value)


def _to_state(f) -> dict:
    """Return the parameters by name. Class and flags are taken from the surrogate that is restored into."""
    from flax.serialization import to_state_dict

    return to_state_dict(_parameters(f))


def _from_state(f, state: dict):
    from flax.serialization import current_path, from_state_dict

    parameters = _parameters(f)
    if not isinstance(state, dict) or state.keys() != parameters.keys():  # flax would leave out what is too many
        got = f"{list(state) if isinstance(state, dict) else state!r} at path {current_path()}"
        raise ValueError(f"{type(f).__name__}: expected a state with the parameters {list(parameters)}, got {got}")
    return rebuild(type(f), flatten(f)[1], from_state_dict(parameters, state).values())


def _parameters(f) -> dict:
    return {name: value for name, value in vars(f).items() if name not in f._flags}
