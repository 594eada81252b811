"""Base classes of neurons whose state is their last inputs."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from .._arrays import as_real
from .._checks import check_dtype
from ._neuron import Unmatched


class InputHistory(Unmatched):
    """A neuron whose state is its last ``longest`` inputs. A single step calls `over_time` on one time step."""

    longest: Any
    state_dtype: Any = None  # if None, the dtype of the input of `initial_state`
    states: ClassVar[tuple[str, ...]] = ("past",)

    def initial_state(self, x):
        if not x.ndim:
            raise ValueError(f"{type(self).__name__}: expected xs of shape [time, ..., features], got shape [time]")
        dtype = x.dtype if self.state_dtype is None else self.state_dtype
        return jnp.zeros((*x.shape[:-1], self.longest, x.shape[-1]), dtype)

    def step(self, state, x):
        state, (y,) = self.over_time(state, x[None])
        return state, y

    def _joined(self, past, xs):
        """Return the past and current inputs concatenated, in the dtype of the inputs, and the new state."""
        before = jnp.moveaxis(past, -2, 0).astype(xs.dtype)
        mesh = jax.sharding.get_abstract_mesh()
        if (mesh.explicit_axes or mesh.manual_axes) and len(xs):  # unlike the inputs, zeros have no sharding type
            before = before + jnp.zeros_like(xs[:1])
        both = jnp.concatenate([before, xs])
        return both, jnp.moveaxis(both[len(xs) :], 0, -2).astype(past.dtype)

    def _filtered(self, past, xs, kernel, multiply=jnp.multiply):
        """Return the new state, and the inputs filtered with a kernel over time."""
        both, past = self._joined(past, xs.astype(past.dtype))
        return past, sum(multiply(both[i : i + len(xs)], kernel[i]) for i in range(len(kernel)))


class AnyDtypeHistory(InputHistory):
    """The base of `Delay` and `Window`: inputs of any real dtype, no trainable parameters, no state if longest = 0."""

    _is_trained: ClassVar[bool] = False
    _as_input = staticmethod(as_real)

    def _check(self, name, value):
        super()._check(name, value)
        if name == "state_dtype":
            check_dtype(f"{type(self).__name__}: state_dtype", value, any_real=True)

    @property
    def states(self):  # type: ignore[override]
        """The names of the arrays of the state."""
        return ("past",) if self.longest else ()

    def initial_state(self, x):
        return super().initial_state(x) if self.longest else None

    def _joined(self, past, xs):
        if past is None:
            return xs, past
        if not np.can_cast(xs.dtype, past.dtype):
            what = f"a {past.dtype} carry can't represent every number of a {xs.dtype} input"
            raise ValueError(f"{type(self).__name__}: {what}: set state_dtype=jnp.{xs.dtype}")
        return super()._joined(past, xs)
