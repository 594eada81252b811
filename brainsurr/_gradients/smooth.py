"""The smooth pass of `check_gradients`: spikes become surrogate functions, and all values are in float64."""

import contextlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .._hooks import overriding
from .._kernel import spike_of, stopped
from .._modules import first_state
from .._time.sequential import apply_layer, gives_spikes
from .._time.unroll import as_arrays, outputs_of
from ..neurons._neuron import as_state, make_first_state, run, take_one_step


def smooth(stop_reset: Callable = lambda stop, s: stop(s)) -> contextlib.AbstractContextManager[None]:
    """Replace every spike by its surrogate function, and convert incoming arrays to float64, until the block ends.

    Args:
      stop_reset: ``stop_reset(stop, s)`` returns the spikes for a detached reset. ``stop(s)`` blocks their gradient.
    """
    return overriding(
        {
            spike_of: lambda of, x, surrogate, key: of(promoted(x), surrogate.replace(origin=True), key),
            stopped: stop_reset,
            gives_spikes: lambda of, layer: False,
            run: lambda of, neuron, state, xs, *scan: of(neuron, state, promoted(neuron._as_input(xs, "xs")), *scan),
            take_one_step: lambda of, step, neuron, state, x, **key: of(
                step, neuron, state, _input_of(neuron, x), **key
            ),
            make_first_state: lambda of, make, neuron, x: promoted(of(make, neuron, _input_of(neuron, x))),
            apply_layer: lambda of, layer, carry, *args: of(layer, promoted(carry), *args),
            **dict.fromkeys((as_state, first_state, as_arrays, outputs_of), lambda of, *args: promoted(of(*args))),
        }
    )


def _input_of(neuron, x):
    return x if isinstance(x, tuple | list) else promoted(neuron._as_input(x, "x"))


def promoted(tree: Any) -> Any:
    """Return a tree with floats as float64 and complex numbers as complex128; other leaves are unchanged."""
    return jax.tree.map(_promoted, tree)


def _promoted(x):
    if not (isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jnp.inexact)):
        return x
    return x.astype(jnp.complex128 if jnp.iscomplexobj(x) else jnp.float64)
