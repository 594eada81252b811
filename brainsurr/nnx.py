"""Spiking layers for Flax NNX; needs ``pip install "brainsurr[flax]"``."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from . import _unroll
from ._arrays import as_float
from ._bounds import Interval, clip_straight_through, start, trained_intervals
from ._checks import check_kind
from ._diagnose import Diagnosis, examine, layer_name
from ._extras import needs
from ._neuron import (
    BOUNDS,
    check_input_shape,
    check_neuron,
    drawn,
    integrate,
    lif_carry,
    neuron_step,
    over_time,
)
from ._sequential import apply_layer, apply_layers, check_layers, is_stateful, step_shape
from ._surrogate import Surrogate, check_surrogate
from .surrogates.relu import LogTailedRelu

with needs("flax"):
    from flax import nnx
    from flax.typing import Dtype, Initializer

__all__ = ["LI", "LIF", "LIFCell", "SpikingActivation", "SpikingSequential", "bounds", "diagnose", "unroll"]


class SpikingActivation(nnx.Module):
    """A surrogate as a layer, its parameters configuration or trained.

    Args:
      surrogate: say ``LogTailedRelu(alpha=0.1)``. A parameter may be an array, one number per channel (last axis).
      learnable: the name or names of the parameters to train, each an ``nnx.Param`` of that name that holds the
        value itself. The others are attributes of the same name: a number, or an ``nnx.Variable`` for an array.
      bounds: closed intervals by name, ``{"alpha": (0.0, 1.0)}``, in place of the surrogate's own; None trains
        unbounded. The layer never uses a value outside, and passes the gradient at an edge so that it can be
        left. Add ``brainsurr.optim.project(bounds(model))`` to the optimiser and the stored value stays inside too.
      param_dtype: of a trained parameter that was given as a Python number.

    Raises:
      TypeError: ``surrogate`` is not a surrogate.
      ValueError: an unknown name, or a start outside its interval.

    Example:
      >>> import brainsurr as bs, jax.numpy as jnp
      >>> from brainsurr.nnx import SpikingActivation
      >>> act = SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha")
      >>> act(jnp.array([-1.0, 0.0, 2.0]))
      Array([0., 1., 1.], dtype=float32)
      >>> print(act.alpha[...], act.surrogate.alpha)
      0.1 0.1
    """

    def __init__(
        self,
        surrogate: Surrogate,
        *,
        learnable: str | Iterable[str] = (),
        bounds: Mapping[str, Interval | None] | None = MappingProxyType({}),
        param_dtype: Dtype = jnp.float32,
    ):
        check_surrogate("surrogate", surrogate)
        self.template, values = surrogate.named_parameters()
        _hold(self, values, learnable, bounds, surrogate.bounds, param_dtype)

    @property
    def surrogate(self) -> Surrogate:
        """The surrogate as it is now, its trained parameters inside their bounds."""
        return jax.tree.map(partial(_read, self), self.template)

    def __call__(self, x) -> jax.Array:
        """Spikes of ``x``, membrane potential minus threshold, in its shape and dtype."""
        return self.surrogate(x)


class _Leaky(nnx.Module):
    """What a leaky layer holds before it has a threshold: its decay and the shape of its state."""

    def __init__(self, features, values, *, learnable, bounds, carry_init, param_dtype):
        self.features = features
        self.carry_init = carry_init
        self.param_dtype = param_dtype
        _hold(self, values, learnable, bounds, BOUNDS, param_dtype)

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
        return drawn("carry_init", init(key, shape, self.param_dtype), shape)


class _LIFBase(_Leaky):
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
            owner, features, reset, spike_fn, reset_grad, recurrent, carry_init, recurrent_kernel_init, **values
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
            weights = recurrent_kernel_init(rngs.params(), shape, param_dtype)
            kernel = nnx.Param(drawn("recurrent_kernel_init", weights, shape))
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
            decay=_read(self, "decay"),
            threshold=_read(self, "threshold"),
            spike_fn=self.spike_fn.surrogate if isinstance(self.spike_fn, SpikingActivation) else self.spike_fn,
            reset=self.reset,
            reset_grad=self.reset_grad,
        )


class LIFCell(_LIFBase, nnx.RNNCellBase):
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
      spike_fn: a surrogate, a :class:`SpikingActivation`, or any function of ``u - threshold``.
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


class LIF(_LIFBase):
    """A layer of leaky integrate-and-fire neurons over time, ``(carry, xs) -> (carry, spikes)``.

    The arguments are those of :class:`LIFCell`; ``xs`` is ``[time, ..., features]``, time first, and so are the
    spikes.

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
        return over_time(self._step(), carry, xs)


class LI(_Leaky):
    r"""A leaky integrator over time, the usual readout: ``(carry, xs) -> (carry, potentials)``.

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
        check_neuron("LI", features, carry_init=carry_init, decay=decay)
        super().__init__(
            features,
            {"decay": decay},
            learnable=learnable,
            bounds=bounds,
            carry_init=carry_init,
            param_dtype=param_dtype,
        )

    def __call__(self, carry, xs):
        return over_time(partial(integrate, decay=_read(self, "decay")), carry, xs)


class SpikingSequential(nnx.Module):
    """Layers in a row over time, ``(carry, xs) -> (carry, ys)`` with ``xs`` as ``[time, batch, ...]``.

    A layer that has ``initialize_carry`` is called as ``layer(carry, xs)``, any other as ``layer(xs)`` on all time
    steps at once, so a ``Linear`` is one large matrix product.

    Args:
      layers: modules and functions.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from brainsurr.nnx import LI, LIF, SpikingSequential
      >>> rngs = nnx.Rngs(0)
      >>> net = SpikingSequential([nnx.Linear(3, 8, rngs=rngs), LIF(8), nnx.Linear(8, 2, rngs=rngs), LI(2)])
      >>> xs = jnp.ones((10, 4, 3))
      >>> carry, ys = net(net.initialize_carry(xs.shape[1:]), xs)
      >>> ys.shape
      (10, 4, 2)
    """

    def __init__(self, layers: Iterable[Callable]):
        self.layers = nnx.List(check_layers(layers))

    def initialize_carry(self, input_shape: tuple[int, ...], rngs: nnx.Rngs | nnx.RngStream | None = None):
        """The states of all layers, None for one that has none, for inputs of ``input_shape = (*batch, features)``."""
        carries: list[Any] = []
        x = jax.ShapeDtypeStruct((1, *check_input_shape("SpikingSequential", None, input_shape)), jnp.float32)
        graphdef, state = nnx.split(self)  # shapes are found on a copy: a Dropout would leave a traced key behind
        layer: Any
        for i, layer in enumerate(self.layers):
            carries.append(layer.initialize_carry(step_shape(x), rngs) if is_stateful(layer) else None)

            def ys(state, carry, x, i=i):
                return apply_layer(nnx.merge(graphdef, state).layers[i], carry, x)[1]

            x = jax.eval_shape(ys, state, carries[i], x)
        return tuple(carries)

    def __call__(self, carry, xs):
        return apply_layers(self.layers, carry, xs)


def unroll(
    net: nnx.Module,
    carry: Any,
    xs: Any,
    *,
    block_size: int | None = None,
    remat: str = "none",
    reduce: str | None = None,
):
    """Run a layer or network over a long stretch of time, block by block: :func:`brainsurr.unroll` for a module.

    State that is not a parameter (batch statistics, the keys of a Dropout) goes from block to block and ends up in
    ``net``; a Dropout draws anew for each block.

    Args:
      net: a module that is called as ``net(carry, xs)``, such as :class:`SpikingSequential`.
      carry: its state before the first step, from ``net.initialize_carry``.
      xs: inputs ``[time, ...]``.
      block_size: steps a block; about the square root of their number if None.
      remat: what the backward pass keeps of a block, ``"none"`` (everything), ``"dots"`` or ``"full"`` (nothing).
      reduce: ``"mean"``, ``"max"`` or ``"last"`` over time, in place of all outputs.

    Returns:
      The carry after the last step, and the outputs.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.nnx import LI, unroll
      >>> li = LI(1, decay=0.5)
      >>> carry, v = unroll(li, li.initialize_carry((1, 1)), jnp.ones((1000, 1, 1)), remat="full", reduce="last")
      >>> print(v)
      [[2.]]
    """
    check_kind("net", net, nnx.Module)
    parts: Any = nnx.split(net, nnx.Param, ...)
    graphdef, params, state = parts

    def block(carry, xs):
        carry, state = carry
        net = nnx.merge(graphdef, params, state)
        carry, ys = net(carry, xs)
        parts: Any = nnx.split(net, nnx.Param, ...)
        return (carry, parts[2]), ys

    (carry, state), ys = _unroll.unroll(block, (carry, state), xs, block_size=block_size, remat=remat, reduce=reduce)
    nnx.update(net, state)
    return carry, ys


def bounds(model: nnx.Module, wrt: Any = nnx.Param) -> nnx.State:
    """The closed interval of each parameter of a model, None where it has none, for ``brainsurr.optim.project``.

    Args:
      model: any module.
      wrt: the filter that was given to ``nnx.Optimizer``.

    Example:
      >>> import brainsurr as bs
      >>> from brainsurr.nnx import SpikingActivation, bounds
      >>> print(bounds(SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha")).alpha)
      (0.0, 1.0)
    """
    check_kind("model", model, nnx.Module)

    def interval(variable):
        return variable.get_metadata().get("bounds")

    return jax.tree.map(interval, nnx.state(model, wrt), is_leaf=lambda node: isinstance(node, nnx.Variable))


def diagnose(net: nnx.Module, loss_fn: Callable[[Any], Any]) -> Diagnosis:
    """Which layers are silent, whether a gradient can reach them, and what to change: :func:`brainsurr.diagnose`.

    Every :class:`LIF` and :class:`LIFCell` of ``net`` is looked at, and every :class:`SpikingActivation` outside of
    these, each under its path.

    Args:
      net: any module. It is not changed: ``loss_fn`` gets copies, which draw the same Dropout masks.
      loss_fn: what is trained, ``loss_fn(net) -> scalar``, a function of the batch you have in mind. It must use the
        network that it is called with.

    Raises:
      ValueError: no spiking layer was used, or no spike has to do with the loss.

    Example:
      >>> import brainsurr as bs, jax.numpy as jnp
      >>> from flax import nnx
      >>> from brainsurr.nnx import LI, LIF, SpikingSequential, diagnose
      >>> net = SpikingSequential([LIF(2, spike_fn=bs.LogTailedRelu()), nnx.Linear(2, 1, rngs=nnx.Rngs(0)), LI(1)])
      >>> xs = jnp.full((10, 4, 2), 0.01)
      >>> print(diagnose(net, lambda net: jnp.sum(net(net.initialize_carry((4, 2)), xs)[1])))
      layer     rate  silent    dead  passing  reached  grad norm  status
      layers.0  0.0%  100.0%  100.0%     0.0%     0.0%          0  dead
      <BLANKLINE>
      layers.0 is dead: no neuron ever fires, and where none fires no gradient passes (its membrane is
        0.959 below threshold on average), so training can't change it. Scale up its weights or lower its
        threshold; or raise alpha of its LogTailedRelu from 0 to 0.1, and a gradient passes at 100.0% of
        its membrane values.
    """
    check_kind("net", net, nnx.Module)

    def loss(watch):
        copy = nnx.clone(net)  # here, so that its variables belong to the trace that may write them
        nodes = list(nnx.iter_graph(copy))
        neurons = {path: node for path, node in nodes if isinstance(node, _LIFBase)}
        inner = {id(node) for neuron in neurons.values() for _, node in nnx.iter_graph(neuron)}
        for path, neuron in neurons.items():
            neuron.spike_fn = nnx.data(_Watched(neuron.spike_fn, partial(watch, layer_name(path, neuron))))
        for path, act in nodes:
            if isinstance(act, SpikingActivation) and id(act) not in inner:
                see = partial(watch, layer_name(path, act))
                act.template = jax.tree_util.Partial(lambda f, x, see=see: see(f)(x), act.template)  # type: ignore[assignment]
        return loss_fn(copy)

    return examine(loss_fn, loss)


class _Watched(SpikingActivation):
    """The spike function of a neuron that is diagnosed: what it holds stays part of the network."""

    def __init__(self, spike_fn, watch):
        self.spike_fn, self.watch = spike_fn, watch

    @property
    def surrogate(self):
        spike_fn = self.spike_fn
        return self.watch(spike_fn.surrogate if isinstance(spike_fn, SpikingActivation) else spike_fn)


def _check_rngs(owner: str, rngs, *others: type):
    if not isinstance(rngs, (nnx.Rngs, *others)) and rngs is not None:
        raise TypeError(f"{owner}: expected rngs to be nnx.Rngs(seed), got {rngs!r}")


def _hold(module: nnx.Module, values, learnable, bounds, defaults, param_dtype):
    """Set each value as an attribute of its name: trained, an array, or a plain number."""
    intervals = trained_intervals(type(module).__name__, values, learnable, bounds, defaults, param_dtype)
    for name, value in values.items():
        if name in intervals:
            setattr(module, name, nnx.Param(start(value, param_dtype), bounds=intervals[name]))
        elif isinstance(value, (jax.Array, np.ndarray)):
            setattr(module, name, nnx.Variable(jnp.asarray(value)))
        else:
            setattr(module, name, value)


def _read(module: nnx.Module, name: str):
    """The value under a name as it is now, a trained one inside its bounds."""
    value = getattr(module, name)
    if isinstance(value, nnx.Param):
        return clip_straight_through(value[...], value.get_metadata().get("bounds"))
    return value[...] if isinstance(value, nnx.Variable) else value
