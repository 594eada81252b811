"""`Value`, the base class of surrogates and neurons: a pytree of parameters and static flags, compared by value."""

import copy
import dataclasses
import functools
import inspect
import sys
import types
from collections.abc import Callable
from typing import Any, ClassVar, Self

import jax
import numpy as np

from . import _pytree
from ._arrays import as_parameter, is_number, mapped, match_dtype_and_rank
from ._checks import check_flag

if sys.version_info >= (3, 14):  # which does not evaluate annotations, and their names may exist for type checkers only
    import annotationlib

    annotations_of = functools.partial(annotationlib.get_annotations, format=annotationlib.Format.FORWARDREF)
else:
    annotations_of = inspect.get_annotations


@dataclasses.dataclass(eq=False, repr=False)
class Value:
    """The base class of `Surrogate` and `Neuron`: named parameters and flags, compared by value.

    Numbers, arrays, other values, and containers of these are parameters: leaves of a pytree, which can be traced,
    batched and differentiated. All other attributes (booleans, strings, functions) and the attributes named in
    ``static=`` are flags, which are static and hashable. Values with equal attributes are equal and have equal hashes,
    so they can be dictionary keys, static arguments of ``jax.jit`` and fields of a module.

    Attributes:
      bounds: the closed interval to which a layer restricts a parameter during training, by parameter name. The bounds
        of inner values also apply, unless they are overridden here.

    Note:
      ``jax.jit(f)`` caches the compiled function under the hash of ``f``, so later changes of ``f`` would have no
      effect. After a value has been hashed (by ``jax.jit(f)``, as a static argument, or as a dictionary key), setting
      an attribute of it or of its inner values raises an error. ``f.replace(alpha=0.3)`` returns a changed copy, with
      copies of arrays and containers, and tuples instead of lists. Changing an entry of a dictionary,
      ``f.p["a"] = 5.0``, does not raise an error and has no effect on compiled functions: make a copy instead.
    """

    # `_hashed`: if True, attributes can't be set any more. `_flags`: the names of the flags. Only `__setattr__` changes
    # them, because jax may replace a parameter by None, a boolean or a string.
    __slots__ = ("__dict__", "__weakref__", "_flags", "_hashed")

    bounds: ClassVar[dict[str, tuple[float, float]]] = {}
    _always_static: ClassVar[frozenset[str]] = frozenset()  # the names in `static=`
    _lower_limits: ClassVar[dict[str, float]] = {}  # exclusive lower limits of parameters, by name
    _checked: ClassVar[dict[str, Callable]] = {}  # by method name, a function that checks the arguments and calls it

    def __init_subclass__(cls, static: str | tuple[str, ...] = (), **kwargs):
        super().__init_subclass__(**kwargs)
        cls._always_static = cls._always_static.union((static,) if isinstance(static, str) else static)
        # Define these in the class itself, so that `@dataclass` keeps them. Otherwise it would remove the hash.
        for name in ("__eq__", "__hash__", "__repr__"):
            if name not in cls.__dict__:
                setattr(cls, name, copy_of(getattr(cls, name)))
        _pytree.register(cls)

    def __getattribute__(self, name):
        attribute, checked = super().__getattribute__(name), type(self)._checked.get(name)
        if checked is None:
            return attribute
        # Wrap the method with the argument check here. The class keeps the original method, so that reloaders find it.
        return functools.update_wrapper(functools.partial(checked, getattr(type(self), name), self), attribute)

    def __new__(cls, *args, **kwargs):
        cls._check_class()
        value = super().__new__(cls)
        object.__setattr__(value, "_flags", frozenset())
        return value

    @classmethod
    def _check_class(cls):
        """Raise a TypeError if an annotated name or a number in the class body is not a dataclass field."""
        annotations, own, names = annotations_of(cls), vars(cls), _field_names(cls)
        fields = own.get("__dataclass_fields__", {})
        if "__init__" in own and not fields:  # the class sets its attributes itself
            return
        for name, value in {**dict.fromkeys(annotations), **own}.items():
            if name in annotations:
                is_lost = name not in ("_", *fields) and "ClassVar" not in str(annotations[name])
            else:
                is_parameter = not name.startswith("_") and (is_number(value) or _is_value(value))
                is_lost = is_parameter or (name in names and not isinstance(value, property))
            if is_lost:
                raise TypeError(f"{cls.__name__}: expected {name} to be a field: annotate it in a dataclass")

    def replace(self, **changes) -> Self:
        """Return a copy with some parameters or flags changed, such as ``f.replace(alpha=0.3, origin=True)``."""
        changed, names = copy.copy(self), dict.fromkeys([*vars(self), *_field_names(type(self))])
        for name in changes:
            if name not in names:
                raise TypeError(f"{type(self).__name__} has no parameter or flag {name!r}, only {', '.join(names)}")
        vars(changed).update(changes)  # each check sees the other new values
        for name, value in changes.items():
            setattr(changed, name, value)
        return changed

    def _with(self, **values) -> Self:
        """Return a copy with some attributes changed, without checks. Parameters remain parameters."""
        changed = object.__new__(type(self))
        vars(changed).update(vars(self), **values)
        object.__setattr__(changed, "_flags", self._flags)
        return changed

    def _matched(self, like, inside: bool = False) -> Self:
        """Return a copy whose numbers have the dtype and rank of an array; with ``inside``, inner values as well.

        Raises:
          ValueError: a number does not broadcast into the array.
        """
        changed: dict[str, Any] = {}
        for name, value in vars(self).items():
            if name in self._flags or type(value) is float:
                continue
            if isinstance(value, Value):
                changed |= {name: value._matched(like, inside)} if inside else {}
            elif not callable(value):
                match = functools.partial(match_dtype_and_rank, x=like, name=f"{type(self).__name__}: {name}")
                changed[name] = jax.tree.map(match, value)
        return self._with(**changed) if changed else self

    def named_parameters(self) -> tuple[Self, dict[str, Any]]:
        """Return a template (this value with parameters replaced by their names) and a dict of the parameters by name.

        Layers store the two separately. The template is static, and ``jax.tree.map(values.get, template)`` rebuilds the
        value. A parameter of an inner value is named after its attribute, such as ``alpha``, or after its path, such as
        ``first_alpha``, if two parameters share a name.
        """
        leaves, structure = jax.tree_util.tree_flatten_with_path(self)
        names = _pytree.leaf_names([path for path, _ in leaves])
        return jax.tree.unflatten(structure, names), dict(zip(names, jax.tree.leaves(self), strict=True))

    def _inner_bounds(self) -> dict[str, tuple[float, float]]:
        """Return the bounds of inner values, by the names of their parameters in this value."""
        inner = jax.tree.map(
            lambda leaf: leaf._tree_of_bounds() if _is_value(leaf) else None,
            self,
            is_leaf=lambda node: _is_value(node) and node is not self,
        )
        names, structure = jax.tree.flatten(self.named_parameters()[0])
        intervals = zip(names, structure.flatten_up_to(inner), strict=True)  # type: ignore[attr-defined]
        return {name: interval for name, interval in intervals if interval is not None}

    def _all_bounds(self) -> dict[str, tuple[float, float]]:
        return self._inner_bounds() | self.bounds

    def _tree_of_bounds(self) -> Self:
        """Return this value with each parameter replaced by its bounds, or None."""
        return jax.tree.map(self._all_bounds().get, self.named_parameters()[0])

    def __setattr__(self, name, value):
        cls = type(self)
        if getattr(self, "_hashed", False):
            how = f"make a copy, f = f.replace({name}={value!r})"
            raise TypeError(f"can't set {name}: this {cls.__name__} has been hashed, for example by jax.jit: {how}")
        _pytree.register_with_flax()  # flax may have been loaded since the class was made
        fields = cls.__dict__.get("__dataclass_fields__")
        if fields is not None and name not in fields:
            names = ", ".join(_field_names(cls))
            raise AttributeError(f"{cls.__name__} has no parameter or flag {name!r}, only {names}")
        value = self._converted(name, value)
        self._check(name, value)
        static = name in cls._always_static or not _pytree.is_parameter(value)
        value = _own(_pytree.frozen(value))
        if static and (kind := _pytree.unhashable(value)):
            raise TypeError(f"{cls.__name__}: expected the static field {name} to be hashable, got {kind}")
        object.__setattr__(self, "_flags", self._flags | {name} if static else self._flags - {name})
        self.__dict__[name] = value

    @classmethod
    def _converted(cls, name: str, value: Any) -> Any:
        """Convert the value given for an attribute, for example a list of numbers to an array."""
        if name in cls._always_static:
            return int(value) if isinstance(value, np.integer) else value
        return as_parameter(value, f"{cls.__name__}: {name}")

    def _check(self, name, value):
        """Raise an error unless the value has the type of the field's default and is above its limit."""
        field = type(self).__dataclass_fields__.get(name)
        default = None if field is None else field.default
        what = f"{type(self).__name__}: expected {name} to be"
        if isinstance(default, bool):
            check_flag(f"{type(self).__name__}: {name}", value)
        elif is_number(default):
            counts = isinstance(default, int) and name in self._always_static
            if not (type(value) is int if counts else is_number(value)):
                kind = "an integer" if counts else "a real number or array"
                raise TypeError(f"{what} {kind}, got {value!r}")
        low = self._lower_limits.get(name)
        if low is not None and not isinstance(value, jax.core.Tracer) and not np.all(np.asarray(value) > low):
            raise ValueError(f"{what} above {low:g}, got {_pytree.short(value)}")

    def __copy__(self):
        return self._with(**{name: _own(value) for name, value in vars(self).items()})

    def __reduce__(self):  # for deepcopy and pickle
        parameters, structure = _pytree.flatten(self)
        return _pytree.rebuild, (type(self), structure, parameters)

    def __eq__(self, other):
        if type(self) is not type(other):
            return NotImplemented
        return _pytree.value_key(self) == _pytree.value_key(other)

    def __hash__(self) -> int:
        if not getattr(self, "_hashed", False):  # `jax.tree.map` may have set mutable arrays
            self.__dict__.update({name: _pytree.frozen(value) for name, value in vars(self).items()})
        value = hash(_pytree.value_key(self))
        object.__setattr__(self, "_hashed", True)
        for inner in jax.tree.leaves(vars(self), is_leaf=_is_value):
            if _is_value(inner):
                hash(inner)  # freezes it as well
        return value

    def __repr__(self):
        fields = [name for name in type(self).__dataclass_fields__ if name in vars(self)]  # in the order of the class
        items = {name: vars(self)[name] for name in (*fields, *vars(self))}
        shown = {name: v for name, v in items.items() if not isinstance(v, bool)}
        shown |= {k: v for k, v in items.items() if isinstance(v, bool) and v is not getattr(type(self), k, None)}
        return f"{type(self).__name__}({', '.join(f'{name}={_pytree.short(value)}' for name, value in shown.items())})"


def copy_of(function: Any) -> Callable:
    """Copy a function, so that a reloader, which edits functions in place, does not change the parent's function."""
    made = types.FunctionType(function.__code__, function.__globals__, closure=function.__closure__)
    made.__defaults__, made.__kwdefaults__ = function.__defaults__, function.__kwdefaults__
    return functools.update_wrapper(made, function)


def is_ours(kind: type) -> bool:
    """Return whether a class is defined in brainsurr."""
    return kind.__module__.startswith(f"{__package__}.")


def is_built_in(value: Any) -> bool:
    """Return whether a value and its inner values are instances of brainsurr's classes and contain no functions."""
    if not isinstance(value, Value):
        return not callable(value) or isinstance(value, type)
    return is_ours(type(value)) and all(map(is_built_in, jax.tree.leaves(vars(value), is_leaf=_is_value)))


def _field_names(kind: type) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def _own(value):
    """Copy inner values, including those in tuples and dicts, so that a change of one owner does not affect others."""
    return mapped(lambda leaf: copy.copy(leaf) if _is_value(leaf) else leaf, value)


def _is_value(node) -> bool:
    return isinstance(node, Value)
