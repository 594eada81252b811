"""Plot surrogates, spikes and membrane potentials with matplotlib. Needs the extra ``plot``.

Every function draws into the given axes, or creates new ones, and returns the axes.
"""

import contextlib
from collections.abc import Callable, Iterable
from itertools import product
from typing import Any

import numpy as np

from ._arrays import as_float
from ._checks import check_surrogate
from ._extras import needs
from ._surrogate import Surrogate

with needs("plot"):
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes
    from matplotlib.ticker import MaxNLocator

__all__ = ["membrane", "raster", "surrogate"]

_ZERO: dict[str, Any] = {"color": "0.8", "linewidth": 0.8, "zorder": 0}
_SPIKE: dict[str, Any] = {"marker": "^", "s": 28}


def surrogate(
    *surrogates: Surrogate,
    xlim: tuple[float, float] = (-3.0, 3.0),
    axes: Axes | Iterable[Axes] | None = None,
    **parameters: Iterable[Any],
) -> tuple[Axes, Axes]:
    """Plot surrogate functions (primitives) and surrogate gradients, side by side.

    At a jump, the curve is interrupted, and a dotted line marks the jump.

    Args:
      *surrogates: one or more surrogates.
      xlim: range of x, the membrane potential minus threshold, dimensionless.
      axes: two axes to draw into, for primitives and gradients, or one for both, in which primitives are dashed. If
        None, new axes are created.
      **parameters: values by parameter name. Each surrogate is drawn for each combination of values.

    Returns:
      The two axes. A surrogate without a primitive is drawn in the second axes only.

    Raises:
      TypeError: an argument is not a surrogate.

    Example:
      Plot the primitive and the gradient of LogTailedRelu:

      >>> import brainsurr as bs
      >>> from brainsurr import plot
      >>> axes = plot.surrogate(bs.LogTailedRelu(), alpha=[0.0, 0.1, 0.3], xlim=(-2, 4))
      >>> [axis.get_ylabel() for axis in axes]
      ['primitive g(x)', "gradient g'(x)"]
    """
    for f in surrogates:
        check_surrogate("surrogates", f)
    own = axes is None
    if own:
        figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    left, right = (axes, axes) if isinstance(axes, Axes) else axes  # type: ignore[misc]
    one = left is right
    chosen = list(product(surrogates, product(*parameters.values())))
    for i, (f, values) in enumerate(chosen):
        setting = dict(zip(parameters, values, strict=True))
        g = f.replace(**setting)
        label = ", ".join(f"{name} = {value:g}" for name, value in setting.items()) or repr(g)
        if len(surrogates) > 1 and setting:
            label = f"{type(g).__name__}, {label}"
        with contextlib.suppress(NotImplementedError):
            color = "0.55" if one and len(chosen) == 1 else f"C{i}"
            _draw(left, g.surrogate_fun, xlim, color, "--" if one else "-", f"{label}: primitive" if one else label)
        _draw(right, g.surrogate_grad, xlim, f"C{i}", "-", f"{label}: gradient" if one else label)
    for axis, label in ((left, "primitive g(x)"), (right, "gradient g'(x)")):
        axis.axvline(0, **_ZERO)
        axis.axhline(0, **_ZERO)  # shows that a small gradient is above 0
        axis.set(xlabel="x, membrane potential minus threshold", ylabel=label, xlim=xlim)
    if one:
        left.set_ylabel("g(x), g'(x)")
    _legend(right, own)
    if own:
        figure.set_figwidth(9 + 0.08 * max(len(f"{line.get_label()}") for line in right.lines))
    return left, right


def raster(spikes, *, dt: float = 1.0, unit: str = "steps", axes: Axes | None = None) -> Axes:
    """Plot when each neuron fires.

    Args:
      spikes: numbers, ``[time, neurons]``. Values above 0 are spikes.
      dt: length of a time step, in ``unit``.
      unit: unit of the time axis, such as ``"ms"``.
      axes: axes to draw into. If None, new axes are created.

    Returns:
      The axes.

    Raises:
      TypeError: ``spikes`` does not contain numbers.
      ValueError: ``spikes`` does not have two axes, or ``dt`` is not above 0.

    Example:
      >>> import numpy as np
      >>> from brainsurr import plot
      >>> plot.raster(np.eye(5)).get_xlabel()
      'time (steps)'
    """
    spikes = _over_time("spikes", spikes, dt, "[time, neurons]")
    axes = axes or plt.subplots(figsize=(6, 3.4), layout="constrained")[1]
    time, neuron = np.nonzero(spikes > 0)
    steps = max(1, len(spikes))
    few = steps <= 50  # few enough to tell steps apart
    half = 0.4 * max(1.0, spikes.shape[1] / 100)  # strokes stay visible with many neurons
    axes.vlines(time * dt, neuron - half, neuron + half, linewidth=2.4 if few else 1.2)
    if few:
        edges = (np.arange(1, steps) - 0.5) * dt
        axes.vlines(edges, -0.5, spikes.shape[1] - 0.5, color="0.9", linewidth=0.6, zorder=0)
    xlim, ylim = (-0.5 * dt, (steps - 0.5) * dt), (-0.5, max(1, spikes.shape[1]) - 0.5)
    axes.set(xlabel=f"time ({unit})", ylabel="neuron", xlim=xlim, ylim=ylim)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return axes


def membrane(
    v, *, threshold: float | None = None, spikes=None, dt: float = 1.0, unit: str = "steps", axes: Axes | None = None
) -> Axes:
    """Plot membrane potentials over time.

    Args:
      v: potentials, ``[time]`` or ``[time, neurons]``, dimensionless. Up to eight neurons each have a colour and a
        label.
      threshold: the threshold, drawn as a dashed line. If None, no line is drawn.
      spikes: spikes in the shape of ``v``, marked on the potentials. If None, no spikes are drawn.
      dt: length of a time step, in ``unit``.
      unit: unit of the time axis, such as ``"ms"``.
      axes: axes to draw into. If None, new axes are created.

    Returns:
      The axes.

    Raises:
      TypeError: ``v`` or ``spikes`` does not contain numbers.
      ValueError: ``v`` has more than two axes, ``spikes`` has another shape, or ``dt`` is not above 0.

    Example:
      >>> import numpy as np
      >>> from brainsurr import plot
      >>> plot.membrane(np.linspace(0, 1, 5), threshold=1.0).get_ylabel()
      'membrane potential'
    """
    v = _over_time("v", v, dt, "[time]", "[time, neurons]")
    spikes = None if spikes is None else _over_time("spikes", spikes, dt, "[time]", "[time, neurons]")
    if spikes is not None and spikes.shape != v.shape:
        raise ValueError(f"expected spikes of the shape of v, {v.shape}, got {spikes.shape}")
    own = axes is None
    axes = axes or plt.subplots(figsize=(7.5, 3.4), layout="constrained")[1]
    time = np.arange(len(v)) * dt
    columns = v if v.ndim > 1 else v[:, None]
    count = columns.shape[1]
    for i, column in enumerate(columns.T):
        color, alpha, label = f"C{i}", 1.0, f"neuron {i}" if count > 1 else "membrane potential"
        if count > 8:
            color, alpha, label = "C0", 0.5, "_" if i else f"{count} neurons"
        axes.plot(time, column, color=color, alpha=alpha, linewidth=1.2, label=label)
        if spikes is not None:
            fired = spikes.reshape(columns.shape)[:, i] > 0
            axes.scatter(time[fired], column[fired], color=color, zorder=3, **_SPIKE)
    if threshold is not None:
        axes.axhline(float(threshold), color="0.3", linestyle="--", linewidth=1.0, label="threshold")
    if spikes is not None:
        axes.scatter([], [], color="0.3", label="spike", **_SPIKE)
    axes.set(xlabel=f"time ({unit})", ylabel="membrane potential")
    axes.margins(x=0.02)
    _legend(axes, own)
    return axes


def _legend(axes: Axes, own: bool):
    """Put the legend next to the curves in a new figure, which is wide enough, or inside the given axes."""
    beside, inside = {"frameon": False, "loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}, {"edgecolor": "none"}
    axes.legend(**(beside if own else inside))


def _over_time(name: str, x, dt: float, *shapes: str) -> np.ndarray:
    if not 0 < dt < np.inf:
        raise ValueError(f"expected dt to be a time above 0, got {dt!r}")
    x = np.asarray(as_float(x, name), np.float64)
    if x.ndim not in [len(shape.split(",")) for shape in shapes]:
        raise ValueError(f"expected {name} {' or '.join(shapes)}, got shape {x.shape}: choose one example of the batch")
    return x


def _draw(axes: Axes, curve: Callable, xlim: tuple[float, float], color: str, style: str, label: str):
    """Draw a curve, broken where it jumps."""
    x = np.linspace(*xlim, 1001)
    for _ in range(5):  # move the points until they are evenly spaced along the curve: then only a jump is steep
        y = np.asarray(curve(x), np.float64)
        dx, dy = (np.diff(each, prepend=each[0]) / (np.ptp(each) or 1.0) for each in (x, y))
        along = np.cumsum(np.hypot(dx, dy))
        x = np.interp(np.linspace(0, along[-1], len(x)), along, x)
    y = np.asarray(curve(x))
    (jump,) = np.nonzero(np.abs(np.diff(y)) > 0.02 * np.ptp(y))
    axes.vlines(x[jump], y[jump], y[jump + 1], color=color, linestyle=":", linewidth=0.9)
    axes.plot(*(np.insert(each, jump + 1, np.nan) for each in (x, y)), color=color, linestyle=style, label=label)
