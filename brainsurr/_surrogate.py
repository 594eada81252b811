"""`Surrogate`, the base class: a value, a function and a pytree; and `Scaled`, a surrogate times a number."""

import copy
import dataclasses
import functools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from ._arrays import as_float, as_parameter, is_number, match_dtype_and_rank
from ._checks import check_flag, check_surrogate
from ._kernel import spike
from ._pytree import (
    flag_names,
    flatten,
    flatten_with_keys,
    frozen,
    is_parameter,
    leaf_name,
    rebuild,
    short,
    unflatten,
    unhashable,
    value_key,
)
from ._serialization import register, register_with_flax

# A parameter is a Python number (weakly typed) or an array that broadcasts into the input.
Parameter = Any


@dataclasses.dataclass(eq=False, repr=False)
class Surrogate:
    r"""A spike whose backward pass you choose: the base class.

    A surrogate is a value. Numbers, arrays, other surrogates, and containers of nothing but these are its parameters:
    the leaves of a pytree, which can be traced, batched and differentiated. All other attributes (booleans, strings,
    functions) are flags, static and hashable, as are those named in ``static=`` whatever they are. Equal surrogates
    are equal and hash alike, so they serve as dictionary keys, as static arguments of ``jax.jit`` and as fields of a
    module.

    To write one, subclass and give :math:`g` as ``surrogate_fun``, or :math:`g'` as ``surrogate_grad``, or both,
    as formulas of ``self`` and ``x``. They get ``x`` as an array and the parameters in its dtype and rank, need
    not handle NaN, and may return anything that broadcasts into ``x``. With ``surrogate_fun`` alone the
    gradient is its derivative. With ``surrogate_grad`` alone the surrogate trains a network, but has no
    ``origin`` and its parameters can't be trained. Overriding one formula of a parent that defines both discards the
    other.

    Args:
      origin: if true, calling the surrogate returns :math:`g(x)` itself instead of the step. It can be set
        later, ``f.origin = True``, until the surrogate has been hashed (see Note).

    Attributes:
      bounds: for each parameter by name, the closed interval in which a layer keeps it while it is trained.

    Raises:
      TypeError: a parameter is not a real number or array, or a flag can't be hashed; an attribute is set after the
        surrogate was hashed.
      NotImplementedError: it is called and neither ``surrogate_fun`` nor ``surrogate_grad`` is given.

    Note:
      ``jax.jit(f)`` keeps what it compiled under the hash of ``f``. If ``f`` could change afterwards, jit would
      go on answering for the old one, silently; so from its first hash on (``jax.jit(f)``, a static argument, a
      dictionary key) a surrogate refuses assignment, as do those inside of it, and ``f.replace(alpha=0.3)`` makes a
      changed copy. It keeps copies of the arrays and containers that it is given, and of a list a tuple.

    Example:
      >>> import jax, jax.numpy as jnp, brainsurr as bs
      >>> class Tanh(bs.Surrogate):
      ...     def __init__(self, alpha=1.0):
      ...         self.alpha = alpha
      ...
      ...     def surrogate_fun(self, x):
      ...         return (1 + jnp.tanh(self.alpha * x)) / 2
      >>> f = Tanh(alpha=2.0)
      >>> f(jnp.array([-1.0, 0.0, 1.0]))
      Array([0., 1., 1.], dtype=float32)
      >>> print(jax.grad(f)(0.0))
      1.0
      >>> f.replace(origin=True)
      Tanh(alpha=2.0, origin=True)
    """

    # `_hashed`: attributes can't be set any more. `_flags`: the names of the flags, which `__setattr__` decides and all
    # else keeps: jax may put None, a boolean or a string where a parameter was.
    __slots__ = ("__dict__", "__weakref__", "_flags", "_hashed")

    bounds: ClassVar[dict[str, tuple[float, float]]] = {}
    __array_ufunc__: ClassVar[None] = None  # numpy leaves `array * surrogate` to `__rmul__`
    _always_static: ClassVar[frozenset[str]] = frozenset()  # as named in `static=`
    _lower_limits: ClassVar[dict[str, float]] = {}  # by name, what a parameter must be above

    _: dataclasses.KW_ONLY
    origin: bool = False

    def __init_subclass__(cls, static: tuple[str, ...] = (), **kwargs):
        super().__init_subclass__(**kwargs)
        cls._always_static = cls._always_static.union((static,) if isinstance(static, str) else static)
        for name, other in (("surrogate_fun", "surrogate_grad"), ("surrogate_grad", "surrogate_fun")):
            if name in cls.__dict__:
                if other not in cls.__dict__ and _has_partner(cls, other, name):  # which this formula replaces
                    setattr(cls, other, getattr(Surrogate, other))
                setattr(cls, name, _elementwise(cls.__dict__[name]))
        # In the dictionary of the class itself: there `@dataclass` leaves them alone, else it would drop the hash.
        for name in ("__eq__", "__hash__", "__repr__"):
            if name not in cls.__dict__:
                setattr(cls, name, getattr(cls, name))
        jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, functools.partial(unflatten, cls), flatten)
        register(cls)

    def __call__(self, x) -> jax.Array:
        """Return the spike, ``brainsurr.spike(x, self)``; the primitive where ``origin`` is true."""
        return spike(x, self)

    def surrogate_fun(self, x) -> jax.Array:
        """Compute the primitive :math:`g(x)`, elementwise, in the dtype of ``x``."""
        raise NotImplementedError(
            f"{type(self).__name__} gives no surrogate_fun, so it has no origin and no derivative with respect to "
            "its parameters: define surrogate_fun(self, x), the primitive of its gradient"
        )

    def surrogate_grad(self, x) -> jax.Array:
        """Compute the gradient :math:`g'(x)`, elementwise, in the dtype of ``x``."""
        self._check_defined()
        x = as_float(x)
        return jax.jvp(self.surrogate_fun, (x,), (jnp.ones_like(x),))[1]

    def derivative(self, x) -> jax.Array:
        """Compute :meth:`surrogate_grad`, under the name that sparx calls."""
        return self.surrogate_grad(x)

    def __mul__(self, factor) -> "Surrogate":
        """Scale primitive and gradient, as in ``f * 0.5``; the spike stays 0 or 1."""
        factor = as_parameter(factor)
        if not is_number(factor):
            return NotImplemented
        return Scaled(self.replace(origin=False), factor, origin=self.origin)

    def __rmul__(self, factor) -> "Surrogate":
        return self * factor

    def replace(self, **changes) -> "Surrogate":
        """Copy, with some parameters or flags changed, as in ``f.replace(alpha=0.3, origin=True)``."""
        changed, names = copy.copy(self), self._items()
        for name, value in changes.items():
            if name not in names:
                raise TypeError(f"{type(self).__name__} has no parameter or flag {name!r}, only {', '.join(names)}")
            setattr(changed, name, value)
        return changed

    def named_parameters(self) -> tuple["Surrogate", dict[str, Any]]:
        """Return this surrogate with each parameter replaced by its name, and the parameters by name.

        Layers hold the two apart: the first is static, and ``jax.tree.map(values.get, template)`` puts values back.
        """
        paths, structure = jax.tree_util.tree_flatten_with_path(self)
        values = {leaf_name(path): value for path, value in paths}
        if len(values) < len(paths):
            names = ", ".join(leaf_name(path) for path, _ in paths)
            raise ValueError(f"{type(self).__name__}: a layer holds parameters by name, and two share one of {names}")
        return jax.tree.unflatten(structure, values), values

    def broadcast_into(self, x: jax.Array) -> "Surrogate":
        """Cast the parameters to the dtype and rank of ``x``; a ValueError if one does not broadcast into it."""
        self._check_defined()

        def match(path, p):
            return match_dtype_and_rank(p, x, f"{type(self).__name__}: {leaf_name(path)}")

        return jax.tree_util.tree_map_with_path(match, self)

    def _check_defined(self):
        cls = type(self)
        if cls.surrogate_fun is Surrogate.surrogate_fun and cls.surrogate_grad is Surrogate.surrogate_grad:
            raise NotImplementedError(
                f"{cls.__name__} gives neither surrogate_fun nor surrogate_grad: subclass Surrogate and define one"
            )

    def _items(self) -> dict[str, Any]:
        return {"origin": self.origin, **vars(self)}

    def __setattr__(self, name, value):
        cls = type(self)
        if getattr(self, "_hashed", False):
            raise TypeError(
                f"can't set {name}: this {cls.__name__} has been hashed (by jax.jit, as a static argument or as "
                f"a key), and what was compiled for it would go stale. Make a copy: f = f.replace({name}={value!r})"
            )
        register_with_flax()  # which may have been loaded since the class was made
        fields = cls.__dict__.get("__dataclass_fields__")
        if fields is not None and name not in fields:
            raise AttributeError(f"{cls.__name__} has no parameter or flag {name!r}, only {', '.join(fields)}")
        static = name in cls._always_static
        value = value if static else as_parameter(value)
        self._check(name, value)
        static, value = static or not is_parameter(value), frozen(value)
        if static and (kind := unhashable(value)):
            raise TypeError(
                f"{cls.__name__}: expected {name}, which is static, to compare by value, got {kind}: "
                "give numbers, words or tuples of these"
            )
        flags = flag_names(self)
        object.__setattr__(self, "_flags", flags | {name} if static else flags - {name})
        self.__dict__[name] = value

    def _check(self, name, value):
        """Raise an error unless the value is of the type of the field's default, and above its limit."""
        field = type(self).__dataclass_fields__.get(name)
        default = None if field is None else field.default
        what = f"{type(self).__name__}: expected {name} to be"
        if isinstance(default, bool):
            check_flag(f"{type(self).__name__}: {name}", value)
        elif isinstance(default, int) and name in self._always_static:
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{what} an integer, got {value!r}")
        elif is_number(default) and not is_number(value):
            raise TypeError(f"{what} a real number or array, got {value!r}")
        low = self._lower_limits.get(name)
        if low is not None and not isinstance(value, jax.core.Tracer) and not np.all(np.asarray(value) > low):
            raise ValueError(f"{what} above {low:g}, got {value!r}")

    def __reduce__(self):  # for copy and pickle
        parameters, structure = flatten(self)
        return rebuild, (type(self), structure, parameters)

    def __eq__(self, other):
        if type(self) is not type(other):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self):
        if not getattr(self, "_hashed", False):  # `jax.tree.map` may have put in arrays that can be written in place
            self.__dict__.update({name: frozen(value) for name, value in vars(self).items()})
        value = hash((type(self), self._key()))
        object.__setattr__(self, "_hashed", True)
        for inner in jax.tree.leaves(vars(self), is_leaf=lambda node: isinstance(node, Surrogate)):
            if isinstance(inner, Surrogate):
                hash(inner)  # and so can't change either
        return value

    def _key(self):
        return tuple(sorted((name, value_key(value)) for name, value in self._items().items()))

    def __repr__(self):
        items = self._items()
        switches = {name: v for name, v in items.items() if isinstance(v, bool)}
        shown = {name: v for name, v in items.items() if name not in switches}
        shown |= {name: v for name, v in switches.items() if v is not getattr(type(self), name, None)}
        return f"{type(self).__name__}({', '.join(f'{name}={short(value)}' for name, value in shown.items())})"


def _has_partner(cls, inherited: str, given: str) -> bool:
    """Return whether the inherited formula comes from a surrogate class that has the given one as well."""
    source = next(base for base in cls.__mro__[1:] if inherited in base.__dict__)
    return issubclass(source, Surrogate) and getattr(source, given) is not getattr(Surrogate, given)


def _elementwise(formula):
    """Wrap a formula: x is an array, parameters are in its dtype and rank, NaN is kept, the result has x's shape."""

    @functools.wraps(formula)
    def wrapped(self, x):
        x = as_float(x)
        y = jnp.asarray(formula(self.broadcast_into(x), x)).astype(x.dtype)
        if y.ndim > x.ndim or jnp.broadcast_shapes(y.shape, x.shape) != x.shape:
            raise ValueError(f"{type(self).__name__}.{formula.__name__} gave shape {y.shape} for x of shape {x.shape}")
        return jnp.where(jnp.isnan(x), x, jnp.broadcast_to(y, x.shape))

    return wrapped


@dataclasses.dataclass
class Scaled(Surrogate):
    r"""A surrogate with its primitive and its gradient multiplied by a factor.

    .. math:: g(x) = c\, g_0(x) \qquad g'(x) = c\, g_0'(x)

    The spike itself stays 0 or 1. ``0.5 * f`` and ``f * 0.5`` make one. At 0, peak and area: those of the inner
    surrogate times :math:`c`. Other libraries' functions often differ from the ones here by a factor only.

    Args:
      surrogate: the inner surrogate. Its own ``origin`` is not looked at.
      factor: :math:`c`, dimensionless; a number or an array that broadcasts into x.
      origin: whether calling it returns :math:`g(x)` in place of the spike.

    Attributes:
      bounds: those of the inner surrogate; the factor has none.

    Example:
      >>> import jax, brainsurr as bs
      >>> f = 0.5 * bs.Sigmoid(alpha=4.0)
      >>> f
      Scaled(surrogate=Sigmoid(alpha=4.0), factor=0.5)
      >>> print(f(0.0), jax.grad(f)(0.0))
      1.0 0.5
      >>> 2 * f
      Scaled(surrogate=Sigmoid(alpha=4.0), factor=1.0)
    """

    surrogate: Surrogate
    factor: Parameter = 1.0

    def _check(self, name, value):
        if name == "surrogate":
            check_surrogate(name, value)
        super()._check(name, value)

    @property
    def bounds(self):  # type: ignore[override]
        """The intervals of the inner surrogate, by name."""
        return self.surrogate.bounds

    def __mul__(self, factor):
        return Surrogate.__mul__(self.surrogate.replace(origin=self.origin), self.factor * factor)

    def surrogate_fun(self, x):
        return self.factor * self.surrogate.surrogate_fun(x)

    def surrogate_grad(self, x):
        return self.factor * self.surrogate.surrogate_grad(x)
