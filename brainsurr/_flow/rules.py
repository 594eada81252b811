"""What each operation of jax does to time and batch: a rule takes an equation and the facts of its operands.

It returns the fact of all outputs, or a list of one for each. An operation without a rule is not known.
"""

from collections.abc import Callable

from .factors import (
    BATCH,
    DRAWN,
    SAME,
    TIME,
    VARIES,
    Fact,
    all_of,
    followed,
    of_columns,
    plain,
    size_of,
    together,
    without,
)


def _entry_by_entry(equation, facts):
    var, joint = equation.outvars[0], together(facts)
    return joint if len(joint.dims) == var.aval.ndim else not_known(var, facts)


def not_known(var, facts):
    """Return the fact of an output of which no rule tells how it is computed."""
    whole = all_of(facts)
    return whole.but(map(plain, var.aval.shape), unknown={TIME, BATCH} if whole.depends else ())


def _broadcast(equation, facts):
    places = dict(zip(equation.params["broadcast_dimensions"], facts[0].dims, strict=True))
    sizes = equation.outvars[0].aval.shape
    return facts[0].but(
        places[i] if i in places and size_of(places[i]) == size else plain(size, SAME) for i, size in enumerate(sizes)
    )


def _reshape(equation, facts):
    fact, shape = facts[0], equation.outvars[0].aval.shape
    for dims in (fact.dims, without(fact.dims, (SAME, DRAWN))):
        if (regrouped := _regrouped(dims, shape)) is not None:
            return fact.but(regrouped)
    return not_known(equation.outvars[0], facts)


def _regrouped(dims, shape):
    """Return the factors of a value in other dimensions; None if one that is followed is cut."""
    factors: list[tuple[str, int]] = []
    for kind, size in (factor for its in dims for factor in its):
        if factors and factors[-1][0] == kind:
            size *= factors.pop()[1]
        factors.append((kind, size))
    new = []
    for size in shape:
        group: list[tuple[str, int]] = []
        while size > 1:
            if not factors:
                return None
            kind, its = factors.pop(0)
            part = its if size % its == 0 else size
            if its % part or (part < its and kind in (TIME, BATCH)):
                return None
            if part < its:
                factors.insert(0, (kind, its // part))
            group.append((kind, part))
            size //= part
        new.append(tuple(group))
    return new


def _transpose(equation, facts):
    return facts[0].but(facts[0].dims[i] for i in equation.params["permutation"])


def _squeeze(equation, facts):
    return facts[0].but(its for i, its in enumerate(facts[0].dims) if i not in equation.params["dimensions"])


def _over(fact, axes, dims):
    """Return the fact of a value of which all entries along some axes are computed of all of them."""
    mixed = followed(fact.dims[i] for i in axes)
    return fact.but(without(dims, mixed), mixed)


def _reduce(equation, facts):
    params = equation.params
    axes = params["axes"] if "axes" in params else params["dimensions"]
    joint = together(facts)
    return _over(joint, axes, [its for i, its in enumerate(joint.dims) if i not in axes])


def _along(name):
    def rule(equation, facts):
        axes, joint = equation.params.get(name, -1), together(facts)  # `top_k` had no axis
        sizes = equation.outvars[0].aval.shape
        dims = [its if size_of(its) == size else plain(size) for its, size in zip(joint.dims, sizes, strict=True)]
        return _over(joint, axes if isinstance(axes, tuple) else (axes,), dims)

    return rule


def _resized(fact, sizes, of=None):
    """Return the fact of what has other entries along those axes where its size is another, and along one more."""
    changed = [i for i, its in enumerate(fact.dims) if size_of(its) != sizes[i] or i == of]
    dims = [
        its if i not in changed else plain(sizes[i], SAME if {*dict(its)} <= {SAME} and i != of else VARIES)
        for i, its in enumerate(fact.dims)
    ]
    return fact.but(dims, unknown=followed(fact.dims[i] for i in changed))


def _slice(equation, facts):
    return all_of(facts).but((new := _resized(facts[0], equation.outvars[0].aval.shape)).dims, unknown=new.unknown)


def _pad(equation, facts):
    padded = [i for i, how in enumerate(equation.params["padding_config"]) if any(how)]
    sizes = equation.outvars[0].aval.shape
    dims = [plain(sizes[i]) if i in padded else its for i, its in enumerate(facts[0].dims)]
    return all_of(facts).but(dims, unknown=followed(facts[0].dims[i] for i in padded))


def _concatenate(equation, facts):
    axis = equation.params["dimension"]
    sizes = equation.outvars[0].aval.shape
    return together(_resized(fact, sizes, axis) for fact in facts)


def _stack(equation, facts):
    joint, axis = together(facts), equation.params["axis"]
    return joint.but((*joint.dims[:axis], plain(len(facts)), *joint.dims[axis:]))


def _unstack(equation, facts):
    axis, dims = equation.params["axis"], facts[0].dims
    return facts[0].but((*dims[:axis], *dims[axis + 1 :]), unknown=followed([dims[axis]]))


def _split(equation, facts):
    axis = equation.params["axis"]
    return [_resized(facts[0], var.aval.shape, axis) for var in equation.outvars]


def _gather(equation, facts):
    (of, at), numbers, sizes = facts, equation.params["dimension_numbers"], equation.params["slice_sizes"]
    taken = [i for i in range(len(of.dims)) if i not in (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)]
    cut = {i for i in range(len(of.dims)) if i in numbers.collapsed_slice_dims or sizes[i] != size_of(of.dims[i])}
    cut -= {*numbers.operand_batching_dims}
    pairs = dict(zip(numbers.start_indices_batching_dims, numbers.operand_batching_dims, strict=True))
    rows = iter([[its, *([of.dims[pairs[i]]] if i in pairs else [])] for i, its in enumerate(at.dims[:-1])])
    rest = iter([[plain(sizes[i]) if i in cut else of.dims[i]] for i in taken])
    columns = [next(rest if i in numbers.offset_dims else rows) for i in range(equation.outvars[0].aval.ndim)]
    new = of_columns(all_of(facts), columns)
    return new.but(new.dims, unknown=followed(of.dims[i] for i in cut))


def _product(equation, facts):
    (contracted, batch), (left, right) = equation.params["dimension_numbers"], facts
    columns = [[left.dims[i], right.dims[j]] for i, j in zip(*batch, strict=True)]
    for fact, summed, shared in zip(facts, contracted, batch, strict=True):
        columns += [[its] for i, its in enumerate(fact.dims) if i not in (*summed, *shared)]
    mixed = set().union(*(followed(f.dims[i] for i in axes) for f, axes in zip(facts, contracted, strict=True)))
    new = of_columns(all_of(facts), columns)
    return new.but(without(new.dims, mixed), mixed)


def _events_product(equation, facts):
    product, x, w = equation.params["product"], facts[0], facts[-1]
    if product.transposed or w.depends:
        return not_known(equation.outvars[0], facts)
    if product.window is None:
        return _over(x, [-1], [*x.dims[:-1], w.dims[-1]])
    strides, padding, _ = product.window
    ours = {0: True, **dict(enumerate(map(_moves, product.weights[:2], strides, _pairs(padding)), 1))}
    return _convolved(equation, x, ours)


def _pairs(padding):
    return [(1, 1)] * 2 if isinstance(padding, str) else padding  # of a word, all that matters is that it may pad


def _moves(window, stride, padding, *dilations):
    """Return whether a window leaves each entry of its axis alone."""
    return window == stride == 1 and not any(padding) and all(dilation == 1 for dilation in dilations)


def _convolved(equation, x, alone):
    """Return the fact of a convolution over the axes of x that are not alone."""
    sizes = equation.outvars[0].aval.shape
    over = [i for i in range(len(x.dims)) if not alone.get(i)]
    dims = [its if alone.get(i) else plain(sizes[i]) for i, its in enumerate(x.dims)]
    return _over(x, over, dims)


def _convolution(equation, facts):
    p, (x, kernel) = equation.params, facts
    numbers = p["dimension_numbers"]
    in_groups = p["feature_group_count"] > 1 and followed([x.dims[numbers.lhs_spec[1]]])
    if kernel.depends or in_groups or p["batch_group_count"] > 1:
        return not_known(equation.outvars[0], facts)
    windows = [equation.invars[1].aval.shape[i] for i in numbers.rhs_spec[2:]]
    hows = zip(windows, p["window_strides"], p["padding"], p["lhs_dilation"], strict=True)
    alone = dict(zip(numbers.lhs_spec, [True, False, *(_moves(*how) for how in hows)], strict=True))
    turned = [numbers.lhs_spec[numbers.out_spec.index(i)] for i in range(len(x.dims))]  # by place in the output
    sizes = equation.outvars[0].aval.shape
    dims = [x.dims[j] if alone[j] else plain(sizes[i]) for i, j in enumerate(turned)]
    return _over(x, [i for i in alone if not alone[i]], dims)


def _window(equation, facts):
    p, x = equation.params, together(facts)
    hows = [p[name] for name in ("window_dimensions", "window_strides", "padding", "base_dilation")]
    return _convolved(equation, x, dict(enumerate(map(_moves, *hows))))


def _iota(equation, facts):
    places = enumerate(equation.outvars[0].aval.shape)
    return Fact(tuple(plain(size, VARIES if i == equation.params["dimension"] else SAME) for i, size in places))


def _draw(equation, facts):
    if all_of(facts).depends:
        return not_known(equation.outvars[0], facts)
    return Fact(tuple(plain(size, DRAWN) for size in equation.outvars[0].aval.shape))


_ENTRY_BY_ENTRY = """
abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e bessel_i1e bitcast_convert_type cbrt ceil clamp
clz complex conj convert_element_type copy copy_p cos cosh digamma div eq eq_to erf erf_inv erfc exp exp2 expm1 floor
ge gt igamma igammac imag integer_pow is_finite le le_to lgamma log log1p logistic lt lt_to max min mul name ne neg
nextafter not or polygamma population_count pow pvary real reduce_precision rem round rsqrt select_n
sharding_constraint shift_left shift_right_arithmetic shift_right_logical sign sin sinh sqrt square stop_gradient sub
tan tanh xor zeta
"""
_REDUCE = "reduce argmax argmin reduce_sum reduce_max reduce_min reduce_prod reduce_and reduce_or reduce_xor"
_WINDOWS = "reduce_window reduce_window_max reduce_window_min reduce_window_sum"

RULES: dict[str, Callable] = {
    **dict.fromkeys(_ENTRY_BY_ENTRY.split(), _entry_by_entry),
    **dict.fromkeys(_REDUCE.split(), _reduce),
    **dict.fromkeys(_WINDOWS.split(), _window),
    **dict.fromkeys(("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp", "top_k"), _along("axis")),
    "sort": _along("dimension"),
    "rev": _along("dimensions"),
    "broadcast_in_dim": _broadcast,
    "reshape": _reshape,
    "transpose": _transpose,
    "squeeze": _squeeze,
    "slice": _slice,
    "dynamic_slice": _slice,
    "pad": _pad,
    "concatenate": _concatenate,
    "stack": _stack,
    "unstack": _unstack,
    "split": _split,
    "gather": _gather,
    "dot_general": _product,
    "events_product": _events_product,
    "conv_general_dilated": _convolution,
    "iota": _iota,
    "random_bits": _draw,
}
