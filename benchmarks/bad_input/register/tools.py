"""Calls of everything besides: time in blocks, the diagnosis, other libraries' names, optax, transfer."""

import math

import jax.numpy as jnp
import numpy as np

import brainsurr as bs
import brainsurr.interop
import brainsurr.optim

from . import (
    Argument,
    Call,
    as_floats,
    differs,
    differs_reduced,
    filled,
    floats,
    good,
    number,
    one_of,
    spoilt,
    wrong_type,
)
from .modules import blocks


def calls():
    """Yield a call for each of these names."""
    yield unroll()
    yield diagnose()
    yield check_gradients()
    yield from equivalents()
    yield from optimisers()
    yield from transfers()


def delayed(carry, xs):
    """Return a block that gives out what came the step before, in any dtype."""
    everything = jnp.concatenate([carry[None].astype(xs.dtype), xs])
    return everything[-1].astype(carry.dtype), everything[:-1]


def unroll():
    """Return `unroll` of a plain function."""
    xs = floats()
    shapes = one_of("wrong shape", np.float32(1.0), filled(()), refused=True)
    structures = one_of("wrong structure", (), {"a": filled((4, 1)), "b": filled((3, 1))}, refused=True)
    answers = one_of("another answer", *(lambda c, x: None, lambda c, x: x, lambda c, x: (c, x[:-1])), refused=True)
    arguments = {
        "time": Argument(good(4, 1), one_of("zero time steps", 0) + one_of("huge T", 100_000)),
        "batch": Argument(good((2,), (1,)), one_of("zero batch", (0,))),
        "block": Argument(good(delayed), wrong_type("function") + answers),
        "carry": Argument(floats(lambda s: s[1:]).good, wrong_type("None", "dictionary", "PRNG key")),
        "xs": Argument(xs.good, [g for g in xs.bad if g.kind != "complex"] + shapes + structures),
        **blocks(),
    }

    def judge(answer, given):
        xs = as_floats(given["xs"])
        xs = np.asarray(given["xs"]) if np.asarray(given["xs"]).dtype.kind in "iub" else xs
        everything = np.concatenate([np.asarray(given["carry"])[None].astype(xs.dtype), xs])
        wrong = differs("the carry", answer[0], everything[-1].astype(np.float32), np.float32)
        return wrong or differs_reduced(answer[1], everything[:-1], given["reduce"])

    return Call("brainsurr.unroll", arguments, bs.unroll, judge, {"xs": ("outputs",), "time": ("xs", "time")})


def diagnose():
    """Return `diagnose` of two spike functions in a row."""
    x = jnp.array([[-0.5, 0.5], [-2.0, 3.0]])

    def loss(spike_fns):
        return jnp.sum(spike_fns["second"](spike_fns["first"](x) - 0.5))

    f = bs.LogTailedRelu(0.25)
    odd = [{"first": f, "second": value} for value in (None, "a", 3, bs.Sigmoid, np.ones(2))]
    answers = [
        lambda fns: None,
        lambda fns: "a",
        loss_of_two,
        lambda fns: 1j,
        lambda fns: jnp.int32(1),
        lambda fns: 1.0,
    ]
    arguments = {
        "spike_fns": Argument(
            good({"first": f, "second": f}), wrong_type() + one_of("not a function", *odd, refused=True)
        ),
        "loss_fn": Argument(good(loss), wrong_type("function") + one_of("another answer", *answers, refused=True)),
    }

    def judge(answer, given):
        return None if answer.loss == 2.0 else f"the loss is {answer.loss}, expected 2"

    return Call("brainsurr.diagnose", arguments, bs.diagnose, judge, {"spike_fns": ("functions",)})


def check_gradients():
    """Return `check_gradients` of one weight."""
    f, x = bs.Sigmoid(2.0), jnp.array([-0.5, 0.25])

    def loss(params):
        return jnp.sum(f(x * params["w"]))

    odd = [lambda p: None, lambda p: "a", lambda p: f(x), lambda p: 1j, lambda p: jnp.inf]
    arguments = {
        "params": Argument(
            good({"w": jnp.float32(2.0)}, {"w": np.ones(2)}),
            one_of("no parameters", {}, None, [], {"w": 1}, "a", refused=True),
        ),
        "loss_fn": Argument(good(loss), wrong_type("function") + one_of("another answer", *odd, refused=True)),
    }

    def judge(answer, given):
        w = np.asarray(given["params"]["w"], np.float64)
        expected = np.sum(1 / (1 + np.exp(-2 * np.asarray(x, np.float64) * w)))
        right = answer.fine and np.isclose(answer.loss, expected, rtol=1e-12)
        return None if right else f"the report is {answer} with the loss {answer.loss}, expected {expected}"

    return Call("brainsurr.check_gradients", arguments, bs.check_gradients, judge, {"params": ("parameters",)})


def loss_of_two(spike_fns):
    """Return no scalar."""
    return spike_fns["first"](jnp.ones(2))


def equivalents():
    """Yield the calls of `equivalent` and `equivalents`, with names of other libraries."""
    unknown = one_of("unknown word", "snntorc", "", "brainsurr", "SNNTORCH ", refused=True)
    other = one_of("number for a word", 3, True, np.zeros(2), refused=True)
    library = Argument(good("snntorch", "SNNTorch"), wrong_type("None") + unknown + other)
    slope = number(25.0, 10.0, outside={"NaN": math.nan, "negative": -1.0, "zero": 0.0})
    yield Call(
        "brainsurr.equivalents",
        {"library": Argument(library.good + good(None), library.bad)},
        bs.equivalents,
        lambda answer, given: None if {row.library for row in answer} >= {"snntorch"} else "no snntorch",
        {"library": ("surrogates",)},
    )
    yield Call(
        "brainsurr.equivalent",
        {
            "library": Argument(library.good, library.bad + one_of("wrong type", None, refused=True)),
            "name": Argument(good("fast_sigmoid"), wrong_type() + unknown + other),
            "slope": Argument(slope.good, [g for g in slope.bad if "array" not in g.kind]),
        },
        bs.equivalent,
        lambda answer, given: None if answer == bs.InvSquareGrad(given["slope"]) else f"{answer}",
        {"name": ("surrogate",), "library": ("surrogates",), "slope": ("alpha",)},
    )


def optimisers():
    """Yield what is added to optax."""
    intervals = [{"alpha": pair} for pair in ((1.0, 0.0), (0.0, math.nan), (0.0,), 3, "a", (None, 1.0))]
    others = [{"beta": (0.0, 1.0)}, {}, {"alpha": {"beta": (0.0, 1.0)}}, [(0.0, 1.0)], (0.0, 1.0, 2.0)]
    bounds = wrong_type("None") + one_of("not an interval", *intervals, refused=True)
    numbers = Argument(
        good(jnp.float32(0.25), jnp.float32(0.75)),
        one_of("NaN", jnp.float32(math.nan)) + one_of("infinite", jnp.float32(math.inf), jnp.float32(-math.inf)),
    )

    def projected(bounds, update):
        rule = bs.optim.project(bounds)
        params = {"alpha": jnp.float32(0.5)}
        return rule.update({"alpha": update}, rule.init(params), params)[0]["alpha"]

    def right(answer, given):
        bound = np.clip(0.5 + np.asarray(given["update"]), 0, 1) - 0.5 if given["bounds"] else given["update"]
        return differs("the update", answer, bound, np.float32)

    arguments = {
        "bounds": Argument(good({"alpha": (0.0, 1.0)}, None), bounds + one_of("another tree", *others, refused=True)),
        "update": numbers,
    }
    yield Call("brainsurr.optim.project", arguments, projected, right)

    def reached(answer, given):
        with np.errstate(invalid="ignore"):
            return differs("the parameter", answer, 0.5 + 0 * np.asarray(given["param"]), np.float32)

    def followed(schedule, param):
        rule = bs.optim.follow(schedule)
        return rule.update(param, rule.init(param), param)[0] + param

    answers = [lambda n: None, lambda n: "a", lambda n: jnp.zeros(7), lambda n: 1j, lambda n: [None]]
    schedule = wrong_type("function", "class") + one_of("another answer", *answers, refused=True)
    yield Call(
        "brainsurr.optim.follow",
        {"schedule": Argument(good(lambda n: 0.5, lambda n: 0.5 * n.astype(float)), schedule), "param": numbers},
        followed,
        reached,
    )


def transfers():
    """Yield the calls that take parameters from one framework to another."""
    tree = {"layers_0": {"kernel": jnp.asarray(filled((2, 2))), "bias": jnp.zeros(2)}}

    def changed(**changes):
        return {"layers_0": tree["layers_0"] | changes}

    values = [changed(kernel=value) for value in ("a", jnp.ones((2, 2), jnp.complex64), object(), np.array([None] * 4))]
    values += [changed(kernel=jnp.ones((2, 2), jnp.int32))]
    shapes = [changed(kernel=filled(s)) for s in ((3, 3), (2, 2, 2), (4,))]
    shapes += [changed(more=filled(2)), {"layers_0": {"kernel": filled((2, 2))}}]
    bad = (
        wrong_type("None")
        + one_of("wrong type", *values, refused=True)
        + one_of("another tree", *shapes, refused=True)
        + one_of("another dtype", changed(kernel=jnp.asarray(filled((2, 2)), jnp.bfloat16)))
        + one_of("NaN", changed(kernel=spoilt((2, 2), math.nan)))
    )

    def right(answer, given):
        kernel = given["source"]["layers_0"]["kernel"]
        dtype = given["target"]["layers_0"]["kernel"].dtype
        return differs("the kernel", answer["layers_0"]["kernel"], np.asarray(kernel).astype(dtype), dtype)

    nothing = one_of("empty tree", None, {}, [], refused=True)
    names = wrong_type("None") + one_of("unknown name", "layers.0.kernel", "kernel", ("bias",), refused=True)
    arguments = {
        "source": Argument(good(tree), bad + nothing),
        "target": Argument(good(tree), bad),
        "transposed": Argument(good(None, ()), names),
    }
    words = {"source": ("target",), "target": ("source",)}
    yield Call("brainsurr.interop.transfer", arguments, bs.interop.transfer, right, words)
    odd = one_of("unknown word", "equinox", "", "NNX", 3, np.zeros(2), refused=True)
    framework = {"framework": Argument(good("nnx", "linen"), wrong_type() + odd)}
    yield Call("brainsurr.interop.register_layers", framework, bs.interop.register_layers, lambda answer, given: None)
