"""Streaming: one time step of a jitted three-layer network, called from Python: 64-128-128-10, one example."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

from ...lib import timing
from ...lib.report import at_most, table
from ..peers.task import LONG
from . import seconds
from .train_step import spiking

BARE = "a jitted addition"
FIXED, GIVEN = "a time step, weights in the program", "a time step, weights as an argument"


def measure(quick):
    rounds, calls = (2, 5) if quick else (21, 1000)
    net, traced = spiking(LONG), []
    graphdef, params = nnx.split(net)

    def step(params, carry, x):
        traced.append(x.shape)  # runs while jax traces, once per program
        carry, ys = nnx.merge(graphdef, params)(carry, x[None])
        return carry, ys[0]

    steps = {FIXED: jax.jit(partial(step, params)), GIVEN: partial(jax.jit(step), params)}

    add = jax.jit(jnp.add)
    xs = list(jnp.asarray(LONG.inputs(1, 16)))

    def live(step):
        carry, inputs = net.initialize_carry((1, LONG.sizes[0])), itertools.cycle(xs)

        def call():
            nonlocal carry
            carry, y = step(carry, next(inputs))
            return jax.block_until_ready(y)

        return call

    functions = {name: live(step) for name, step in steps.items()}
    functions[BARE] = lambda: jax.block_until_ready(add(xs[0], xs[1]))
    times = timing.interleaved(functions, rounds, calls)
    about = {"network": "-".join(map(str, LONG.sizes)), "compiled": len(traced) / len(steps)}
    return {**about, "runs": [{"name": name, "time": time} for name, time in times.items()]}


def claims(result):
    times = {run["name"]: 1e6 * run["time"]["median"] for run in result["runs"]}
    return [
        at_most(50, "one time step of three layers, live", times[FIXED], unit=" us"),
        at_most(1, "programs that a stream compiles", result["compiled"]),
    ]


def report(result):
    rows = [(run["name"], seconds(run["time"])) for run in result["runs"]]
    return table((f"{result['network']}, one example", "a call"), rows)
