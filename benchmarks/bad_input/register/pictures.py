"""Calls of `brainsurr.plot`: the judges count the curves, the strokes and the marks."""

import math
from functools import partial

import matplotlib.pyplot as plt
import numpy as np

import brainsurr as bs
import brainsurr.plot

from . import Argument, Call, as_floats, filled, floats, good, number, one_of, wrong_type


def calls():
    """Yield a call for each picture."""
    f = bs.LogTailedRelu(0.1)
    axes = Argument(good(None), wrong_type("None") + one_of("number", 3, refused=True))
    ranges = [(1.0, 1.0), (2.0, 1.0), (math.nan, 1.0), (0.0, math.inf), (0.0,), (0.0, 1.0, 2.0), 3.0]
    values = [0.1, [], [None], ["a"], [1j], [True], [np.ones(3)], math.nan]
    numbers = wrong_type() + one_of("not several numbers", *values, refused=True)
    arguments = {
        "surrogates": Argument(
            good((f,), (f, bs.Sigmoid())), one_of("wrong type", ("a",), (), (3,), (None,), refused=True)
        ),
        "xlim": Argument(good((-3.0, 3.0), [-1, 2]), wrong_type() + one_of("not a range", *ranges, refused=True)),
        "axes": axes,
        "alpha": Argument(good([0.25, 0.5], (1.0,)), numbers),
    }

    def curves(answer, given):
        wanted = len(given["surrogates"]) * len(given["alpha"]) + 2  # and the threshold, and zero
        return None if len(answer[1].lines) == wanted else f"{len(answer[1].lines)} lines, expected {wanted}"

    def surrogate(surrogates, **how):
        return render(bs.plot.surrogate, *surrogates, **how)

    yield Call("brainsurr.plot.surrogate", arguments, surrogate, curves)
    times = {"NaN": math.nan, "infinite": math.inf, "zero": 0.0, "negative": -1.0}
    dt = [g for g in number(1.0, refused=times).bad if g.refused]
    shared = {
        "time": Argument(good(4, 1), one_of("zero time steps", 0)),
        "batch": Argument(good(()), good(())),
        "dt": Argument(good(1.0, 0.5, np.float32(2.0)), dt),
        "unit": Argument(good("ms"), wrong_type("text") + one_of("number for a word", 3, refused=True)),
        "axes": axes,
    }
    x = floats()
    shapes = one_of("wrong shape", filled(()), filled((2, 2, 2)), refused=True)
    spikes = x.bad + shapes + one_of("zero neurons", np.zeros((4, 0), np.float32))
    flat = one_of("wrong shape", filled(3), refused=True)

    def strokes(answer, given):
        wanted = int((as_floats(given["spikes"]) > 0).sum())
        strokes = len(answer[1].collections[0].get_segments())
        return None if strokes == wanted else f"{strokes} strokes, expected {wanted}"

    arguments = shared | {"spikes": Argument(x.good, spikes + flat)}
    yield Call("brainsurr.plot.raster", arguments, partial(render, bs.plot.raster), strokes)

    def lines(answer, given):
        wanted = np.shape(given["v"])[1] + (given["threshold"] is not None)
        return None if len(answer[1].lines) == wanted else f"{len(answer[1].lines)} lines, expected {wanted}"

    thresholds = wrong_type("None") + one_of("wrong type", 1j, True, np.ones(3), refused=True)
    arguments = shared | {
        "v": Argument(x.good, spikes),
        "threshold": Argument(good(None, 1.0), thresholds),
        "spikes": Argument(x.good + good(None), [g for g in x.bad if g.value is not None] + shapes),
    }
    yield Call("brainsurr.plot.membrane", arguments, partial(render, bs.plot.membrane), lines)


def render(function, *args, **kwargs):
    """Call a function of `plot`, render the figure, and return the axes and the last of them."""
    try:
        axes = function(*args, **kwargs)
        last = axes[-1] if isinstance(axes, tuple) else axes
        last.figure.canvas.draw()
        return axes, last
    finally:
        plt.close("all")
