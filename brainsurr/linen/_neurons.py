"""Leaky integrate-and-fire neurons and the leaky integrator, for Flax Linen."""

from functools import partial

import jax
from flax import linen as nn

from .._arrays import as_float
from .._checks import check_drawn_shape, check_input_shape, drawing_dtype
from .._layers.arguments import ALIFArguments, LeakyArguments, LIFArguments, documented
from .._layers.steps import ALIFLayer, LeakyLayer, LIFLayer
from .._time.scan import scan_over_time
from ._activation import SpikingActivation
from ._parameters import ParameterModule


class LeakyBase(LeakyArguments, ParameterModule, LeakyLayer):
    """The parameters of a leaky layer, and the shape of its state."""

    def __post_init__(self):
        self._check(type(self).__name__)
        super().__post_init__()

    @nn.nowrap
    def initialize_carry(self, rng: jax.Array, input_shape: tuple[int, ...]):
        """Return the state before the first step, for inputs of ``input_shape = (*batch, features)``.

        The potential, zeros or what ``carry_init`` draws, in ``param_dtype``. With recurrent weights or a delayed reset
        it is a pair of the potential and the last spikes, zeros; of a neuron that adapts a pair of all this and the
        adaptation, zeros.
        """
        shape = check_input_shape(type(self).__name__, self.features, input_shape)
        v = check_drawn_shape("carry_init", self.carry_init(rng, shape, self.param_dtype), shape)
        return self._first_carry(v)

    @nn.nowrap
    def _parameters_and_bounds(self):
        return self._parameters(), self.PARAMETERS

    @nn.nowrap
    def _value(self, name: str):
        return self._now[name]


class LIFBase(LIFArguments, LIFLayer, LeakyBase):
    """The parameters of a layer of LIF neurons, shared by the cell and the layer over time."""

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
    def _recurrent_weights(self):
        return self._kernel

    @nn.nowrap
    def _spike_function(self):
        module = self._other_module()
        if module is None:
            return super()._spike_function()
        module, variables = module.unbind()  # lax.scan can't call a module, but a function of variables
        return partial(module.apply, variables)

    @nn.nowrap
    def _other_module(self) -> nn.Module | None:
        """Return the spike function if it is a module that is not a `SpikingActivation`."""
        fn = self.spike_fn
        return fn if isinstance(fn, nn.Module) and not isinstance(fn, SpikingActivation) else None

    @nn.nowrap
    def _make_variables(self, x):
        """Make the variables of a spike function that is a module, outside of the scan."""
        if self._other_module() and self.is_initializing():
            self.spike_fn(x)


@documented(LIFArguments)
class LIFCell(LIFBase, nn.RNNCellBase):
    """One time step of leaky integrate-and-fire neurons, ``(carry, x) -> (carry, spikes)``.

    {equation}

    It has the contract of flax's own cells, so ``nn.RNN(LIFCell(...))`` runs it over batch-major sequences; for
    time-major ones use :class:`LIF`.

    Attributes:
      {arguments}

    Raises:
      TypeError: ``spike_fn`` can't be called.
      ValueError: a bad ``features``, ``reset`` or name; a decay or a trained value outside its interval.

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
        self._make_variables(inputs)
        return self._step()(carry, inputs, **self._draw())

    @property
    def num_feature_axes(self) -> int:
        return 1


@documented(LIFArguments)
class LIF(LIFBase):
    """A layer of leaky integrate-and-fire neurons over time, time first: ``(carry, xs) -> (carry, spikes)``.

    ``xs`` is ``[time, ..., features]``, and so are the spikes. Batch-first data would run along the wrong axis:
    ``xs = jnp.swapaxes(xs, 0, 1)`` turns it around. One step is that of :class:`LIFCell`.

    Attributes:
      {arguments}

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
        self._make_variables(xs)
        return scan_over_time(type(self).__name__, self._step(), carry, xs, **self._draw())


@documented(ALIFArguments)
class ALIFCell(ALIFArguments, ALIFLayer, LIFCell):
    """One time step of LIF neurons that adapt, ``(carry, x) -> (carry, spikes)``.

    {equation}

    Attributes:
      {arguments}

    References:
      {references}

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from brainsurr.linen import ALIFCell
      >>> cell = ALIFCell(1, decay=0.5, adaptation_decay=0.5, spike_adaptation=2.0)
      >>> x = jnp.array([[1.5]])
      >>> carry = cell.initialize_carry(jax.random.key(0), x.shape)
      >>> (v, a), s = cell.apply({}, carry, x)
      >>> print(s, v, a)
      [[1.]] [[0.5]] [[1.]]
    """


@documented(ALIFArguments)
class ALIF(ALIFArguments, ALIFLayer, LIF):
    """A layer of LIF neurons that adapt, over time, time first: ``(carry, xs) -> (carry, spikes)``.

    ``xs`` is ``[time, ..., features]``, and so are the spikes. One step is that of :class:`ALIFCell`.

    Attributes:
      {arguments}

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from brainsurr.linen import ALIF
      >>> alif = ALIF(1, decay=0.5, adaptation_decay=0.5, spike_adaptation=2.0)
      >>> xs = jnp.full((8, 1, 1), 1.5)
      >>> carry, spikes = alif.apply({}, alif.initialize_carry(jax.random.key(0), (1, 1)), xs)
      >>> print(spikes.ravel())
      [1. 0. 1. 0. 1. 0. 1. 0.]
    """


@documented(LeakyArguments)
class LI(LeakyBase):
    """A leaky integrator over time, time first, the usual readout: ``(carry, xs) -> (carry, potentials)``.

    {equation}

    Attributes:
      {arguments}

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
        return scan_over_time(type(self).__name__, self._step(), carry, xs)
