"""Calls of the layers of the three frameworks, held against a loop in NumPy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

import brainsurr as bs
from brainsurr import neurons

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
    tracer,
    wrong_type,
)
from .frameworks import FRAMEWORKS, Plain

F = bs.LogTailedRelu(0.25)
INFINITE = {"NaN": float("nan"), "infinite": float("inf")}


def calls():
    """Yield a call for each layer that has a state, two for one that can be recurrent."""
    yield from neurons_alone()
    for host in FRAMEWORKS:
        name = host.layers.__name__
        kinds = [(layer, recurrent) for layer in ("LIF", "LIFCell") for recurrent in (False, True)]
        for layer, recurrent in [*kinds, ("ALIF", False), ("ALIF", True), ("ALIFCell", True)]:
            arguments = neuron(host) | state_and_input(host, layer, recurrent) | feedback(host, recurrent)
            arguments |= adaptation() if layer in ADAPTIVE else {}
            call = partial(make_and_call, host, getattr(host.layers, layer))
            suffix = " (recurrent)" if recurrent else ""
            yield Call(f"{name}.{layer}{suffix}", arguments, call, partial(lif, host, layer), WORDS)
        arguments = leaky(host) | state_and_input(host, "LI", False)
        yield Call(
            f"{name}.LI", arguments, partial(make_and_call, host, host.layers.LI), partial(lif, host, "LI"), WORDS
        )
        arguments = delay(host) | state_and_input(host, "Delay", False)
        yield Call(f"{name}.Delay", arguments, partial(make_and_call, host, host.layers.Delay), delayed, WORDS)


def neurons_alone():
    """Yield a call for each neuron in plain jax."""
    of_layers = {"features", "learnable", "bounds", "carry_init", "param_dtype", "rngs", "recurrent"}
    for kind in ("LI", "LIF", "ALIF", "Recurrent", "Delay"):
        host, recurrent = FRAMEWORKS[0], kind == "Recurrent"
        every = {"LI": leaky, "Delay": delay}.get(kind, neuron)(host) | state_and_input(Plain, kind, recurrent)
        every |= {"spike_fn": Argument(good(F), every["spike_fn"].bad)} if "spike_fn" in every else {}
        every |= feedback(host, False) if kind in ("LIF", "ALIF") else {}
        every |= adaptation() if kind == "ALIF" else {}
        arguments = {name: argument for name, argument in every.items() if name not in of_layers}
        if recurrent:
            wrong = one_of("wrong shape", np.ones(3, "f4"), np.ones((3, 2), "f4"), np.ones((2, 2), "f4"), refused=True)
            own = {"neuron": Argument(good(neurons.LIF(spike_fn=F)), wrong_type() + one_of("class", neurons.LIF))}
            own |= {"kernel": Argument(good(np.full((3, 3), 0.25, np.float32)), wrong_type() + wrong)}
            arguments = own | {name: arguments[name] for name in ("time", "batch", "xs", "carry")}
        judge = delayed if kind == "Delay" else partial(alone, recurrent)
        yield Call(f"brainsurr.neurons.{kind}", arguments, partial(make_and_call, Plain, getattr(neurons, kind)), judge)


def alone(recurrent, answer, given):
    """Check a neuron by itself, which has the default arguments of a layer."""
    defaults = {"decay": 0.9, "threshold": 1.0, "reset": "subtract", "recurrent": True} if recurrent else {}
    return lif(Plain, "ALIF" if "adapts" in given else "LIF", answer, defaults | given)


ADAPTIVE, CELLS = ("ALIF", "ALIFCell"), ("LIFCell", "ALIFCell")


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


def make_and_call(host, layer, xs, **arguments):
    """Make a layer and call it."""
    state = {name: arguments.pop(name) for name in host.state}
    return host.call(layer(**arguments), xs=xs, **state)


def state_and_input(host, layer, recurrent) -> dict[str, Argument]:
    """Return the arguments for the state and the input of a layer."""

    def taken(shape):
        return shape if layer not in CELLS else shape[1:]

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
    if layer in CELLS:
        arguments["time"] = Argument(good(1), good(1))
    return arguments | host.state_arguments(carry(layer, recurrent))


def carry(layer, recurrent) -> Argument:
    """Return the state of a layer, with the last spikes if it is recurrent, and the adaptation of one that adapts."""

    def whole(v, shape):
        v = (v, np.zeros(shape, np.float32)) if recurrent else v
        return (v, np.zeros(shape, np.float32)) if layer in ADAPTIVE else v

    def potential(make):
        def shaped(s):
            shape = (*s[1:-1], 2, s[-1]) if layer == "Delay" else s[1:]
            return whole(make(shape), shape)

        return Shaped(shaped)

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
        *one_of(
            "wrong structure",
            Shaped(lambda s: (filled(s[1:]),) * (3 if recurrent or layer in ADAPTIVE else 2)),
            (),
            refused=True,
        ),
    ]
    return Argument(fine, bad)


def leaky(host) -> dict[str, Argument]:
    """Return the arguments of every layer with a state."""
    names = one_of("unknown name", "gamma", ["gamma"], [None], ("decay", "gamma"), 3, refused=True)
    features = count(3)
    return {
        "features": Argument(features.good + good(np.int64(3)), features.bad + host.sizes),
        "decay": number(0.5, 1.0, 0.0, outside={"negative": -0.5, "too large": 1.5}, refused=INFINITE),
        "decay_input": flag(),
        "learnable": Argument(good((), "decay", ["decay"]), wrong_type() + names),
        "bounds": intervals("decay"),
        "carry_init": optional(initialiser(host.constant(0.0), host.constant(0.5))),
        "param_dtype": floating(host),
    }


def delay(host) -> dict[str, Argument]:
    """Return the arguments of a delay, of two steps at most."""
    odd = one_of("wrong steps", -1, 1.0, True, [1, 2], [1, 2, -1], np.ones(3), [[1, 2, 3]], float("nan"), refused=True)
    dtype = floating(host)
    fine = good(2, [2, 0, 1], (0, 2, 1), np.array([1, 1, 2]), jnp.array([2, 2, 2]))
    return {
        "features": leaky(host)["features"],
        "steps": Argument(fine, wrong_type() + odd + tracer(2) + one_of("numpy integer", np.int64(2))),
        "state_dtype": Argument(
            good(jnp.float32, "float32"),
            wrong_type("class")
            + one_of("not a real dtype", jnp.complex64, np.str_, 3, refused=True)
            + [given for given in dtype.bad if given.kind == "another dtype"]
            + one_of("another dtype", jnp.int8, bool),
        ),
    }


def delayed(answer, given):
    """Check that each output is the input of some steps before, or what the state held of it, and so is the state."""
    past, ys = answer
    xs = np.asarray(jnp.asarray(given["xs"]))
    start = given.get("carry")
    before = np.zeros((2, *xs.shape[1:]), xs.dtype)
    if start is not None:
        before = np.moveaxis(np.asarray(jnp.asarray(start)), -2, 0).astype(xs.dtype)
    both, steps = np.concatenate([before, xs]), np.broadcast_to(given["steps"], 3)
    expected = np.stack([both[2 - d : len(both) - d, ..., c] for c, d in enumerate(steps)], -1)
    wrong = differs("the output", ys, expected, xs.dtype)
    held = np.moveaxis(both[len(xs) :], 0, -2)
    return wrong or differs(
        "the state", past, held, past.dtype if start is not None else jnp.dtype(given["state_dtype"])
    )


def adaptation() -> dict[str, Argument]:
    """Return the arguments of a neuron that adapts."""
    words = choice("threshold", "input")
    return {
        "adapts": Argument(words.good, words.bad + one_of("wrong type", None, refused=True)),
        "adaptation_decay": number(0.5, 1.0, 0.0, outside={"negative": -0.5, "too large": 1.5}, refused=INFINITE),
        "spike_adaptation": number(0.5, 1.0, outside={"negative": -0.5}, refused=INFINITE),
        "voltage_adaptation": number(0.0, 0.5, outside={"negative": -0.5}, refused=INFINITE),
    }


def intervals(name) -> Argument:
    """Return intervals by name, good and bad."""
    odd = [3, [name], (), {name: 3}, {name: (1.0, 0.0)}, {name: (0.0, float("nan"))}, {name: "ab"}, {3: (0.0, 1.0)}]
    return Argument(good({}, None), wrong_type("None") + one_of("not an interval", *odd, refused=True))


def floating(host) -> Argument:
    """Return a floating dtype."""
    odd = one_of("not a floating dtype", jnp.int32, "int8", bool, jnp.complex64, np.str_, 3, refused=True)
    others = one_of("another dtype", jnp.float16, jnp.bfloat16)
    wrong = wrong_type("None", "class") if None in host.dtypes else wrong_type("class")
    return Argument(good(*host.dtypes), wrong + odd + others)


def initialiser(*values) -> Argument:
    """Return a function that draws weights or a state."""
    odd = one_of(
        "another shape", lambda *_, **__: jnp.zeros(7), lambda *_: jnp.zeros(()), lambda *_: None, refused=True
    )
    return Argument(good(*values), wrong_type("function", "class") + odd)


def optional(argument: Argument) -> Argument:
    """Return an argument that may be None too."""
    return Argument(argument.good, [given for given in argument.bad if given.value is not None])


def neuron(host) -> dict[str, Argument]:
    """Return the arguments of a LIF layer."""
    functions = one_of("another answer", lambda x: None, lambda x: "a", lambda x: jnp.zeros(7), refused=True)
    reset = choice("subtract", "zero", "none")
    return leaky(host) | {
        "threshold": number(1.0, 0.5, outside={"negative": -0.5, "zero": 0.0}, refused=INFINITE),
        "reset": Argument(reset.good, reset.bad + one_of("wrong type", None, refused=True)),
        "reset_grad": Argument(good(None, True, False), [g for g in flag().bad if g.value is not None]),
        "spike_fn": Argument(
            good(F, Shaped(lambda _: host.layers.SpikingActivation(F))), wrong_type("function") + functions
        ),
        **host.of_neurons,
    }


def feedback(host, recurrent) -> dict[str, Argument]:
    """Return the arguments of a layer that feeds back on itself."""
    kernel = {"recurrent_kernel_init": initialiser(host.constant(0.25))} if recurrent else {}
    late = flag().good if recurrent else good(False)  # without recurrent weights it has another state
    flags = {"recurrent": Argument(good(recurrent), flag().bad), "reset_delay": Argument(late, flag().bad)}
    return flags | kernel


def lif(host, layer, answer, given, stateless=False):
    """Check whether spikes, reduced if so given, and state are those of a loop over time in NumPy."""
    unbounded = given.get("learnable") and given["bounds"] is None
    for name in {"decay", "adaptation_decay"} & given.keys():
        value = np.asarray(given[name])
        if not (unbounded and name == "decay") and not np.all((value >= 0) & (value <= 1)):
            return f"accepted {name} outside [0, 1]: {given[name]}"
    xs = as_floats(given["xs"])
    wide = xs.astype(np.float32) if layer not in CELLS else xs.astype(np.float32)[None]
    state, ys = answer
    start = given.get("carry")
    if start is None:
        start = np.full(
            wide.shape[1:], host.first_value(given["carry_init"]), jnp.dtype(given["param_dtype"] or jnp.float32)
        )
        start = [start, *(np.zeros_like(start) for kept in (given.get("recurrent"), layer in ADAPTIVE) if kept)]
    before = [np.asarray(array) for array in jax.tree.leaves(start)]
    if before[0].dtype in (np.float16, jnp.bfloat16):
        return None  # sums in these are rounded in another order
    after, expected = loop(wide, [v.astype(np.float32) for v in before], given)
    expected = (expected[0] if layer in CELLS else expected).astype(xs.dtype)
    wrong = differs_reduced(ys, expected, given.get("reduce"))
    if wrong or stateless:
        return wrong
    state = jax.tree.leaves(state)
    if len(state) != len(after):
        return f"the state is {state}, expected {len(after)} arrays"
    wrongs = (differs(f"state {i}", *pair, np.float32) for i, pair in enumerate(zip(state, after, strict=True)))
    return next(filter(None, wrongs), None)


def loop(xs, state, given):
    """Return the state after the last step and the outputs, of a layer that has a threshold if one is given."""

    def value(name):
        return np.asarray(given[name], np.float32)

    v, *others = state
    last, a = np.zeros_like(v), np.zeros_like(v)
    if "adapts" in given:
        *others, a = others
    recurrent, decay, ys = bool(others), value("decay"), np.zeros_like(xs)
    last = others[0] if recurrent else last
    late = bool(given.get("reset_delay"))

    def adapted(a, v, s):
        rho, c = value("adaptation_decay"), value("voltage_adaptation")
        seen = np.where((c == 0) & np.isinf(v), np.float32(0), v)
        return rho * a + (1 - rho) * (value("spike_adaptation") * s + c * seen)

    with np.errstate(all="ignore"):
        for i, x in enumerate(xs):
            x, before = x + last @ np.full((3, 3), 0.25, np.float32) if recurrent else x, a
            a = adapted(a, v, last) if late and "adapts" in given else a
            x = x - a if given.get("adapts") == "input" else x
            u = decay * v + ((1 - decay) * x if given.get("decay_input") else x)
            if "threshold" not in given:
                v = ys[i] = u
                continue
            added = (a, before) if given.get("adapts") == "threshold" else (0, 0)
            limit, fired_at = (value("threshold") + some for some in added)
            r = last if late else fires(u - limit)
            v = {"subtract": u - fired_at * r, "zero": u * (1 - r), "none": u}[given["reset"]]
            last = ys[i] = fires(v - limit) if late else r
            a = adapted(a, v, last) if "adapts" in given and not late else a
    return [v, *([last] if recurrent else []), *([a] if "adapts" in given else [])], ys


def fires(x):
    """Return spikes, of potential minus threshold."""
    return np.where(np.isnan(x), np.nan, x >= 0).astype(np.float32)
