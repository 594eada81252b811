"""Leaky integrate-and-fire neurons and the leaky integrator, for brainstate."""

import dataclasses
from collections.abc import Callable
from typing import Any

import brainstate
import jax.numpy as jnp
from brainstate import nn

from .._arguments import ChecksArguments
from .._arrays import as_float
from .._checks import check_drawn_shape, is_size
from .._layers import LeakyArguments, LeakyLayer, LIFArguments, LIFLayer, documented, takes
from .._neuron import lif_carry
from .._surrogate import Surrogate
from .._time.scan import scan_over_time
from ._activation import SpikingActivation
from ._parameters import make_param, parameter_value, set_parameters


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
        self.size = _size(self.features)
        if not all(map(is_size, self.size[:-1])):  # the last is checked with the rest
            raise ValueError(f"{owner}: expected features to be an integer or several, got {self.features!r}")
        self.features = self.size[-1]
        super()._check(owner)


@dataclasses.dataclass(kw_only=True, eq=False)
class Arguments(LIArguments, LIFArguments):
    """Those of every framework, with the initialisers of this one.

    Attributes:
      spike_fn: a surrogate, a :class:`SpikingActivation`, or any function or module of ``u - threshold``.
      recurrent_kernel_init: their initialiser, a function of the shape.
    """

    recurrent_kernel_init: Callable = nn.init.Orthogonal()


class LeakyBase(ChecksArguments, nn.Module, LeakyLayer):
    """The parameters of a leaky layer, and its potential."""

    recurrent = False

    def _set(self, arguments: LIArguments):
        self.in_size = self.out_size = arguments.size
        self.carry_init = arguments.carry_init
        dtype = arguments.param_dtype
        self.param_dtype = brainstate.environ.dftype() if dtype is None else dtype
        values, default = arguments._parameters(), self.PARAMETERS
        set_parameters(self, values, arguments.learnable, arguments.bounds, default, self.param_dtype)

    _value = parameter_value

    def init_state(self, batch_size: int | tuple[int, ...] | None = None, **kwargs):
        """Make the state before the first step: zeros, or what ``carry_init`` draws, in ``param_dtype``.

        Call this once. Compiled functions keep a reference to this state; use `reset_state` to restart it.
        """
        carry = self._initial(batch_size)
        self.v = brainstate.HiddenState(carry[0] if self.recurrent else carry)
        if self.recurrent:
            self.s = brainstate.HiddenState(carry[1])

    def reset_state(self, batch_size: int | tuple[int, ...] | None = None, **kwargs):
        """Set the state back to what it is before the first step."""
        self._check_state()
        self._carry = self._initial(batch_size)

    def _initial(self, batch_size):
        batch = () if batch_size is None else _size(batch_size)
        if not all(map(is_size, batch)):
            owner = type(self).__name__
            raise ValueError(f"{owner}: expected batch_size to be an integer or several, got {batch_size!r}")
        shape = (*batch, *_size(self.in_size))
        v = check_drawn_shape("carry_init", self.carry_init(shape), shape)
        return lif_carry(jnp.asarray(v, self.param_dtype), self.recurrent)

    def _check_state(self):
        if not hasattr(self, "v"):
            raise ValueError(
                f"{type(self).__name__} has no state yet: call init_state(batch_size) of it or of the network, "
                "or brainstate.nn.init_all_states(network, batch_size)"
            )

    @property
    def _carry(self):
        self._check_state()
        return (self.v.value, self.s.value) if self.recurrent else self.v.value

    @_carry.setter
    def _carry(self, carry):
        if self.recurrent:
            self.v.value, self.s.value = carry
        else:
            self.v.value = carry


class LIFBase(LIFLayer, LeakyBase):
    """The parameters of a layer of LIF neurons, shared by the cell and the layer over time."""

    @takes(Arguments)
    def __init__(self, arguments):
        super().__init__()
        self._set(arguments)
        self.reset = arguments.reset
        self.reset_grad = arguments.reset_grad
        spike_fn = arguments.spike_fn
        self.spike_fn = SpikingActivation(spike_fn) if isinstance(spike_fn, Surrogate) else spike_fn
        self.recurrent = arguments.recurrent
        if self.recurrent:
            shape = (arguments.features, arguments.features)
            with brainstate.environ.context(precision=max(32, brainstate.environ.get_precision())):  # see drawing_dtype
                kernel = check_drawn_shape("recurrent_kernel_init", arguments.recurrent_kernel_init(shape), shape)
            self.recurrent_kernel = make_param(jnp.asarray(kernel, self.param_dtype))

    def _recurrent_weights(self):
        return self.recurrent_kernel.value() if self.recurrent else None

    def _spike_function(self):
        return self.spike_fn.surrogate if isinstance(self.spike_fn, SpikingActivation) else self.spike_fn


@documented(Arguments)
class LIFCell(LIFBase):
    r"""One time step of leaky integrate-and-fire neurons, ``spikes = cell(x)``.

    .. math::
       u = \mathrm{decay} \cdot v + x, \qquad s = \mathrm{spike\_fn}(u - \mathrm{threshold}), \qquad
       v' = u - \mathrm{threshold}\, s

    The potential is the state ``v``, made by ``init_state(batch_size)``. ``brainstate.transform.for_loop(cell, xs)``
    and ``checkpointed_for_loop`` run it over time, as does :class:`LIF`.

    Args:
      {arguments}

    Raises:
      TypeError: ``spike_fn`` can't be called.
      ValueError: a bad ``features``, ``reset`` or name, or a value outside its interval; a call before ``init_state``.

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
        self._carry, s = self._step()(self._carry, as_float(x, "x"))
        return s


@documented(Arguments)
class LIF(LIFBase):
    """A layer of leaky integrate-and-fire neurons over time, time first: ``spikes = lif(xs)``.

    ``xs`` is ``[time, ..., features]``, and so are the spikes. Batch-first data would run along the wrong axis:
    ``xs = jnp.swapaxes(xs, 0, 1)`` turns it around. One step is that of :class:`LIFCell`. A call continues from the
    state that the last one left.

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
        self._carry, spikes = scan_over_time(type(self).__name__, self._step(), self._carry, xs, scan)
        return spikes


@documented(LIArguments)
class LI(LeakyBase):
    r"""A leaky integrator over time, time first, the usual readout: ``potentials = li(xs)``.

    .. math:: v' = \mathrm{decay} \cdot v + x

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
        super().__init__()
        self._set(arguments)

    def update(self, xs):
        self._carry, potentials = scan_over_time(type(self).__name__, self._step(), self._carry, xs)
        return potentials


def _size(features) -> tuple[int, ...]:
    """Return a size as a tuple; of a layer, its features last."""
    return tuple(features) if isinstance(features, (tuple, list)) and features else (features,)
