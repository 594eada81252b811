"""The activation against jax.nn.relu and jnp.square, also elementwise, and braintools' function of the same name."""

import os

import braintools
import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

import brainsurr as bs

from ...lib import results, timing
from . import Mark, compiled, seconds

FUNCTIONS = {
    "jax.nn.relu": jax.nn.relu,
    "jnp.square": jnp.square,
    "brainsurr": bs.LogTailedRelu(0.1),
    "braintools": braintools.surrogate.LogTailedRelu(0.1),
}
RELU, SQUARE, OURS, _ = FUNCTIONS
PASSES = ("forward", "with gradient")


def with_gradient(f):
    """Return the value and its cotangent sent back, as within a network."""

    def both(x, cotangent):
        y, back = jax.vjp(f, x)
        return y, back(cotangent)[0]

    return both


def measure(quick):
    sizes, rounds = ([10**4, 10**5], 3) if quick else ([10**n for n in range(4, 9)], 21)
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    sizes = [size for size in sizes if 6 * 4 * size < available]
    draw, runs = np.random.default_rng(0), []
    with tqdm(total=2 * len(sizes) * len(PASSES) * len(FUNCTIONS) * rounds, desc="activation") as bar:
        for size in sizes:
            for dtype in ("float32", "bfloat16"):
                x, cotangent = (jnp.asarray(draw.standard_normal(size, np.float32), dtype) for _ in range(2))
                for name in PASSES:
                    passes = {
                        f: compiled(with_gradient(function), x, cotangent).call
                        if name == "with gradient"
                        else compiled(function, x).call
                        for f, function in FUNCTIONS.items()
                    }
                    calls = max(1, 10**6 // size) if not quick else 1
                    times = timing.interleaved(passes, rounds, calls, bar.update)
                    setting = {"size": size, "dtype": dtype, "pass": name}
                    runs += [{**setting, "name": f, "time": time} for f, time in times.items()]
    return {"surrogate": repr(FUNCTIONS[OURS]), "runs": runs}


def _times(result):
    """Return what was measured, by ``(size, dtype, pass, name)``."""
    return {(run["size"], run["dtype"], run["pass"], run["name"]): run["time"] for run in result["runs"]}


def ratios(result, floor=RELU):
    """Return time over that of relu, or of another, by ``(size, dtype, pass, name)``; without what was not measured."""
    times = {key: time["median"] for key, time in _times(result).items()}
    return {key: time / times[*key[:-1], floor] for key, time in times.items() if (*key[:-1], floor) in times}


FORWARD = """in half precision the step is told from the bits of x, so that NaN shows and -0.0 and subnormal numbers
take the right side: 7 operations for an element. XLA on a CPU splits a pass among threads once an element has more
operations than bytes, here 4, and waking threads takes longer than a small pass does"""
DIVIDES = "beside a product with the cotangent, which the square has too, it divides, and selects one of three values"
IN_CACHES = """an array about as large as a cache: the time of one function varies as much as the functions differ, see
the quartiles; a pass over larger arrays waits for the memory, whatever the function"""
# With gradient bfloat16 is held against a square: any gradient but relu's 0 and 1 is a product that is rounded.
HELD = (
    ("float32", "forward", RELU, 1.2, IN_CACHES),
    ("float32", "with gradient", RELU, 1.2, IN_CACHES),
    ("bfloat16", "forward", RELU, 1.2, FORWARD),
    ("bfloat16", "with gradient", SQUARE, 1.35, DIVIDES),
)


def marks(result):
    all_marks, times = [], _times(result)
    for dtype, which, floor, limit, why in HELD:
        held = {s: r for (s, d, p, f), r in ratios(result, floor).items() if (d, p, f) == (dtype, which, OURS)}
        worst = max(held, key=held.get) if held else None
        where = f", worst of {min(held):.0e} to {max(held):.0e}: {worst:.0e}" if held else ""
        what = f"activation, {dtype}, {which} / {floor}{where}"
        pair = (times.get((worst, dtype, which, name)) for name in (OURS, floor))
        all_marks.append(Mark.of(what, limit, *pair, why=why))
    return all_marks


def report(result):
    ratio, rows = ratios(result), []
    for run in result["runs"]:
        key = (run["size"], run["dtype"], run["pass"], run["name"])
        rows.append((f"{run['size']:.0e} {run['dtype']}, {run['pass']}: {run['name']}", seconds(run["time"])))
        rows[-1] += (f"{ratio[key]:.2f}",)
    return results.table((result["surrogate"], "time", "/ relu"), rows)


def draw(result, plt):
    """Draw time over that of relu, over the number of elements."""
    ratio = ratios(result)
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained", sharey=True)
    for axis, name in zip(axes, PASSES, strict=True):
        for dtype, line in (("float32", "o-"), ("bfloat16", "s--")):
            for f, colour in ((OURS, "C0"), ("braintools", "C1")):
                sizes = sorted({size for size, *_ in ratio})
                values = [ratio[size, dtype, name, f] for size in sizes]
                axis.plot(sizes, values, line, color=colour, label=f"{f}, {dtype}")
        axis.axhline(1, color="grey", linewidth=0.8)
        axis.set(xlabel="elements", xscale="log", title=name)
    axes[0].set(ylabel="time / jax.nn.relu")
    axes[0].legend(frameon=False)
    return figure
