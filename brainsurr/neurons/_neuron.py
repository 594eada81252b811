"""`Neuron`, the base class of all neurons: parameters, an initial state, and one time step."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from .._arrays import as_float, as_real, is_float, is_number
from .._bounds import check_inside
from .._checks import check_counts, check_number, shapes
from .._hooks import hook
from .._pytree import tuples
from .._scan import iterations_at_once, scan_steps, typed_like
from .._surrogate import Surrogate
from .._value import Value, is_built_in
from ._spikes import Drawn, all_spike_functions, draw_each, drawn, spike_fields, with_spike_functions


@dataclasses.dataclass(eq=False, repr=False)
class Neuron(Value):
    r"""The base class of neurons: parameters, an initial state, and one time step.

    A neuron is an immutable pytree dataclass, like a surrogate. Numbers, arrays and surrogates among its fields are
    parameters, the leaves of the pytree. All other fields (strings, booleans, integers, functions) are static. A neuron
    is independent of any framework: ``brainsurr.nnx.layer`` and its equivalents for the other frameworks return a layer
    class for it.

    To write a neuron, subclass this as a dataclass whose fields have defaults, and define ``initial_state(x)`` and
    ``step(state, x)`` as pure functions. In ``step``, the parameters and the input have the dtype of the state and
    the rank of the input. The new state is cast to the dtypes of the old state, and the output to the dtype of the
    input. To stop the gradient of a reset, write ``u * (1 - brainsurr.detached(s))``.

    Attributes:
      bounds: the closed interval to which a layer restricts each bounded trainable parameter, by name.
      states: the names of the arrays in the state, in the order of its leaves. In brainstate, these are the names of
        the states of a layer.

    Raises:
      TypeError: a field does not have the type of its default.
      ValueError: a number is not finite, or, in a call, a state or an output has an unexpected shape.

    Example:
      >>> import dataclasses
      >>> from typing import Any, ClassVar
      >>> import jax.numpy as jnp, brainsurr as bs
      >>> from brainsurr.neurons import Neuron
      >>> @dataclasses.dataclass
      ... class QIF(Neuron):
      ...     bounds: ClassVar = {"rate": (0.0, 1.0)}
      ...     rate: Any = 0.1
      ...     spike_fn: Any = bs.Arctan(2.0)
      ...
      ...     def initial_state(self, x):
      ...         return jnp.zeros_like(x)
      ...
      ...     def step(self, state, x):
      ...         u = state + self.rate * state * (state - 0.5) + x
      ...         s = self.spike_fn(u - 1.0)
      ...         return u * (1 - bs.detached(s)), s
      >>> neuron, xs = QIF(rate=0.2), jnp.full((4, 1), 0.75)
      >>> state, spikes = neuron(neuron.initial_state(xs[0]), xs)
      >>> print(spikes.ravel())
      [0. 1. 0. 1.]
    """

    states: ClassVar[tuple[str, ...]] = ("v",)
    _decays: ClassVar[tuple[str, ...]] = ()  # parameters that must be within their bounds even if they are not trained
    _counts: ClassVar[tuple[str, ...]] = ()  # integers that the dtype of the state must represent exactly
    _gives_spikes: ClassVar[bool] = False  # whether the output contains only 0, 1 and NaN, in classes of brainsurr
    _as_input: ClassVar[Callable] = staticmethod(as_float)  # converts an input to a dtype that the neuron supports
    _is_trained: ClassVar[bool] = True  # whether its layers have trainable parameters

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        # A class that inherits from several neurons has the bounds of all of them.
        cls.bounds = functools.reduce(lambda all, base: all | vars(base).get("bounds", {}), cls.__mro__[::-1], {})
        cls._decays = tuple(dict.fromkeys(name for base in cls.__mro__ for name in vars(base).get("_decays", ())))
        # A count, such as the number of refractory steps, is static, since it can be the length of a loop.
        cls._always_static |= {name for base in cls.__mro__ for name, n in vars(base).items() if type(n) is int}
        for default in (value for base in cls.__mro__ for value in vars(base).values() if isinstance(value, Value)):
            hash(default)  # freezes the default, which is shared by all neurons of the class

    @classmethod
    def _check_class(cls):
        super()._check_class()
        names = [field.name for field in dataclasses.fields(cls)]
        for path in cls.bounds:
            if path.partition(".")[0] not in names:
                raise ValueError(f"{cls.__name__}: bounds contains {path!r}, not one of the fields {', '.join(names)}")

    def initial_state(self, x) -> Any:
        """Return the state before the first step.

        Args:
          x: the input of one step, ``[..., features]``, in the dtype of the state. Only its shape and dtype are used.

        Returns:
          The state: an array, a pytree of arrays, or None.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define initial_state(self, x)")

    def step(self, state, x) -> tuple[Any, jax.Array]:
        """Run one step; ``neuron.step(state, x, key=key)`` draws random spikes.

        Args:
          state: a state like the result of `initial_state`.
          x: the input, ``[..., features]``.

        Returns:
          The new state, and the output in the shape and dtype of ``x``.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define step(self, state, x)")

    def over_time(self, state, xs) -> tuple[Any, jax.Array]:
        """Run over the leading axis of ``xs``. Override this method if a scan over steps is not the fastest way.

        Args:
          state: the state before the first step.
          xs: inputs, ``[time, ..., features]``.

        Returns:
          The state after the last step, and the outputs, ``[time, ..., features]``.
        """
        return scan_steps(lambda state, x: self._advance(state, x), state, xs, iterations_at_once(xs))

    def __call__(self, state, xs, *, key: jax.Array | None = None) -> tuple[Any, jax.Array]:
        """Run over time.

        Args:
          state: the state before the first step.
          xs: inputs, ``[time, ..., features]``.
          key: a random key. If given, spikes are random, as in ``brainsurr.spike(x, f, key=key)``. If None, spikes are
            deterministic.

        Returns:
          The state after the last step, and the outputs, ``[time, ..., features]``.
        """
        return run(self if key is None else drawn(self, key), state, xs)

    def _advance(self, state, x):
        """Run one step from a valid state: compute in the dtype of the state, and return an output in x's dtype."""
        owner = type(self).__name__
        dtypes = [part.dtype for part in jax.tree.leaves(state) if is_float(part)]
        like = jax.ShapeDtypeStruct(x.shape, (*dtypes, x.dtype)[0])

        def matched(part):  # `jnp.where` needs the sharding type of the input, which an initial state may lack
            return typed_like(part.astype(like.dtype) if is_float(part) else part, x)

        def cast(name, f):
            return f if isinstance(f, Surrogate) else functools.partial(call_function, f"{owner}: {name}", f)

        neuron = with_spike_functions(cast, self._matched(like))
        new, y = type(self).step(neuron, jax.tree.map(matched, state), x.astype(like.dtype))
        y = as_float(y, f"the output of {owner}")
        if y.shape != x.shape:
            raise ValueError(f"{owner}: step returned an output of shape {y.shape} for an input of shape {x.shape}")
        return jax.tree.map(_in_dtype_of, state, new), y.astype(x.dtype)

    def _check(self, name, value):
        owner = type(self).__name__
        if name in spike_fields(type(self)) and (not callable(value) or isinstance(value, type)):
            raise TypeError(f"{owner}: {name} is {value!r}, not a surrogate such as Sigmoid(4.0) or a function")
        super()._check(name, value)
        if is_number(value):
            check_number(f"{owner}: {name}", value, "that is finite", np.isfinite)
            if name in self._decays:
                check_inside(f"{owner}: {name}", value, self.bounds[name])

    @classmethod
    def _converted(cls, name, value):
        if callable(value) and type(value).__hash__ is None and name in spike_fields(cls):
            return functools.partial(value)
        return super()._converted(name, value)

    def _check_dtype(self, owner: str, dtype, exempt: type = jax.Array):
        """Raise a ValueError if the state changes so slowly that its dtype rounds the change of a step to 0.

        Near a limit of 1, the change per step is ``(1 - decay)`` times the distance to the limit. Changes below a
        quarter of the dtype's eps are rounded to 0, so the state may stop up to a quarter short of the limit. Values of
        the type ``exempt`` are not checked, since arrays may result from training. When a layer is made, only traced
        arrays are exempt.
        """
        for name in self._decays:
            value = getattr(self, name)
            if isinstance(value, exempt):
                continue
            change = 1 - np.float64(value) if name.endswith("decay") else np.float64(value)
            if np.any((change > 0) & (change < 2.5 * float(jnp.finfo(dtype).eps))):
                what = f"with {name}={value}, {jnp.dtype(dtype)} rounds the change per step to 0"
                raise ValueError(f"{owner}: {what}: use a wider param_dtype of the layer, or dtype of the input")
        for name in self._counts:
            check_counts(f"{owner}: {name}", getattr(self, name), dtype)

    def _check_bounds(self, owner: str, intervals: Mapping[str, Any]):
        """Raise a ValueError if the interval of a trainable parameter is too wide; None means unbounded."""

    def _check_features(self, owner: str, features: int):
        """Raise a ValueError unless each parameter is a scalar, or has one number per feature of a layer."""
        for name, value in vars(self).items():
            if is_number(value) and jnp.shape(value) not in ((), (1,), (features,)):
                raise ValueError(f"{owner}: {name} has shape {jnp.shape(value)}, but must be () or ({features},)")

    def _outputs(self, features: int) -> int:
        """Return the number of features of the output."""
        return features


class Unmatched(Neuron):
    """A neuron whose step receives parameters, state and input unchanged instead of cast to one dtype."""

    def _advance(self, state, x):
        return type(self).step(self, state, x)


def by_position(default) -> Any:
    """Return a field that layers also accept as a positional argument, after ``features``."""
    return dataclasses.field(default=default, metadata={"by_position": True})


def fields_of(kind: type[Neuron]) -> list[dataclasses.Field]:
    """Return the fields of a neuron class that are arguments of its layers."""
    return [field for field in dataclasses.fields(kind) if field.init]


def call_function(name: str, function: Callable, x):
    """Call a function that is used instead of a surrogate; return its result in the dtype of ``x``."""
    y = as_float(function(x), f"the result of {name}")
    if y.shape != x.shape:
        raise ValueError(f"{name} returned an array of shape {y.shape} for an input of shape {x.shape}")
    return y.astype(x.dtype)


@hook
def run(neuron: Neuron, state, xs, host_scan: Callable = scan_steps) -> tuple[Any, jax.Array]:
    """Run a neuron over time.

    Args:
      neuron: the neuron; its surrogates may have been replaced by `Drawn` or `Watched`.
      state: the state before the first step.
      xs: inputs, ``[time, ..., features]``.
      host_scan: the scan of the framework, used if a spike function is not a surrogate, since it may then read or
        write the framework's state.
    """
    xs = neuron._as_input(xs, "xs")
    if not xs.ndim:
        raise ValueError("expected xs to be an array [time, ..., features], got a single number")
    state = as_state(neuron, state, xs.shape[1:])
    for part in filter(is_float, jax.tree.leaves(state)):  # the user may have made the state without `initial_state`
        neuron._check_dtype(type(neuron).__name__, part.dtype)
    functions = all_spike_functions(neuron)
    for f in functions:  # before compilation, since all numbers are traced there
        if isinstance(f, Surrogate):
            f._check_dtype(jax.tree.leaves(state)[0].dtype)
    if [f for f in functions if not isinstance(f, Surrogate | Drawn)]:
        return _over_time(neuron, state, xs, host_scan)
    # All numbers of a neuron are arguments of one compiled function, so new values don't trigger compilation. A user's
    # class may depend on global state that can change, so it is traced again in each call.
    compiled = _compiled if is_built_in(neuron) else jax.jit(functools.partial(_over_time), inline=True)
    return compiled(neuron, state, xs)


def _over_time(neuron, state, xs, host_scan=scan_steps):
    # The keys of all steps are inputs of the scan, so rematerialised steps draw the same spikes.
    keys, with_keys = draw_each(neuron, xs.shape[0])
    if not keys and type(neuron).over_time is not Neuron.over_time:
        return neuron.over_time(state, xs)

    def step(state, inputs):
        x, keys = inputs
        return with_keys(keys)._advance(state, x)

    return host_scan(step, state, (xs, keys), unroll=iterations_at_once(xs))


_compiled = jax.jit(_over_time, inline=True)


@hook
def as_state(neuron: Neuron, state, shape: tuple[int, ...]):
    """Return a state as arrays, or raise a ValueError if it does not fit the neuron and its inputs.

    Args:
      neuron: the neuron.
      state: the state that the user passed.
      shape: the shape of the input of one step.
    """
    owner, expected = type(neuron).__name__, expected_state(neuron, shape)
    likes, wanted = jax.tree.flatten(expected)
    leaves, given = jax.tree.flatten(tuples(state))  # a restored checkpoint may contain lists
    fits = given == jax.tree.structure(tuples(expected))  # type: ignore[operator]
    if fits:
        kinds = [neuron._as_input if is_float(like) else as_real for like in likes]
        leaves = [convert(leaf, "carry") for convert, leaf in zip(kinds, leaves, strict=True)]
    if not fits or [leaf.shape for leaf in leaves] != [like.shape for like in likes]:
        what = f"the state has shapes {shapes(state)}, a step of shape {shape} needs {shapes(expected)}"
        raise ValueError(f"{owner}: {what}. Use initialize_carry or init_state; jnp.swapaxes if xs is batch-first")
    return jax.tree.unflatten(wanted, leaves)


def expected_state(neuron: Neuron, shape: tuple[int, ...]):
    """Return the shapes and dtypes of the initial state, for a float32 input of the given shape."""
    if not is_built_in(neuron):
        return _state_shapes(neuron, shape)
    leaves, structure = jax.tree.flatten(neuron)
    return _built_in_state_shapes(structure, tuple(map(np.shape, leaves)), shape)


def _state_shapes(neuron, shape):
    x = jax.ShapeDtypeStruct(shape, jnp.float32)
    return jax.eval_shape(functools.partial(type(neuron).initial_state, neuron), x)


@functools.lru_cache(999)
def _built_in_state_shapes(structure, sizes, shape):
    return _state_shapes(structure.unflatten(map(np.zeros, sizes)), shape)


@hook
def make_first_state(initial_state: Callable, neuron: Neuron, x):
    """Return the initial state, and check that each of its arrays has a name."""
    owner = type(neuron).__name__
    x = neuron._as_input(x, "x")
    neuron._check_dtype(owner, x.dtype)
    state, names = initial_state(neuron, x), neuron.states
    if not (arrays := len(jax.tree.leaves(state))) == len(names) == len(set(names)):
        raise ValueError(f"{owner}: the state has {arrays} arrays, but states = {names!r} must name each of them once")
    return state


@hook
def take_one_step(step: Callable, neuron: Neuron, state, x, *, key=None):
    """Check the state and run one step, with random spikes if a key is given."""
    x = neuron._as_input(x, "x")
    running = neuron if key is None else drawn(neuron, key)
    return running._advance(as_state(neuron, state, x.shape), x)


Neuron._checked = {"initial_state": make_first_state, "step": take_one_step}


def _in_dtype_of(before, after):
    """Cast part of the new state to its old dtype; leave a float that was an integer to the error of jax."""
    after = jnp.asarray(after)
    return after if is_float(after) and not is_float(before) else after.astype(before.dtype)
