"""LeakyBase integrate-and-fire neurons and the leaky integrator, for brainstate."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import brainstate
import jax.numpy as jnp
from brainstate import nn
from brainstate.typing import Size

from .._arguments import ChecksArguments
from .._arrays import as_float
from .._bounds import Interval
from .._neuron import BOUNDS, check_drawn_shape, check_neuron, is_size, li_step_with_output, lif_carry, neuron_step
from .._surrogate import Surrogate
from .._time.scan import scan_over_time
from ..surrogates.relu import LogTailedRelu
from ._activation import SpikingActivation
from ._parameters import make_param, parameter_value, set_parameters


class LeakyBase(ChecksArguments, nn.Module):
    """What a leaky layer holds before it has a threshold: its decay and its potential."""

    recurrent = False

    def __init__(self, size, values, *, learnable, bounds, carry_init, param_dtype):
        super().__init__()
        self.in_size = self.out_size = size
        self.carry_init = carry_init
        self.param_dtype = brainstate.environ.dftype() if param_dtype is None else param_dtype
        set_parameters(self, values, learnable, bounds, BOUNDS, self.param_dtype)

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


class LIFBase(LeakyBase):
    """Parameters and step of a layer of LIF neurons, shared by the cell and the layer over time."""

    def __init__(
        self,
        features: Size,
        *,
        decay: Any = 0.9,
        threshold: Any = 1.0,
        reset: str = "subtract",
        reset_grad: bool | None = None,
        spike_fn: Callable = LogTailedRelu(alpha=0.01),
        learnable: str | Iterable[str] = (),
        bounds: Mapping[str, Interval | None] | None = MappingProxyType({}),
        recurrent: bool = False,
        recurrent_kernel_init: Callable = nn.init.Orthogonal(),
        carry_init: Callable = nn.init.ZeroInit(),
        param_dtype: Any = None,
    ):
        owner, values = type(self).__name__, {"decay": decay, "threshold": threshold}
        size = _layer_size(owner, features)
        check_neuron(
            owner,
            size[-1],
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
            size, values, learnable=learnable, bounds=bounds, carry_init=carry_init, param_dtype=param_dtype
        )
        self.reset = reset
        self.reset_grad = reset_grad
        self.spike_fn = SpikingActivation(spike_fn) if isinstance(spike_fn, Surrogate) else spike_fn
        self.recurrent = recurrent
        if recurrent:
            shape = (size[-1], size[-1])
            with brainstate.environ.context(precision=max(32, brainstate.environ.get_precision())):  # see drawing_dtype
                kernel = check_drawn_shape("recurrent_kernel_init", recurrent_kernel_init(shape), shape)
            self.recurrent_kernel = make_param(jnp.asarray(kernel, self.param_dtype))

    def _step(self):
        """The step as a pure function ``(carry, x) -> (carry, spikes)`` of the parameters as they are now."""
        return neuron_step(
            self.recurrent_kernel.value() if self.recurrent else None,
            decay=parameter_value(self, "decay"),
            threshold=parameter_value(self, "threshold"),
            spike_fn=self.spike_fn.surrogate if isinstance(self.spike_fn, SpikingActivation) else self.spike_fn,
            reset=self.reset,
            reset_grad=self.reset_grad,
        )


class LIFCell(LIFBase):
    r"""One time step of leaky integrate-and-fire neurons, ``spikes = cell(x)``.

    .. math::
       u = \mathrm{decay} \cdot v + x, \qquad s = \mathrm{spike\_fn}(u - \mathrm{threshold}), \qquad
       v' = u - \mathrm{threshold}\, s

    The potential is the state ``v``, made by ``init_state(batch_size)``. ``brainstate.transform.for_loop(cell, xs)``
    and ``checkpointed_for_loop`` run it over time, as does :class:`LIF`.

    Args:
      features: number of neurons, the last axis of the input; or the whole size, ``(height, width, channels)``.
      decay: what is left of the potential after a step, in [0, 1]: exp(-dt / tau). A number or ``[features]``.
      threshold: a number or ``[features]``.
      reset: ``"subtract"`` the threshold, set to ``"zero"``, or ``"none"``.
      reset_grad: whether the gradient flows through the reset; None: yes, but not for ``"zero"``, where it explodes.
      spike_fn: a surrogate, a :class:`SpikingActivation`, or any function or module of ``u - threshold``.
      learnable: ``"decay"``, ``"threshold"`` or both; parameters of the surrogate are trained by
        ``spike_fn=SpikingActivation(f, learnable=...)``.
      bounds: closed intervals for these by name, in place of [0, 1] and [0, inf]; None trains unbounded.
      recurrent: whether the spikes of the last step come back through trained weights.
      recurrent_kernel_init: their initialiser, a function of the shape.
      carry_init: initialiser of the potential.
      param_dtype: of parameters and of the potential; ``brainstate.environ.dftype()`` if None. The spikes have the
        dtype of the input.

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


class LIF(LIFBase):
    """A layer of leaky integrate-and-fire neurons over time, time first: ``spikes = lif(xs)``.

    The arguments are those of :class:`LIFCell`; ``xs`` is ``[time, ..., features]``, and so are the spikes.
    Batch-first data would run along the wrong axis: ``xs = jnp.swapaxes(xs, 0, 1)`` turns it around.
    The state goes on from where the last call left it.

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
        self._carry, spikes = scan_over_time(
            type(self).__name__, self._step(), self._carry, xs, brainstate.transform.scan
        )
        return spikes


class LI(LeakyBase):
    r"""A leaky integrator over time, time first, the usual readout: ``potentials = li(xs)``.

    .. math:: v' = \mathrm{decay} \cdot v + x

    Args:
      features: number of outputs, the last axis of the input; or the whole size.
      decay: what is left of the potential after a step, in [0, 1]; a number or ``[features]``.
      learnable: ``"decay"`` to train it.
      bounds: ``{"decay": (low, high)}`` in place of [0, 1]; None trains unbounded.
      carry_init: initialiser of the potential.
      param_dtype: of parameters and of the potential; ``brainstate.environ.dftype()`` if None. The output has the
        dtype of the input.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.brainstate import LI
      >>> li = LI(1, decay=0.5)
      >>> li.init_state(batch_size=1)
      >>> print(li(jnp.ones((3, 1, 1))).ravel())
      [1.   1.5  1.75]
    """

    def __init__(
        self,
        features: Size,
        *,
        decay: Any = 0.9,
        learnable: str | Iterable[str] = (),
        bounds: Mapping[str, Interval | None] | None = MappingProxyType({}),
        carry_init: Callable = nn.init.ZeroInit(),
        param_dtype: Any = None,
    ):
        size = _layer_size(type(self).__name__, features)
        check_neuron("LI", size[-1], carry_init=carry_init, learnable=learnable, decay=decay)
        super().__init__(
            size, {"decay": decay}, learnable=learnable, bounds=bounds, carry_init=carry_init, param_dtype=param_dtype
        )

    def update(self, xs):
        self._carry, potentials = scan_over_time(
            type(self).__name__, partial(li_step_with_output, decay=parameter_value(self, "decay")), self._carry, xs
        )
        return potentials


def _layer_size(owner: str, features) -> tuple[int, ...]:
    """The size of a layer, or a ValueError."""
    size = _size(features)
    if not all(map(is_size, size[:-1])):  # the last is looked at with the rest
        raise ValueError(f"{owner}: expected features to be an integer or several, got {features!r}")
    return size


def _size(features) -> tuple[int, ...]:
    """A size as a tuple; of a layer, its features last."""
    return tuple(features) if isinstance(features, (tuple, list)) and features else (features,)
