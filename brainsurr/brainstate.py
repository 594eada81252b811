"""Spiking layers for brainstate; needs ``pip install "brainsurr[brainstate]"``."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._arrays import as_float
from ._bounds import Interval, clip_straight_through, start, trained_intervals
from ._checks import check_function, check_kind
from ._diagnose import Diagnosis, examine, layer_name
from ._extras import needs
from ._neuron import BOUNDS, check_neuron, drawn, integrate, is_size, lif_carry, neuron_step, over_time
from ._sequential import check_layers
from ._surrogate import Surrogate, check_surrogate
from ._unroll import unroll_with
from .surrogates.relu import LogTailedRelu

with needs("brainstate"):
    import brainstate
    from brainstate import nn
    from brainstate.typing import Filter, Size

__all__ = ["LI", "LIF", "LIFCell", "SpikingActivation", "SpikingSequential", "bounds", "diagnose", "unroll"]


class _Inside(nn.ClipT):
    """Clips into a closed interval, and passes the gradient at an edge so that it can be left."""

    def __init__(self, interval: Interval):
        super().__init__(*interval)
        self.interval = interval

    def forward(self, x):
        return clip_straight_through(x, self.interval)


class SpikingActivation(nn.ElementWiseBlock):
    """A surrogate as a layer, its parameters configuration or trained.

    It is called with any shape, alone, among layers, or as the ``spk_fun=`` of a neuron.

    Args:
      surrogate: say ``LogTailedRelu(alpha=0.1)``. A parameter may be an array, one number per channel (last axis).
      learnable: the name or names of the parameters to train, each a ``brainstate.nn.Param`` of that name that holds
        the value itself. The others are attributes of the same name: a number, or a ``LongTermState`` for an array.
      bounds: closed intervals by name, ``{"alpha": (0.0, 1.0)}``, in place of the surrogate's own; None trains
        unbounded. The layer never uses a value outside, and passes the gradient at an edge so that it can be
        left. Add ``brainsurr.optim.project(bounds(model))`` to the optimiser and the stored value stays inside too.
      param_dtype: of a trained parameter that was given as a Python number; ``brainstate.environ.dftype()`` if None.

    Raises:
      TypeError: ``surrogate`` is not a surrogate.
      ValueError: an unknown name, or a start outside its interval.

    Example:
      >>> import brainsurr as bs, jax.numpy as jnp
      >>> from brainsurr.brainstate import SpikingActivation
      >>> act = SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha")
      >>> act(jnp.array([-1.0, 0.0, 2.0]))
      Array([0., 1., 1.], dtype=float32)
      >>> print(act.alpha.value(), act.surrogate.alpha)
      0.1 0.1
    """

    def __init__(
        self,
        surrogate: Surrogate,
        *,
        learnable: str | Iterable[str] = (),
        bounds: Mapping[str, Interval | None] | None = MappingProxyType({}),
        param_dtype: Any = None,
    ):
        super().__init__()
        check_surrogate("surrogate", surrogate)
        self.template, values = surrogate.named_parameters()
        _hold(self, values, learnable, bounds, surrogate.bounds, param_dtype)

    @property
    def surrogate(self) -> Surrogate:
        """The surrogate as it is now, its trained parameters inside their bounds."""
        return jax.tree.map(partial(_read, self), self.template)

    def update(self, x) -> jax.Array:
        """Spikes of ``x``, membrane potential minus threshold, in its shape and dtype."""
        return self.surrogate(x)


class _Leaky(nn.Module):
    """What a leaky layer holds before it has a threshold: its decay and its potential."""

    recurrent = False

    def __init__(self, size, values, *, learnable, bounds, carry_init, param_dtype):
        super().__init__()
        self.in_size = self.out_size = size
        self.carry_init = carry_init
        self.param_dtype = brainstate.environ.dftype() if param_dtype is None else param_dtype
        _hold(self, values, learnable, bounds, BOUNDS, self.param_dtype)

    def init_state(self, batch_size: int | tuple[int, ...] | None = None, **kwargs):
        """Make the state before the first step: zeros, or what ``carry_init`` draws, in ``param_dtype``."""
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
        v = drawn("carry_init", self.carry_init(shape), shape)
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


class _LIFBase(_Leaky):
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
        size = _size(features)
        check_neuron(
            owner, size[-1], reset, spike_fn, reset_grad, recurrent, carry_init, recurrent_kernel_init, **values
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
            kernel = drawn("recurrent_kernel_init", recurrent_kernel_init(shape), shape)
            self.recurrent_kernel = _param(jnp.asarray(kernel, self.param_dtype))

    def _step(self):
        """The step as a pure function ``(carry, x) -> (carry, spikes)`` of the parameters as they are now."""
        return neuron_step(
            self.recurrent_kernel.value() if self.recurrent else None,
            decay=_read(self, "decay"),
            threshold=_read(self, "threshold"),
            spike_fn=self.spike_fn.surrogate if isinstance(self.spike_fn, SpikingActivation) else self.spike_fn,
            reset=self.reset,
            reset_grad=self.reset_grad,
        )


class LIFCell(_LIFBase):
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
      spike_fn: a surrogate, a :class:`SpikingActivation`, or any function of ``u - threshold``.
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


class LIF(_LIFBase):
    """A layer of leaky integrate-and-fire neurons over time, ``spikes = lif(xs)``.

    The arguments are those of :class:`LIFCell`; ``xs`` is ``[time, ..., features]``, time first, and so are the
    spikes. The state goes on from where the last call left it.

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
        self._carry, spikes = over_time(self._step(), self._carry, xs)
        return spikes


class LI(_Leaky):
    r"""A leaky integrator over time, the usual readout: ``potentials = li(xs)``.

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
        size = _size(features)
        check_neuron("LI", size[-1], carry_init=carry_init, decay=decay)
        super().__init__(
            size, {"decay": decay}, learnable=learnable, bounds=bounds, carry_init=carry_init, param_dtype=param_dtype
        )

    def update(self, xs):
        self._carry, potentials = over_time(partial(integrate, decay=_read(self, "decay")), self._carry, xs)
        return potentials


class SpikingSequential(nn.Module):
    """Layers in a row over time, ``ys = net(xs)`` with ``xs`` as ``[time, batch, ...]``.

    Each layer sees all time steps at once, so a ``Linear`` is one large matrix product.

    Args:
      layers: modules and functions.

    Example:
      >>> import brainstate, jax.numpy as jnp
      >>> from functools import partial
      >>> from brainsurr.brainstate import LI, LIF, SpikingSequential
      >>> linear = partial(brainstate.nn.Linear, b_init=None)
      >>> net = SpikingSequential([linear(3, 8), LIF(8), linear(8, 2), LI(2)])
      >>> net.init_state(batch_size=4)
      >>> net(jnp.ones((10, 4, 3))).shape
      (10, 4, 2)
    """

    def __init__(self, layers: Iterable[Callable]):
        super().__init__()
        self.layers = list(check_layers(layers))

    def init_state(self, batch_size: int | None = None, **kwargs):
        """Make the states of all layers."""
        for layer in self.layers:
            if isinstance(layer, nn.Module):
                nn.init_all_states(layer, batch_size)

    def reset_state(self, batch_size: int | None = None, **kwargs):
        """Set the states of all layers back to what they are before the first step."""
        for layer in self.layers:
            if isinstance(layer, nn.Module):
                nn.reset_all_states(layer, batch_size)

    def update(self, xs):
        xs = as_float(xs, "xs")
        for layer in self.layers:
            xs = layer(xs)
        return xs


def unroll(
    net: nn.Module,
    xs: Any,
    *,
    block_size: int | None = None,
    remat: str = "none",
    reduce: str | None = None,
):
    """Run a layer or network over a long stretch of time, block by block: :func:`brainsurr.unroll` for a module.

    The state of ``net`` goes from block to block and is left as it is after the last step; a Dropout draws anew for
    each block.

    Args:
      net: a module that is called as ``net(xs)`` over time, such as :class:`SpikingSequential`, with its state made.
      xs: inputs ``[time, ...]``.
      block_size: steps a block; about the square root of their number if None.
      remat: what the backward pass keeps of a block, ``"none"`` (everything), ``"dots"`` or ``"full"`` (nothing).
      reduce: ``"mean"``, ``"max"`` or ``"last"`` over time, in place of all outputs.

    Returns:
      The outputs.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.brainstate import LI, unroll
      >>> li = LI(1, decay=0.5)
      >>> li.init_state(batch_size=1)
      >>> print(unroll(li, jnp.ones((1000, 1, 1)), remat="full", reduce="last"))
      [[2.]]
    """
    check_function("net", net, "a module, or a function of xs")
    scan, checkpoint = brainstate.transform.scan, brainstate.transform.checkpoint
    return unroll_with(scan, checkpoint, lambda carry, xs: (carry, net(xs)), None, xs, block_size, remat, reduce)[1]


def bounds(model: nn.Module, wrt: Filter = brainstate.ParamState) -> dict[tuple, Interval | None]:
    """The closed interval of each parameter of a model, None where it has none, for ``brainsurr.optim.project``.

    Args:
      model: any module.
      wrt: the filter that picks the trained states, as in ``model.states(wrt)``.

    Returns:
      A dictionary with the keys of ``model.states(wrt)``, as gradients have.

    Example:
      >>> import brainsurr as bs
      >>> from brainsurr.brainstate import SpikingActivation, bounds
      >>> bounds(SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha"))
      {('alpha', 'val'): (0.0, 1.0)}
    """
    check_kind("model", model, nn.Module)
    params: Any = model.nodes(nn.Param)
    found = {(*path, "val"): param.t.interval for path, param in params.items() if isinstance(param.t, _Inside)}
    trained: Any = model.states(wrt)
    return {path: found.get(path) for path in trained}


def diagnose(net: nn.Module, loss_fn: Callable[[], Any]) -> Diagnosis:
    """Which layers are silent, whether a gradient can reach them, and what to change: :func:`brainsurr.diagnose`.

    Every :class:`LIF` and :class:`LIFCell` of ``net`` is looked at, and every :class:`SpikingActivation` outside of
    these, such as the ``spk_fun`` of another library's neuron, each under its path.

    Args:
      net: any module. Its states, and the default random state, are put back to what they were.
      loss_fn: what is trained, ``loss_fn() -> scalar`` through ``net``, a function of the batch you have in mind.

    Raises:
      ValueError: no spiking layer was used, or no spike has to do with the loss.

    Example:
      >>> import brainstate, brainsurr as bs, jax.numpy as jnp
      >>> from functools import partial
      >>> from brainsurr.brainstate import LI, LIF, SpikingSequential, diagnose
      >>> linear = partial(brainstate.nn.Linear, b_init=None)
      >>> net = SpikingSequential([LIF(2, spike_fn=bs.LogTailedRelu()), linear(2, 1), LI(1)])
      >>> net.init_state(batch_size=4)
      >>> diagnose(net, lambda: jnp.sum(net(jnp.full((10, 4, 2), 0.01))))["layers.0"].status
      'dead'
    """
    check_kind("net", net, nn.Module)

    def loss(watch):
        nodes: Any = net.nodes()
        states: Any = net.states()
        neurons = {path: node for path, node in nodes.items() if isinstance(node, _LIFBase)}
        parts: list[Any] = [neuron.nodes() for neuron in neurons.values()]
        inner = {id(node) for part in parts for node in part.values()}
        attributes = [(node, dict(vars(node))) for node in nodes.values()]
        values = [(state, state.value) for state in (*states.values(), brainstate.random.DEFAULT)]

        def step(neuron, see):
            step = type(neuron)._step(neuron)
            return partial(step, spike_fn=see(step.keywords["spike_fn"]))

        try:
            for path, neuron in neurons.items():
                vars(neuron)["_step"] = partial(step, neuron, partial(watch, layer_name(path, neuron)))
            for path, act in nodes.items():
                if isinstance(act, SpikingActivation) and id(act) not in inner:
                    see = partial(watch, layer_name(path, act))
                    vars(act)["update"] = lambda x, act=act, see=see: see(act.surrogate)(x)
            return loss_fn()
        finally:
            for node, kept in attributes:
                vars(node).clear()
                vars(node).update(kept)
            for state, value in values:
                state.value = value

    transform = brainstate.transform

    def run(f, x):
        gradient, value = transform.jit(transform.grad(f, return_value=True))(x)
        return value, gradient

    return examine(loss_fn, loss, lambda f: transform.make_jaxpr(f)(), run)


def _size(features) -> tuple[int, ...]:
    """A size as a tuple; of a layer, its features last."""
    return tuple(features) if isinstance(features, (tuple, list)) and features else (features,)


def _param(value, interval: Interval | None = None) -> nn.Param:
    param = nn.Param(value, t=nn.IdentityT() if interval is None else _Inside(interval))
    param.val.value = value  # Param casts what it is given to the dtype of the environment
    return param


def _hold(module: nn.Module, values, learnable, bounds, defaults, param_dtype):
    """Set each value as an attribute of its name: trained, an array, or a plain number."""
    dtype = brainstate.environ.dftype() if param_dtype is None else param_dtype
    intervals = trained_intervals(type(module).__name__, values, learnable, bounds, defaults, dtype)
    for name, value in values.items():
        if name in intervals:
            setattr(module, name, _param(start(value, dtype), intervals[name]))
        elif isinstance(value, (jax.Array, np.ndarray)):
            setattr(module, name, brainstate.LongTermState(jnp.asarray(value)))
        else:
            setattr(module, name, value)


def _read(module: nn.Module, name: str):
    """The value under a name as it is now, a trained one inside its bounds."""
    value = getattr(module, name)
    if isinstance(value, nn.Param):
        return value.value()
    return value.value if isinstance(value, brainstate.State) else value
