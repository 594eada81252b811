"""`Surrogate`, the base class of all surrogates, and `Scaled`, a surrogate with another height or width."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from ._arrays import as_parameter, divide, is_number, variable_value, with_sign_of
from ._checks import check_number, check_surrogate
from ._kernel import elementwise, spike
from ._value import Value, copy_of

# A parameter is a Python number (weakly typed) or an array that broadcasts into the input.
Parameter = Any


@dataclasses.dataclass(eq=False, repr=False)
class Surrogate(Value):
    r"""The base class of surrogates, which return spikes with a derivative of your choice.

    Called on ``x``, the membrane potential minus the threshold, a surrogate returns the spike: 1 if ``x >= 0``, else 0.
    The backward pass uses the derivative :math:`g'` of the surrogate function :math:`g` instead.

    A surrogate is a value. Numbers, arrays, other surrogates, and containers of these are its parameters: leaves of a
    pytree, which can be traced, batched and differentiated. All other attributes (booleans, strings, functions) are
    flags, which are static and hashable; so are the attributes named in ``static=``. Surrogates with equal attributes
    are equal and have equal hashes, so they can be dictionary keys, static arguments of ``jax.jit`` and fields of a
    module.

    To write a surrogate, subclass this and define :math:`g` as ``surrogate_fun``, or :math:`g'` as ``surrogate_grad``,
    or both, as formulas of ``self`` and ``x``. The formulas receive ``x`` as an array, and the parameters in its dtype
    and rank. They need not handle NaN, and may return anything that broadcasts into ``x``. If only ``surrogate_fun`` is
    defined, the gradient is its derivative. If only ``surrogate_grad`` is defined, the surrogate can train a network,
    but a call with ``origin=True`` raises an error, and its parameters can't be trained. If a class defines both, a
    subclass that overrides one of them discards the other.

    Args:
      origin: if True, calling the surrogate returns :math:`g(x)` instead of the spike. It can be set later,
        ``f.origin = True``, until the surrogate has been hashed (see Note).

    Attributes:
      bounds: for each parameter by name, the closed interval in which a layer keeps it during training. The bounds of
        an inner surrogate also apply, unless they are overridden here.
      is_distribution: True if :math:`g` increases from 0 to 1 for all parameters within the bounds, so that it can be
        the probability of a random spike. Set it in your own classes, and again in a subclass with another formula.

    Raises:
      TypeError: a parameter is not a real number or array, or a flag is not hashable.
      TypeError: an attribute is set after the surrogate has been hashed.
      TypeError: a class sets ``alpha: float = 2.0``, but is not a dataclass.
      NotImplementedError: a derivative is computed, but neither ``surrogate_fun`` nor ``surrogate_grad`` is defined.

    Note:
      ``jax.jit(f)`` caches the compiled function under the hash of ``f``, and would keep using it if ``f`` changed
      later. After the first hash (by ``jax.jit(f)``, as a static argument, or as a dictionary key), setting an
      attribute of a surrogate or of its inner surrogates raises an error. ``f.replace(alpha=0.3)`` returns a changed
      copy, with copies of arrays and containers, and tuples instead of lists. Changing an entry of a dictionary,
      ``f.p["a"] = 5.0``, raises no error and has no effect on compiled functions: make a copy instead.

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

    is_distribution: ClassVar[bool] = False
    __array_ufunc__: ClassVar[None] = None  # numpy leaves `array * surrogate` to `__rmul__`
    _checked: ClassVar[dict[str, Callable]] = {"surrogate_fun": elementwise, "surrogate_grad": elementwise}

    _: dataclasses.KW_ONLY
    origin: bool = False

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        for name, other in (("surrogate_fun", "surrogate_grad"), ("surrogate_grad", "surrogate_fun")):
            if name in cls.__dict__:
                source = next(base for base in cls.__mro__ if other in base.__dict__)
                if source is not cls and issubclass(source, Surrogate) and _is_given(source, name):
                    setattr(cls, other, copy_of(getattr(Surrogate, other)))  # discard the partner of the old formula
                if "is_distribution" not in cls.__dict__:  # it was declared for the parent's formula
                    cls.is_distribution = False

    def __call__(self, x, *, key=None) -> jax.Array:
        """Return the spike, ``brainsurr.spike(x, self, key=key)``, or :math:`g(x)` if ``origin`` is True.

        Args:
          x: the membrane potential minus the threshold, a number or an array of any shape.
          key: a random key, for random spikes with the probability :math:`g(x)`. If None, the spike is the step.

        Returns:
          The spikes, with the shape and dtype of ``x``.
        """
        return spike(x, self, key=key)

    def surrogate_fun(self, x) -> jax.Array:
        """Compute the surrogate function :math:`g(x)`, elementwise, in the dtype of ``x``."""
        what = "defines no surrogate_fun, which origin=True, trained parameters and a derived gradient need"
        raise NotImplementedError(f"{type(self).__name__} {what}")

    def surrogate_grad(self, x) -> jax.Array:
        """Compute the gradient :math:`g'(x)`, elementwise, in the dtype of ``x``."""
        return jax.jvp(self.surrogate_fun, (x,), (jnp.ones_like(x),))[1]

    def derivative(self, x) -> jax.Array:
        """Compute :meth:`surrogate_grad`, under the name that sparx calls."""
        return self.surrogate_grad(x)

    def __mul__(self, factor) -> "Surrogate":
        """Scale the height, as in ``f * 0.5``."""
        factor = as_parameter(variable_value(factor), "height")
        return self.scaled(height=factor) if is_number(factor) else NotImplemented

    __rmul__ = __mul__

    def scaled(self, *, height=1.0, width=1.0) -> "Scaled":
        r"""Make the gradient ``height`` times as high and ``width`` times as wide: :math:`h\, g'(x / w)`.

        The result is a :class:`Scaled`, whose parameters include ``height`` and ``width``. Scaling twice multiplies
        heights and widths.

        Args:
          height: :math:`h`, dimensionless. A number, or an array that broadcasts into x.
          width: :math:`w`, above 0, dimensionless. A number, or an array that broadcasts into x.
        """
        return Scaled(self.replace(origin=False), height, width, origin=self.origin)

    def _check_dtype(self, dtype):
        """Raise a ValueError if a parameter can't be represented in the dtype of x."""

    def _check(self, name, value):
        if name in ("surrogate_fun", "surrogate_grad"):
            raise TypeError(f"{type(self).__name__}: expected {name} to be a method of the class, got {value!r}")
        super()._check(name, value)


def _is_given(cls, name: str) -> bool:
    """Return whether a class defines a formula, instead of deriving it from the other one."""
    return getattr(getattr(cls, name), "__code__", None) is not getattr(Surrogate, name).__code__


def function(cls: type[Surrogate], name: str) -> Callable[..., jax.Array]:
    """Make the function that constructs ``cls`` and applies it, with the same parameters and defaults."""

    def call(x, *args, **kwargs):
        named = {name: variable_value(value) for name, value in kwargs.items()}
        return cls(*map(variable_value, args), **named)(x)  # called immediately, so the gradient reaches a variable

    x = inspect.Parameter("x", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(cls).parameters.values()
    call.__signature__ = inspect.Signature([x, *parameters])  # type: ignore[attr-defined]
    call.__name__ = call.__qualname__ = name
    call.__module__ = cls.__module__
    call.__doc__ = f"``{cls.__name__}(...)(x)``, with the parameters and defaults of :class:`{cls.__name__}`."
    return call


@dataclasses.dataclass
class Scaled(Surrogate):
    r"""A surrogate with another height or width.

    .. math:: g(x) = h\, w\; g_0\Bigl(\frac{x}{w}\Bigr) \qquad g'(x) = h\; g_0'\Bigl(\frac{x}{w}\Bigr)

    ``0.5 * f`` and ``f * 0.5`` have a height of 0.5, and ``f.scaled(width=0.25)`` has a width of 0.25. The gradient at
    0 and at the peak is :math:`h` times the gradient of the inner surrogate, and the area is :math:`h w` times its
    area. The spike is still 0 or 1. The surrogates of other libraries often differ from those here only in height.

    Args:
      surrogate: the inner surrogate. Its own ``origin`` is ignored.
      height: :math:`h`, dimensionless. A number, or an array that broadcasts into x.
      width: :math:`w`, above 0, dimensionless. A number, or an array that broadcasts into x.
      origin: if True, calling the surrogate returns :math:`g(x)` instead of the spike.

    Attributes:
      bounds: [0, 100] for the height, so that gradients keep their sign; [0.01, 100] for the width, to avoid a division
        by 0; and the bounds of the inner surrogate. If the inner surrogate has a ``width`` or ``height``, its name here
        and in a layer is ``surrogate_width`` or ``surrogate_height``.

    Note:
      The derivative with respect to the width is :math:`h\, (g_0(z) - w\, g_0'(z)\, x / w^2)` with :math:`z = x / w`.
      If :math:`x / w^2` might overflow, it is replaced by 0, and :math:`h\, g_0(z)` remains. In float16, this happens
      for :math:`|x| > 64 \min(1, w^2)`, so train the width in another dtype. In other dtypes, the factor is about
      :math:`10^{35}` instead of 64.

    Example:
      >>> import jax, brainsurr as bs
      >>> f = 0.5 * bs.Sigmoid(alpha=4.0)
      >>> f
      Scaled(surrogate=Sigmoid(alpha=4.0), height=0.5, width=1.0)
      >>> print(f(0.0), jax.grad(f)(0.0))
      1.0 0.5
      >>> f.scaled(height=2.0, width=3.0)
      Scaled(surrogate=Sigmoid(alpha=4.0), height=1.0, width=3.0)
    """

    _lower_limits: ClassVar[dict[str, float]] = {"width": 0.0}

    surrogate: Surrogate
    height: Parameter = 1.0
    width: Parameter = 1.0

    def _check(self, name, value):
        if name == "surrogate":
            check_surrogate(name, value)
        super()._check(name, value)
        if name in ("height", "width"):
            check_number(f"Scaled: {name}", value, "that is finite", np.isfinite)

    @classmethod
    def _converted(cls, name, value):
        value = super()._converted(name, value)
        return float(value) if type(value) is int else value  # so that the height of `2 * f` has a derivative

    @property
    def bounds(self):  # type: ignore[override]
        """The bounds by name, including those of the inner surrogate."""
        return {"height": (0.0, 100.0), "width": (0.01, 100.0), **self._inner_bounds()}

    @property
    def is_distribution(self):  # type: ignore[override]
        """True if height times width is 1 and the inner surrogate function increases from 0 to 1.

        A traced number can't be checked, and is assumed to be right.
        """
        height, width = self.height, self.width
        traced = any(isinstance(value, jax.core.Tracer) for value in (height, width))
        return self.surrogate.is_distribution and (traced or bool(np.allclose(np.multiply(height, width), 1)))

    def scaled(self, *, height=1.0, width=1.0) -> "Scaled":
        other = Scaled(self.surrogate, height, width)
        return Scaled(self.surrogate, self.height * other.height, self.width * other.width, origin=self.origin)

    def _check_dtype(self, dtype):
        info, most = jnp.finfo(dtype), float(jnp.finfo(dtype).max)
        # Below the first limit, a CPU treats a width as 0; below the second, its reciprocal is infinite.
        least = max(float(info.smallest_normal) if info.bits > 16 or info.nexp == 8 else 0.0, 1 / most)
        for name, value, low in (("height", self.height, -most), ("width", self.width, least)):
            known = np.zeros(0) if isinstance(value, jax.core.Tracer) else np.asarray(value)
            if not np.all((known >= low) & (known <= most)):
                limits = f"from {low:.3g} to {most:.3g}"
                raise ValueError(f"Scaled: expected a {name} {limits} for an x of {dtype}, got {value!r}")

    def surrogate_fun(self, x):
        return self.height * self.width * self.surrogate.surrogate_fun(_quotient(x, self.width))

    def surrogate_grad(self, x):
        return self.height * self.surrogate.surrogate_grad(_quotient(x, self.width))


def _quotient(x, width):
    """Return x / width, finite and with the sign of x if x is finite. Where the derivative might overflow, it is 0."""
    if isinstance(width, int | float) and width == 1:
        return x
    largest, quotient = float(jnp.finfo(x.dtype).max), with_sign_of(divide(x, width), x)  # a surrogate may jump at 0
    # The derivative with respect to the width is x / width^2 times a factor of the formula, such as a steepness.
    near = jnp.abs(x) <= largest / 1024 * jnp.square(jnp.minimum(1.0, width))
    far = jnp.where(jnp.isinf(x), x, jnp.clip(quotient, -largest, largest))
    return jnp.where(near, quotient, jax.lax.stop_gradient(far))
