"""`Neuron`, the base class: a value with parameters, a state and one step. All else follows from these."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from .._arrays import as_float, as_real, is_float, is_number
from .._bounds import check_inside
from .._checks import shapes
from .._hooks import hook
from .._pytree import tuples
from .._scan import iterations_at_once, scan_steps, typed_like
from .._surrogate import Surrogate
from .._value import Value, is_built_in
from ._spikes import Drawn, Watched, all_spike_functions, draw_each, drawn, spike_fields, spike_functions


@dataclasses.dataclass(eq=False, repr=False)
class Neuron(Value):
    r"""A neuron: parameters, a state, and one step in time; the base class.

    A neuron is a value, as a surrogate is. Its fields that hold numbers, arrays and surrogates are parameters, the
    leaves of a pytree; all others (words, booleans, integers, functions) are static. It knows no framework:
    ``brainsurr.nnx.layer``, ``brainsurr.linen.layer`` and ``brainsurr.brainstate.layer`` make a layer of its class.

    To write one, subclass as a dataclass with fields that have defaults, and define ``initial_state(x)`` and
    ``step(state, x)``. Both are pure maths on arrays that fit: in ``step`` the parameters, and the input, have the
    dtype of the state and the rank of the input; the new state is cast to the dtypes of the old one, and the output to
    that of the input. A reset whose gradient is to be stopped is ``u * (1 - brainsurr.detached(s))``.

    Attributes:
      bounds: by name, the closed interval in which a layer keeps what it trains; other numbers have none.
      states: a name for each array of the state, in the order of its leaves. brainstate's layers have states of
        these names.

    Raises:
      TypeError: a field is not of the type of its default.
      ValueError: a number is not finite; in a call, a state or an output has another shape than expected.

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
    _decays: ClassVar[tuple[str, ...]] = ()  # inside their bounds also where they are fixed
    _gives_spikes: ClassVar[bool]  # of the class itself: whether its output holds 0, 1 and NaN alone
    _is_trained: ClassVar[bool] = True  # whether its layers have the options of what is trained

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        # Of all bases: a class of two neurons has the limits of both.
        cls.bounds = functools.reduce(lambda all, base: all | vars(base).get("bounds", {}), cls.__mro__[::-1], {})
        cls._decays = tuple(dict.fromkeys(name for base in cls.__mro__ for name in vars(base).get("_decays", ())))
        # A count, say of refractory steps, is static: it may be the length of a loop.
        cls._always_static |= {name for base in cls.__mro__ for name, n in vars(base).items() if type(n) is int}
        for default in (value for base in cls.__mro__ for value in vars(base).values() if isinstance(value, Value)):
            hash(default)  # of all neurons that are given no other: from now on it can't be changed

    @classmethod
    def _check_class(cls):
        super()._check_class()
        names = [field.name for field in dataclasses.fields(cls)]
        for path in cls.bounds:
            if path.partition(".")[0] not in names:
                raise ValueError(
                    f"{cls.__name__}: bounds name {path!r}, which is no field of it; it has {', '.join(names)}"
                )

    def initial_state(self, x) -> Any:
        """Return the state before the first step.

        Args:
          x: the input of one step, ``[..., features]``, in the dtype that the state is to have. Only its shape and
            dtype matter.
        """
        raise NotImplementedError(f"{type(self).__name__} gives no initial_state(self, x): define one")

    def step(self, state, x) -> tuple[Any, jax.Array]:
        """Take one step; ``neuron.step(state, x, key=key)`` draws its spikes.

        Args:
          state: as `initial_state` makes it.
          x: the input, ``[..., features]``.

        Returns:
          The new state, and the output in the shape and dtype of ``x``.
        """
        raise NotImplementedError(f"{type(self).__name__} gives no step(self, state, x): define one")

    def over_time(self, state, xs) -> tuple[Any, jax.Array]:
        """Run over the leading axis of ``xs``. Override it where there is a faster way than a scan of steps."""
        return scan_steps(lambda state, x: self._advance(state, x), state, xs, iterations_at_once(xs))

    def __call__(self, state, xs, *, key: jax.Array | None = None) -> tuple[Any, jax.Array]:
        """Run over time.

        Args:
          state: that before the first step.
          xs: inputs ``[time, ..., features]``.
          key: draws the spikes of each surrogate, as in ``brainsurr.spike(x, f, key=key)``; None, the step, draws none.

        Returns:
          The state after the last step, and the outputs ``[time, ..., features]``.
        """
        return run(self if key is None else drawn(self, key), state, xs)

    def _advance(self, state, x):
        """Take one step from a state that fits: in the dtype of the state, which it keeps; the output is like x."""
        owner = type(self).__name__
        dtypes = [part.dtype for part in jax.tree.leaves(state) if is_float(part)]
        like = jax.ShapeDtypeStruct(x.shape, (*dtypes, x.dtype)[0])
        before = state
        if [dtype for dtype in dtypes if dtype != like.dtype]:
            state = jax.tree.map(lambda part: part.astype(like.dtype) if is_float(part) else part, state)
        mesh = jax.sharding.get_abstract_mesh()
        if mesh.explicit_axes or mesh.manual_axes:
            # A first state may lack the sharding type of the input, and `jnp.where` needs both of one type.
            state = jax.tree.map(lambda part: typed_like(part, x), state)
        neuron = self._matched(like)
        functions = {
            name: functools.partial(call_function, f"{owner}: {name}", f)
            for name, f in spike_functions(self).items()
            if not isinstance(f, Surrogate)
        }
        new, y = type(self).step(neuron._with(**functions) if functions else neuron, state, x.astype(like.dtype))
        y = as_float(y, f"the output of {owner}")
        if y.shape != x.shape:
            raise ValueError(f"{owner}: step returned an output of shape {y.shape} for an input of shape {x.shape}")
        return _kept(self, before, new), y.astype(x.dtype)

    def __setattr__(self, name, value):
        super().__setattr__(name, self._converted(name, value))

    def _check(self, name, value):
        owner = type(self).__name__
        if name in spike_fields(type(self)) and (not callable(value) or isinstance(value, type)):
            raise TypeError(f"{owner}: {name} is {value!r}, not a surrogate such as Sigmoid(4.0) or a function")
        super()._check(name, value)
        if is_number(value):
            self._check_number(owner, name, value)
            if name in self._decays:
                check_inside(f"{owner}: {name}", value, self.bounds[name])

    @classmethod
    def _converted(cls, name: str, value: Any) -> Any:
        """Return what a field holds in place of what was given: of a list of numbers, say, an array."""
        has_no_hash = callable(value) and type(value).__hash__ is None
        return functools.partial(value) if has_no_hash and name in spike_fields(cls) else value

    @staticmethod
    def _as_input(x, name: str) -> jax.Array:
        """Convert an input to an array of a dtype that the neuron takes."""
        return as_float(x, name)

    @classmethod
    def _check_number(cls, owner: str, name: str, value):
        if not isinstance(value, jax.core.Tracer) and not np.all(np.isfinite(value)):
            raise ValueError(f"{owner}: expected {name} to be finite, got {value!r}")

    def _check_dtype(self, owner: str, dtype, let_be: type = jax.Array):
        """Raise a ValueError if what a step changes is rounded away in the dtype of the state.

        Near a limit of 1, a step of ``(1 - decay)`` times what is left is rounded away below a quarter of the dtype's
        eps. The state may stop up to a quarter short of the limit. Arrays are let be, since training may have
        taken them there; when a layer is made, traced ones alone.
        """
        for name in self._decays:
            value = getattr(self, name)
            change = np.ones(1) if isinstance(value, let_be) else self._change(name, np.asarray(value, np.float64))
            if np.any((change > 0) & (change < 2.5 * float(jnp.finfo(dtype).eps))):
                wider = "float64" if jnp.finfo(dtype).bits > 16 else "float32"
                raise ValueError(
                    f"{owner}: {jnp.dtype(dtype)} rounds away what {name}={value} changes in a step. Use param_dtype="
                    f"{wider} for a layer, or an input in {wider} for a neuron"
                )

    def _change(self, name: str, value: np.ndarray) -> np.ndarray:
        """Return by how much of itself a decay changes a state in a step, or another of `_decays` does."""
        return 1 - value

    def _check_bounds(self, owner: str, intervals: Mapping[str, Any]):
        """Raise a ValueError if a layer trains a parameter in an interval that is too wide; None is unbounded."""

    def _check_features(self, owner: str, features: int):
        """Raise a ValueError unless each parameter is one number, or one for each of the features of a layer."""
        for name, value in vars(self).items():
            if is_number(value) and jnp.shape(value) not in ((), (1,), (features,)):
                raise ValueError(f"{owner}: {name} has shape {jnp.shape(value)}, not one number or {features}")


class Unmatched(Neuron):
    """A neuron whose step gets parameters, state and input as they are, and not in one dtype."""

    def _advance(self, state, x):
        return type(self).step(self, state, x)


def by_position(default) -> Any:
    """Return a field that a layer takes by position too, after ``features``."""
    return dataclasses.field(default=default, metadata={"by_position": True})


def fields_of(kind: type[Neuron]) -> list[dataclasses.Field]:
    """Return the fields that a layer takes of a neuron."""
    return [field for field in dataclasses.fields(kind) if field.init]


def call_function(name: str, function: Callable, x):
    """Call a function in the place of a surrogate, in the dtype of ``x``."""
    return as_float(function(x), f"what {name} returns").astype(x.dtype)


@hook
def run(neuron: Neuron, state, xs, host_scan: Callable = scan_steps) -> tuple[Any, jax.Array]:
    """Run a neuron over time.

    Args:
      neuron: with what is drawn or watched in the place of its surrogates.
      state: before the first step.
      xs: ``[time, ..., features]``.
      host_scan: the scan of a framework, used where a function among the fields may read or write its state.
    """
    xs = neuron._as_input(xs, "xs")
    if not xs.ndim:
        raise ValueError("expected xs to be an array [time, ..., features], got a single number")
    state = as_state(neuron, state, xs.shape[1:])
    for part in filter(is_float, jax.tree.leaves(state)):  # one that was made by hand was not checked
        neuron._check_dtype(type(neuron).__name__, part.dtype)
    functions = all_spike_functions(neuron)
    for f in functions:  # before they are compiled, when all their numbers are traced
        if isinstance(f, Surrogate):
            f._check_dtype(jax.tree.leaves(state)[0].dtype)
    draws = Drawn in [type(f.function if isinstance(f, Watched) else f) for f in functions]
    if [f for f in functions if not isinstance(f, Surrogate | Drawn)]:
        return _over_time(neuron, draws, state, xs, host_scan)
    # All numbers of a neuron are arguments of one compiled function, so new values do not compile again. A class that
    # the user wrote may read anything from outside, which can change: it is traced anew in each call.
    leaves, structure = jax.tree.flatten(neuron)
    if is_built_in(neuron):
        return _compiled(structure, draws, leaves, state, xs)
    return jax.jit(functools.partial(_from_leaves, structure, draws), inline=True)(leaves, state, xs)


def _over_time(neuron, draws, state, xs, host_scan):
    if not draws and type(neuron).over_time is not Neuron.over_time:
        return neuron.over_time(state, xs)
    # The keys of all steps are an input of the scan: it carries none, and a step that is computed again draws the same.
    keys, with_keys = draw_each(neuron, len(xs)) if draws else ([], lambda keys: neuron)

    def step(state, inputs):
        x, keys = inputs
        return with_keys(keys)._advance(state, x)

    return host_scan(step, state, (xs, keys), unroll=iterations_at_once(xs))


def _from_leaves(structure, draws, leaves, state, xs):
    return _over_time(structure.unflatten(leaves), draws, state, xs, scan_steps)


_compiled = jax.jit(_from_leaves, static_argnums=(0, 1), inline=True)


@hook
def as_state(neuron: Neuron, state, shape: tuple[int, ...]):
    """Return a state as arrays; a ValueError unless it is one for such inputs.

    Args:
      neuron: whose state it is.
      state: as it was given.
      shape: of the input of one step.
    """
    owner, expected = type(neuron).__name__, expected_state(neuron, shape)
    (leaves, given), (likes, wanted) = jax.tree.flatten(state), jax.tree.flatten(expected)
    if given != wanted:  # type: ignore[operator]
        state = tuples(state)  # a checkpoint may give lists
        leaves, given = jax.tree.flatten(state)
    fits = given == wanted  # type: ignore[operator]
    if fits:
        for i, (leaf, like) in enumerate(zip(leaves, likes, strict=True)):
            if not (isinstance(leaf, jax.Array) and is_float(leaf) and is_float(like)):
                leaves[i] = (neuron._as_input if is_float(like) else as_real)(leaf, "carry")
    if not fits or [leaf.shape for leaf in leaves] != [like.shape for like in likes]:
        raise ValueError(
            f"{owner}: the carry has shapes {shapes(state)}, but a step of shape {shape} needs {shapes(expected)}. "
            "Make it with initialize_carry((batch, features)) or init_state(batch). If xs is batch-first, pass "
            "jnp.swapaxes(xs, 0, 1); for one step, xs[None]"
        )
    return jax.tree.unflatten(wanted, leaves)


_expected: dict[Any, Any] = {}


def expected_state(neuron: Neuron, shape: tuple[int, ...]):
    """Return shapes and dtypes of the first state, for an input of a shape and of float32."""

    def shapes():
        return jax.eval_shape(
            functools.partial(type(neuron).initial_state, neuron), jax.ShapeDtypeStruct(shape, jnp.float32)
        )

    if not is_built_in(neuron):
        return shapes()
    leaves, structure = jax.tree.flatten(neuron)
    key = structure, tuple(map(np.shape, leaves)), shape
    if key not in _expected:
        if len(_expected) > 999:
            _expected.clear()
        _expected[key] = shapes()
    return _expected[key]


@hook
def make_first_state(initial_state: Callable, neuron: Neuron, x):
    """Make the first state of an array; each array of it has a name."""
    owner = type(neuron).__name__
    x = neuron._as_input(x, "x")
    neuron._check_dtype(owner, x.dtype)
    state, names = initial_state(neuron, x), neuron.states
    if not (arrays := len(jax.tree.leaves(state))) == len(names) == len(set(names)):
        raise ValueError(f"{owner}: states = {names!r} needs a name for each of the {arrays} arrays of the state")
    return state


@hook
def take_one_step(step: Callable, neuron: Neuron, state, x, *, key=None):
    """Take one step from a state that is checked, in its dtype; with a key, draw the spikes."""
    x = neuron._as_input(x, "x")
    running = neuron if key is None else drawn(neuron, key)
    return running._advance(as_state(neuron, state, x.shape), x)


Neuron._checked = {"initial_state": make_first_state, "step": take_one_step}


def _kept(neuron, before, after):
    """Return a new state in the dtypes of the old one."""
    structure: Any
    owner = type(neuron).__name__
    old, structure = jax.tree.flatten(before)
    new, same = jax.tree.flatten(after)
    if structure != same or [jnp.shape(a) for a in old] != [jnp.shape(b) for b in new]:
        raise ValueError(f"{owner}: step changed the shapes of the state from {shapes(before)} to {shapes(after)}")
    for i, (a, b) in enumerate(zip(old, new, strict=True)):
        b = jnp.asarray(b)
        if b.dtype != a.dtype and is_float(b) and not is_float(a):
            raise TypeError(
                f"{owner}: step changed the dtype of its state {neuron.states[i]} from {a.dtype} to {b.dtype}. Start "
                "it as a float in initial_state, or cast it"
            )
        new[i] = b.astype(a.dtype)
    return jax.tree.unflatten(structure, new)
