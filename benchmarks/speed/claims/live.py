"""Streaming: the time of one time step of a jitted network, called from Python for one example.

The weights are constants of the compiled program, or an argument of it. The addition shows what any jitted call takes.
Lower is better.
"""

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
        at_most(50, "streaming, one time step of three layers", times[FIXED], unit=" us"),
        at_most(1, "streaming, number of compiled programs", result["compiled"]),
    ]


def report(result):
    rows = [(run["name"], seconds(run["time"])) for run in result["runs"]]
    return table((f"jitted call, network {result['network']}", "time per call"), rows)
