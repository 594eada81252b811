"""Leaky integrate-and-fire neurons and the leaky integrator, for Flax NNX."""

import dataclasses

import jax
from flax import nnx
from flax.typing import Initializer

from .._arrays import as_float
from .._checks import check_drawn_shape, check_input_shape, drawing_dtype
from .._layers.arguments import ALIFArguments, LeakyArguments, LIFArguments, documented, takes
from .._layers.steps import ALIFLayer, LeakyLayer, LIFLayer
from .._surrogate import Surrogate
from .._time.scan import scan_over_time
from ._activation import SpikingActivation
from ._parameters import ParameterModule, check_rngs, parameter_value, set_parameters


@dataclasses.dataclass(kw_only=True, eq=False)
class Arguments(LIFArguments):
    """Those of every framework, and the keys of this one.

    Attributes:
      rngs: needed with ``recurrent=True`` alone.
    """

    rngs: nnx.Rngs | None = None

    def _check(self, owner: str):
        super()._check(owner)
        check_rngs(owner, self.rngs)
        if self.recurrent and self.rngs is None:
            raise ValueError(f"{owner}: recurrent=True draws weights: pass rngs=nnx.Rngs(seed)")


@dataclasses.dataclass(kw_only=True, eq=False)
class AdaptiveArguments(Arguments, ALIFArguments):
    """Those of every framework, and the keys of this one."""


class LeakyBase(ParameterModule, LeakyLayer):
    """The parameters of a leaky layer, and the shape of its state."""

    def _set(self, arguments: LeakyArguments):
        self._set_flags(arguments)
        self.features = arguments.features
        self.carry_init = arguments.carry_init
        self.param_dtype = arguments.param_dtype
        values, default = arguments._parameters(), self.PARAMETERS
        set_parameters(self, values, arguments.learnable, arguments.bounds, default, arguments.param_dtype)

    _value = parameter_value

    def initialize_carry(
        self,
        input_shape: tuple[int, ...],
        rngs: nnx.Rngs | nnx.RngStream | None = None,
        carry_init: Initializer | None = None,
    ):
        """Return the state before the first step, for inputs of ``input_shape = (*batch, features)``.

        The potential, zeros or what ``carry_init`` draws, in ``param_dtype``. With recurrent weights or a delayed reset
        it is a pair of the potential and the last spikes, zeros; of a neuron that adapts a pair of all this and the
        adaptation, zeros.
        """
        shape = check_input_shape(type(self).__name__, self.features, input_shape)
        init = self.carry_init if carry_init is None else carry_init
        check_rngs(type(self).__name__, rngs, nnx.RngStream)
        key = jax.random.key(0) if rngs is None else rngs.carry() if isinstance(rngs, nnx.Rngs) else rngs()
        return self._first_carry(check_drawn_shape("carry_init", init(key, shape, self.param_dtype), shape))


class LIFBase(LIFLayer, LeakyBase):
    """The parameters of a layer of LIF neurons, shared by the cell and the layer over time."""

    @takes(Arguments)
    def __init__(self, arguments):
        self._set(arguments)

    def _set(self, arguments):
        super()._set(arguments)
        spike_fn = arguments.spike_fn
        self.spike_fn = SpikingActivation(spike_fn) if isinstance(spike_fn, Surrogate) else spike_fn
        kernel = None
        if arguments.recurrent:
            shape = (self.features, self.features)
            key, dtype = arguments.rngs.params(), drawing_dtype(self.param_dtype)
            kernel = nnx.Param(arguments.recurrent_kernel_init(key, shape, dtype))  # with nnx.with_partitioning too
            weights = check_drawn_shape("recurrent_kernel_init", kernel.get_value(), shape)
            kernel.set_value(weights.astype(self.param_dtype))
        self.recurrent_kernel = kernel

    def _recurrent_weights(self):
        return None if self.recurrent_kernel is None else self.recurrent_kernel[...]


@documented(Arguments)
class LIFCell(LIFBase, nnx.RNNCellBase):
    """One time step of leaky integrate-and-fire neurons, ``(carry, x) -> (carry, spikes)``.

    {equation}

    It has the contract of flax's own cells, so ``nnx.RNN(LIFCell(...))`` runs it over batch-major sequences; for
    time-major ones use :class:`LIF`.

    Args:
      {arguments}

    Raises:
      TypeError: ``spike_fn`` can't be called.
      ValueError: a bad ``features``, ``reset`` or name; a decay or a trained value outside its interval.

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
        return self._step()(carry, as_float(inputs, "inputs"), **self._draw())

    @property
    def num_feature_axes(self) -> int:
        return 1


@documented(Arguments)
class LIF(LIFBase):
    """A layer of leaky integrate-and-fire neurons over time, time first: ``(carry, xs) -> (carry, spikes)``.

    ``xs`` is ``[time, ..., features]``, and so are the spikes. Batch-first data would run along the wrong axis:
    ``xs = jnp.swapaxes(xs, 0, 1)`` turns it around. One step is that of :class:`LIFCell`.

    Args:
      {arguments}

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
        return scan_over_time(type(self).__name__, self._step(), carry, xs, **self._draw())


@documented(AdaptiveArguments)
class ALIFCell(ALIFLayer, LIFCell):
    """One time step of LIF neurons that adapt, ``(carry, x) -> (carry, spikes)``.

    {equation}

    Args:
      {arguments}

    References:
      {references}

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.nnx import ALIFCell
      >>> cell = ALIFCell(1, decay=0.5, adaptation_decay=0.5, spike_adaptation=2.0)
      >>> (v, a), s = cell(cell.initialize_carry((1, 1)), jnp.array([[1.5]]))
      >>> print(s, v, a)
      [[1.]] [[0.5]] [[1.]]
    """

    @takes(AdaptiveArguments)
    def __init__(self, arguments):
        self._set(arguments)


@documented(AdaptiveArguments)
class ALIF(ALIFLayer, LIF):
    """A layer of LIF neurons that adapt, over time, time first: ``(carry, xs) -> (carry, spikes)``.

    ``xs`` is ``[time, ..., features]``, and so are the spikes. One step is that of :class:`ALIFCell`.

    Args:
      {arguments}

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.nnx import ALIF
      >>> alif = ALIF(1, decay=0.5, adaptation_decay=0.5, spike_adaptation=2.0)
      >>> carry, spikes = alif(alif.initialize_carry((1, 1)), jnp.full((8, 1, 1), 1.5))
      >>> print(spikes.ravel())
      [1. 0. 1. 0. 1. 0. 1. 0.]
    """

    @takes(AdaptiveArguments)
    def __init__(self, arguments):
        self._set(arguments)


@documented(LeakyArguments)
class LI(LeakyBase):
    """A leaky integrator over time, time first, the usual readout: ``(carry, xs) -> (carry, potentials)``.

    {equation}

    Args:
      {arguments}

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.nnx import LI
      >>> li = LI(1, decay=0.5)
      >>> carry, v = li(li.initialize_carry((1, 1)), jnp.ones((3, 1, 1)))
      >>> print(v.ravel())
      [1.   1.5  1.75]
    """

    @takes(LeakyArguments)
    def __init__(self, arguments):
        self._set(arguments)

    def __call__(self, carry, xs):
        return scan_over_time(type(self).__name__, self._step(), carry, xs)
