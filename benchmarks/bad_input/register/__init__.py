"""What is fed to every public name by `benchmarks.bad_input`: the kinds of bad input, and how a call is described.

`surrogates`, `layers`, `modules`, `tools`, `pictures` and `files` hold the register of calls; a public name that is in
none of them fails a test. `frameworks` says how the calls of each framework differ.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Given(NamedTuple):
    """A value for an argument.

    Attributes:
      kind: what is bad about it, ``"good"`` if nothing.
      value: the value, or a :class:`Shaped` one.
      refused: whether no answer can be right, so that only an error will do.
    """

    kind: str
    value: Any
    refused: bool = False


class Shaped(NamedTuple):
    """A value that depends on the shape ``(time, *batch, features)`` that the other arguments agree on."""

    make: Callable[[tuple[int, ...]], Any]


class Tracer(NamedTuple):
    """Stands for a tracer: the call is then made inside of a trace."""

    like: float | int | bool


class Argument(NamedTuple):
    """An argument of a call: what it should be, and what it might be."""

    good: list[Given]
    bad: list[Given]


@dataclasses.dataclass
class Call:
    """A public name and how it is used.

    Attributes:
      name: the public name, ``brainsurr.nnx.LIF``.
      arguments: by name; ``time`` and ``batch`` are not passed on but say what a :class:`Shaped` value is made for.
      run: makes the call, given all arguments by name.
      judge: says what is wrong with the answer, or nothing; it has its own idea of what is right, in NumPy.
      words: what a message may call an argument besides its name.
    """

    name: str
    arguments: Mapping[str, Argument]
    run: Callable[..., Any]
    judge: Callable[[Any, Mapping[str, Any]], str | None]
    words: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)


def one_of(kind: str, *values, refused: bool = False) -> list[Given]:
    """List values of the same kind."""
    return [Given(kind, value, refused) for value in values]


def good(*values) -> list[Given]:
    """List values with which nothing is wrong."""
    return one_of("good", *values)


NOTHING = {"None": None, "text": "a", "bytes": b"a", "list": ["a"], "dictionary": {"a": 1.0}, "object": object()}
ARRAYS = {
    "array of objects": np.array([None, 1.0]),
    "array of text": np.array(["a", "b"]),
    "structured array": np.zeros(2, [("a", "f4")]),
    "PRNG key": jax.random.key(0),
}
FUNCTIONS = {"function": abs, "class": float}


def wrong_type(*but: str) -> list[Given]:
    """List values of types that are not wanted, except those named."""
    values = [value for name, value in (NOTHING | ARRAYS | FUNCTIONS).items() if name not in but]
    return one_of("wrong type", *values, refused=True)


def tracer(like) -> list[Given]:
    """Put a tracer where something static is wanted."""
    return one_of("tracer", Tracer(like), refused=True)


def flag() -> Argument:
    """Yield True and False."""
    return Argument(
        good(False, True),
        wrong_type() + one_of("number for a flag", 0, 1, 2.0, np.ones(2), refused=True) + tracer(True),
    )


def choice(*names, like="soft") -> Argument:
    """List some words."""
    # None is good for some of these, so it is left to them to say.
    others = wrong_type("None") + one_of("unknown word", like, "", *(f"{name} " for name in names), refused=True)
    return Argument(good(*names), others + one_of("number for a word", 0, np.zeros(2), True, refused=True) + tracer(1))


def count(*values: int, spare: tuple = ()) -> Argument:
    """Return a positive integer."""
    odd = one_of("not a positive integer", *spare, 0, -1, 2.0, 2.5, float("nan"), True, np.zeros(2), refused=True)
    return Argument(good(*values), wrong_type() + odd + tracer(2) + one_of("numpy integer", np.int64(values[0])))


def number(*values, outside=(), refused=(), channels: int = 3) -> Argument:
    """Return a real number, or one per channel.

    Args:
      *values: good ones.
      outside: numbers that are outside of what it should be, by kind.
      refused: more of these, that must be refused.
      channels: how many channels there are.
    """
    shaped = [np.full(channels, values[0], np.float32), jnp.full(channels, values[-1], jnp.float32)]
    other = (
        one_of("array of another shape", np.full(7, values[0], np.float32), np.ones((2, 7, 1), "f4"), refused=True)
        + one_of("boolean for a number", True, np.ones(channels, bool), refused=True)
        + one_of("complex", 1j, np.full(channels, 1j), jnp.full(channels, 0.5 + 0j), refused=True)
        + one_of("another dtype", np.full(channels, values[0], "f8"), jnp.full(channels, values[0], jnp.bfloat16))
        + one_of("empty array", np.zeros(0, np.float32), np.zeros((0, channels), np.float32), refused=True)
    )
    for numbers, must in ((outside, False), (refused, True)):
        for kind, number in dict(numbers).items():
            other += one_of(kind, number, np.full(channels, number, np.float32), refused=must)
    return Argument(good(*values, *shaped), wrong_type() + other)


LEVELS = (-3.0, -1.0, -0.5, 0.0, 0.25, 0.5, 1.0, 1.5, 2.0)  # exact in every dtype, and sums of them in float32


def filled(shape, dtype=np.float32, start: int = 0) -> np.ndarray:
    """Return an array of LEVELS, from one of them on."""
    return np.resize(np.roll(LEVELS, start), shape).astype(dtype)


def spoilt(shape, value, dtype=np.float32) -> np.ndarray:
    """Return the same with a value in its last place, if it has one."""
    x = filled(shape, dtype)
    if x.size:
        x.reshape(-1)[-1] = value
    return x


def floats(shape: Callable[[tuple[int, ...]], tuple[int, ...]] = lambda shape: shape) -> Argument:
    """Return an array of real numbers of the shape that the other arguments agree on."""

    def shaped(kind, *makes, refused=False):
        return one_of(kind, *(Shaped(lambda s, make=make: make(shape(s))) for make in makes), refused=refused)

    fine = shaped("good", *(lambda s, i=i: jnp.asarray(filled(s, start=i)) for i in range(len(LEVELS))))
    bad = [
        *shaped("another dtype", *(lambda s, d=d: jnp.asarray(filled(s, d)) for d in ("i4", "i1", "?", "f2"))),
        *shaped("another dtype", lambda s: jnp.asarray(filled(s), jnp.bfloat16), lambda s: filled(s, np.float64)),
        *shaped("NaN", lambda s: spoilt(s, np.nan), lambda s: spoilt(s, np.nan, np.float16)),
        *shaped("infinite", lambda s: spoilt(s, np.inf), lambda s: spoilt(s, -np.inf)),
        *shaped("huge or tiny", lambda s: spoilt(s, 3e38), lambda s: spoilt(s, -3e38), lambda s: spoilt(s, -1e-40)),
        *shaped("complex", lambda s: filled(s, np.complex64), refused=True),
        *wrong_type("list"),
        *one_of("ragged list", [[1.0], [1.0, 2.0]], [1.0, [2.0]], refused=True),
    ]
    return Argument(fine, bad)


def as_floats(x) -> np.ndarray:
    """Return what an input is read as: float16, bfloat16 and float32 as they are, all else as float32."""
    x = np.asarray(x)
    return x if x.dtype in (np.float16, jnp.bfloat16, np.float32) else x.astype(np.float32)


def differs(what: str, got, expected, dtype) -> str | None:
    """Say how an array differs from what it should be, NaN for NaN, or None."""
    if not isinstance(got, jax.Array):
        return f"{what} is a {type(got).__name__}, not an array"
    if got.shape != np.shape(expected) or got.dtype != dtype:
        return f"{what} is {got.dtype}{list(got.shape)}, expected {np.dtype(dtype)}{list(np.shape(expected))}"
    wide, expected = np.asarray(got).astype(np.float64), np.asarray(expected).astype(np.float64)
    tiny = np.finfo(np.float32).tiny  # below it, XLA takes 0 for a number on some devices
    with np.errstate(invalid="ignore"):
        same = (wide == expected) | (np.isnan(wide) & np.isnan(expected)) | (np.abs(wide - expected) < tiny)
    if not same.all():
        first = np.argwhere(~same)[0].tolist()
        return f"{what}{first} is {wide[tuple(first)]}, expected {expected[tuple(first)]}"
    return None


def differs_reduced(got, ys, reduce: str | None) -> str | None:
    """Say how an output differs from the outputs of all steps, ``ys``, reduced over time; None if it doesn't."""
    if reduce == "mean":
        dtype = jnp.float32 if ys.dtype.kind in "iub" else ys.dtype
        with np.errstate(all="ignore"):  # overflow included: the sum is one of float32
            mean = np.mean(ys.astype(np.float32), axis=0).astype(dtype).astype(np.float32)
        if not isinstance(got, jax.Array) or (got.shape, got.dtype) != (mean.shape, dtype):
            return differs("the mean", got, mean, dtype)
        off = ~np.isclose(np.asarray(got, np.float32), mean, rtol=0.01, equal_nan=True)
        return f"the mean is {got}, expected {mean}" if off.any() else None
    with np.errstate(invalid="ignore"):
        ys = {None: lambda: ys, "max": lambda: np.max(ys, axis=0), "last": lambda: ys[-1]}[reduce]()
    return differs("the output", got, ys, ys.dtype)
