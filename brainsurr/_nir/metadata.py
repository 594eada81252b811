"""What brainsurr writes about a node: words, dtypes, and surrogates, which are read by look-up, and no code is run."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import surrogates
from .._surrogate import Scaled, Surrogate
from .chain import expect, naming

DTYPES = ("float16", "bfloat16", "float32", "float64")


def words_of(node: Any) -> dict[str, Any]:
    """Return what brainsurr wrote about a node, as Python numbers, flags and words; empty if it wrote nothing."""
    words = node.metadata.get("brainsurr", {}) if isinstance(node.metadata, dict) else {}
    expect(isinstance(words, dict), "brainsurr's metadata to be a group", type(words).__name__)
    return {key: value if key == "surrogate" else as_python(value) for key, value in words.items()}


def dtype_of(words: dict[str, Any], key: str, default: Any = jnp.float32) -> Any:
    """Return a dtype that brainsurr wrote about a node."""
    if key not in words:
        return default
    known = isinstance(words[key], str) and words[key] in DTYPES
    expect(known, f"{key} in its metadata to be a floating dtype", repr(words[key]))
    return jnp.dtype(words[key])


def is_own(f: Any) -> bool:
    """Return whether a surrogate, and any inside of it, is brainsurr's own."""
    inner = [value for value in vars(f).values() if isinstance(value, Surrogate)]
    return _exported().get(type(f).__name__) is type(f) and all(map(is_own, inner))


def words_of_surrogate(f: Surrogate) -> dict[str, Any]:
    """Return name and parameters of a surrogate of brainsurr."""
    values = {}
    for parameter, value in vars(f).items():
        if isinstance(value, jax.Array | np.ndarray):
            value = plain(value) if value.ndim else plain(value).item()  # nir writes no array without an axis
        values[parameter] = words_of_surrogate(value) if isinstance(value, Surrogate) else value
    return {"name": type(f).__name__, "parameters": values}


def surrogate_of(words: Any) -> Surrogate:
    """Return the surrogate of a name and parameters, or raise a ValueError that says what is wrong with them."""
    exported = _exported()
    with naming("the surrogate in its metadata"):
        got = sorted(map(str, words)) if isinstance(words, dict) else type(words).__name__
        expect(got == ["name", "parameters"] and isinstance(words["parameters"], dict), "a name and parameters", got)
        name, values = words["name"], dict[str, Any]()
        expect(isinstance(name, str) and name in exported, f"one of {', '.join(sorted(exported))}", repr(name))
        for parameter, value in words["parameters"].items():
            values[parameter] = surrogate_of(value) if isinstance(value, dict) else as_python(value)
            finite = np.asarray(value).dtype.kind != "f" or np.all(np.isfinite(value))
            expect(finite, f"finite parameters of {name}", f"{value} for {parameter}")
        f = exported[name](**values)
        expect(not f.origin, f"a {name} of spikes", "origin=True, which gives the primitive")
    return f


def _exported() -> dict[str, type[Surrogate]]:
    """Return the surrogates that brainsurr exports, by name."""
    exported = {name: getattr(surrogates, name) for name in surrogates.NAMES}
    return {name: f for name, f in exported.items() if isinstance(f, type)} | {"Scaled": Scaled}


def as_python(value: Any) -> Any:
    """Return a number, flag or word of a file as Python's own; arrays stay arrays."""
    if isinstance(value, bytes):
        return value.decode("utf8", "replace")
    return value.item() if getattr(value, "shape", None) == () else value


def plain(value: Any) -> np.ndarray:
    """Return an array of a dtype that HDF5 has: bfloat16 as float32, exactly."""
    array = np.asarray(value)
    return array if array.dtype.kind in "biuf" else array.astype(np.float32)
