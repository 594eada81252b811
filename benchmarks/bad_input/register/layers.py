"""Calls of the layers of the three frameworks, held against a loop in NumPy."""

from functools import partial

import jax.numpy as jnp
import numpy as np
from flax import nnx as nnx_

import brainsurr as bs
from tools.hosts import HOSTS, Brainstate, Linen, Nnx

from . import (
    Argument,
    Call,
    Shaped,
    as_floats,
    choice,
    count,
    differs,
    differs_reduced,
    filled,
    flag,
    floats,
    good,
    number,
    one_of,
    spoilt,
    wrong_type,
)

F = bs.LogTailedRelu(0.25)
INFINITE = {"NaN": float("nan"), "infinite": float("inf")}


def calls():
    """A call for each layer that has a state, two for one that can be recurrent."""
    for host in HOSTS:
        name = host.layers.__name__
        for layer in ("LIF", "LIFCell", "ALIF", "ALIFCell"):
            adapts = layer in ("ALIF", "ALIFCell")
            for recurrent in (False, True)[: 1 if adapts else 2]:
                arguments = neuron(host) | over_time(host, layer, recurrent or adapts) | feedback(host, recurrent)
                if adapts:
                    arguments |= adaptation(host)
                if host is not Nnx:
                    del arguments["rngs"]
                call = partial(make_and_call, host, getattr(host.layers, layer))
                suffix = " (recurrent)" if recurrent else ""
                yield Call(f"{name}.{layer}{suffix}", arguments, call, partial(lif, host, layer), WORDS)
        arguments = leaky(host) | over_time(host, "LI", False)
        yield Call(
            f"{name}.LI", arguments, partial(make_and_call, host, host.layers.LI), partial(lif, host, "LI"), WORDS
        )


WORDS = {
    "xs": ("input", "inputs", "x"),
    "input_shape": ("carry",),
    "batch_size": ("carry",),
    "carry_init": ("carry",),
    "batch": ("input",),
    "time": ("xs",),
    "bounds": ("interval",),
    "surrogate_init": ("surrogate",),
}


def make_and_call(host, layer, xs, input_shape=None, batch_size=None, carry=None, **made):
    """Make a layer and call it."""
    given = (batch_size, xs) if host is Brainstate else (input_shape, carry, xs)
    return host.call(layer(**made), *given)


def over_time(host, layer, two_states) -> dict[str, Argument]:
    """The state and the input of a layer."""
    is_cell = layer.endswith("Cell")

    def state(shape):
        return shape[1:]

    def taken(shape):
        return shape[1:] if is_cell else shape

    xs = floats(taken)
    others = [
        lambda s: filled(()),
        lambda s: filled((5,)),
        lambda s: filled((*taken(s)[:-1], 1)),
        lambda s: filled((*taken(s)[:-1], 4)),
        lambda s: filled((*taken(s), 3)),
    ]
    bad = xs.bad + one_of("wrong shape", *map(Shaped, others), refused=True)
    arguments = {
        "time": Argument(good(4, 1), one_of("zero time steps", 0) + one_of("huge T", 100_000)),
        "batch": Argument(good((2,), (), (1, 2)), one_of("zero batch", (0,), (2, 0))),
        "xs": Argument(xs.good, bad),
    }
    if is_cell:
        arguments["time"] = Argument(good(1), good(1))
    if host is Brainstate:
        sizes = one_of("wrong size", -1, 2.0, True, (2.0,), ("a",), 7, refused=True)
        return arguments | {"batch_size": Argument(good(Shaped(lambda s: s[1:-1] or None)), wrong_type("None") + sizes)}
    shapes = [(), (4,), (2, 4), ("a", 3), (-1, 3), (2.0, 3), (None, 3), 3]
    bad = wrong_type() + one_of("wrong size", *shapes, refused=True) + one_of("wrong size", (5, 3))
    shaped = Argument(good(Shaped(state)), bad)
    return arguments | {"input_shape": shaped, "carry": carry(two_states)}


def carry(two_states) -> Argument:
    """The state of a layer, with the last spikes if it is recurrent, with the adaptation if it adapts."""

    def potential(make):
        return Shaped(lambda s: (make(s[1:]), np.zeros(s[1:], np.float32)) if two_states else make(s[1:]))

    fine = good(None, *(potential(lambda s, i=i: jnp.asarray(filled(s, start=i))) for i in range(3)))
    bad = [
        *wrong_type("None"),
        *one_of("another dtype", potential(lambda s: filled(s, np.int32)), potential(lambda s: filled(s, np.float64))),
        *one_of("another dtype", potential(lambda s: jnp.asarray(filled(s), jnp.bfloat16))),
        *one_of("NaN", potential(lambda s: spoilt(s, np.nan))),
        *one_of("infinite", potential(lambda s: spoilt(s, np.inf))),
        *one_of("complex", potential(lambda s: filled(s, np.complex64)), refused=True),
        *one_of("wrong shape", *(potential(lambda s, d=d: filled((*s[:-1], d))) for d in (1, 4)), refused=True),
        *one_of("wrong shape", potential(lambda s: filled((7, *s))), Shaped(lambda s: filled(())), refused=True),
        *one_of("wrong structure", Shaped(lambda s: (filled(s[1:]),) * (3 if two_states else 2)), (), refused=True),
    ]
    return Argument(fine, bad)


def leaky(host) -> dict[str, Argument]:
    """The arguments of every layer with a state."""
    names = one_of("unknown name", "gamma", ["gamma"], [None], ("decay", "gamma"), 3, refused=True)
    sizes = one_of("wrong size", (-1, 3), (2.0, 3), (True, 3), ("a", 3), (2, 0), (), refused=True)
    features = count(3)
    return {
        "features": Argument(features.good + good(np.int64(3)), features.bad + (sizes if host is Brainstate else [])),
        "decay": number(0.5, 1.0, 0.0, outside={"negative": -0.5, "too large": 1.5}, refused=INFINITE),
        "decay_input": flag(),
        "learnable": Argument(good((), "decay", ["decay"]), wrong_type() + names),
        "bounds": intervals("decay"),
        "carry_init": initialiser(host.constant(0.0), host.constant(0.5)),
        "param_dtype": floating(host),
    }


def intervals(name) -> Argument:
    """Intervals by name."""
    odd = [3, [name], (), {name: 3}, {name: (1.0, 0.0)}, {name: (0.0, float("nan"))}, {name: "ab"}, {3: (0.0, 1.0)}]
    return Argument(good({}, None), wrong_type("None") + one_of("not an interval", *odd, refused=True))


def floating(host) -> Argument:
    """A floating dtype."""
    odd = one_of("not a floating dtype", jnp.int32, "int8", bool, jnp.complex64, np.str_, 3, refused=True)
    others = one_of("another dtype", jnp.float16, jnp.bfloat16)
    wrong = wrong_type("None", "class") if None in host.dtypes else wrong_type("class")
    return Argument(good(*host.dtypes), wrong + odd + others)


def initialiser(*values) -> Argument:
    """A function that draws weights or a state."""
    odd = one_of(
        "another shape", lambda *_, **__: jnp.zeros(7), lambda *_: jnp.zeros(()), lambda *_: None, refused=True
    )
    return Argument(good(*values), wrong_type("function", "class") + odd)


def neuron(host) -> dict[str, Argument]:
    """The arguments of a LIF layer."""
    functions = one_of("another answer", lambda x: None, lambda x: "a", lambda x: jnp.zeros(7), refused=True)
    reset = choice("subtract", "zero", "none")
    return leaky(host) | {
        "threshold": number(1.0, 0.5, outside={"negative": -0.5, "zero": 0.0}, refused=INFINITE),
        "reset": Argument(reset.good, reset.bad + one_of("wrong type", None, refused=True)),
        "reset_delay": Argument(good(False), flag().bad),
        "reset_grad": Argument(good(None, True, False), [g for g in flag().bad if g.value is not None]),
        "spike_fn": Argument(
            good(F, Shaped(lambda _: host.layers.SpikingActivation(F))), wrong_type("function") + functions
        ),
        "rngs": Argument(good(Shaped(lambda _: nnx_.Rngs(0))), wrong_type("None")),
    }


def adaptation(host) -> dict[str, Argument]:
    """The arguments of a layer that adapts, and whose last spikes do not act on it."""
    return {
        "recurrent_kernel_init": Argument(good(host.constant(0.25)), wrong_type("function", "class")),
        "adapts": choice("threshold", "input"),
        "adaptation_decay": number(0.5, 1.0, 0.0, outside={"negative": -0.5, "too large": 1.5}, refused=INFINITE),
        "spike_adaptation": number(0.5, 0.0, outside={"negative": -0.5}, refused=INFINITE),
        "voltage_adaptation": number(0.0, 0.25, outside={"negative": -0.25}, refused=INFINITE),
    }


def feedback(host, recurrent) -> dict[str, Argument]:
    """The arguments of a layer that feeds back on itself."""
    kernel = {"recurrent_kernel_init": initialiser(host.constant(0.25))} if recurrent else {}
    return {"recurrent": Argument(good(recurrent), flag().bad), **kernel}


def lif(host, layer, answer, given, stateless=False):
    """Whether spikes, reduced if so given, and state are those of a loop over time in NumPy."""
    unbounded = given.get("learnable") and given["bounds"] is None
    if not unbounded and not np.all((np.asarray(given["decay"]) >= 0) & (np.asarray(given["decay"]) <= 1)):
        return f"accepted a decay outside [0, 1]: {given['decay']}"
    xs = as_floats(given["xs"])
    is_cell, two_states = layer.endswith("Cell"), given.get("recurrent") or "adapts" in given
    wide = xs.astype(np.float32)[None] if is_cell else xs.astype(np.float32)
    state, ys = answer
    start = given.get("carry")
    if start is None:
        value = given["carry_init"]((1,)) if host is Brainstate else given["carry_init"](Linen.key(), (1,))
        start = np.full(wide.shape[1:], value, jnp.dtype(given["param_dtype"] or jnp.float32))
        start = (start, np.zeros_like(start)) if two_states else start
    before = tuple(map(np.asarray, start)) if two_states else (np.asarray(start),)
    if before[0].dtype in (np.float16, jnp.bfloat16):
        return None  # sums in these are rounded in another order
    after, expected = loop(wide, *(v.astype(np.float32) for v in before), given)
    expected = (expected[0] if is_cell else expected).astype(xs.dtype)
    wrong = differs_reduced(ys, expected, given.get("reduce"))
    if wrong or stateless:
        return wrong
    state = state if two_states else (state,)
    if not isinstance(state, tuple) or len(state) != len(after):
        return f"the state is {state}, expected {len(after)} arrays"
    wrongs = (differs(f"state {i}", *pair, np.float32) for i, pair in enumerate(zip(state, after, strict=True)))
    return next(filter(None, wrongs), None)


def loop(xs, v, *last_and_given):
    """The state after the last step and the outputs, of a layer that has a threshold if one is given."""
    *last, given = last_and_given
    decay, ys = np.asarray(given["decay"], np.float32), np.zeros_like(xs)
    adapts, scale = given.get("adapts"), 1 - decay if given.get("decay_input") else np.float32(1)
    with np.errstate(all="ignore"):
        for i, x in enumerate(xs):
            if adapts == "input":
                x = x - last[0]
            elif last and not adapts:
                x = x + last[0] @ np.full((3, 3), 0.25, np.float32)
            u = decay * v + scale * x
            shift = last[0] if adapts == "threshold" else np.float32(0)
            v, ys[i] = fire(u, shift, given) if "threshold" in given else (u, u)
            if adapts:
                rho, b, c = (np.asarray(given[name], np.float32) for name in ADAPTATION)
                last = [rho * last[0] + (1 - rho) * (b * ys[i] + c * v)]
            elif last:
                last = [ys[i]]
    return (v, *last), ys


ADAPTATION = ("adaptation_decay", "spike_adaptation", "voltage_adaptation")


def fire(u, shift, given):
    """Potential and spikes after the threshold."""
    threshold = np.asarray(given["threshold"], np.float32) + shift
    s = np.where(np.isnan(u - threshold), np.nan, u - threshold >= 0).astype(np.float32)
    return {"subtract": u - threshold * s, "zero": u * (1 - s), "none": u}[given["reset"]], s
