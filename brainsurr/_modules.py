"""How modules store parameters: base classes for the activations and layers of all frameworks."""

import operator
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from . import _checks
from ._arrays import is_number, variable_value, without_unit
from ._bounds import initial_value, names_of, trained_intervals, training_arguments
from ._event_driven import is_on
from ._hooks import hook
from ._pytree import unflatten
from ._surrogate import Surrogate
from .neurons import Neuron, Recurrent
from .neurons._neuron import fields_of
from .neurons._spikes import Drawn, with_spike_functions


class ParameterModule:
    """A module whose attributes are trainable parameters, fixed arrays, and Python numbers.

    Each framework defines ``_param(value, interval)`` and ``_array(value)``, which create its variables, and
    ``_value(name)``, which returns the current value. Trainable values are clipped to their bounds.
    """

    fires: ClassVar[bool]
    _fixed: tuple[str, ...] = ()  # the names of fixed attributes
    _watch: Callable | None = None  # set by `diagnose`; returns a replacement for a spike function
    _arrays: ClassVar[Any] = (jax.Array, np.ndarray)  # the types that are stored with `_array`
    _param: Callable
    _array: Callable
    _value: Callable

    def _set_values(self, values: dict[str, Any], intervals: dict[str, Any], param_dtype: Any):
        """Set an attribute for each value. Names in ``intervals`` are trainable; an interval may be None."""
        for name, value in values.items():
            setattr(self, name, self._variable(name, value, intervals, param_dtype))
        self._fixed = tuple(name for name in values if name not in intervals)

    def _variable(self, name: str, value: Any, intervals: dict[str, Any], param_dtype: Any):
        if name in intervals:
            return self._param(initial_value(value, param_dtype, intervals[name]), intervals[name])
        return self._array(jnp.asarray(value)) if isinstance(value, self._arrays) else value


_SET_ONCE = ("features", "recurrent", "self_connections", "carry_init", "param_dtype", "random")
_NOT_STORED = ("learnable", "bounds", "origin")


class SettableModule(ParameterModule):
    """A mutable module (NNX, brainstate), which checks numbers and options again whenever they are set."""

    _variable_types: ClassVar[Any]  # the framework's classes of variables
    _holds: ClassVar[str]  # the attribute with the current surrogate or neuron

    def _check_changed(self, changed: Any):
        """Check the surrogate or neuron of a layer after one of its numbers has changed."""

    def __setattr__(self, name, value):
        held, owner = vars(self).get(name), type(self).__name__
        if isinstance(held, self._variable_types) and not isinstance(value, self._variable_types):
            kind = type(held).__name__
            raise TypeError(f"{owner}: {name} is a {kind}: set the value inside it, or make a new layer")
        is_first = name not in vars(self) and name in getattr(type(self), "__dataclass_fields__", {name})
        if name in _NOT_STORED or (name in _SET_ONCE and value is not held and not is_first):
            raise TypeError(f"{owner}: {name} can't be changed after construction: make a new layer")
        if name in self._fixed and name in vars(self):  # not while a copy is being built
            current = getattr(self, self._holds)
            if name in vars(current):
                value = without_unit(value, f"{owner}: {name}")
                self._check_changed(current.replace(**{name: variable_value(value)}))
        super().__setattr__(name, value)


def _number(owner: str, kind: type[Neuron], name: str, value: Any) -> Any:
    value = kind._converted(name, value)
    if not is_number(value):
        raise TypeError(f"{owner}: expected {name} to be a real number or array, got {value!r}")
    _checks.check_number(f"{owner}: {name}", value, "that is finite", np.isfinite)
    return value


class SurrogateModule(ParameterModule):
    """A module with a surrogate. For random spikes, each framework defines ``_new_key()``, which returns a key or None.

    Attributes:
      template: the surrogate with each parameter replaced by its name.
    """

    fires: ClassVar[bool] = True
    _holds: ClassVar[str] = "surrogate"
    template: Surrogate
    random: bool
    _new_key: Callable

    def _set_surrogate(self, surrogate: Surrogate, learnable, bounds, param_dtype, random: bool):
        _checks.check_surrogate("surrogate", surrogate)
        self.template, values = surrogate.named_parameters()
        owner, defaults = type(self).__name__, surrogate._all_bounds()
        self._set_values(
            values, trained_intervals(owner, values, learnable, bounds, defaults, param_dtype), param_dtype
        )
        _checks.check_random("SpikingActivation", random, surrogate, self._fixed)
        self.random = random

    @property
    def surrogate(self) -> Surrogate:
        """The surrogate with its current parameters; trainable parameters are clipped to their bounds."""
        return jax.tree.map(self._value, self.template)

    def _check_changed(self, changed):
        _checks.check_random(type(self).__name__, self.random, changed, self._fixed)

    def _spikes(self) -> Callable:
        """Return the current spike function: the surrogate, or with ``random=True`` a random one with a new key."""
        key = self._new_key() if self.random else None
        return self.surrogate if key is None else Drawn(self.surrogate, key)

    def _running(self) -> Callable:
        """Return the current spike function, or its replacement in `diagnose`."""
        f = self._spikes()
        return f if self._watch is None else self._watch("", f)


class NeuronModule(ParameterModule):
    """A module with a neuron, whose numbers and surrogates become attributes with the names of its fields.

    In addition to the methods of `ParameterModule`, each framework defines ``_activation``, its activation class.
    """

    _holds: ClassVar[str] = "neuron"
    # Defaults for layers without the option.
    carry_init: Any = None
    param_dtype: Any = jnp.float32
    features: Any
    recurrent: bool = False
    self_connections: bool
    _activation: ClassVar[Callable]
    _neuron_class: ClassVar[type[Neuron]]
    _template: Neuron  # the neuron without values, which are attributes of the module

    def _set_neuron(self, features, learnable=(), bounds=MappingProxyType({}), **given):
        """Store the arguments as attributes, and surrogates as activations; return the neuron with initial values."""
        owner, kind, param_dtype = type(self).__name__, self._neuron_class, given.get("param_dtype", self.param_dtype)
        _checks.check_positive_integer(f"{owner}: features", features)
        for name in {"recurrent", "self_connections"} & given.keys():
            _checks.check_flag(f"{owner}: {name}", given[name])
        for name in {"recurrent_kernel_init", "recurrent_kernel", "self_connections"} & given.keys():
            default = type(self).__dataclass_fields__[name].default  # type: ignore[attr-defined]
            if not given["recurrent"] and given[name] is not default:
                raise ValueError(f"{owner}: {name} requires recurrent=True, got recurrent=False")
        given.pop("recurrent_kernel_init", None)
        fields = {field.name: given.pop(field.name) for field in fields_of(kind)}
        modules = {name: value for name, value in fields.items() if isinstance(value, SurrogateModule)}
        # A Linen module has no values before it is bound.
        values = fields | {name: getattr(act, "surrogate_init", None) or act.surrogate for name, act in modules.items()}
        # The neuron does not check trainable numbers, since the caller's bounds may replace the neuron's.
        chosen = [n for n in names_of(owner, learnable) if n in values and not isinstance(values[n], Surrogate)]
        trained = {name: _number(owner, kind, name, values.pop(name)) for name in chosen}
        neuron = kind(**values)._with(**trained)
        neuron._check_features(owner, features)
        if given.get("recurrent") and hasattr(kind, "keeps_spikes"):
            neuron.keeps_spikes = True

        own = vars(neuron)
        surrogates = {n: value for n, value in own.items() if isinstance(value, Surrogate) and n not in modules}
        numbers = {n: value for n, value in own.items() if is_number(value) and n not in kind._always_static}
        parameters, defaults = dict(numbers), dict(neuron._all_bounds())
        for field, surrogate in surrogates.items():
            parameters |= {f"{field}.{name}": value for name, value in surrogate.named_parameters()[1].items()}
            defaults = {f"{field}.{name}": pair for name, pair in surrogate._all_bounds().items()} | defaults
        intervals = trained_intervals(owner, parameters, learnable, bounds, defaults, param_dtype)
        neuron._check_bounds(owner, training_arguments(intervals)["bounds"])
        neuron._check_dtype(owner, param_dtype, jax.core.Tracer)
        self._set_values(numbers, {name: pair for name, pair in intervals.items() if name in numbers}, param_dtype)
        for field, surrogate in surrogates.items():
            of_field = {path.partition(".")[2]: i for path, i in intervals.items() if path.startswith(f"{field}.")}
            setattr(self, field, self._activate(field, surrogate, of_field, param_dtype))
        rest = {name: value for name, value in vars(neuron).items() if name not in {**numbers, **surrogates}}
        rest |= {name: fields[name] for name in rest if callable(fields.get(name))} | given
        for name, value in rest.items():
            setattr(self, name, value)
        self._fixed += (*rest, *surrogates)
        self._template = neuron._with(**dict.fromkeys(vars(neuron)))
        return neuron

    def _activate(self, field, surrogate, intervals, param_dtype):
        """Return an activation for a field's surrogate. The names in ``intervals`` are trainable; None is unbounded."""
        return self._activation(surrogate, **training_arguments(intervals), param_dtype=param_dtype)

    def _check_changed(self, changed):
        owner = type(self).__name__
        changed._check_features(owner, self._size[-1])
        changed._check_dtype(owner, self.param_dtype, jax.core.Tracer)

    @property
    def _size(self) -> tuple[int, ...]:
        """The sizes of the last axes of an input."""
        return (self.features,)

    def _first_state(self, neuron: Neuron, input_shape, init: Callable | None, key: Callable):
        """Return the initial state of a neuron; an initialiser, if given, sets its first array."""
        shape = tuple(input_shape)
        draw = None if init is None else lambda shape: init(key(), shape, self.param_dtype)
        return first_state(neuron, jnp.zeros(shape, self.param_dtype), draw)

    @property
    def neuron(self) -> Neuron:
        """The neuron with its current values; trainable values are clipped to their bounds."""
        return self._neuron(operator.attrgetter("surrogate"))

    def _neuron(self, spikes: Callable) -> Neuron:
        """Return the neuron with its current values, and with ``spikes(activation)`` for each activation."""
        names = [*vars(self._template), *["recurrent_kernel"] * self.recurrent]
        held = {name: self._value(name) for name in names}
        values = {name: spikes(value) if isinstance(value, SurrogateModule) else value for name, value in held.items()}
        kernel = values.pop("recurrent_kernel", None)
        neuron = self._template._with(**values)
        return with_recurrence(neuron, kernel, self.self_connections) if self.recurrent else neuron

    def _running(self, x) -> Neuron:
        """Check an input; return the neuron with its current spike functions, or their replacements in `diagnose`."""
        shape, size = getattr(x, "shape", ()), self._size
        if shape and shape[-len(size) :] != size:
            expected = ", ".join(map(str, ("...", *size)))
            raise ValueError(f"{type(self).__name__}: expected an input xs of shape [{expected}], got {shape}")
        neuron = self._neuron(SurrogateModule._spikes)
        return neuron if self._watch is None else with_spike_functions(self._watch, neuron)


def with_recurrence(neuron: Neuron, kernel: Any, self_connections: bool) -> Neuron:
    """Return a neuron with recurrent weights, without checks."""
    flags = (("self_connections", self_connections), ("events", is_on()))
    return unflatten(Recurrent, (("neuron", "kernel"), flags), (neuron, kernel))


@hook
def first_state(neuron: Neuron, x: jax.Array, draw: Callable | None):
    """Return the initial state; if ``draw`` is not None, its first array is ``draw(shape)``."""
    state = neuron.initial_state(x)
    if draw is None:
        return state
    leaves, structure = jax.tree.flatten(state)
    leaves[0] = jnp.asarray(draw(leaves[0].shape), x.dtype)
    return jax.tree.unflatten(structure, leaves)
