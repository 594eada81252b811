"""What the modules of the frameworks share that hold a surrogate or a neuron, of which some parts are trained."""

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from . import _checks
from ._arrays import as_parameter, is_number, variable_value, without_unit
from ._bounds import initial_value, names_of, trained_intervals
from ._following import is_on
from ._pytree import unflatten
from ._surrogate import Surrogate
from ._wrong_calls import AnswersWrongCalls
from .neurons import Neuron, Recurrent
from .neurons._spikes import Drawn, with_spike_functions

if TYPE_CHECKING:  # to a type checker, a layer has what its neuron has

    class _OfNeuron(Neuron):
        bounds: ClassVar[Any]
        states: ClassVar[Any]
        named_parameters: ClassVar[Any]
        __call__: ClassVar[Any]

else:
    _OfNeuron = object


class Holds(AnswersWrongCalls):
    """A module whose attributes hold numbers: what is trained, arrays, and Python's numbers.

    Of the framework: ``_param(value, interval)`` and ``_array(value)`` make what holds one, and ``_value(name)`` gives
    the current value, a trained one clipped to its bounds.
    """

    fires: ClassVar[bool]
    _fixed: tuple[str, ...] = ()  # the names of what is not trained, which is checked where it is set again
    # What stays as it is.
    _made_for: ClassVar[tuple[str, ...]] = ("features", "recurrent", "self_connections", "carry_init", "param_dtype")
    _watch: Callable | None = None  # of `diagnose`: what it puts in the place of each spike function
    _holders: ClassVar[Any] = ()  # the classes of what holds a number
    _holds: ClassVar[str]  # the name of the surrogate or neuron with its current values
    _param: Callable
    _array: Callable
    _value: Callable

    def _check_changed(self, changed: Any):
        """Check the surrogate or neuron that a layer holds when one of its numbers was set."""

    def _values(self, names: Iterable[str]) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in names}
        return {name: self._value(name) if isinstance(held, self._holders) else held for name, held in values.items()}

    def __setattr__(self, name, value):
        held, owner = vars(self).get(name), type(self).__name__
        if isinstance(held, self._holders) and not isinstance(value, self._holders):
            kind = type(held).__name__
            raise TypeError(f"{owner}: {name} is a {kind}: set the value that it holds, or make a new layer")
        if name in vars(self):  # not while a framework puts a copy together
            if name in self._made_for and value is not held:
                raise TypeError(f"{owner}: {name} can't be set later: make a new layer")
            if name in self._fixed and name in vars(current := getattr(self, self._holds)):
                value = without_unit(value)
                self._check_changed(current.replace(**{name: value}))
        super().__setattr__(name, value)

    def _hold(self, values, learnable, bounds, defaults, param_dtype, **more):
        """Set each value as an attribute of its name."""
        intervals = trained_intervals(type(self).__name__, values, learnable, bounds, defaults, param_dtype, **more)
        for name, value in values.items():
            if name in intervals:
                value = self._param(initial_value(value, param_dtype), intervals[name])
            elif isinstance(value, jax.Array | np.ndarray):
                value = self._array(jnp.asarray(value))
            setattr(self, name, value)
        self._fixed = tuple(name for name in values if name not in intervals)


def _number(owner: str, kind: type[Neuron], name: str, value: Any) -> Any:
    value = kind._converted(name, as_parameter(value))
    if not is_number(value):
        raise TypeError(
            f"{owner}: expected {name} to be a real number or array, got {value!r}{kind._hint(name, value)}"
        )
    kind._check_number(owner, name, value)
    return value


class HoldsSurrogate(Holds):
    """A module that holds a surrogate. Of the framework, of one that draws spikes: ``_new_key()``, or None.

    Attributes:
      template: the surrogate, with the name of each parameter in its place.
    """

    fires: ClassVar[bool] = True
    _holds: ClassVar[str] = "surrogate"
    template: Surrogate
    random: bool
    _new_key: Callable

    def _hold_surrogate(self, surrogate: Surrogate, learnable, bounds, param_dtype, random: bool):
        _checks.check_surrogate("surrogate", surrogate)
        self.template, values = surrogate.named_parameters()
        self._hold(values, learnable, bounds, surrogate._all_bounds(), param_dtype)
        _checks.check_random("SpikingActivation", random, surrogate, self._fixed)
        self.random = random

    @property
    def surrogate(self) -> Surrogate:
        """The surrogate with its current parameters, the trained ones clipped to their bounds."""
        return jax.tree.map(self._value, self.template)

    def _untrained(self) -> Surrogate:
        return self.surrogate

    def _check_changed(self, changed):
        _checks.check_random(type(self).__name__, self.random, changed, self._fixed)

    def _spikes(self) -> Callable:
        """Return what makes spikes now: the surrogate, or one that draws with a new key."""
        key = self._new_key() if self.random else None
        return self.surrogate if key is None else Drawn(self.surrogate, key)

    def _running(self) -> Callable:
        """Return what makes spikes now, or watches them."""
        f = self._spikes()
        return f if self._watch is None else self._watch("", f)


class HoldsNeuron(Holds, _OfNeuron):
    """A module that holds a neuron: numbers and surrogates under the names of its fields."""

    _holds: ClassVar[str] = "neuron"
    recurrent: bool
    self_connections: bool
    _neuron_class: ClassVar[type[Neuron]]
    _options: ClassVar[Any]  # by name, with their defaults
    _said: ClassVar[dict[str, str]] = {}  # what a docstring says of ``features`` and options in place of what all say
    _template: Neuron  # its parameters and flags are those of the module

    def _hold_neuron(self, activation: Callable, features, *, param_dtype, carry_init, **given):
        """Set the fields of a neuron as attributes of their names, and each surrogate as an activation."""
        neuron, numbers, surrogates, rest = self._read(features, carry_init=carry_init, **given)
        self.carry_init, self.param_dtype, self.recurrent = carry_init, param_dtype, given["recurrent"]
        self.self_connections = given["self_connections"]
        self._hold(**numbers, param_dtype=param_dtype)
        neuron._check_dtype(type(self).__name__, param_dtype, jax.core.Tracer)
        for name, trained in surrogates.items():
            setattr(self, name, activation(getattr(neuron, name), **trained, param_dtype=param_dtype))
        for name, value in rest.items():
            setattr(self, name, value)
        self._fixed += (*rest, *surrogates)
        self._template = neuron._with(**dict.fromkeys(vars(neuron)))

    def _check_changed(self, changed):
        owner, size = type(self).__name__, getattr(self, "features", None) or getattr(self, "in_size", (None,))[-1]
        changed._check_features(owner, size)
        changed._check_dtype(owner, self.param_dtype, jax.core.Tracer)

    def _read(
        self, features, learnable, bounds, carry_init, recurrent, recurrent_kernel_init, self_connections, **fields
    ):
        """Check the arguments of a layer; return what it holds of its neuron.

        Args:
          features: of the layer.
          learnable: names and paths of what is trained.
          bounds: intervals by name or path.
          carry_init: the initialiser of the state, or None.
          recurrent: whether the spikes come back.
          recurrent_kernel_init: the initialiser of the weights then.
          self_connections: whether they lead from a neuron to itself too.
          **fields: of the neuron.

        Returns:
          The neuron before training, with a surrogate in the place of each activation; its numbers by name, which are
          trained and in what bounds, as `_hold` takes them; the fields that hold a surrogate, each with ``learnable``
          and ``bounds`` for its activation; and the other fields as they were given: activations, functions, words.
        """
        owner, kind = type(self).__name__, self._neuron_class
        _checks.check_features(owner, features)
        _checks.check_function(f"{owner}: carry_init", carry_init, "an initialiser", optional=True)
        _checks.check_flag(f"{owner}: recurrent", recurrent)
        _checks.check_function(f"{owner}: recurrent_kernel_init", recurrent_kernel_init, "an initialiser")
        _checks.check_flag(f"{owner}: self_connections", self_connections)
        given = {"recurrent_kernel_init": recurrent_kernel_init, "self_connections": self_connections}
        for name in given if self.fires and not recurrent else ():
            if given[name] is not self._options[name].default:
                raise ValueError(f"{owner}: {name} is of recurrent weights: expected recurrent=True, got False")
        learnable = names_of(owner, learnable)
        activations = {name: value for name, value in fields.items() if isinstance(value, HoldsSurrogate)}
        values = fields | {name: activation._untrained() for name, activation in activations.items()}
        for name, value in values.items():
            if variable_value(value) is not value:
                raise TypeError(
                    f"{owner}: expected {name} to be a number or an array, got {value!r}: give the array that it "
                    "holds, and its name in learnable= to train it"
                )
        # What is trained has bounds of its own, which are checked with these.
        trained = {
            name: _number(owner, kind, name, values.pop(name))
            for name in learnable
            if name in values and not isinstance(values[name], Surrogate)
        }
        neuron = kind(**values)._with(**trained)
        neuron._check_features(owner, features)
        if recurrent and hasattr(kind, "keeps_spikes"):
            neuron.keeps_spikes = True

        own = {str(path): pair for path, pair in bounds.items()} if isinstance(bounds, Mapping) else {}
        intervals = {path: pair for path, pair in kind.bounds.items() if path in learnable} | own
        numbers, rest, surrogates = {}, dict(activations), {}
        paths: list[str] = []
        for name, value in vars(neuron).items():
            if isinstance(value, Surrogate) and name not in activations:
                inner, start = value.named_parameters()[1], f"{name}."
                below = {path.removeprefix(start): pair for path, pair in intervals.items() if path.startswith(start)}
                surrogates[name] = {
                    "learnable": [parameter for parameter in inner if start + parameter in learnable],
                    "bounds": None if bounds is None else below,
                }
                own = {path: pair for path, pair in own.items() if not path.startswith(start)}
                paths += [start + parameter for parameter in inner]
            elif is_number(value) and name not in kind._always_static:
                numbers[name] = value
            elif name not in activations:
                rest[name] = fields[name] if callable(fields.get(name)) else value
        how: dict[str, Any] = {"learnable": tuple(path for path in learnable if path not in paths), "others": paths}
        how |= {"bounds": own if isinstance(bounds, Mapping) else bounds}
        how |= {"defaults": kind.bounds | neuron._widest, "widest": neuron._widest}
        return neuron, {"values": numbers} | how, surrogates, rest

    @property
    def neuron(self) -> Neuron:
        """The neuron with its current values, the trained ones clipped to their bounds."""
        return self._neuron(operator.attrgetter("surrogate"))

    def _neuron(self, spikes: Callable) -> Neuron:
        """Return the neuron with its current values, and with ``spikes(activation)`` for each activation."""
        values = self._values([*vars(self._template), *["recurrent_kernel"] * self.recurrent])
        for name, held in values.items():
            if isinstance(held, HoldsSurrogate):
                values[name] = spikes(held)
        kernel = values.pop("recurrent_kernel", None)
        neuron = self._template._with(**values)
        return fed_back(neuron, kernel, self.self_connections) if self.recurrent else neuron

    def _running(self) -> Neuron:
        """Return the neuron with what draws its spikes, or watches them."""
        neuron = self._neuron(HoldsSurrogate._spikes)
        return neuron if self._watch is None else with_spike_functions(self._watch, neuron)


def fed_back(neuron: Neuron, kernel: Any = None, self_connections: bool = True) -> Neuron:
    """Return a neuron whose spikes come back, without checks."""
    flags = (("self_connections", self_connections), ("events", is_on()))
    return unflatten(Recurrent, (("neuron", "kernel"), flags), (neuron, kernel))


def first_state(neuron: Neuron, x: jax.Array, draw: Callable | None):
    """Return the state before the first step, its first array drawn by ``draw(shape)`` if that is given."""
    state = neuron.initial_state(x)
    if draw is None:
        return state
    leaves, structure = jax.tree.flatten(state)
    drawn = _checks.check_drawn_shape("carry_init", draw(leaves[0].shape), leaves[0].shape)
    leaves[0] = jnp.asarray(drawn, x.dtype)
    return jax.tree.unflatten(structure, leaves)
