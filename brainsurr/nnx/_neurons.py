"""LeakyBase integrate-and-fire neurons and the leaky integrator, for Flax NNX."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.typing import Dtype, Initializer

from .._arrays import as_float
from .._bounds import Interval
from .._neuron import (
    BOUNDS,
    check_drawn_shape,
    check_input_shape,
    check_neuron,
    drawing_dtype,
    li_step_with_output,
    lif_carry,
    neuron_step,
)
from .._surrogate import Surrogate
from .._time.scan import scan_over_time
from ..surrogates.relu import LogTailedRelu
from ._activation import SpikingActivation
from ._parameters import ParameterModule, parameter_value, set_parameters


class LeakyBase(ParameterModule):
    """What a leaky layer holds before it has a threshold: its decay and the shape of its state."""

    def __init__(self, features, values, *, learnable, bounds, carry_init, param_dtype):
        self.features = features
        self.carry_init = carry_init
        self.param_dtype = param_dtype
        set_parameters(self, values, learnable, bounds, BOUNDS, param_dtype)

    def initialize_carry(
        self,
        input_shape: tuple[int, ...],
        rngs: nnx.Rngs | nnx.RngStream | None = None,
        carry_init: Initializer | None = None,
    ):
        """The potential before the first step, for inputs of ``input_shape = (*batch, features)``.

        Zeros, or what ``carry_init`` draws, in ``param_dtype``.
        """
        shape = check_input_shape(type(self).__name__, self.features, input_shape)
        init = self.carry_init if carry_init is None else carry_init
        _check_rngs(type(self).__name__, rngs, nnx.RngStream)
        key = jax.random.key(0) if rngs is None else rngs.carry() if isinstance(rngs, nnx.Rngs) else rngs()
        return check_drawn_shape("carry_init", init(key, shape, self.param_dtype), shape)


class LIFBase(LeakyBase):
    """Parameters and step of a layer of LIF neurons, shared by the cell and the layer over time."""

    def __init__(
        self,
        features: int,
        *,
        decay: Any = 0.9,
        threshold: Any = 1.0,
        reset: str = "subtract",
        reset_grad: bool | None = None,
        spike_fn: Callable = LogTailedRelu(alpha=0.01),
        learnable: str | Iterable[str] = (),
        bounds: Mapping[str, Interval | None] | None = MappingProxyType({}),
        recurrent: bool = False,
        recurrent_kernel_init: Initializer = nnx.initializers.orthogonal(),
        carry_init: Initializer = nnx.initializers.zeros_init(),
        param_dtype: Dtype = jnp.float32,
        rngs: nnx.Rngs | None = None,
    ):
        owner, values = type(self).__name__, {"decay": decay, "threshold": threshold}
        check_neuron(
            owner,
            features,
            reset,
            spike_fn,
            reset_grad,
            recurrent,
            carry_init,
            recurrent_kernel_init,
            learnable,
            **values,
        )
        super().__init__(
            features, values, learnable=learnable, bounds=bounds, carry_init=carry_init, param_dtype=param_dtype
        )
        self.reset = reset
        self.reset_grad = reset_grad
        self.spike_fn = SpikingActivation(spike_fn) if isinstance(spike_fn, Surrogate) else spike_fn
        _check_rngs(owner, rngs)
        if recurrent and rngs is None:
            raise ValueError(f"{owner}: recurrent=True draws weights: pass rngs=nnx.Rngs(seed)")
        kernel = None
        if recurrent and rngs is not None:
            shape = (features, features)
            weights = recurrent_kernel_init(rngs.params(), shape, drawing_dtype(param_dtype))
            kernel = nnx.Param(weights)  # which takes in the metadata of nnx.with_partitioning
            kernel.set_value(check_drawn_shape("recurrent_kernel_init", kernel.get_value(), shape).astype(param_dtype))
        self.recurrent_kernel = kernel

    def initialize_carry(
        self,
        input_shape: tuple[int, ...],
        rngs: nnx.Rngs | nnx.RngStream | None = None,
        carry_init: Initializer | None = None,
    ):
        """The state before the first step, for inputs of ``input_shape = (*batch, features)``.

        The potential, zeros or what ``carry_init`` draws, in ``param_dtype``; with recurrent weights a pair of it
        and the last spikes, zeros.
        """
        return lif_carry(super().initialize_carry(input_shape, rngs, carry_init), self.recurrent_kernel is not None)

    def _step(self):
        """The step as a pure function ``(carry, x) -> (carry, spikes)`` of the parameters as they are now."""
        return neuron_step(
            None if self.recurrent_kernel is None else self.recurrent_kernel[...],
            decay=parameter_value(self, "decay"),
            threshold=parameter_value(self, "threshold"),
            spike_fn=self.spike_fn.surrogate if isinstance(self.spike_fn, SpikingActivation) else self.spike_fn,
            reset=self.reset,
            reset_grad=self.reset_grad,
        )


class LIFCell(LIFBase, nnx.RNNCellBase):
    r"""One time step of leaky integrate-and-fire neurons, ``(carry, x) -> (carry, spikes)``.

    .. math::
       u = \mathrm{decay} \cdot v + x, \qquad s = \mathrm{spike\_fn}(u - \mathrm{threshold}), \qquad
       v' = u - \mathrm{threshold}\, s

    It has the contract of flax's own cells, so ``nnx.RNN(LIFCell(...))`` runs it over batch-major sequences; for
    time-major ones use :class:`LIF`.

    Args:
      features: number of neurons, the last axis of the input.
      decay: what is left of the potential after a step, in [0, 1]: exp(-dt / tau). A number or ``[features]``.
      threshold: a number or ``[features]``.
      reset: ``"subtract"`` the threshold, set to ``"zero"``, or ``"none"``.
      reset_grad: whether the gradient flows through the reset; None: yes, but not for ``"zero"``, where it explodes.
      spike_fn: a surrogate, a :class:`SpikingActivation`, or any function of ``u - threshold`` that has no state and
        draws no random numbers.
      learnable: ``"decay"``, ``"threshold"`` or both; parameters of the surrogate are trained by
        ``spike_fn=SpikingActivation(f, learnable=...)``.
      bounds: closed intervals for these by name, in place of [0, 1] and [0, inf]; None trains unbounded.
      recurrent: whether the spikes of the last step come back through trained weights.
      recurrent_kernel_init: their initialiser.
      carry_init: initialiser of the potential.
      param_dtype: of parameters and of the potential. The spikes have the dtype of the input.
      rngs: needed with ``recurrent=True`` alone.

    Raises:
      TypeError: ``spike_fn`` can't be called.
      ValueError: a bad ``features``, ``reset`` or name, or a value outside its interval.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.nnx import LIFCell
      >>> cell = LIFCell(2, decay=0.5)
      >>> v = cell.initialize_carry((1, 2))
      >>> v, s = cell(v, jnp.array([[0.75, 2.0]]))
      >>> print(s, v)
      [[0. 1.]] [[0.75 1.  ]]
    """

    def __call__(self, carry, inputs):
        return self._step()(carry, as_float(inputs, "inputs"))

    @property
    def num_feature_axes(self) -> int:
        return 1


class LIF(LIFBase):
    """A layer of leaky integrate-and-fire neurons over time, time first: ``(carry, xs) -> (carry, spikes)``.

    The arguments are those of :class:`LIFCell`; ``xs`` is ``[time, ..., features]``, and so are the spikes.
    Batch-first data would run along the wrong axis: ``xs = jnp.swapaxes(xs, 0, 1)`` turns it around.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.nnx import LIF
      >>> lif = LIF(2, decay=0.5)
      >>> carry, spikes = lif(lif.initialize_carry((1, 2)), jnp.full((4, 1, 2), 0.75))
      >>> print(spikes[:, 0].T)
      [[0. 1. 0. 1.]
       [0. 1. 0. 1.]]
    """

    def __call__(self, carry, xs):
        return scan_over_time(type(self).__name__, self._step(), carry, xs)


class LI(LeakyBase):
    r"""A leaky integrator over time, time first, the usual readout: ``(carry, xs) -> (carry, potentials)``.

    .. math:: v' = \mathrm{decay} \cdot v + x

    Args:
      features: number of outputs, the last axis of the input.
      decay: what is left of the potential after a step, in [0, 1]; a number or ``[features]``.
      learnable: ``"decay"`` to train it.
      bounds: ``{"decay": (low, high)}`` in place of [0, 1]; None trains unbounded.
      carry_init: initialiser of the potential.
      param_dtype: of parameters and of the potential. The output has the dtype of the input.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.nnx import LI
      >>> li = LI(1, decay=0.5)
      >>> carry, v = li(li.initialize_carry((1, 1)), jnp.ones((3, 1, 1)))
      >>> print(v.ravel())
      [1.   1.5  1.75]
    """

    def __init__(
        self,
        features: int,
        *,
        decay: Any = 0.9,
        learnable: str | Iterable[str] = (),
        bounds: Mapping[str, Interval | None] | None = MappingProxyType({}),
        carry_init: Initializer = nnx.initializers.zeros_init(),
        param_dtype: Dtype = jnp.float32,
    ):
        check_neuron("LI", features, carry_init=carry_init, learnable=learnable, decay=decay)
        super().__init__(
            features,
            {"decay": decay},
            learnable=learnable,
            bounds=bounds,
            carry_init=carry_init,
            param_dtype=param_dtype,
        )

    def __call__(self, carry, xs):
        return scan_over_time(
            type(self).__name__, partial(li_step_with_output, decay=parameter_value(self, "decay")), carry, xs
        )


def _check_rngs(owner: str, rngs, *others: type):
    if not isinstance(rngs, (nnx.Rngs, *others)) and rngs is not None:
        raise TypeError(f"{owner}: expected rngs to be nnx.Rngs(seed), got {rngs!r}")
