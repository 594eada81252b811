"""Registration of each class of surrogates with ``jax.export`` and ``flax.serialization``."""

import collections
import json
import sys
import threading

from jax import export

from ._pytree import flatten, rebuild

_names: collections.Counter[str] = collections.Counter()  # how many classes of each name were registered
_unknown_to_flax: list[type] = []
_lock = threading.Lock()


def register(cls: type):
    """Register a new class with jax now, and with flax as soon as it is loaded."""
    name = f"{cls.__module__}.{cls.__qualname__}"
    _names[name] += 1
    # jax refuses a second class of the same name (a notebook cell that is run twice), so number them. The reading
    # program must have defined its class as often as the writing one.
    if _names[name] > 1:
        name = f"{name}#{_names[name]}"
    export.register_pytree_node_serialization(
        cls, serialized_name=name, serialize_auxdata=_as_json, deserialize_auxdata=_from_json
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


def _as_json(structure) -> bytes:
    """Write names and flags as JSON, which turns tuples into lists."""
    for name, flag in structure[1]:
        if not _is_plain(flag):
            raise TypeError(
                f"jax.export: expected the flag {name} of a surrogate to be a boolean, a number, a string, None or a "
                f"tuple of these, got {flag!r}, which can't be written: make the surrogate inside the exported function"
            )
    return json.dumps(structure).encode()


def _is_plain(flag) -> bool:
    return all(map(_is_plain, flag)) if isinstance(flag, tuple) else isinstance(flag, bool | int | float | str | None)


def _from_json(written: bytes):
    return _tuples(json.loads(written))


def _tuples(value):
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _to_state(f) -> dict:
    """Return the parameters by name. Class and flags are taken from the surrogate that is restored into."""
    from flax.serialization import to_state_dict

    children, (names, _) = flatten(f)
    return to_state_dict(dict(zip(names, children, strict=True)))


def _from_state(f, state: dict):
    from flax.serialization import current_path, from_state_dict

    children, structure = flatten(f)
    parameters = dict(zip(structure[0], children, strict=True))
    if not isinstance(state, dict) or state.keys() != parameters.keys():  # flax would leave out what is too many
        what = f"{type(f).__name__}: expected a state with the parameters {sorted(parameters)}"
        got = sorted(state) if isinstance(state, dict) else type(state).__name__
        raise ValueError(f"{what}, got {got} at path {current_path()}")
    return rebuild(type(f), structure, from_state_dict(parameters, state).values())
