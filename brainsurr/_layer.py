"""Create layer classes from neurons: the class, its arguments and its docstring, in the same way for all frameworks."""

import copy
import copyreg
import dataclasses
import functools
import inspect
import itertools
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, dataclass_transform

import jax

from ._bounds import Interval
from ._modules import NeuronModule
from ._value import annotations_of
from .neurons import Neuron, Recurrent
from .neurons._neuron import fields_of
from .neurons._spikes import spike_fields

T = TypeVar("T")


@dataclass_transform(kw_only_default=True, field_specifiers=(dataclasses.field,))
def options(cls: type[T]) -> type[T]:
    """Turn the annotations of a class into constructor arguments of its layer subclasses, unless a layer sets them."""
    cls = dataclasses.dataclass(kw_only=True, eq=False)(cls)
    for name in inspect.get_annotations(cls).keys() & vars(cls).keys():
        delattr(cls, name)
    return cls


class NoBounds(dict):
    """An empty, hashable default for ``bounds``."""

    __hash__ = object.__hash__  # type: ignore[assignment]


@options
class Size:
    """The size of a layer: the last base class of every layer, so its field is the first argument.

    Args:
      features: number of neurons, the size of the last input axis.
    """

    features: int = dataclasses.field(kw_only=False)


@options
class Features(Size):
    """The size of a layer, its only positional argument."""

    if TYPE_CHECKING:  # stops type checkers from accepting fields that are positional in the neuron
        _by_name: None = dataclasses.field(default=None, kw_only=False)


@options
class Trained:
    """The options of a layer.

    Args:
      learnable: the name or names of the trainable fields. A dict such as ``{"decay": "logit"}`` also names the scale
        on which each is stored and trained: ``"identity"``, ``"logit"``, ``"log"`` or ``"log_tau"``, the logarithm of
        -1 / log(decay).
      bounds: closed intervals by name for trainable fields, instead of the neuron's bounds. If None, all are unbounded.
      carry_init: initialiser of the first array of the state. If None, the neuron initialises it.
      param_dtype: dtype of the parameters and the state. The output has the dtype of the input.
    """

    learnable: str | Iterable[str] | Mapping[str, str] = ()
    bounds: Mapping[str, Interval | None] | None = NoBounds()
    carry_init: Callable | None = None
    param_dtype: Any = NeuronModule.param_dtype


@options
class Spiking(Trained):
    """The options of a layer that fires.

    Args:
      learnable: the name or names of the trainable fields and surrogate parameters, such as ``"spike_fn.alpha"``. A
        dict such as ``{"decay": "logit"}`` also names the scale on which each is stored and trained: ``"identity"``,
        ``"logit"``, ``"log"`` or ``"log_tau"``, the logarithm of -1 / log(decay).
      recurrent: if True, the spikes of the last step are fed back through trainable weights, ``recurrent_kernel``.
      recurrent_kernel_init: initialiser of the recurrent weights.
      self_connections: if False, no neuron is connected to itself: the diagonal is neither used nor trained.
    """

    recurrent: bool = False
    recurrent_kernel_init: Callable = jax.nn.initializers.orthogonal()
    self_connections: bool = True


class NeuronLayer(NeuronModule):
    """The base of all layers and cells, which are dataclasses with the size, the neuron's fields, and options.

    ``class LIF(Layer, Options, neurons.LIFFields, Features, kind=neurons.LIF)`` defines such a class explicitly.
    """

    _layers: ClassVar[dict[type, Any]]  # the layer classes by neuron class, separately for `Layer` and `Cell`
    _made_of: ClassVar[list[dataclasses.Field]]  # the neuron's fields; reloading a module may replace them
    _options: ClassVar[tuple[type, ...]]  # per framework: size, non-spiking and spiking options
    _construct: ClassVar[Callable | None] = None  # for frameworks that don't generate a dataclass constructor

    if TYPE_CHECKING:  # the constructor of the class that `layer` returns

        def __init__(self, features: Any, **fields: Any): ...

    def __init_subclass__(cls, kind: type[Neuron] | None = None, **kwargs):
        if kind is None and not hasattr(cls, "_neuron_class"):
            cls._layers = {}
        if kind is not None:
            cls._layers[kind], cls._neuron_class, cls.fires = cls, kind, bool(spike_fields(kind))
            cls._made_of = fields_of(kind)
            cls.__annotations__ = dict(annotations_of(cls))
            for field in fields_of(kind):
                here = copy.copy(field)
                here.kw_only = not field.metadata.get("by_position")
                setattr(cls, field.name, here)
                cls.__annotations__[field.name] = field.type
            cls.__doc__ = _docstring(cls)
        if cls._construct and hasattr(cls, "_neuron_class") and (kind is not None or annotations_of(cls)):
            cls._construct()
        super().__init_subclass__(**kwargs)


def construct(cls: Any):
    """Add a constructor that calls ``_start(**fields)`` to a layer class, unless it defines ``__init__`` itself."""
    has_own = "__init__" in vars(cls)
    dataclasses.dataclass(kw_only=True, eq=False, repr=False)(cls)
    init = vars(cls)["__init__"]

    @functools.wraps(init)
    def __init__(self, *args, **kwargs):
        init(given := types.SimpleNamespace(), *args, **kwargs)
        self._start(**vars(given))

    if not has_own:
        cls.__init__ = __init__
    if not hasattr(type(cls), "__signature__"):  # the metaclass of a module hides the constructor's signature
        cls.__signature__ = inspect.signature(cls.__init__.__get__(cls))


def layer_class(base: Any, kind: Any) -> Any:
    """Return the layer class for a neuron class: the explicitly defined class, if it exists, or a new one.

    Args:
      base: the framework's base class of layers or of cells. Its docstring describes how to call a layer, with an
        example for LIF.
      kind: the neuron class.

    Raises:
      TypeError: ``kind`` is not a neuron class, or a field has no default.
      ValueError: a field has a name that layers use for something else.
    """
    if not (isinstance(kind, type) and issubclass(kind, Neuron)) or kind in (Neuron, Recurrent):
        raise TypeError(f"expected a neuron class such as brainsurr.neurons.LIF (not Recurrent), got {kind!r}")
    known = base._layers.get(kind)
    return known if known is not None and known._made_of == fields_of(kind) else _new_layer_class(base, kind)


_TAKEN = {"neuron", "s", "in_size", "out_size", "name", "parent", "scope", "recurrent_kernel", "rngs"}


def _new_layer_class(base, kind):
    kind._check_class()
    fields, states = [field.name for field in fields_of(kind)], kind().states  # each field has a default
    taken = {"features", *_TAKEN, *(field.name for field in dataclasses.fields(base._options[2]))}
    for name in (*fields, *states):
        keeps_spikes = name == "s" and hasattr(kind, "keeps_spikes")
        is_taken = name in taken or hasattr(base, name) or hasattr(Neuron, name)
        if (is_taken and not keeps_spikes) or (name in fields and name in states):
            raise ValueError(f"{kind.__name__}: the name {name} is already used by layers or by a state: rename it")
    # Layer classes mirror the inheritance of spiking neurons: the layer class of ALIF extends the layer class of LIF.
    extended = [parent for parent in kind.__mro__[1:] if issubclass(parent, Neuron) and _is_exported(parent)]
    parents = [layer_class(base, parent) for parent in extended if spike_fields(parent)][:1]
    size, *options = base._options
    options = [options[bool(spike_fields(kind))]] if kind._is_trained else []
    name = f"{kind.__name__}{'Cell' if base.__name__ == 'Cell' else ''}"
    about = {"_made_by": base.__name__.lower(), "__module__": base.__module__.rpartition(".")[0]}
    bases = tuple(parents) or (base, *options, size)
    return types.new_class(name, bases, {"kind": kind}, lambda namespace: namespace.update(about))


def _is_exported(kind: type) -> bool:
    return kind.__module__.startswith(f"{__package__}.neurons")


def pickled_as_call(metaclass: type) -> Any:
    """Return a metaclass that pickles the classes that ``layer(kind)`` and ``cell(kind)`` return as these calls."""

    def reduce(cls):
        by = vars(cls).get("_made_by")
        return cls.__qualname__ if by is None else (getattr(sys.modules[cls.__module__], by), (cls._neuron_class,))

    made = type("LayerMeta", (metaclass,), {})
    copyreg.pickle(made, reduce)
    return made


def _docstring(cls) -> str | None:
    """Return the docstring of a layer class: how to call it, then the neuron's docstring with the layer's arguments."""
    kind, base = cls._neuron_class, next(base for base in cls.__mro__ if "_layers" in vars(base))
    if kind.__doc__ is None or base.__doc__ is None:  # `python -OO` removes docstrings
        return None
    options = _arguments([own for own in cls.__mro__ if not issubclass(own, NeuronModule)])
    described, features = _arguments(kind.__mro__), options.pop("features")
    fields = {"features": features} | {f.name: described[f.name] for f in fields_of(kind) if f.name in described}
    opening, _, example = inspect.cleandoc(base.__doc__).partition("Example:\n")
    before, _, after = inspect.cleandoc(kind.__doc__).partition("\n\nExample:")[0].partition("Args:\n")
    parts = [opening.replace("LIF", kind.__name__, 1), before, _section("Args", fields)]
    parts += [_section("Keyword Args", options), after.partition("\n\n")[2]]
    if _is_exported(kind) and kind._outputs is Neuron._outputs:
        shown = "LIFCell" if "LIFCell" in example else "LIF"
        parts.append(f"Example:\n{example.replace(shown, cls.__name__)}")
    return "\n\n".join(part.rstrip() for part in parts if part)


def _section(title: str, entries: Mapping[str, list[str]]) -> str:
    return "\n".join([f"{title}:", *itertools.chain(*entries.values())]) if entries else ""


def _arguments(classes: Sequence[type]) -> dict[str, list[str]]:
    """Return the entries of the docstrings of classes by argument; earlier classes take precedence."""
    entries: dict[str, list[str]] = {}
    for own in reversed(classes):
        section = inspect.cleandoc(own.__doc__ or "").partition("\nArgs:\n")[2].partition("\n\n")[0]
        for line in section.splitlines():
            if not line.startswith("    "):  # else it continues an entry
                entry = entries[line.strip().partition(":")[0]] = []
            entry.append(line)
    return entries
