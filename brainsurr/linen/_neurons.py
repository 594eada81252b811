"""LeakyBase integrate-and-fire neurons and the leaky integrator, for Flax Linen."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.core import FrozenDict
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
from .._time.scan import scan_over_time
from ..surrogates.relu import LogTailedRelu
from ._activation import SpikingActivation
from ._parameters import ParameterModule


class LeakyBase(ParameterModule):
    """What a leaky layer holds before it has a threshold: its decay and the shape of its state."""

    features: int
    decay: Any = 0.9
    learnable: str | Iterable[str] = ()
    bounds: Mapping[str, Interval | None] | None = FrozenDict()
    carry_init: Initializer = nn.initializers.zeros_init()
    param_dtype: Dtype = jnp.float32

    def __post_init__(self):
        self._check()
        super().__post_init__()

    @nn.nowrap
    def initialize_carry(self, rng: jax.Array, input_shape: tuple[int, ...]):
        """The potential before the first step, for inputs of ``input_shape = (*batch, features)``.

        Zeros, or what ``carry_init`` draws, in ``param_dtype``.
        """
        shape = check_input_shape(type(self).__name__, self.features, input_shape)
        return check_drawn_shape("carry_init", self.carry_init(rng, shape, self.param_dtype), shape)

    @nn.nowrap
    def _check(self):
        check_neuron(
            type(self).__name__,
            self.features,
            carry_init=self.carry_init,
            learnable=self.learnable,
            **self._values()[0],
        )

    @nn.nowrap
    def _values(self):
        return {"decay": self.decay}, BOUNDS


class LIFBase(LeakyBase):
    """Parameters and step of a layer of LIF neurons, shared by the cell and the layer over time."""

    threshold: Any = 1.0
    reset: str = "subtract"
    reset_grad: bool | None = None
    spike_fn: Callable = LogTailedRelu(alpha=0.01)
    recurrent: bool = False
    recurrent_kernel_init: Initializer = nn.initializers.orthogonal()
    _watch = staticmethod(lambda spike_fn: spike_fn)  # `diagnose` puts another in its place

    def setup(self):
        super().setup()
        shape = (self.features, self.features)
        self._kernel = None
        if self.recurrent:

            def init(key):
                weights = self.recurrent_kernel_init(key, shape, drawing_dtype(self.param_dtype))
                check_drawn_shape("recurrent_kernel_init", nn.unbox(weights), shape)
                return jax.tree.map(lambda array: array.astype(self.param_dtype), weights)

            self._kernel = self.param("recurrent_kernel", init)

    @nn.nowrap
    def initialize_carry(self, rng: jax.Array, input_shape: tuple[int, ...]):
        """The state before the first step, for inputs of ``input_shape = (*batch, features)``.

        The potential, zeros or what ``carry_init`` draws, in ``param_dtype``; with recurrent weights a pair of it
        and the last spikes, zeros.
        """
        return lif_carry(super().initialize_carry(rng, input_shape), self.recurrent)

    @nn.nowrap
    def _check(self):
        check_neuron(
            type(self).__name__,
            self.features,
            self.reset,
            self.spike_fn,
            self.reset_grad,
            self.recurrent,
            self.carry_init,
            self.recurrent_kernel_init,
            self.learnable,
            **self._values()[0],
        )

    @nn.nowrap
    def _values(self):
        return {"decay": self.decay, "threshold": self.threshold}, BOUNDS

    @nn.nowrap  # it returns a function, which is nothing for `nn.tabulate`
    def _step(self, x):
        """The step as a pure function ``(carry, x) -> (carry, spikes)`` of the parameters as they are now."""
        spike_fn = self.spike_fn
        if isinstance(spike_fn, SpikingActivation):
            spike_fn = spike_fn.surrogate
        elif isinstance(spike_fn, nn.Module):
            # A module can't be called inside lax.scan. As a function of its variables it can.
            if self.is_initializing():
                spike_fn(x)
            module, variables = spike_fn.unbind()
            spike_fn = partial(module.apply, variables)
        neuron = {"spike_fn": self._watch(spike_fn), "reset": self.reset, "reset_grad": self.reset_grad}
        return neuron_step(self._kernel, **self._now, **neuron)


class LIFCell(LIFBase, nn.RNNCellBase):
    r"""One time step of leaky integrate-and-fire neurons, ``(carry, x) -> (carry, spikes)``.

    .. math::
       u = \mathrm{decay} \cdot v + x, \qquad s = \mathrm{spike\_fn}(u - \mathrm{threshold}), \qquad
       v' = u - \mathrm{threshold}\, s

    It has the contract of flax's own cells, so ``nn.RNN(LIFCell(...))`` runs it over batch-major sequences; for
    time-major ones use :class:`LIF`.

    Attributes:
      features: number of neurons, the last axis of the input.
      decay: what is left of the potential after a step, in [0, 1]: exp(-dt / tau). A number or ``[features]``.
      threshold: a number or ``[features]``.
      reset: ``"subtract"`` the threshold, set to ``"zero"``, or ``"none"``.
      reset_grad: whether the gradient flows through the reset; None: yes, but not for ``"zero"``, where it explodes.
      spike_fn: a surrogate, a :class:`SpikingActivation`, or any function or module of ``u - threshold`` that has no
        state and draws no random numbers.
      learnable: ``"decay"``, ``"threshold"`` or both; parameters of the surrogate are trained by
        ``spike_fn=SpikingActivation(f, learnable=...)``.
      bounds: closed intervals for these by name, in place of [0, 1] and [0, inf]; None trains unbounded.
      recurrent: whether the spikes of the last step come back through trained weights.
      recurrent_kernel_init: their initialiser.
      carry_init: initialiser of the potential.
      param_dtype: of parameters and of the potential. The spikes have the dtype of the input.

    Raises:
      TypeError: ``spike_fn`` can't be called.
      ValueError: a bad ``features``, ``reset`` or name, or a value outside its interval.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from brainsurr.linen import LIFCell
      >>> cell, x = LIFCell(2, decay=0.5), jnp.array([[0.75, 2.0]])
      >>> v = cell.initialize_carry(jax.random.key(0), x.shape)
      >>> v, s = cell.apply(cell.init(jax.random.key(0), v, x), v, x)
      >>> print(s, v)
      [[0. 1.]] [[0.75 1.  ]]
    """

    def __call__(self, carry, inputs):
        inputs = as_float(inputs, "inputs")
        return self._step(inputs)(carry, inputs)

    @property
    def num_feature_axes(self) -> int:
        return 1


class LIF(LIFBase):
    """A layer of leaky integrate-and-fire neurons over time, time first: ``(carry, xs) -> (carry, spikes)``.

    The attributes are those of :class:`LIFCell`; ``xs`` is ``[time, ..., features]``, and so are the spikes.
    Batch-first data would run along the wrong axis: ``xs = jnp.swapaxes(xs, 0, 1)`` turns it around.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from brainsurr.linen import LIF
      >>> lif, xs = LIF(2, decay=0.5), jnp.full((4, 1, 2), 0.75)
      >>> carry = lif.initialize_carry(jax.random.key(0), xs.shape[1:])
      >>> (carry, spikes), variables = lif.init_with_output(jax.random.key(0), carry, xs)
      >>> print(spikes[:, 0].T)
      [[0. 1. 0. 1.]
       [0. 1. 0. 1.]]
    """

    def __call__(self, carry, xs):
        xs = as_float(xs, "xs")
        return scan_over_time(type(self).__name__, self._step(xs), carry, xs)


class LI(LeakyBase):
    r"""A leaky integrator over time, time first, the usual readout: ``(carry, xs) -> (carry, potentials)``.

    .. math:: v' = \mathrm{decay} \cdot v + x

    Attributes:
      features: number of outputs, the last axis of the input.
      decay: what is left of the potential after a step, in [0, 1]; a number or ``[features]``.
      learnable: ``"decay"`` to train it.
      bounds: ``{"decay": (low, high)}`` in place of [0, 1]; None trains unbounded.
      carry_init: initialiser of the potential.
      param_dtype: of parameters and of the potential. The output has the dtype of the input.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from brainsurr.linen import LI
      >>> li, xs = LI(1, decay=0.5), jnp.ones((3, 1, 1))
      >>> carry = li.initialize_carry(jax.random.key(0), (1, 1))
      >>> (carry, v), variables = li.init_with_output(jax.random.key(0), carry, xs)
      >>> print(v.ravel())
      [1.   1.5  1.75]
    """

    def __call__(self, carry, xs):
        return scan_over_time(type(self).__name__, partial(li_step_with_output, **self._now), carry, xs)
