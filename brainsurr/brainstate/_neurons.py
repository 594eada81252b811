"""Leaky integrate-and-fire neurons and the leaky integrator, for brainstate."""

import dataclasses
from collections.abc import Callable
from typing import Any

import brainstate
import jax
import jax.numpy as jnp
from brainstate import nn

from .._arrays import as_float
from .._checks import check_drawn_shape
from .._layers.arguments import ALIFArguments, LeakyArguments, LIFArguments, documented, takes
from .._layers.steps import ALIFLayer, LeakyLayer, LIFLayer
from .._surrogate import Surrogate
from .._time.scan import scan_over_time
from ._activation import SpikingActivation
from ._parameters import make_param, parameter_value, set_parameters
from ._state import StatefulLayer, size_of


@dataclasses.dataclass(kw_only=True, eq=False)
class LIArguments(LeakyArguments):
    """Those of every framework, with a size of several axes, and the initialisers and dtypes of this one.

    Attributes:
      features: number of neurons, the last axis of the input; or the whole size, ``(height, width, channels)``.
      param_dtype: of parameters and of the potential; ``brainstate.environ.dftype()`` if None. The output has the
        dtype of the input.
    """

    features: Any = dataclasses.field(kw_only=False)
    carry_init: Callable = nn.init.ZeroInit()
    param_dtype: Any = None

    def _check(self, owner: str):
        self.size = size_of(owner, self.features)
        self.features = self.size[-1]
        super()._check(owner)


@dataclasses.dataclass(kw_only=True, eq=False)
class Arguments(LIArguments, LIFArguments):
    """Those of every framework, with the initialisers of this one.

    Attributes:
      recurrent_kernel_init: their initialiser, a function of the shape.
    """

    recurrent_kernel_init: Callable = nn.init.Orthogonal()


@dataclasses.dataclass(kw_only=True, eq=False)
class AdaptiveArguments(Arguments, ALIFArguments):
    """Those of every framework, with the initialisers of this one."""


class LeakyBase(LeakyLayer, StatefulLayer):
    """The parameters of a leaky layer, and its potential."""

    def _set(self, arguments: LIArguments):
        self._set_flags(arguments)
        self.in_size = self.out_size = arguments.size
        self.carry_init = arguments.carry_init
        dtype = arguments.param_dtype
        self.param_dtype = brainstate.environ.dftype() if dtype is None else dtype
        values, default = arguments._parameters(), self.PARAMETERS
        set_parameters(self, values, arguments.learnable, arguments.bounds, default, self.param_dtype)

    _value = parameter_value

    def init_state(self, batch_size: int | tuple[int, ...] | None = None, **kwargs):
        """Make the state before the first step: the potential, zeros or what ``carry_init`` draws, in ``param_dtype``.

        It is the state ``v``. The last spikes, ``s``, and the adaptation, ``a``, are zeros, where a layer has them.
        Call this once. Compiled functions keep a reference to these states; use `reset_state` to restart them.
        """
        super().init_state(batch_size)

    def _start(self, shape):
        v = check_drawn_shape("carry_init", self.carry_init(shape), shape)
        return self._first_carry(jnp.asarray(v, self.param_dtype))

    def _structure(self):
        return jax.tree.structure(self._first_carry(0.0))


class LIFBase(LIFLayer, LeakyBase):
    """The parameters of a layer of LIF neurons, shared by the cell and the layer over time."""

    @takes(Arguments)
    def __init__(self, arguments):
        nn.Module.__init__(self)
        self._set(arguments)

    def _set(self, arguments):
        super()._set(arguments)
        spike_fn = arguments.spike_fn
        self.spike_fn = SpikingActivation(spike_fn) if isinstance(spike_fn, Surrogate) else spike_fn
        if self.recurrent:
            shape = (arguments.features, arguments.features)
            with brainstate.environ.context(precision=max(32, brainstate.environ.get_precision())):  # see drawing_dtype
                kernel = check_drawn_shape("recurrent_kernel_init", arguments.recurrent_kernel_init(shape), shape)
            self.recurrent_kernel = make_param(jnp.asarray(kernel, self.param_dtype))

    def _recurrent_weights(self):
        return self.recurrent_kernel.value() if self.recurrent else None


@documented(Arguments)
class LIFCell(LIFBase):
    """One time step of leaky integrate-and-fire neurons, ``spikes = cell(x)``.

    {equation}

    The potential is the state ``v``, made by ``init_state(batch_size)``. ``brainstate.transform.for_loop(cell, xs)``
    and ``checkpointed_for_loop`` run it over time, as does :class:`LIF`.

    Args:
      {arguments}

    Raises:
      TypeError: ``spike_fn`` can't be called.
      ValueError: a bad ``features``, ``reset`` or name; a decay or a trained value outside its interval; a call before
        ``init_state``.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.brainstate import LIFCell
      >>> cell = LIFCell(2, decay=0.5)
      >>> cell.init_state(batch_size=1)
      >>> s = cell(jnp.array([[0.75, 2.0]]))
      >>> print(s, cell.v.value)
      [[0. 1.]] [[0.75 1.  ]]
    """

    def update(self, x):
        self._carry, s = self._step()(self._carry, as_float(x, "x"), **self._draw())
        return s


@documented(Arguments)
class LIF(LIFBase):
    """A layer of leaky integrate-and-fire neurons over time, time first: ``spikes = lif(xs)``.

    ``xs`` is ``[time, ..., features]``, and so are the spikes. Batch-first data would run along the wrong axis:
    ``xs = jnp.swapaxes(xs, 0, 1)`` turns it around. One step is that of :class:`LIFCell`. A call continues from the
    state that the last one left; ``reset_state`` resets it. A compiled function ignores a later ``init_state``.

    Args:
      {arguments}

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.brainstate import LIF
      >>> lif = LIF(2, decay=0.5)
      >>> lif.init_state(batch_size=1)
      >>> print(lif(jnp.full((4, 1, 2), 0.75))[:, 0].T)
      [[0. 1. 0. 1.]
       [0. 1. 0. 1.]]
    """

    def update(self, xs):
        scan = brainstate.transform.scan  # a spike function may read or write states
        self._carry, spikes = scan_over_time(type(self).__name__, self._step(), self._carry, xs, scan, **self._draw())
        return spikes


@documented(AdaptiveArguments)
class ALIFCell(ALIFLayer, LIFCell):
    """One time step of LIF neurons that adapt, ``spikes = cell(x)``.

    {equation}

    Args:
      {arguments}

    References:
      {references}

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.brainstate import ALIFCell
      >>> cell = ALIFCell(1, decay=0.5, adaptation_decay=0.5, spike_adaptation=2.0)
      >>> cell.init_state(batch_size=1)
      >>> s = cell(jnp.array([[1.5]]))
      >>> print(s, cell.v.value, cell.a.value)
      [[1.]] [[0.5]] [[1.]]
    """

    @takes(AdaptiveArguments)
    def __init__(self, arguments):
        nn.Module.__init__(self)
        self._set(arguments)


@documented(AdaptiveArguments)
class ALIF(ALIFLayer, LIF):
    """A layer of LIF neurons that adapt, over time, time first: ``spikes = alif(xs)``.

    ``xs`` is ``[time, ..., features]``, and so are the spikes. One step is that of :class:`ALIFCell`.

    Args:
      {arguments}

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.brainstate import ALIF
      >>> alif = ALIF(1, decay=0.5, adaptation_decay=0.5, spike_adaptation=2.0)
      >>> alif.init_state(batch_size=1)
      >>> print(alif(jnp.full((8, 1, 1), 1.5)).ravel())
      [1. 0. 1. 0. 1. 0. 1. 0.]
    """

    @takes(AdaptiveArguments)
    def __init__(self, arguments):
        nn.Module.__init__(self)
        self._set(arguments)


@documented(LIArguments)
class LI(LeakyBase):
    """A leaky integrator over time, time first, the usual readout: ``potentials = li(xs)``.

    {equation}

    Args:
      {arguments}

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.brainstate import LI
      >>> li = LI(1, decay=0.5)
      >>> li.init_state(batch_size=1)
      >>> print(li(jnp.ones((3, 1, 1))).ravel())
      [1.   1.5  1.75]
    """

    @takes(LIArguments)
    def __init__(self, arguments):
        nn.Module.__init__(self)
        self._set(arguments)

    def update(self, xs):
        self._carry, potentials = scan_over_time(type(self).__name__, self._step(), self._carry, xs)
        return potentials
