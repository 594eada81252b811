"""Hold the state that the step of a layer of brainstate takes and returns."""

from typing import Any

import brainstate
import jax
from brainstate import nn

from .._checks import is_size
from .._layers.unknown_arguments import ChecksArguments


class StatefulLayer(ChecksArguments, nn.Module):
    """A layer whose state is a ``HiddenState`` for each array of a carry, under a name."""

    def _state_names(self) -> list[str]:
        """Return a name for each array of the state."""
        raise NotImplementedError

    def _start(self, shape: tuple[int, ...]) -> Any:
        """Return the state before the first step, for inputs of ``shape`` at each step."""
        raise NotImplementedError

    def _structure(self):
        """Return the pytree structure of the state."""
        raise NotImplementedError

    def init_state(self, batch_size: int | tuple[int, ...] | None = None, **kwargs):
        """Make the state before the first step.

        Call this once. Compiled functions keep a reference to these states; use `reset_state` to restart them.
        """
        for name, value in zip(self._state_names(), jax.tree.leaves(self._initial(batch_size)), strict=True):
            setattr(self, name, brainstate.HiddenState(value))

    def reset_state(self, batch_size: int | tuple[int, ...] | None = None, **kwargs):
        """Set the state back to what it is before the first step."""
        self._check_state()
        self._carry = self._initial(batch_size)

    def _initial(self, batch_size):
        batch = () if batch_size is None else _sizes(batch_size)
        if not all(map(is_size, batch)):
            owner = type(self).__name__
            raise ValueError(f"{owner}: expected batch_size to be an integer or several, got {batch_size!r}")
        return self._start((*batch, *_sizes(self.in_size)))

    def _check_state(self):
        if not all(hasattr(self, name) for name in self._state_names()):
            raise ValueError(
                f"{type(self).__name__} has no state yet: call init_state(batch_size) on it or on the network, "
                "or brainstate.nn.init_all_states(network, batch_size)"
            )

    @property
    def _carry(self):
        self._check_state()
        values = [getattr(self, name).value for name in self._state_names()]
        return jax.tree.unflatten(self._structure(), values)

    @_carry.setter
    def _carry(self, carry):
        for name, value in zip(self._state_names(), jax.tree.leaves(carry), strict=True):
            getattr(self, name).value = value


def size_of(owner: str, features) -> tuple[int, ...]:
    """Return the size of a layer as a tuple, its features last; these are checked with the other arguments."""
    size = _sizes(features)
    if not all(map(is_size, size[:-1])):
        raise ValueError(f"{owner}: expected features to be an integer or several, got {features!r}")
    return size


def _sizes(value) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) and value else (value,)
