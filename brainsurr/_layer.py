"""What the frameworks share in making a layer of a neuron: its arguments with their checks, and its docstring."""

import copyreg
import dataclasses
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, dataclass_transform

import jax
import jax.numpy as jnp

from ._arrays import as_parameter, is_number, variable_value
from ._bounds import Interval, names_of
from ._checks import check_drawn_shape, check_features
from ._kernel import promote_in_gradient_check
from ._pytree import flag_names, unflatten
from ._surrogate import Surrogate
from .neurons import Neuron, Recurrent
from .neurons._neuron import check_class
from .neurons._spikes import spike_fields

ORTHOGONAL = jax.nn.initializers.orthogonal()

if TYPE_CHECKING:  # the arguments of a layer, to a type checker: the fields of its bases, the last base first

    @dataclass_transform(kw_only_default=True, field_specifiers=(dataclasses.field,))
    class Arguments: ...

    class Size(Arguments):
        features: int = dataclasses.field(kw_only=False)

    class Features(Size):
        _by_name: None = dataclasses.field(default=None, kw_only=False)  # nothing behind it is given by position

    class Trained(Arguments):
        learnable: str | Iterable[str] = ()
        bounds: Mapping[str, Interval | None] | None = MappingProxyType({})
        carry_init: Callable | None = None
        param_dtype: Any = jnp.float32

    class Spiking(Trained):
        recurrent: bool = False
        recurrent_kernel_init: Callable = ORTHOGONAL


OPTIONS = {
    "learnable": "the name or names of what to train{example}.",
    "bounds": "closed intervals for these by name, in place of the neuron's own; None trains unbounded.",
    "carry_init": "initialiser of the first array of the state; None: as the neuron makes it.",
    "param_dtype": "of parameters and of the state. The output has the dtype of the input.",
    "recurrent": "whether the spikes of the last step come back through trained weights, ``recurrent_kernel``.",
    "recurrent_kernel_init": "their initialiser.",
    "rngs": "needed with ``recurrent=True`` alone.",
}
_OF_RECURRENT = ("recurrent", "recurrent_kernel_init", "rngs")
_TAKEN = {
    "features",
    "neuron",
    "s",
    "_neuron_class",
    "in_size",
    "out_size",
    "name",
    "parent",
    "scope",
    "recurrent_kernel",
    *OPTIONS,
}


class Fields(NamedTuple):
    """The fields of a neuron as a layer holds them.

    Attributes:
      neuron: the value before training, with a surrogate in the place of each activation.
      numbers: its numbers by name.
      learnable: which of these are trained.
      bounds: intervals for them, as the layer got them.
      surrogates: the fields that hold a surrogate, each with ``learnable`` and ``bounds`` for its activation.
      rest: the other fields as they were given: activations, functions, words.
      paths: what may be trained inside the surrogates.
    """

    neuron: Neuron
    numbers: dict[str, Any]
    learnable: tuple[str, ...]
    bounds: Mapping[str, Interval | None] | None
    surrogates: dict[str, dict[str, Any]]
    rest: dict[str, Any]
    paths: list[str]


def fields_of(kind: type[Neuron]) -> list[dataclasses.Field]:
    """Return the fields that a layer takes of a neuron."""
    return [field for field in dataclasses.fields(kind) if field.init]


def read_fields(
    owner: str,
    kind: type[Neuron],
    features: Any,
    given: Mapping[str, Any],
    learnable: str | Iterable[str],
    bounds: Mapping[str, Interval | None] | None,
    surrogate_of: Callable[[Any], Surrogate | None],
) -> Fields:
    """Check the fields of a neuron that a layer got.

    Args:
      owner: the name of the layer, for messages.
      kind: the class of its neuron.
      features: of the layer.
      given: the fields by name.
      learnable: names and paths of what is trained.
      bounds: intervals by name or path.
      surrogate_of: of the framework: the surrogate of an activation before training, None of anything else.
    """
    check_features(owner, features)
    learnable, acts, values = names_of(owner, learnable), {}, dict(given)
    for name, value in given.items():
        if (surrogate := surrogate_of(value)) is not None:
            acts[name], values[name] = value, surrogate
        elif variable_value(value) is not value:
            raise TypeError(
                f"{owner}: expected {name} to be a number or an array, got {value!r}: give the array that it holds, "
                "and its name in learnable= to train it"
            )
    # What is trained has bounds of its own, which are checked with these.
    trained = {
        name: _number(owner, kind, name, values.pop(name))
        for name in learnable
        if name in values and not isinstance(values[name], Surrogate)
    }
    neuron = kind(**values)._with(**trained)
    neuron._check_features(owner, features)

    numbers, rest, inside = {}, {}, {}
    for name, value in vars(neuron).items():
        if isinstance(value, Surrogate) and name not in acts:
            inside[name] = list(value.named_parameters()[1])
        elif is_number(value) and name not in kind._always_static:
            numbers[name] = value
        else:
            rest[name] = values[name] if callable(values.get(name)) and name not in acts else acts.get(name, value)

    paths = [f"{field}.{name}" for field, names in inside.items() for name in names]
    for path in learnable:
        field, _, name = path.partition(".")
        if name and field in acts:
            act = f"{field}={type(acts[field]).__name__}(f, learnable={name!r})"
            raise ValueError(f"{owner}: learnable={path!r} is for a surrogate, and {field} is a module: give {act}")
    intervals = {str(path): bounds[path] for path in bounds} if isinstance(bounds, Mapping) else {}
    for path in intervals:
        if longer := [name for name in learnable if path not in learnable and name.endswith(f".{path}")]:
            raise ValueError(f"{owner}: bounds name {path!r}: write {longer[0]!r}")
    defaults = {path: kind.bounds[path] for path in learnable if path in kind.bounds}
    surrogates = {
        field: {
            "learnable": [name for name in names if f"{field}.{name}" in learnable],
            "bounds": None if bounds is None else _below(field, defaults | intervals),
        }
        for field, names in inside.items()
    }
    if isinstance(bounds, Mapping):
        bounds = {path: interval for path, interval in intervals.items() if path.partition(".")[0] not in inside}
    own = tuple(path for path in learnable if path not in paths)
    return Fields(neuron, numbers, own, bounds, surrogates, rest, paths)


def _below(field: str, intervals: Mapping[str, Any]) -> dict[str, Any]:
    """Return the intervals of what is inside a field, by its name there."""
    return {path.removeprefix(f"{field}."): pair for path, pair in intervals.items() if path.startswith(f"{field}.")}


def _number(owner: str, kind: type[Neuron], name: str, value: Any) -> Any:
    value = as_parameter(value)
    if not is_number(value):
        raise TypeError(f"{owner}: expected {name} to be a real number or array, got {value!r}")
    kind._check_number(owner, name, value)
    return value


def names_of_fields(neuron: Neuron) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the parameters and of the flags of a neuron, in the order that its pytree has."""
    flags = flag_names(neuron)
    return tuple(name for name in vars(neuron) if name not in flags), tuple(
        name for name in vars(neuron) if name in flags
    )


def neuron_of(
    kind: type[Neuron], parameters: dict[str, Any], flags: dict[str, Any], recurrent: bool, kernel: Any = None
) -> Neuron:
    """Return the neuron that a layer holds, without checks; a recurrent one with its weights."""
    if not recurrent:
        return unflatten(kind, (tuple(parameters), tuple(flags.items())), parameters.values())
    if hasattr(kind, "keeps_spikes"):
        flags = flags | {"keeps_spikes": True}
    inner = neuron_of(kind, parameters, flags, recurrent=False)
    return neuron_of(Recurrent, {"neuron": inner, "kernel": kernel}, {}, recurrent=False)


def first_state(neuron: Neuron, x: jax.Array, draw: Callable | None):
    """Return the state before the first step, its first array drawn by ``draw(shape)`` if that is given."""
    state = neuron.initial_state(x)
    if draw is None:
        return state
    leaves, structure = jax.tree.flatten(state)
    drawn = check_drawn_shape("carry_init", draw(leaves[0].shape), leaves[0].shape)
    leaves[0] = promote_in_gradient_check(jnp.asarray(drawn, x.dtype))
    return jax.tree.unflatten(structure, leaves)


def neuron_class(kind: Any) -> type[Neuron]:
    """Return a class of neurons, or raise a TypeError if it is none."""
    if not (isinstance(kind, type) and issubclass(kind, Neuron)) or kind in (Neuron, Recurrent):
        hint = ": give that of the neuron inside, and recurrent=True to its layer" if kind is Recurrent else ""
        if isinstance(kind, Neuron):
            hint = f": give its class, layer({type(kind).__name__}), and its fields to the layer"
        raise TypeError(f"expected a class of neurons, such as brainsurr.neurons.LIF, got {kind!r}{hint}")
    return kind


def options_of(kind: type[Neuron], base: type, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a layer of such a neuron, with their defaults.

    Args:
      kind: the class of the neuron.
      base: that of the framework's layers.
      defaults: all options of the framework.

    Raises:
      TypeError: a field has no default.
      ValueError: a field has a name that a layer uses for something else.
    """
    check_class(kind)
    for field in fields_of(kind):
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise TypeError(f"{kind.__name__}: expected a default for the field {field.name}, got none")
    fields, states = [field.name for field in fields_of(kind)], kind().states
    for name in (*fields, *states):
        keeps_spikes = name == "s" and hasattr(kind, "keeps_spikes")
        taken = name in _TAKEN or hasattr(base, name) or hasattr(Neuron, name)
        if (taken and not keeps_spikes) or (name in fields and name in states):
            has = "a layer has" if taken else "both a field and a state have"
            raise ValueError(f"{kind.__name__}: expected another name than {name}, which {has}")
    return {
        name: default
        for name, default in defaults.items()
        if name not in kind._without and (spike_fields(kind) or name not in _OF_RECURRENT)
    }


def _is_exported(kind: type) -> bool:
    return kind.__module__.startswith(f"{__package__}.neurons")


def parent_of(kind: type[Neuron]) -> type[Neuron] | None:
    """Return the neuron with spikes that another one extends, whose layers are the parents of its: LIF of ALIF."""
    return next((parent for parent in kind.__mro__[1:] if _is_exported(parent) and spike_fields(parent)), None)


def attributes_of(kind: type[Neuron], base: type, options: Iterable[str], **others: str) -> tuple[str, dict[str, Any]]:
    """Return the name of a class of layers, and what it has besides its constructor.

    Args:
      kind: the class of its neuron.
      base: of the framework, whose docstring says how a layer is called, with an example for LIF.
      options: the names of its options.
      **others: what the framework says of ``features`` and its options in place of what all say.
    """
    cell = "Cell" if base.__name__ == "Cell" else ""
    name = f"{kind.__name__}{cell}"
    own = {"_neuron_class": kind, "_made_by": base.__name__.lower(), "fires": bool(spike_fields(kind))}
    return name, own | {
        "__module__": base.__module__.rpartition(".")[0],
        "__doc__": _docstring(name, kind, base, options, others),
    }


def make_class(kind: type[Neuron], base: Any, parent: type, **others: str) -> Any:
    """Return the class of the layers of a neuron, of a framework whose modules are ordinary classes."""
    at, by_name = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    own = inspect.signature(base.__init__).parameters
    options = options_of(kind, base, {name: option.default for name, option in own.items() if option.kind == by_name})
    parameters = [
        own["features"],
        *[
            field.replace(kind=at if field.name in kind._by_position else by_name)
            for field in inspect.signature(kind).parameters.values()
        ],
        *[own[option] for option in options],
    ]
    signature = inspect.Signature([inspect.Parameter("self", at), *parameters])

    def __init__(self, *args, **kwargs):
        base.__init__(**signature.bind(self, *args, **kwargs).arguments)

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    name, attributes = attributes_of(kind, base, options, **others)
    attributes |= {"__init__": __init__, "__signature__": inspect.Signature(parameters)}
    return type(base)(name, (parent,), attributes)


def pickle_as_call(metaclass: type, layer: Callable, cell: Callable):
    """Make pickle write a class that ``layer(kind)`` or ``cell(kind)`` made as that call."""

    def reduce(cls):
        by = vars(cls).get("_made_by")
        return cls.__qualname__ if by is None else ({"layer": layer, "cell": cell}[by], (cls._neuron_class,))

    copyreg.pickle(metaclass, reduce)


def _docstring(name: str, kind: type[Neuron], base: type, options: Iterable[str], others: dict[str, str]) -> str | None:
    """Return the docstring of a layer: how it is called, then that of its neuron, with what the layer adds."""
    if kind.__doc__ is None or base.__doc__ is None:  # `python -OO` removes docstrings
        return None
    said = {"features": "number of neurons, the last axis of the input."} | OPTIONS | others
    opening, _, example = inspect.cleandoc(base.__doc__).partition("Example:\n")
    before, _, after = inspect.cleandoc(kind.__doc__).partition("\n\nExample:")[0].partition("Args:\n")
    described = re.match(r"(?: .*\n?|\n)*", after)[0]  # type: ignore[index]
    trained = [repr(trained) for trained in kind.bounds][:1] + [repr(f"{f}.alpha") for f in spike_fields(kind)][:1]
    such = f", such as {' or '.join(f'``{path}``' for path in trained)}" if trained else ""
    more = "\n".join(f"  {option}: {said[option].format(example=such)}" for option in options)
    parts = [
        re.sub(r"\bLIF\b", kind.__name__, opening),
        before,
        f"Args:\n  features: {said['features']}\n{described}",
        f"Keyword Args:\n{more}" if more else "",
        after[len(described) :],
        f"Example:\n{re.sub('LIF(Cell)?', name, example)}" if _is_exported(kind) else "",
    ]
    return "\n\n".join(part.rstrip() for part in parts if part)
