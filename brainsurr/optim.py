"""Optax transformations for trained surrogates and neurons: bounds and schedules. Needs the extra ``train``."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._arrays import as_float, is_number, match_dtype_and_rank
from ._bounds import ScaledInterval, edges
from ._extras import needs
from ._modules import ParameterModule
from ._report import package_of
from ._value import Value

with needs("train"):
    import optax

__all__ = ["bounds", "follow", "project"]


def bounds(tree: Any) -> Any:
    """Return the bounds of each parameter of the surrogates and neurons in a tree, for `project`.

    The bounds are defined by the class of the surrogate or neuron. For layers of a framework, use its own ``bounds``,
    such as ``brainsurr.equinox.bounds``.

    Args:
      tree: any pytree.

    Returns:
      A tree of the same structure, with ``(low, high)`` or None for each leaf.

    Raises:
      TypeError: the tree contains a layer.

    Example:
      >>> import brainsurr as bs
      >>> from brainsurr.optim import bounds
      >>> bounds({"w": 0.5, "f": bs.LogTailedRelu(0.1)})["f"].alpha
      (0.0, 1.0)
    """

    def of_values(node):
        if isinstance(node, ParameterModule):
            got = f"got a layer, {type(node).__name__}: write brainsurr.{package_of(node)}.bounds(model)"
            raise TypeError(f"bounds: expected neurons and surrogates of plain jax, {got}")
        return node._tree_of_bounds() if isinstance(node, Value) else None

    return jax.tree.map(of_values, tree, is_leaf=lambda node: isinstance(node, Value | ParameterModule))


def project(bounds: Any) -> optax.GradientTransformation:
    r"""Keep parameters inside closed intervals. Use this as the last transformation of an optax chain.

    The update of a bounded parameter becomes :math:`\mathrm{clip}(p + u) - p`, as in projected gradient descent. A
    parameter stops at an edge, stays there while updates point outwards, and leaves it with the first update inwards.
    The layers of brainsurr always clip the values they use. This transformation also keeps the stored value inside its
    interval, so that the parameter can leave an edge at once. It works for parameters and updates of 16 bits or more:
    edges are rounded to the dtype of the parameter, and rounding of the sum never leads outside. An edge smaller than
    the smallest normal number may count as 0.

    The transformation must receive the stored parameters, so put it last. An optimiser that wraps a chain and keeps
    other parameters for it, such as ``optax.contrib.schedule_free``, goes before it:
    ``chain(schedule_free(sgd(...), ...), project(...))``. A ``project`` inside that optimiser would only bound the
    parameters that the optimiser keeps.

    Args:
      bounds: a tree like the parameters with ``(low, high)`` or None for each, such as
        ``brainsurr.nnx.bounds(model)``, or `bounds` for a tree in plain jax.

    Raises:
      TypeError: ``bounds`` contains something other than pairs of numbers and None.
      ValueError: the lower edge of an interval is not below the upper edge; in an update, the structure of ``bounds``
        differs from the parameters.

    Example:
      >>> import jax.numpy as jnp, optax
      >>> from brainsurr.optim import project
      >>> tx = optax.chain(optax.sgd(1.0), project({"alpha": (0.0, 1.0), "w": None}))
      >>> params = {"alpha": jnp.array(0.5), "w": jnp.array(0.5)}
      >>> grads = {"alpha": jnp.array(2.0), "w": jnp.array(2.0)}
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(optax.apply_updates(params, updates))
      {'alpha': Array(0., dtype=float32), 'w': Array(-1.5, dtype=float32)}
    """

    def is_interval(node):  # a pair of numbers; the layers of an Equinox model may be a tuple as well
        is_pair = isinstance(node, tuple) and len(node) == 2 and all(map(is_number, node))
        return node is None or is_pair or isinstance(node, ScaledInterval)

    for interval in jax.tree.leaves(bounds, is_leaf=is_interval):
        if not is_interval(interval):
            raise TypeError(f"project: expected bounds to be a tree of (low, high) or None, got {interval!r}")
        if interval is not None and not np.all(np.less(*interval)):
            raise ValueError(f"project: expected bounds with low < high, got {interval!r}")

    def update(updates, state, params=None):
        if params is None:
            raise ValueError("project needs the parameters: tx.update(grads, state, params)")

        def project_leaf(interval, u, p):
            # An update may itself be a tree: an nnx Variable, or a subtree without bounds.
            return u if interval is None else jax.tree.map(functools.partial(_inside, interval), u, p)

        return jax.tree.map(project_leaf, bounds, updates, params, is_leaf=is_interval), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def follow(schedule: optax.Schedule) -> optax.GradientTransformation:
    r"""Make parameters follow a schedule instead of their gradient.

    After step :math:`n = 1, 2, \dots`, a parameter equals :math:`\mathrm{schedule}(n)`, up to the rounding of one
    addition in its dtype. For a parameter on another scale, the schedule gives the stored number. Apply it to the
    parameters of a surrogate with ``optax.partition``.

    Args:
      schedule: function from the step count to a value, such as ``optax.linear_schedule(0.1, 0.0, 1000)``.

    Raises:
      TypeError: ``schedule`` is not a function, or does not return a number.

    Example:
      >>> import jax.numpy as jnp, optax
      >>> from brainsurr.optim import follow
      >>> params = {"alpha": jnp.array(0.5), "w": jnp.array(0.5)}
      >>> rules = {"alpha": follow(optax.linear_schedule(0.5, 0.0, 4)), "w": optax.sgd(1.0)}
      >>> tx = optax.partition(rules, {"alpha": "alpha", "w": "w"})
      >>> grads = {"alpha": jnp.array(2.0), "w": jnp.array(2.0)}
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(optax.apply_updates(params, updates))
      {'alpha': Array(0.375, dtype=float32), 'w': Array(-1.5, dtype=float32)}
    """

    def update(updates, state, params=None):
        if params is None:
            raise ValueError("follow needs the parameters: tx.update(grads, state, params)")
        count = optax.safe_increment(state.count)
        value = as_float(schedule(count), "the result of schedule")
        updates = jax.tree.map(lambda p: match_dtype_and_rank(value, p, "the result of schedule,") - p, params)
        return updates, optax.ScaleByScheduleState(count)

    return optax.GradientTransformation(optax.scale_by_schedule(schedule).init, update)


def _inside(interval, u, p):
    """Return the update that moves p to p + u, clipped to the interval, despite rounding.

    The update has the dtype of p + u, in which optax adds before it rounds to the dtype of p. Rounding is monotone, so
    a sum between edges in the dtype of p is also stored between these edges.
    """
    stored, dtype = jnp.asarray(p).dtype, jnp.result_type(p, u)
    wide = jnp.dtype(jnp.float32) if dtype.itemsize < 4 else dtype  # XLA may not round between operations
    # An addition can't reach infinity, so the edges are finite.
    low, high = (np.nan_to_num(edge.astype(wide)) for edge in edges(interval, stored))
    if np.broadcast_shapes(shape := np.shape(p), np.shape(low)) != shape:
        raise ValueError(f"project: expected bounds that broadcast into a parameter of {shape}, got {np.shape(low)}")
    p, u = jnp.asarray(p, wide), jnp.asarray(u, wide)
    step = jnp.clip(p + u, low, high) - p
    # Round as optax will, in a way that XLA keeps. Keep the exponents of `wide`, or subnormals would be flushed to 0.
    step = jax.lax.reduce_precision(step, jnp.finfo(wide).nexp, jnp.finfo(dtype).nmant)
    most = float(jnp.finfo(dtype).max)
    new, step = p + step, jnp.clip(step, -most, most).astype(dtype)
    # A rounded step may end beyond an edge. Then the neighbouring float on the other side ends inside. (A subnormal
    # float16 is rounded now, after the check: to a multiple of the unit of which p and the edges are multiples.)
    step = jnp.where(new < low, jnp.nextafter(step, jnp.full_like(step, most)), step)
    return jnp.where(new > high, jnp.nextafter(step, jnp.full_like(step, -most)), step)
