"""Calls of the surrogates: each class, each function, and what all of them can do."""

import inspect
from functools import partial

import jax
import numpy as np

import brainsurr as bs

from . import Argument, Call, as_floats, count, differs, flag, floats, good, number, one_of, wrong_type

ODD = {
    "NaN": float("nan"),
    "infinite": float("inf"),
    "zero": 0.0,
    "negative": -2.0,
    "huge or tiny": 1e30,
}
UNDEFINED = {  # where the primitive is the logarithm of a negative number
    bs.NonzeroSignLog: lambda x, alpha, **_: np.asarray(alpha, np.float64) * np.abs(x) < -1
}
SURROGATE = Argument(
    good(bs.LogTailedRelu(0.25), bs.Sigmoid(2.0)), wrong_type() + one_of("class", bs.Sigmoid, refused=True)
)
PROBABILITY = Argument(
    good(bs.Sigmoid(2.0), bs.Arctan().scaled(height=0.5, width=2.0)),
    wrong_type() + one_of("no probability", bs.LogTailedRelu(0.25), 0.5 * bs.Sigmoid(), refused=True),
)
KEY = Argument(
    good(jax.random.key(0), jax.random.PRNGKey(0)),
    wrong_type("PRNG key", "None")
    + one_of("no key", None)  # which any surrogate may go without
    + one_of("no single key", jax.random.split(jax.random.key(0)), 0, np.zeros(2, np.uint32), refused=True),
)


def calls():
    """Yield a call for each public name that has to do with surrogates."""
    for name in bs.surrogates.__all__:
        value = getattr(bs, name)
        if isinstance(value, type):
            arguments, right = {"x": floats(), **parameters(value, value.bounds)}, partial(judge, cls=value)
            yield Call(f"brainsurr.{name}", arguments, lambda x, cls=value, **given: answers(cls(**given), x), right)
        else:
            arguments = {"x": floats(), **parameters(value, {})}
            del arguments["origin"]
            yield Call(f"brainsurr.{name}", arguments, value, spikes)
    yield Call("brainsurr.spike", {"x": floats(), "surrogate": SURROGATE}, bs.spike, spikes)
    yield Call(
        "brainsurr.spike (random)", {"x": floats(), "surrogate": PROBABILITY, "key": KEY}, bs.spike, random_spikes
    )
    yield Call("brainsurr.detached", {"s": floats()}, bs.detached, unchanged)
    changes = {"alpha": number(0.25, outside=ODD), "origin": flag(), "continuous": flag()}
    yield Call("brainsurr.Surrogate", {"x": floats(), **changes}, changed, judge)
    sizes = {"height": number(0.5, 2.0, outside=ODD), "width": number(0.5, 2.0, outside=ODD)}
    options = {"surrogate": SURROGATE, **sizes, "origin": flag()}
    yield Call("brainsurr.Scaled", {"x": floats(), **options}, lambda x, **given: answers(bs.Scaled(**given), x), judge)


def unchanged(answer, given):
    """Check that an array comes back."""
    s = np.asarray(given["s"])
    s = s.astype(np.float32) if s.dtype == np.float64 else s
    return differs("the answer", answer, s, s.dtype)


def parameters(make, bounds) -> dict[str, Argument]:
    """Return what a class or a function takes besides x: a boolean default makes a flag, an integer one a count."""
    arguments = {}
    for name, parameter in inspect.signature(make).parameters.items():
        default = parameter.default
        if isinstance(default, bool):
            arguments[name] = flag()
        elif isinstance(default, int):
            arguments[name] = count(default, 1)
        elif name != "x":
            arguments[name] = number(default, bounds.get(name, (default,))[0], outside=ODD)
    return arguments


def changed(x, **changes):
    """Return a surrogate that is given its parameters afterwards, by `replace` and by assignment."""
    f = bs.LogTailedRelu()
    for name, value in changes.items():
        setattr(f, name, value)
    assert bs.LogTailedRelu().replace(**changes) == f
    return answers(f, x)


def answers(f, x):
    """Return what a surrogate says about x: its value, gradient and primitive."""
    return f(x), f.surrogate_grad(x), f.derivative(x), f.surrogate_fun(x)


def judge(answer, given, cls=None):
    """Check whether the answers are right: see `spikes`; gradient and primitive are NaN only where x or a parameter is.

    But for the primitive where the formula of the class ``cls`` is undefined.
    """
    value, gradient, derivative, primitive = answer
    x = as_floats(given["x"])
    wide = x.astype(np.float64)
    wrong = spikes(value, given) if not given.get("origin") else differs("g(x)", value, primitive, x.dtype)
    if wrong:
        return wrong
    parameters = [np.asarray(p, np.float64) for name, p in given.items() if name != "x" and bs._arrays.is_number(p)]
    for what, y in (("g'(x)", gradient), ("derivative", derivative), ("g(x)", primitive)):
        if y.shape != x.shape or y.dtype != x.dtype:
            return f"{what} is {y.dtype}{list(y.shape)}, expected {x.dtype}{list(x.shape)}"
        y = np.asarray(y).astype(np.float64)
        if not np.isnan(y[np.isnan(wide)]).all():
            return f"{what} hides NaN: {y} for x {wide}"
        ordinary = np.abs(wide) <= 3 if x.dtype == np.float32 else np.zeros(wide.shape, bool)
        if what == "g(x)" and cls in UNDEFINED:
            with np.errstate(over="ignore"):
                ordinary = ordinary & ~UNDEFINED[cls](**given | {"x": wide})
        if all(np.isfinite(p).all() for p in parameters) and np.isnan(y[ordinary]).any():
            return f"{what} is NaN: {y} for x {wide}"
    return None


def spikes(answer, given):
    """Check whether spikes are right: 1 from 0 on, NaN for NaN, in the dtype of x."""
    x = as_floats(given["x"])
    wide = x.astype(np.float64)
    return differs("the spike", answer, np.where(np.isnan(wide), wide, wide >= 0), x.dtype)


def random_spikes(answer, given):
    """Check that random spikes are 0 or 1, NaN for NaN, in the dtype of x, and without a key those of the threshold."""
    x = as_floats(given["x"])
    wide, got = x.astype(np.float64), np.asarray(answer).astype(np.float64)
    if "key" in given and given["key"] is None:
        return spikes(answer, given)
    right = np.where(np.isnan(wide), wide, np.where(np.isinf(wide), wide > 0, got == 1))
    return differs("the spike", answer, right, x.dtype)
