"""How a layer is made of a neuron, alike in each framework: its class, its arguments and its docstring."""

import copyreg
import dataclasses
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, dataclass_transform, get_type_hints

import jax
import jax.numpy as jnp

from ._bounds import Interval
from ._value import cache_by_class
from .neurons import Neuron, Recurrent
from .neurons._neuron import check_class
from .neurons._spikes import spike_fields

# The arguments of a layer: to a type checker, its fields are those of its bases, the last base first.


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
    recurrent_kernel_init: Callable = jax.nn.initializers.orthogonal()
    self_connections: bool = True


_SAID = {
    "features": "number of neurons, the last axis of the input.",
    "learnable": "the name or names of what to train{example}.",
    "bounds": "closed intervals for these by name, in place of the neuron's own; None trains unbounded.",
    "carry_init": "initialiser of the first array of the state; None: as the neuron makes it.",
    "param_dtype": "of parameters and of the state. The output has the dtype of the input.",
    "recurrent": "whether the spikes of the last step come back through trained weights, ``recurrent_kernel``.",
    "recurrent_kernel_init": "their initialiser.",
    "self_connections": "whether a neuron feeds itself. If not, the diagonal is neither used nor trained.",
    "rngs": "needed with ``recurrent=True`` alone.",
}
_OF_RECURRENT = ("recurrent", "recurrent_kernel_init", "self_connections", "rngs")
_TAKEN = {"neuron", "s", "in_size", "out_size", "name", "parent", "scope", "recurrent_kernel", *_SAID}


def fields_of(kind: type[Neuron]) -> list[dataclasses.Field]:
    """Return the fields that a layer takes of a neuron."""
    return [field for field in dataclasses.fields(kind) if field.init]


def options_of(arguments: type) -> dict[str, inspect.Parameter]:
    """Return the options of the layers of a framework, of a class that declares them."""
    return {
        name: inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=getattr(arguments, name), annotation=kind)
        for name, kind in get_type_hints(arguments).items()
    }


def made(base: Any, kind: Any) -> Any:
    """Return the class of the layers of a neuron.

    Args:
      base: of the framework's layers over time, or of its cells. Its docstring says how a layer is called, with an
        example for LIF; ``base._options`` has the options.
      kind: the class of the neuron.

    Raises:
      TypeError: it is not a class of neurons, or a field has no default.
      ValueError: a field has a name that a layer uses for something else.
    """
    if not (isinstance(kind, type) and issubclass(kind, Neuron)) or kind in (Neuron, Recurrent):
        hint = ": give that of the neuron inside, and recurrent=True to its layer" if kind is Recurrent else ""
        if isinstance(kind, Neuron):
            hint = f": give its class, layer({type(kind).__name__}), and its fields to the layer"
        raise TypeError(f"expected a class of neurons, such as brainsurr.neurons.LIF, got {kind!r}{hint}")
    return _made(base, kind)


@cache_by_class
def _made(base: Any, kind: type[Neuron]) -> Any:
    check_class(kind)
    fields, states = [field.name for field in fields_of(kind)], kind().states
    for name in (*fields, *states):
        keeps_spikes = name == "s" and hasattr(kind, "keeps_spikes")
        taken = name in _TAKEN or hasattr(base, name) or hasattr(Neuron, name)
        if (taken and not keeps_spikes) or (name in fields and name in states):
            raise ValueError(f"{kind.__name__}: expected another name than {name}, which a layer or a state has")

    options = [
        name
        for name in base._options
        if name not in kind._without and (spike_fields(kind) or name not in _OF_RECURRENT)
    ]
    name = f"{kind.__name__}{'Cell' if base.__name__ == 'Cell' else ''}"
    attributes = {
        "_neuron_class": kind,
        "_made_by": base.__name__.lower(),
        "fires": bool(spike_fields(kind)),
        "__module__": base.__module__.rpartition(".")[0],
        "__doc__": _docstring(name, kind, base, options),
    }
    # The neuron with spikes that it extends has the layers that its own extend: LIF, of ALIF.
    parents = [parent for parent in kind.__mro__[1:] if _is_exported(parent) and spike_fields(parent)]
    return base._define(name, _made(base, parents[0]) if parents else base, attributes, options)


def _is_exported(kind: type) -> bool:
    return kind.__module__.startswith(f"{__package__}.neurons")


def define(cls: Any, name: str, parent: type, attributes: dict[str, Any], options: Iterable[str]) -> type:
    """Return a class of layers with a constructor, of a framework whose modules are ordinary classes."""
    kind, defaults = attributes["_neuron_class"], {name: option.default for name, option in cls._options.items()}
    at, by_name = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("features", at),
        *[
            field.replace(kind=at if field.name in kind._by_position else by_name)
            for field in inspect.signature(kind).parameters.values()
        ],
        *[cls._options[name] for name in options],
    ]
    signature = inspect.Signature([inspect.Parameter("self", at), *parameters])

    def __init__(self, *args, **kwargs):
        cls.__init__(**defaults | signature.bind(self, *args, **kwargs).arguments)

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    attributes |= {"__init__": __init__, "__signature__": inspect.Signature(parameters)}
    return type(cls)(name, (parent,), attributes)


def pickled_as_call(metaclass: type) -> Any:
    """Return a class of classes: one that ``layer(kind)`` or ``cell(kind)`` made is pickled as that call."""

    def reduce(cls):
        by = vars(cls).get("_made_by")
        return cls.__qualname__ if by is None else (getattr(sys.modules[cls.__module__], by), (cls._neuron_class,))

    made = type("LayerMeta", (metaclass,), {})
    copyreg.pickle(made, reduce)
    return made


def _docstring(name: str, kind: type[Neuron], base: Any, options: Iterable[str]) -> str | None:
    """Return the docstring of a layer: how it is called, then that of its neuron, with what the layer adds."""
    if kind.__doc__ is None or base.__doc__ is None:  # `python -OO` removes docstrings
        return None
    said, is_wider = _SAID | base._said, hasattr(kind, "outputs_per_input")
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
        f"Example:\n{re.sub('LIF(Cell)?', name, example)}" if _is_exported(kind) and not is_wider else "",
    ]
    return "\n\n".join(part.rstrip() for part in parts if part)
