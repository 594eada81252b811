"""Surrogates by name and parameters, as NIR's metadata holds them. They are read by look-up, and no code is run."""

import dataclasses
from typing import Any

import jax
import numpy as np

from .. import surrogates
from .._surrogate import Scaled, Surrogate


def known() -> dict[str, type[Surrogate]]:
    """Return the surrogates that brainsurr exports, by name."""
    exported = {name: getattr(surrogates, name) for name in surrogates.__all__}
    return {name: f for name, f in exported.items() if isinstance(f, type)} | {"Scaled": Scaled}


def to_words(f: Surrogate) -> dict[str, Any] | None:
    """Return name and parameters of a surrogate; None if it, or one inside of it, is not brainsurr's own."""
    name = type(f).__name__
    if known().get(name) is not type(f):
        return None
    values: dict[str, Any] = {}
    for parameter, value in vars(f).items():
        if isinstance(value, Surrogate):
            value = to_words(value)
            if value is None:
                return None
        elif isinstance(value, jax.Array | np.ndarray):
            value = plain(value) if value.ndim else plain(value).item()  # nir writes no array without an axis
        values[parameter] = value
    return {"name": name, "parameters": values}


def from_words(owner: str, words: Any) -> Surrogate:
    """Return the surrogate of a name and parameters, or raise a ValueError that says what is wrong with them."""
    expected = f"{owner}: expected the surrogate in its metadata to be"
    if not isinstance(words, dict) or words.keys() != {"name", "parameters"}:
        got = sorted(map(str, words)) if isinstance(words, dict) else type(words).__name__
        raise ValueError(f"{expected} a name and parameters, got {got}")
    name, parameters = words["name"], words["parameters"]
    cls = known().get(name) if isinstance(name, str) else None
    if cls is None:
        raise ValueError(f"{expected} one of {', '.join(sorted(known()))}, got {name!r}")
    fields = {field.name for field in dataclasses.fields(cls)}
    if not isinstance(parameters, dict) or not parameters.keys() <= fields:
        got = sorted(map(str, parameters)) if isinstance(parameters, dict) else type(parameters).__name__
        raise ValueError(f"{expected} a {name}, with parameters among {', '.join(sorted(fields))}, got {got}")
    values: dict[str, Any] = {}
    for parameter, value in parameters.items():
        values[parameter] = from_words(owner, value) if isinstance(value, dict) else as_python(value)
        if np.asarray(value).dtype.kind == "f" and not np.all(np.isfinite(value)):
            raise ValueError(f"{expected} a {name} of finite parameters, got {value} for {parameter}")
    try:
        f = cls(**values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{expected} a {name}: {error}") from error
    if f.origin:
        raise ValueError(f"{expected} one of spikes, got origin=True, which gives the primitive")
    return f


def as_python(value: Any) -> Any:
    """Return a number, flag or word of a file as Python's own; arrays stay arrays."""
    if isinstance(value, bytes):
        return value.decode("utf8", "replace")
    return value.item() if isinstance(value, np.generic) or getattr(value, "shape", None) == () else value


def plain(value: Any) -> np.ndarray:
    """Return an array of a dtype that HDF5 has: bfloat16 as float32, exactly."""
    array = np.asarray(value)
    return array if array.dtype.kind in "biuf" else array.astype(np.float32)
