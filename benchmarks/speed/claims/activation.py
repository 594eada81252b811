"""LogTailedRelu compared with jax.nn.relu and jnp.square: time of one elementwise pass.

Both brainsurr and braintools have a `LogTailedRelu`, here with alpha = 0.1. A *forward* pass evaluates the function; a
pass *with gradient* also computes its gradient. The last column divides each time by the time of jax.nn.relu for the
same array and pass. Lower is better.
"""

import itertools
import os

import braintools
import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

import brainsurr as bs

from ...lib.report import ratio_at_most, table
from . import compiled, seconds, timed

FUNCTIONS = {
    "jax.nn.relu": jax.nn.relu,
    "jnp.square": jnp.square,
    "brainsurr": bs.LogTailedRelu(0.1),
    "braintools": braintools.surrogate.LogTailedRelu(0.1),
}
RELU, SQUARE, OURS, _ = FUNCTIONS


def with_gradient(f):
    """Return the value, and the cotangent that is sent back, as within a network."""

    def both(x, cotangent):
        y, back = jax.vjp(f, x)
        return y, back(cotangent)[0]

    return both


PASSES = {"forward": lambda f: f, "with gradient": with_gradient}


def measure(quick):
    sizes, rounds = ([10**4], 2) if quick else ([10**n for n in range(4, 9)], 21)
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    settings = list(itertools.product([s for s in sizes if 6 * 4 * s < available], ("float32", "bfloat16"), PASSES))
    draw, runs = np.random.default_rng(0), []
    for size, dtype, which in tqdm(settings, desc="activation"):
        x, cotangent = (jnp.asarray(draw.standard_normal(size, np.float32), dtype) for _ in range(2))
        given = (x,) if which == "forward" else (x, cotangent)
        passes = {name: compiled(PASSES[which](f), *given) for name, f in FUNCTIONS.items()}
        about = {"size": size, "dtype": dtype, "pass": which}
        runs += timed(passes, rounds, calls=1 if quick else max(1, 10**6 // size), **about)
    return {"surrogate": repr(FUNCTIONS[OURS]), "runs": runs}


def ratios(result, floor=RELU):
    """Return the time relative to relu, or another function, by ``(size, dtype, pass, name)``."""
    times = {key: time["median"] for key, time in _times(result).items()}
    return {key: time / times[*key[:-1], floor] for key, time in times.items()}


def _times(result):
    return {(run["size"], run["dtype"], run["pass"], run["name"]): run["time"] for run in result["runs"]}


# For bfloat16 gradients, the reference is a square: except for relu's 0 and 1, any gradient is a rounded product.
HELD = (
    ("float32", "forward", RELU, 1.2),
    ("float32", "with gradient", RELU, 1.2),
    ("bfloat16", "forward", RELU, 1.2),
    ("bfloat16", "with gradient", SQUARE, 1.35),
)


def claims(result):
    made, times = [], _times(result)
    for dtype, which, floor, limit in HELD:
        held = {s: r for (s, d, p, f), r in ratios(result, floor).items() if (d, p, f) == (dtype, which, OURS)}
        worst = max(held, key=held.get)
        where = f"slowest of {min(held):,} to {max(held):,} elements ({worst:,})"
        pair = (times[worst, dtype, which, name] for name in (OURS, floor))
        made.append(ratio_at_most(limit, f"activation, {dtype}, {which} / {floor}, {where}", *pair))
    return made


def report(result):
    ratio = ratios(result)
    rows = [
        (f"{size:,} {dtype} elements, {which}: {name}", seconds(time), f"{ratio[size, dtype, which, name]:.2f}")
        for (size, dtype, which, name), time in _times(result).items()
    ]
    return table(("array, pass and function", "time", "time / jax.nn.relu"), rows)
