"""Spiking layers for Flax Linen; needs ``pip install "brainsurr[flax]"``."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._arrays import as_float
from ._bounds import Interval, clip_straight_through, names_of, start, trained_intervals
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
from ._unroll import unroll_with
from .surrogates.relu import LogTailedRelu

with needs("flax"):
    from flax import linen as nn
    from flax.core import DenyList, FrozenDict
    from flax.traverse_util import flatten_dict, unflatten_dict
    from flax.typing import Dtype, Initializer

__all__ = ["LI", "LIF", "LIFCell", "SpikingActivation", "SpikingSequential", "bounds", "diagnose", "unroll"]


class _Trained(nn.Module):
    """What every layer with trainable values has: which are trained, and inside which interval."""

    def __post_init__(self):
        # Before flax takes over, since a field must be hashable; from then on fields can't be set.
        object.__setattr__(self, "learnable", names_of(type(self).__name__, self.learnable))
        self._intervals()
        if self.bounds is not None:
            frozen = {name: None if pair is None else tuple(pair) for name, pair in self.bounds.items()}
            object.__setattr__(self, "bounds", FrozenDict(frozen))
        super().__post_init__()

    def setup(self):
        now, _ = self._values()
        for name, interval in self._intervals().items():
            stored = self.param(name, lambda key, value=now[name]: start(value, self.param_dtype))
            now[name] = clip_straight_through(stored, interval)
        self._now = now  # every value as it is now, a trained one inside its bounds

    @nn.nowrap
    def _intervals(self) -> dict[str, Interval | None]:
        values, defaults = self._values()
        return trained_intervals(type(self).__name__, values, self.learnable, self.bounds, defaults, self.param_dtype)

    @nn.nowrap
    def _values(self) -> tuple[dict[str, Any], Mapping[str, Interval]]:
        """The values before training and their default intervals, by name."""
        raise NotImplementedError


class SpikingActivation(_Trained):
    """A surrogate as a layer, its parameters configuration or trained.

    Attributes:
      surrogate_init: the surrogate before training, say ``LogTailedRelu(alpha=0.1)``. A parameter may be an array,
        one number per channel (last axis).
      learnable: the name or names of the parameters to train, each a parameter of that name in the collection
        "params" that holds the value itself.
      bounds: closed intervals by name, ``{"alpha": (0.0, 1.0)}``, in place of the surrogate's own; None trains
        unbounded. The layer never uses a value outside, and passes the gradient at an edge so that it can be
        left. Add ``brainsurr.optim.project(bounds(model, x))`` to the optimiser and the stored value stays inside too.
      param_dtype: of a trained parameter that was given as a Python number.

    Raises:
      TypeError: ``surrogate_init`` is not a surrogate.
      ValueError: an unknown name, or a start outside its interval.

    Example:
      >>> import brainsurr as bs, jax, jax.numpy as jnp
      >>> from brainsurr.linen import SpikingActivation
      >>> act = SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha")
      >>> x = jnp.array([-1.0, 0.0, 2.0])
      >>> variables = act.init(jax.random.key(0), x)
      >>> act.apply(variables, x)
      Array([0., 1., 1.], dtype=float32)
      >>> print(variables["params"]["alpha"], act.bind(variables).surrogate.alpha)
      0.1 0.1
    """

    surrogate_init: Surrogate
    learnable: str | Iterable[str] = ()
    bounds: Mapping[str, Interval | None] | None = FrozenDict()
    param_dtype: Dtype = jnp.float32

    def __post_init__(self):
        check_surrogate("surrogate_init", self.surrogate_init)
        super().__post_init__()

    @property
    def surrogate(self) -> Surrogate:
        """The surrogate as it is now, its trained parameters inside their bounds."""
        if not self.learnable:
            return self.surrogate_init
        if self.scope is None:
            raise ValueError(
                "SpikingActivation: a trained surrogate has no value in an unbound module: "
                "use act.bind(variables).surrogate, or act.surrogate_init for the one before training"
            )
        return jax.tree.map(self._now.get, self.surrogate_init.named_parameters()[0])

    def __call__(self, x) -> jax.Array:
        """Spikes of ``x``, membrane potential minus threshold, in its shape and dtype."""
        return self.surrogate(x)

    @nn.nowrap
    def _values(self):
        return self.surrogate_init.named_parameters()[1], self.surrogate_init.bounds


class _FrozenArray:
    """An array that compares and hashes by value, so that a module with it among its fields can be hashed."""

    def __init__(self, value):
        self.value = value

    def _key(self):
        if isinstance(self.value, jax.core.Tracer):
            return id(self.value)
        value = np.asarray(self.value)
        return value.dtype.name, value.shape, value.tobytes()

    def __eq__(self, other):
        return self._key() == other._key() if isinstance(other, _FrozenArray) else NotImplemented

    def __hash__(self):
        return hash(self._key())

    def __repr__(self):
        return repr(self.value)


def _freeze(value):
    return _FrozenArray(value) if isinstance(value, (jax.Array, np.ndarray)) else value


def _thaw(value):
    return value.value if isinstance(value, _FrozenArray) else value


class _Leaky(_Trained):
    """What a leaky layer holds before it has a threshold: its decay and the shape of its state."""

    features: int
    decay: Any = 0.9
    learnable: str | Iterable[str] = ()
    bounds: Mapping[str, Interval | None] | None = FrozenDict()
    carry_init: Initializer = nn.initializers.zeros_init()
    param_dtype: Dtype = jnp.float32

    def __post_init__(self):
        object.__setattr__(self, "decay", _freeze(self.decay))
        self._check()
        super().__post_init__()

    @nn.nowrap
    def initialize_carry(self, rng: jax.Array, input_shape: tuple[int, ...]):
        """The potential before the first step, for inputs of ``input_shape = (*batch, features)``.

        Zeros, or what ``carry_init`` draws, in ``param_dtype``.
        """
        shape = check_input_shape(type(self).__name__, self.features, input_shape)
        return drawn("carry_init", self.carry_init(rng, shape, self.param_dtype), shape)

    @nn.nowrap
    def _check(self):
        check_neuron(type(self).__name__, self.features, carry_init=self.carry_init, **self._values()[0])

    @nn.nowrap
    def _values(self):
        return {"decay": _thaw(self.decay)}, BOUNDS


class _LIFBase(_Leaky):
    """Parameters and step of a layer of LIF neurons, shared by the cell and the layer over time."""

    threshold: Any = 1.0
    reset: str = "subtract"
    reset_grad: bool | None = None
    spike_fn: Callable = LogTailedRelu(alpha=0.01)
    recurrent: bool = False
    recurrent_kernel_init: Initializer = nn.initializers.orthogonal()

    def __post_init__(self):
        object.__setattr__(self, "threshold", _freeze(self.threshold))
        super().__post_init__()

    def setup(self):
        super().setup()
        shape = (self.features, self.features)
        self._kernel = None
        if self.recurrent:
            kernel = self.param("recurrent_kernel", self.recurrent_kernel_init, shape, self.param_dtype)
            self._kernel = drawn("recurrent_kernel_init", kernel, shape)

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
            **self._values()[0],
        )

    @nn.nowrap
    def _values(self):
        return {"decay": _thaw(self.decay), "threshold": _thaw(self.threshold)}, BOUNDS

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
        neuron = {"spike_fn": spike_fn, "reset": self.reset, "reset_grad": self.reset_grad}
        return neuron_step(self._kernel, **self._now, **neuron)


class LIFCell(_LIFBase, nn.RNNCellBase):
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
      spike_fn: a surrogate, a :class:`SpikingActivation`, or any function or module of ``u - threshold``.
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


class LIF(_LIFBase):
    """A layer of leaky integrate-and-fire neurons over time, ``(carry, xs) -> (carry, spikes)``.

    The attributes are those of :class:`LIFCell`; ``xs`` is ``[time, ..., features]``, time first, and so are the
    spikes.

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
        return over_time(self._step(xs), carry, xs)


class LI(_Leaky):
    r"""A leaky integrator over time, the usual readout: ``(carry, xs) -> (carry, potentials)``.

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
        return over_time(partial(integrate, **self._now), carry, xs)


class SpikingSequential(nn.Module):
    """Layers in a row over time, ``(carry, xs) -> (carry, ys)`` with ``xs`` as ``[time, batch, ...]``.

    A layer that has ``initialize_carry`` is called as ``layer(carry, xs)``, any other as ``layer(xs)`` on all time
    steps at once, so a ``Dense`` is one large matrix product.

    Attributes:
      layers: modules and functions.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import linen as nn
      >>> from brainsurr.linen import LI, LIF, SpikingSequential
      >>> net, key = SpikingSequential([nn.Dense(8), LIF(8), nn.Dense(2), LI(2)]), jax.random.key(0)
      >>> xs = jnp.ones((10, 4, 3))
      >>> carry = net.initialize_carry(key, xs.shape[1:])
      >>> variables = net.init(key, carry, xs)
      >>> carry, ys = net.apply(variables, carry, xs)
      >>> ys.shape
      (10, 4, 2)
    """

    layers: Iterable[Callable]

    def __post_init__(self):
        object.__setattr__(self, "layers", check_layers(self.layers))
        super().__post_init__()

    @nn.nowrap
    def initialize_carry(self, rng: jax.Array, input_shape: tuple[int, ...]):
        """The states of all layers, None for one that has none, for inputs of ``input_shape = (*batch, features)``."""
        carries: list[Any] = []
        x = jax.ShapeDtypeStruct((1, *check_input_shape("SpikingSequential", None, input_shape)), jnp.float32)
        layer: Any
        for i, layer in enumerate(self.layers):
            key = jax.random.fold_in(rng, i)
            carries.append(layer.initialize_carry(key, step_shape(x)) if is_stateful(layer) else None)
            x = jax.eval_shape(partial(_outputs, layer), key, carries[i], x)
        return tuple(carries)

    def __call__(self, carry, xs):
        return apply_layers(self.layers, carry, xs)


def _outputs(layer, key, carry, x):
    """What a layer that need not be initialised yet returns, for its shape."""
    if not isinstance(layer, nn.Module):
        return layer(x)
    unbound = layer if layer.scope is None else layer.unbind()[0]
    return nn.init_with_output(apply_layer, unbound)(key, carry, x)[0][1]


def unroll(
    net: nn.Module,
    carry: Any,
    xs: Any,
    *,
    block_size: int | None = None,
    remat: str = "none",
    reduce: str | None = None,
):
    """Run a layer or network over a long stretch of time, block by block: :func:`brainsurr.unroll` for a module.

    State that is not a parameter (batch statistics, say) goes from block to block and ends up in ``net``; a Dropout
    draws anew for each block.

    Args:
      net: a bound module that is called as ``net(carry, xs)``, such as :class:`SpikingSequential`: one inside a
        module's own method, or ``net.bind(variables)``.
      carry: its state before the first step, from ``net.initialize_carry``.
      xs: inputs ``[time, ...]``.
      block_size: steps a block; about the square root of their number if None.
      remat: what the backward pass keeps of a block, ``"none"`` (everything), ``"dots"`` or ``"full"`` (nothing).
      reduce: ``"mean"``, ``"max"`` or ``"last"`` over time, in place of all outputs.

    Returns:
      The carry after the last step, and the outputs.

    Raises:
      ValueError: ``net`` is not bound.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from brainsurr.linen import LI, unroll
      >>> li, xs = LI(1, decay=0.5), jnp.ones((1000, 1, 1))
      >>> carry = li.initialize_carry(jax.random.key(0), (1, 1))
      >>> variables = li.init(jax.random.key(0), carry, xs[:1])
      >>> carry, v = unroll(li.bind(variables), carry, xs, remat="full", reduce="last")
      >>> print(v)
      [[2.]]
    """
    check_kind("net", net, nn.Module)
    if net.scope is None:
        raise ValueError(
            "unroll: expected a bound module: inside a module's method, or unroll(net.bind(variables), carry, xs)"
        )
    if net.is_initializing():  # variables are made outside of the loop
        net(carry, jax.tree.map(lambda x: x[:1], xs))
    # Inside a lifted scan or remat, flax calls with another copy of the module: the last one is the one to use.
    copies = [net]

    def lifted(run):
        def call(copy, carry, xs):
            copies.append(copy)
            try:
                return run(carry, xs)
            finally:
                copies.pop()

        return call

    def scan(run, carry, xs):
        state = DenyList("params")
        rngs: dict[Any, bool] = {"params": False, state: True}
        loop = nn.scan(lifted(run), variable_broadcast="params", variable_carry=state, split_rngs=rngs)
        return loop(copies[-1], carry, xs)

    def checkpoint(run, **options):
        return lambda carry, xs: nn.remat(lifted(run), **options)(copies[-1], carry, xs)

    def block(carry, xs):
        return copies[-1](carry, xs)

    return unroll_with(scan, checkpoint, block, carry, xs, block_size, remat, reduce)


def bounds(module: nn.Module, *args, **kwargs) -> dict[str, Any]:
    """The closed interval of each parameter, None where it has none, for ``brainsurr.optim.project``.

    Modules made inside compact methods are seen too. Nothing is computed: shapes alone are followed.

    Args:
      module: any module.
      *args: what it is called with, as in ``module.init(key, *args)``.
      **kwargs: likewise.

    Returns:
      A tree like ``module.init(key, *args, **kwargs)["params"]``.

    Example:
      >>> import brainsurr as bs
      >>> from brainsurr.linen import SpikingActivation, bounds
      >>> bounds(SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha"), 0.0)
      {'alpha': (0.0, 1.0)}
    """
    check_kind("module", module, nn.Module)
    found: dict[tuple[str, ...], Interval | None] = {}

    def note(method, args, kwargs, context):
        layer = context.module
        if context.method_name == "setup" and isinstance(layer, _Trained) and layer.is_initializing():
            found.update({(*layer.path, name): interval for name, interval in layer._intervals().items()})
        return method(*args, **kwargs)

    with nn.intercept_methods(note):
        variables = jax.eval_shape(partial(module.init, **kwargs), jax.random.key(0), *args)
    return unflatten_dict({path: found.get(path) for path in flatten_dict(variables.get("params", {}))})


def diagnose(variables: Any, loss_fn: Callable[[Any], Any]) -> Diagnosis:
    """Which layers are silent, whether a gradient can reach them, and what to change: :func:`brainsurr.diagnose`.

    Every :class:`LIF` and :class:`LIFCell` that ``loss_fn`` calls is looked at, and every :class:`SpikingActivation`
    outside of these, each under its path.

    Args:
      variables: what ``loss_fn`` takes, such as ``net.init(...)`` or its ``"params"``.
      loss_fn: what is trained, ``loss_fn(variables) -> scalar`` through ``net.apply``, a function of the batch you
        have in mind.

    Raises:
      ValueError: no spiking layer was used, or no spike has to do with the loss.

    Example:
      >>> import brainsurr as bs, jax, jax.numpy as jnp
      >>> from flax import linen as nn
      >>> from brainsurr.linen import LI, LIF, SpikingSequential, diagnose
      >>> net = SpikingSequential([LIF(2, spike_fn=bs.LogTailedRelu()), nn.Dense(1), LI(1)])
      >>> key, xs = jax.random.key(0), jnp.full((10, 4, 2), 0.01)
      >>> carry = net.initialize_carry(key, (4, 2))
      >>> variables = net.init(key, carry, xs)
      >>> diagnose(variables, lambda variables: jnp.sum(net.apply(variables, carry, xs)[1]))["layers_0"].status
      'dead'
    """

    def loss(watch):
        def see(method, args, kwargs, context):
            layer, name = context.module, context.method_name
            if layer.scope is not None and not layer.is_initializing():
                path = layer_name(layer.path, layer)
                if isinstance(layer, _LIFBase) and name == "_step":
                    step = method(*args, **kwargs)
                    return partial(step, spike_fn=watch(path, step.keywords["spike_fn"]))
                if isinstance(layer, SpikingActivation) and name == "__call__":
                    return watch(path, layer.surrogate)(*args, **kwargs)
            return method(*args, **kwargs)

        with nn.intercept_methods(see):
            return loss_fn(variables)

    return examine(loss_fn, loss)
