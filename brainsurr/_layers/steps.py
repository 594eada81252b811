"""The layers of neurons, defined once for the three frameworks: what they keep of their arguments, and their step.

A framework's own layer makes the parameters and the state, and reads them.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from .._smooth import widened
from .._surrogate import Surrogate
from .arguments import ALIFArguments, LeakyArguments, LIFArguments
from .equation import li_step_with_output, lif_carry, neuron_step
from .watching import seen


class ActivationLayer:
    """A surrogate as a layer, `SpikingActivation` in each framework."""

    @property
    def surrogate(self) -> Surrogate:
        """The surrogate as it is now, its trained parameters inside their bounds."""
        raise NotImplementedError

    def _draw(self) -> dict[str, Any]:
        """Return ``{"key": key}``, a new key, if spikes are drawn; else nothing."""
        raise NotImplementedError


class LeakyLayer:
    """A layer with the arguments of `LeakyArguments`; the framework's own class holds its parameters."""

    PARAMETERS = LeakyArguments.PARAMETERS
    FLAGS: tuple[str, ...] = ("decay_input",)  # the arguments that the step takes as they are

    def _set_flags(self, arguments: LeakyArguments):
        """Keep the arguments that are neither parameters nor needed only to make one."""
        for name in self.FLAGS:
            setattr(self, name, getattr(arguments, name))

    def _value(self, name: str):
        """Return a parameter as it is now, a trained one inside its bounds."""
        raise NotImplementedError

    def _first_carry(self, v):
        """Return the state before the first step, from its potential."""
        return widened(v)

    def _state_names(self) -> list[str]:
        """Return a name for each array of the state."""
        return ["v"]

    def _step_arguments(self) -> dict[str, Any]:
        """Return what the step takes beside its carry and input, as it is now."""
        flags = {name: getattr(self, name) for name in self.FLAGS}
        return flags | {name: self._value(name) for name in self.PARAMETERS}

    def _step(self) -> Callable:
        """Return the step ``(carry, x) -> (carry, output)``, a pure function of the parameters as they are now."""
        return partial(li_step_with_output, **self._step_arguments())


class LIFLayer(LeakyLayer):
    """A layer with the arguments of `LIFArguments`."""

    PARAMETERS = LIFArguments.PARAMETERS
    FLAGS = (*LeakyLayer.FLAGS, "reset", "reset_delay", "reset_grad")
    reset_delay: bool
    recurrent: bool
    spike_fn: Callable

    def _set_flags(self, arguments):
        super()._set_flags(arguments)
        self.recurrent = arguments.recurrent

    def _recurrent_weights(self):
        """Return the weights ``[features, features]`` as they are now, or None."""
        raise NotImplementedError

    def _spike_function(self) -> Callable:
        """Return the surrogate as it is now, or the function that the layer was given."""
        return self.spike_fn.surrogate if isinstance(self.spike_fn, ActivationLayer) else self.spike_fn

    def _draw(self) -> dict[str, Any]:
        """Return ``{"key": key}``, a new key, for a layer whose spikes are drawn; else nothing."""
        return self.spike_fn._draw() if isinstance(self.spike_fn, ActivationLayer) else {}

    def _keeps_spikes(self) -> bool:
        """Return whether the last spikes are part of the state."""
        return self.recurrent or self.reset_delay

    def _first_carry(self, v):
        return lif_carry(v, self._keeps_spikes())

    def _state_names(self):
        return ["v", "s"] if self._keeps_spikes() else ["v"]

    def _step_arguments(self):
        return super()._step_arguments() | {"spike_fn": seen(self, self._spike_function())}

    def _step(self) -> Callable:
        return neuron_step(self._recurrent_weights(), **self._step_arguments())


class ALIFLayer(LIFLayer):
    """A layer with the arguments of `ALIFArguments`."""

    PARAMETERS = ALIFArguments.PARAMETERS
    FLAGS = (*LIFLayer.FLAGS, "adapts")

    def _first_carry(self, v):
        return lif_carry(v, self._keeps_spikes(), adapts=True)

    def _state_names(self):
        return [*super()._state_names(), "a"]
