"""Rules for jax operations: which time steps or examples the outputs of an operation depend on.

A rule is called with an equation and the sets of its operands. It returns the sets of all outputs, a list with the sets
of each output, or None if they are unknown. The outputs of an operation without a rule are unknown, too.
"""

import math
from collections.abc import Callable

import numpy as np

from .axis_sets import MOST, constant, depends, placed, together, union


def _over(equation, *operands):
    """Unite sets along the axes in the parameters of an operation; remove these axes if the operation removes them."""
    named = [equation.params[name] for name in ("axes", "dimensions", "axis", "dimension") if name in equation.params]
    axes = named[0] if named else -1  # in older versions of jax, `top_k` has no axis
    sets = union(together(*operands), axes)
    return sets if sets.ndim == equation.outvars[0].aval.ndim else sets.squeeze(axes)


def _broadcast(equation, sets):
    return placed(sets, equation.params["broadcast_dimensions"], equation.outvars[0].aval.ndim)


def _reshape(equation, sets):
    """Reshape each group of dimensions to its new sizes, or to size 1 if all sets along the group are equal."""
    old, new = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
    if (order := equation.params["dimensions"]) is not None:  # first, as in a convolution that is mapped over an axis
        sets, old = sets.transpose(order), tuple(old[i] for i in order)
    before, after = list[int](), list[int]()
    while len(before) < len(old) or len(after) < len(new):
        i, j = len(before), len(after)
        its, their = [*old[i : i + 1]], [*new[j : j + 1]]
        while (size := math.prod(its)) != math.prod(their):
            shorter, of = (its, old[i:]) if size < math.prod(their) else (their, new[j:])
            shorter.append(of[len(shorter)])
        alike = math.prod(sets.shape[i : i + len(its)]) == 1
        before += [1] * len(its) if alike else its
        after += [1] * len(their) if alike else their
    return np.broadcast_to(sets, before).reshape(after) if math.prod(before) <= MOST else None


def _transpose(equation, sets):
    return sets.transpose(equation.params["permutation"])


def _squeeze(equation, sets):
    return sets.squeeze(equation.params["dimensions"])


def _slice(equation, sets):
    p = equation.params
    ends = zip(p["start_indices"], p["limit_indices"], p["strides"] or [1] * sets.ndim, strict=True)
    return sets[tuple(slice(*its) if size > 1 else slice(1) for its, size in zip(ends, sets.shape, strict=True))]


def _split(equation, sets):
    axis, ends = equation.params["axis"], np.cumsum(equation.params["sizes"])[:-1]
    return np.split(sets, ends, axis) if sets.shape[axis] > 1 else sets


def _product(equation, *operands):
    sides = []
    for sets, summed, shared in zip(operands, *equation.params["dimension_numbers"], strict=True):
        own = [axis for axis in range(sets.ndim) if axis not in (*summed, *shared)]
        sides.append(
            union(sets, tuple(summed)).transpose(*shared, *own, *summed).squeeze(tuple(range(-len(summed), 0)))
        )
    left, right = sides
    n, rank = len(shared), equation.outvars[0].aval.ndim
    return together(
        np.expand_dims(left, tuple(range(left.ndim, rank))), np.expand_dims(right, tuple(range(n, left.ndim)))
    )


def _events_product(equation, x, *others):
    product, known = equation.params["product"], not depends(others[-1])
    return union(x, -1) if known and not product.transposed and product.window is None else None


def _moves(window, stride, padding, *dilations):
    """Return whether a window along an axis combines an entry with other entries."""
    return not window == stride == 1 or any(padding) or any(dilation != 1 for dilation in dilations)


def _convolution(equation, sets, kernel):
    p, numbers = equation.params, equation.params["dimension_numbers"]
    features = numbers.lhs_spec[1]
    in_groups = p["feature_group_count"] > 1 and sets.shape[features] > 1
    if depends(kernel) or in_groups or p["batch_group_count"] > 1:
        return None
    windows = [equation.invars[1].aval.shape[i] for i in numbers.rhs_spec[2:]]
    moves = map(_moves, windows, p["window_strides"], p["padding"], p["lhs_dilation"])
    over = [axis for axis, its in zip(numbers.lhs_spec[1:], [True, *moves], strict=True) if its]
    return union(sets, tuple(over)).transpose([numbers.lhs_spec[numbers.out_spec.index(i)] for i in range(sets.ndim)])


def _window(equation, *operands):
    names = ("window_dimensions", "window_strides", "padding", "base_dilation")
    moves = map(_moves, *(equation.params[name] for name in names))
    return union(together(*operands), tuple(axis for axis, its in enumerate(moves) if its))


def _draw(equation, *operands):
    return None if any(map(depends, operands)) else constant([1] * equation.outvars[0].aval.ndim)


_ENTRY_BY_ENTRY = """
abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e bessel_i1e bitcast_convert_type cbrt ceil clamp
clz complex conj convert_element_type copy copy_p cos cosh digamma div eq eq_to erf erf_inv erfc exp exp2 expm1 floor
ge gt igamma igammac imag integer_pow is_finite le le_to lgamma log log1p logistic lt lt_to max min mul name ne neg
nextafter not or polygamma population_count pow pvary real reduce_precision rem round rsqrt select_n
sharding_constraint shift_left shift_right_arithmetic shift_right_logical sign sin sinh sqrt square stop_gradient sub
tan tanh xor zeta
"""
_OVER_AXES = """
argmax argmin cumlogsumexp cummax cummin cumprod cumsum reduce reduce_and reduce_max reduce_min reduce_or reduce_prod
reduce_sum reduce_xor sort top_k
"""
_WINDOWS = "reduce_window reduce_window_max reduce_window_min reduce_window_sum"

RULES: dict[str, Callable] = {
    **dict.fromkeys(_ENTRY_BY_ENTRY.split(), lambda equation, *operands: together(*operands)),
    **dict.fromkeys(_OVER_AXES.split(), _over),
    **dict.fromkeys(_WINDOWS.split(), _window),
    "broadcast_in_dim": _broadcast,
    "reshape": _reshape,
    "transpose": _transpose,
    "squeeze": _squeeze,
    "slice": _slice,
    "split": _split,
    "dot_general": _product,
    "events_product": _events_product,
    "conv_general_dilated": _convolution,
    "random_bits": _draw,
}
