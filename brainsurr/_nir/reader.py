"""The state while an NIR graph is read, and what brainsurr wrote about a node."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from .graphs import numbers
from .layers import Shape
from .surrogates import as_python
from .writer import channels_first

LARGEST = 2**31 - 1  # entries of one time step; a larger shape is no network, and checking it would take all memory

WORDS = {
    "decay_input": bool,
    "synapse_decay_input": bool,
    "reset": str,
    "reset_delay": bool,
    "reset_grad": bool,
    "param_dtype": str,
    "synapse_param_dtype": str,
    "dtype": str,
    "dt": float,
    "method": str,
}


@dataclasses.dataclass
class Reader:
    """What is known on the way.

    Attributes:
      shape: of one time step of one sample here, channels last.
      dt: as the caller says, and ``method``, ``r``, ``reset``, ``reset_delay`` and ``spike_fn``, which may be None.
      order: after a `Flatten`, where in it here each entry of NIR's is; None if the same.
    """

    shape: Shape
    dt: float
    method: str
    r: str | None
    reset: str | None
    reset_delay: bool | None
    spike_fn: Any
    order: np.ndarray | None = None
    layers: list[tuple[Any, Shape]] = dataclasses.field(default_factory=list)

    def add(self, layer: Any):
        """Add a layer, with the shape of its input."""
        self.layers.append((layer, self.shape))

    def numbers(self, owner: str, node: Any, field: str, **how) -> np.ndarray:
        """Return a parameter of a node that has one number for all, or one for each entry of a time step."""
        value, expected = numbers(owner, node, field, **how), channels_first(self.shape)
        if value.shape not in ((), (1,), expected):
            raise ValueError(f"{owner}: expected {field} of shape {expected}, got {value.shape}")
        return value.reshape(()) if value.shape == (1,) else value

    def each(self, owner: str, field: str, value: np.ndarray) -> Any:
        """Return one number for each channel, or for all, of one for each entry of a time step as NIR has them."""
        if value.size == 1:
            return value.reshape(())[()]
        if value.ndim > 1:
            value = np.moveaxis(value, 0, -1).reshape(-1, self.shape[-1])
            if np.any(value != value[0]):
                raise ValueError(f"{owner}: expected {field} to be one for each channel, got several")
            value = value[0]
        elif self.order is not None:
            value = unordered(value, self.order)
        return value[0] if np.all(value == value[0]) else value


def unordered(value: np.ndarray, order: np.ndarray) -> np.ndarray:
    ours = np.empty_like(value)
    ours[order] = value
    return ours


def words_of(owner: str, node: Any) -> dict[str, Any]:
    """Return what brainsurr wrote about a node, as Python numbers, flags and words; empty if it wrote nothing."""
    metadata = node.metadata if isinstance(node.metadata, dict) else {}
    words = metadata.get("brainsurr", {})
    if not isinstance(words, dict):
        raise ValueError(f"{owner}: expected brainsurr's metadata to be a group, got {type(words).__name__}")
    words = {key: value if key == "surrogate" else as_python(value) for key, value in words.items()}
    for key, kinds in WORDS.items():
        if key in words and not isinstance(words[key], kinds):
            raise ValueError(f"{owner}: expected {key} in its metadata to be a {kinds.__name__}, got {words[key]!r}")
    return words


def dtype_of(owner: str, words: dict[str, Any], key: str, default: Any) -> Any:
    name = words.get(key)
    if name is None:
        return default
    if name not in ("float16", "bfloat16", "float32", "float64"):
        raise ValueError(f"{owner}: expected {key} in its metadata to be a floating dtype, got {name!r}")
    return jnp.dtype(name)


def weights(owner, node, field, words) -> np.ndarray:
    value = numbers(owner, node, field)
    given = np.asarray(getattr(node, field)).dtype
    return value.astype(dtype_of(owner, words, "dtype", given if given.kind == "f" else np.float32))


def bias_of(owner, node, words, size: int) -> np.ndarray:
    bias = weights(owner, node, "bias", words)
    if bias.shape != (size,):
        raise ValueError(f"{owner}: expected bias of shape ({size},), got {bias.shape}")
    return bias
