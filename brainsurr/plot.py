"""Pictures of surrogates, spikes and membranes; needs ``pip install "brainsurr[plot]"``.

Every function draws into the axes it is given, or into new ones, and returns them.
"""

from collections.abc import Iterable
from itertools import product
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from ._surrogate import Surrogate

__all__ = ["membrane", "raster", "surrogate"]


def surrogate(
    *surrogates: Surrogate,
    xlim: tuple[float, float] = (-3.0, 3.0),
    axes: Iterable[Axes] | None = None,
    **parameters: Iterable[Any],
) -> tuple[Axes, Axes]:
    """Primitives and gradients of surrogates, side by side.

    Args:
      *surrogates: one or several.
      xlim: range of x, membrane potential minus threshold.
      axes: the two axes to draw into, primitive and gradient.
      **parameters: values by parameter name; each surrogate is drawn for each of them (for each combination).

    Returns:
      The two axes. A surrogate that has no primitive is drawn in the second alone.

    Raises:
      TypeError: something that isn't a surrogate.

    Example:
      The two pictures of LogTailedRelu in one call:

      >>> import brainsurr as bs
      >>> from brainsurr import plot
      >>> axes = plot.surrogate(bs.LogTailedRelu(), alpha=[0.0, 0.1, 0.3], xlim=(-2, 4))
      >>> [axis.get_ylabel() for axis in axes]
      ['primitive g(x)', "gradient g'(x)"]
    """
    for f in surrogates:
        if not isinstance(f, Surrogate):
            raise TypeError(f"expected surrogates such as LogTailedRelu(0.1), got {f!r}")
    if axes is None:
        _, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    left, right = axes
    x = np.linspace(*xlim, 1001, dtype=np.float32)
    for f in surrogates:
        for values in product(*parameters.values()):
            g = f.replace(**dict(zip(parameters, values, strict=True)))
            label = ", ".join(f"{name} = {value:g}" for name, value in zip(parameters, values, strict=True)) or repr(g)
            if len(surrogates) > 1 and parameters:
                label = f"{type(g).__name__}, {label}"
            for axis, curve in ((left, g.surrogate_fun), (right, g.surrogate_grad)):
                try:
                    y = curve(x)
                except NotImplementedError:
                    continue
                axis.plot(x, y, label=label)
    for axis, label in ((left, "primitive g(x)"), (right, "gradient g'(x)")):
        axis.axvline(0, color="0.8", linewidth=0.8, zorder=0)
        axis.set(xlabel="x, membrane potential minus threshold", ylabel=label, xlim=xlim)
    right.legend(frameon=False)
    return left, right


def raster(spikes, *, dt: float = 1.0, unit: str = "steps", axes: Axes | None = None) -> Axes:
    """When each neuron fires.

    Args:
      spikes: ``[time, neurons]``; a spike is anything above 0.
      dt: length of a time step, in ``unit``.
      unit: of the time axis, say ``"ms"``.
      axes: to draw into.

    Raises:
      ValueError: ``spikes`` has not two axes.

    Example:
      >>> import numpy as np
      >>> from brainsurr import plot
      >>> plot.raster(np.eye(5)).get_xlabel()
      'time (steps)'
    """
    spikes = np.asarray(spikes)
    if spikes.ndim != 2:
        raise ValueError(f"expected spikes [time, neurons], got shape {spikes.shape}: choose one example of the batch")
    axes = axes or plt.subplots(figsize=(6, 3.4), layout="constrained")[1]
    time, neuron = np.nonzero(spikes > 0)
    axes.scatter(time * dt, neuron, s=min(36.0, 2000 / max(spikes.shape[1], 1)), marker="|", color="C0")
    axes.set(xlabel=f"time ({unit})", ylabel="neuron", xlim=(-0.5 * dt, (len(spikes) - 0.5) * dt))
    axes.set_ylim(-0.5, spikes.shape[1] - 0.5)
    return axes


def membrane(
    v, *, threshold: float | None = None, spikes=None, dt: float = 1.0, unit: str = "steps", axes: Axes | None = None
) -> Axes:
    """Membrane potentials over time.

    Args:
      v: ``[time]`` or ``[time, neurons]``, dimensionless.
      threshold: drawn as a dashed line.
      spikes: of the shape of ``v``; each is marked above its potential.
      dt: length of a time step, in ``unit``.
      unit: of the time axis, say ``"ms"``.
      axes: to draw into.

    Raises:
      ValueError: ``v`` has more than two axes, or ``spikes`` another shape.

    Example:
      >>> import numpy as np
      >>> from brainsurr import plot
      >>> plot.membrane(np.linspace(0, 1, 5), threshold=1.0).get_ylabel()
      'membrane potential'
    """
    v = np.asarray(v)
    if v.ndim not in (1, 2):
        raise ValueError(f"expected v [time] or [time, neurons], got shape {v.shape}: choose one example of the batch")
    if spikes is not None and np.shape(spikes) != v.shape:
        raise ValueError(f"expected spikes of the shape of v, {v.shape}, got {np.shape(spikes)}")
    axes = axes or plt.subplots(figsize=(6, 3.4), layout="constrained")[1]
    time = np.arange(len(v)) * dt
    columns = v.reshape(len(v), -1)
    for i, column in enumerate(columns.T):
        (line,) = axes.plot(time, column, label=f"neuron {i}" if columns.shape[1] > 1 else "membrane potential")
        if spikes is not None:
            fired = np.asarray(spikes).reshape(columns.shape)[:, i] > 0
            axes.scatter(time[fired], column[fired], marker="^", color=line.get_color())
    if threshold is not None:
        axes.axhline(threshold, color="0.5", linestyle="--", linewidth=0.8, label="threshold")
    axes.set(xlabel=f"time ({unit})", ylabel="membrane potential")
    if len(columns.T) <= 8:
        axes.legend(frameon=False)
    return axes
