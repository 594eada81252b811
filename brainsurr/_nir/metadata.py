"""What brainsurr writes about a node: words, dtypes, and surrogates, which are read by look-up, and no code is run."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from .. import surrogates
from .._surrogate import Scaled, Surrogate
from .chain import expect, naming

EXPORTED: dict[str, Any] = {name: f for name, f in vars(surrogates).items() if isinstance(f, type)} | {"Scaled": Scaled}


def words_of(node: Any) -> dict[str, Any]:
    """Return what brainsurr wrote about a node, as Python numbers, flags and words; empty if it wrote nothing."""
    words = node.metadata.get("brainsurr", {}) if isinstance(node.metadata, dict) else {}
    return {key: value if key == "surrogate" else as_python(value) for key, value in words.items()}


def dtype_of(words: dict[str, Any], key: str, default: Any = jnp.float32) -> Any:
    """Return a dtype that brainsurr wrote about a node."""
    return jnp.dtype(words[key]) if key in words else default


def is_own(f: Any) -> bool:
    """Return whether a surrogate, and any inside of it, is brainsurr's own."""
    inner = [value for value in vars(f).values() if isinstance(value, Surrogate)]
    return EXPORTED.get(type(f).__name__) is type(f) and all(map(is_own, inner))


def words_of_surrogate(f: Surrogate) -> dict[str, Any]:
    """Return name and parameters of a surrogate of brainsurr."""
    values = {}
    for parameter, value in vars(f).items():
        if hasattr(value, "ndim"):
            value = plain(value) if value.ndim else plain(value).item()  # nir writes no array without an axis
        values[parameter] = words_of_surrogate(value) if isinstance(value, Surrogate) else value
    return {"name": type(f).__name__, "parameters": values}


def surrogate_of(words: dict[str, Any]) -> Surrogate:
    """Return the surrogate of a name and parameters."""
    name = words["name"]
    with naming("the surrogate in its metadata"):
        expect(name in EXPORTED, f"one of {', '.join(sorted(EXPORTED))}", repr(name))
        values = {p: surrogate_of(v) if isinstance(v, dict) else as_python(v) for p, v in words["parameters"].items()}
        return EXPORTED[name](**values)


def as_python(value: Any) -> Any:
    """Return a number, flag or word of a file as Python's own; arrays stay arrays."""
    value = value.decode() if isinstance(value, bytes) else value
    return value.item() if getattr(value, "shape", None) == () else value


def plain(value: Any) -> np.ndarray:
    """Return an array of a dtype that HDF5 has: bfloat16 as float32, exactly."""
    array = np.asarray(value)
    return array if array.dtype.kind in "biuf" else array.astype(np.float32)
