"""What the frameworks share in making a layer of a neuron: its arguments with their checks, and its docstring."""

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax

from ._arrays import as_parameter, is_number, variable_value
from ._bounds import Interval, names_of
from ._checks import check_drawn_shape, check_features
from ._kernel import widened
from ._pytree import flag_names
from ._surrogate import Surrogate
from .neurons import Neuron, Recurrent
from .neurons._neuron import check_class
from .neurons._spikes import spike_fields

ORTHOGONAL = jax.nn.initializers.orthogonal()
OPTIONS = {
    "learnable": "the name or names of what to train, such as ``{example}``; of a surrogate the path.",
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
    """

    neuron: Neuron
    numbers: dict[str, Any]
    learnable: tuple[str, ...]
    bounds: Mapping[str, Interval | None] | None
    surrogates: dict[str, dict[str, Any]]
    rest: dict[str, Any]

    @property
    def paths(self) -> list[str]:
        """What may be trained inside the surrogates."""
        surrogates = ((name, getattr(self.neuron, name)) for name in self.surrogates)
        return [f"{name}.{inner}" for name, f in surrogates for inner in f.named_parameters()[1]]


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
    neuron = kind(**values)
    neuron = neuron._with(**trained)
    neuron._check_features(owner, features)

    numbers, surrogates, rest = {}, {}, {}
    for name, value in vars(neuron).items():
        if isinstance(value, Surrogate) and name not in acts:
            surrogates[name] = {"learnable": [], "bounds": None if bounds is None else {}}
        elif is_number(value) and name not in kind._always_static:
            numbers[name] = value
        else:
            rest[name] = acts.get(name, value)
    own = []
    for path in learnable:
        field, _, inner = path.partition(".")
        if inner and field in surrogates and inner in getattr(neuron, field).named_parameters()[1]:
            surrogates[field]["learnable"].append(inner)
        elif inner and field in acts:
            act = f"{field}={type(acts[field]).__name__}(f, learnable={inner!r})"
            raise ValueError(f"{owner}: learnable={path!r} is for a surrogate, and {field} is a module: give {act}")
        else:
            own.append(path)
    if isinstance(bounds, Mapping):
        paths = {path: str(path).partition(".") for path in bounds}
        for path, (field, _, inner) in paths.items():
            if inner and field in surrogates:
                surrogates[field]["bounds"][inner] = bounds[path]
        bounds = {path: bounds[path] for path, (field, _, _) in paths.items() if field not in surrogates}
    return Fields(neuron, numbers, tuple(own), bounds, surrogates, rest)


def _number(owner: str, kind: type[Neuron], name: str, value: Any) -> Any:
    value = as_parameter(value, f"{owner}: expected {name} to be")
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
        return kind._of(parameters, flags)
    if hasattr(kind, "keeps_spikes"):
        flags = flags | {"keeps_spikes": True}
    return Recurrent._of({"neuron": kind._of(parameters, flags), "kernel": kernel}, {})


def first_state(neuron: Neuron, x: jax.Array, draw: Callable | None):
    """Return the state before the first step, its first array drawn by ``draw(shape)`` if that is given."""
    state = neuron.initial_state(x)
    if draw is None:
        return state
    leaves, structure = jax.tree.flatten(state)
    leaves[0] = widened(check_drawn_shape("carry_init", draw(leaves[0].shape), leaves[0].shape))
    return structure.unflatten(leaves)


def check_kind(kind: Any) -> type[Neuron]:
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
    names = {field.name: field for field in fields_of(kind)}
    for name, field in names.items():
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise TypeError(f"{kind.__name__}: expected a default for the field {name}, got none")
    for name in names:
        if name in _TAKEN or hasattr(base, name) or hasattr(Neuron, name):
            raise ValueError(f"{kind.__name__}: expected a field of another name than {name}, which a layer has")
    for name in kind().states:
        if name in names or name in _TAKEN or hasattr(base, name):
            has = "a field" if name in names else "a layer"
            raise ValueError(f"{kind.__name__}: expected a state of another name than {name}, which {has} has")
    return {
        name: default
        for name, default in defaults.items()
        if name not in kind._without and (spike_fields(kind) or name not in _OF_RECURRENT)
    }


def signature_of(kind: type[Neuron], options: Mapping[str, Any]) -> inspect.Signature:
    """Return the signature of a constructor: ``self``, ``features``, the fields of the neuron, and the options."""
    at, by_name = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    fields = inspect.signature(kind).parameters.values()
    return inspect.Signature(
        [
            *(inspect.Parameter(name, at) for name in ("self", "features")),
            *(field.replace(kind=at if field.name in kind._by_position else by_name) for field in fields),
            *(inspect.Parameter(name, by_name, default=default) for name, default in options.items()),
        ]
    )


def docstring(
    name: str, kind: type[Neuron], options: Iterable[str], opening: str, example: str, **others: str
) -> str | None:
    """Return the docstring of a layer: that of its neuron, with what the layer adds.

    Args:
      name: of the layer.
      kind: the class of the neuron.
      options: the names of the options of the layer.
      opening: how it is called.
      example: of the framework, for the neurons of this package.
      **others: what the framework says of ``features`` and its options in place of what all say.
    """
    if kind.__doc__ is None:  # `python -OO` removes docstrings
        return None
    said = {"features": "number of neurons, the last axis of the input."} | OPTIONS | others
    first, _, rest = inspect.cleandoc(kind.__doc__).partition("\n\nExample:")[0].partition("\n")
    features = f"Args:\n  features: {said['features']}\n"
    rest = rest.replace("Args:\n", features) if "Args:\n" in rest else f"{rest}\n\n{features}"
    trained = next(iter(kind.bounds), "spike_fn.alpha")
    more = "\n".join(f"  {name}: {said[name].format(example=repr(trained))}" for name in options)
    doc = f"{first}\n\n{opening}\n{rest.rstrip()}\n\nKeyword Args:\n{more}"
    ours = kind.__module__.startswith(Neuron.__module__.rpartition(".")[0])
    return f"{doc}\n\nExample:\n{example.replace('{name}', name)}" if ours else doc
