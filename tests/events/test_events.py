"""Sparse products have the numbers of dense products, and run the loops if few inputs are nonzero."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import all_but
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from benchmarks.robustness.collectives import collectives
from brainsurr import events
from brainsurr.events import _kernels, _product

pytestmark = pytest.mark.numbers
CALL = 'custom_call_target="brainsurr_product"'
DOT, CONV = (events.dot_general, jax.lax.dot_general), (events.conv_general_dilated, jax.lax.conv_general_dilated)
LAST, IMAGES = (((1,), (0,)), ((), ())), {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}

SAME = {"window_strides": (1, 1), "padding": "SAME"} | IMAGES
same_size = partial(CONV[0], **SAME)


def inputs(shape, share, dtype="float32"):
    """An array of which this share is not 0: of float32 graded and of both signs, of uint8 up to 255."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=shape) if dtype == "float32" else rng.integers(1, 256, shape)
    return np.where(rng.random(shape) < share, values, 0).astype(dtype)


def weights(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def product_of(are_spikes):
    """``dot`` for spikes, or for any numbers."""
    product = events.functions(are_spikes)["dot_general"]
    return lambda x, w: product(x, w, (((x.ndim - 1,), (0,)), ((), ())))


def in_quarters(array):
    """An array of small multiples of a quarter: no sum of theirs is rounded, in any order."""
    return np.round(4 * array) / 4


def has_loops(program, *args):
    return CALL in program.lower(*args).compile().as_text()


def all_of(product):
    """A program for the product, and its gradients for a cotangent g: in the weights, and in x if it has floats."""

    @jax.jit
    def program(x, w, g):
        y, by_w = jax.vjp(lambda w: product(x, w), w)
        by_x = jax.vjp(lambda x: product(x, w), x)[1](g) if x.dtype not in (jnp.uint8, jnp.bool) else ()
        return y, *by_w(g), *by_x

    return program


def assert_right(ours, dense, x, w):
    """A product and its gradients are those in float64, but for each rounding of the terms of a sum, in any order."""
    g = weights(*jax.eval_shape(ours, x, w).shape, seed=2)
    assert has_loops(all_of(ours), x, w, g)
    found = all_of(ours)(x, w, g)
    with jax.enable_x64(True):
        wide = [a.astype(float) for a in (x, w, g)]
        exact, sizes = all_of(dense)(*wide), all_of(dense)(*map(np.abs, wide))
    terms = w.size // w.shape[-1], g.size // g.shape[-1], w.size // x.shape[-1]
    count = 2 + (x.dtype == jnp.float32)  # spikes as integers have no gradient
    for one, other, size, n in zip(found, exact[:count], sizes[:count], terms[:count], strict=True):
        assert (one.shape, one.dtype) == (other.shape, jnp.float32)
        assert np.all(np.abs(one - np.asarray(other)) <= (n + 1) * np.finfo(np.float32).eps * np.asarray(size))


PLAIN = [  # the shape of x, the columns of w, the fraction of nonzero inputs
    ((3,), 16, 0.5, "uint8"),
    ((1, 65), 63, 0.1, "bool"),
    ((2, 5, 3, 16), 20, 0.5, "float32"),
    ((3, 260), 1100, 0.1, "uint8"),
    ((130, 1100), 65, 0.05, "uint8"),
    ((3, 2100), 4, 1.0, "float32"),
]


@pytest.mark.parametrize(("shape", "m", "share", "dtype"), PLAIN)
def test_a_product_and_its_gradients(shape, m, share, dtype):
    x, w = inputs(shape, share, dtype), weights(shape[-1], m)
    assert_right(events.dot, jnp.dot, x, w)
    numbers = (((x.ndim - 1,), (0,)), ((), ()))
    general = jax.jit(lambda x, w: events.dot_general(x, w, numbers, preferred_element_type=jnp.float32))
    np.testing.assert_array_equal(general(x, w[:, None]), jax.jit(events.dot)(x, w)[..., None, :])


CONVOLUTIONS = [  # the shapes of images and kernel, strides, padding, how far apart taps are
    ((2, 5, 5, 3), (1, 1, 3, 1), (1, 1), "VALID", (1, 1), "float32"),
    ((3, 7, 7, 1), (3, 5, 1, 16), (1, 1), "SAME", (1, 1), "uint8"),
    ((2, 7, 9, 3), (3, 3, 3, 20), (2, 1), ((0, 2), (1, 0)), (1, 1), "bool"),
    ((2, 9, 8, 20), (2, 3, 20, 3), (1, 3), ((2, -1), (-2, 3)), (1, 1), "float32"),
    ((1, 9, 9, 3), (3, 2, 3, 65), (1, 1), "SAME", np.array([2, 3]), "uint8"),
    ((2, 3, 3, 1), (5, 5, 1, 4), (2, 2), ((4, 4), (4, 4)), (1, 1), "float32"),
    ((2, 3, 4, 200), (3, 3, 200, 5), (1, 1), "SAME", (1, 1), "float32"),  # more columns than are listed at a time
    ((3, 17, 3), (3, 3, 5), (2,), ((2, 1),), (2,), "float32"),
]


@pytest.mark.parametrize("share", [0.1, 1.0])
@pytest.mark.parametrize(("shape", "kernel", "strides", "padding", "apart", "dtype"), CONVOLUTIONS)
def test_a_convolution_and_its_gradients(shape, kernel, strides, padding, apart, dtype, share):
    how = IMAGES if len(shape) == 4 else {"dimension_numbers": ("NWC", "WIO", "NWC")}
    how = {"window_strides": strides, "padding": padding, "rhs_dilation": apart} | how
    assert_right(*(partial(convolve, **how) for convolve in CONV), inputs(shape, share, dtype), weights(*kernel))


LARGE = [(events.dot, (131, 1100), (1100, 20)), (same_size, (9, 20, 20, 3), (3, 5, 3, 20))]


@pytest.mark.parametrize(("product", "shape", "kernel"), LARGE)
def test_sums_do_not_depend_on_how_many_threads_there_are(product, shape, kernel, monkeypatch):
    x, w, g, found = inputs(shape, 0.05), weights(*kernel), weights(*shape[:-1], kernel[-1]), []
    for threads in (1, 2, 3, 8):
        monkeypatch.setattr(_product, "threads", lambda threads=threads: threads)
        jax.clear_caches()
        found += [all_of(product)(x, w, g)[:2]]
        jax.tree.map(np.testing.assert_array_equal, found[-1], found[0])


@pytest.mark.parametrize("loops", [False, True])
@pytest.mark.parametrize("are_spikes", [False, True])
def test_nan_and_infinity_spread_as_in_a_dense_product(are_spikes, loops, chosen):
    x, w, g = np.sign(np.abs(inputs((9, 70), 0.3))), in_quarters(weights(70, 5)), in_quarters(weights(9, 5))
    x[2, 3] = x[5, 69] = np.nan
    x[3, 4], x[7, 0] = (1, 1) if are_spikes else (np.inf, -np.inf)
    chosen(loops)
    found = all_of(product_of(are_spikes))(x, w, g)
    jax.tree.map(np.testing.assert_array_equal, found, all_of(jnp.dot)(x, w, g))


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("convolution", [False, True])
def test_it_chooses_while_it_runs(convolution, transposed, monkeypatch):
    """One program: what is behind a zero spreads where the dense product runs. A tiny product is dense."""
    monkeypatch.undo()
    k, m = 400, 32
    product = partial(CONV[0], window_strides=(1, 1), padding="VALID", **IMAGES) if convolution else events.dot
    shapes = ((-1, 1, 1, k), (1, 1, k, m), (-1, 1, 1, m)) if convolution else ((-1, 1, k), (k, m), (-1, 1, m))

    @jax.jit
    def compute(*args):
        x, w, g = (a.reshape(shape) for a, shape in zip(args, shapes, strict=True))
        y, back = jax.vjp(lambda w: product(x, w), w)
        return back(g)[0] if transposed else y

    for away in (-0.03, 0.03):
        x = inputs((400, k), _product.CROSSINGS[convolution, transposed] + away)
        w, g = weights(k, m), weights(400, m)
        x[:, 5] = x[7] = -0.0
        w[5] = g[7] = np.nan
        assert np.isfinite(compute(x, w, g)).all() == (away < 0)
    assert has_loops(compute, x, w, g)
    assert not has_loops(compute, x[:9], w, g[:9])


@pytest.mark.parametrize("few", [False, True])
def test_a_sample_misses_no_axis_of_its_rows(few, monkeypatch):
    """The first of 64 steps or examples is silent and the others are not, or the other way around."""
    monkeypatch.undo()
    for axis in (0, 1):
        x, w = np.full((64, 64, 400), float(not few), np.float32), weights(400, 32)
        x[(slice(None),) * axis + (0,)] = few
        x[..., 5], w[5] = 0, np.nan
        assert np.isfinite(jax.jit(events.dot)(x, w)).all() == few


X, W, K, PIXELS = inputs((6, 8), 0.3), weights(8, 4), weights(3, 3, 4, 4), inputs((2, 4, 6, 6), 0.3)
BY_PIXEL = (PIXELS.transpose(0, 2, 3, 1), K, (1, 1), "SAME")
VOLUME = inputs((2, 4, 4, 4, 2), 0.3), weights(2, 2, 2, 2, 3), (1, 1, 1), "SAME"


DENSE = {
    "bfloat16": (DOT, (X.astype(jnp.bfloat16), W.astype(jnp.bfloat16), LAST), {}),
    "other axes": (DOT, (X, X, (((0,), (0,)), ((), ()))), {}),
    "batch": (DOT, (np.stack([X, X]), np.stack([W, W]), (((2,), (1,)), ((0,), (0,)))), {}),
    "other result": (DOT, (X, W, LAST), {"preferred_element_type": jnp.bfloat16}),
    "no rows": (DOT, (X[:0], W, LAST), {}),
    "groups": (CONV, (BY_PIXEL[0], K[:, :, :2], (1, 1), "SAME"), {"feature_group_count": 2} | IMAGES),
    "dilated": (CONV, (*BY_PIXEL[:3], ((1, 1), (1, 1)), (2, 2)), IMAGES),
    "channels first": (CONV, (PIXELS, K.T, (1, 1), "SAME"), {}),
    "three axes": (CONV, VOLUME, {"dimension_numbers": ("NDHWC", "DHWIO", "NDHWC")}),
}


@pytest.mark.parametrize("name", DENSE)
def test_other_products_are_jaxs_own(name):
    product, (x, w, *args), how = DENSE[name]
    how = {"precision": "highest"} | how
    ours, dense = (str(jax.make_jaxpr(lambda x, w, f=f: f(x, w, *args, **how))(x, w)) for f in product)
    assert ours == dense


def test_float64_is_dense_and_float32_is_not_under_x64():
    with jax.enable_x64(True):
        for dtype, loops in ((jnp.float64, False), (jnp.float32, True)):
            program, args = all_of(events.dot), [in_quarters(a).astype(dtype) for a in (X, W, X @ W)]
            assert has_loops(program, *args) == loops
            assert {a.dtype for a in program(*args)} == {jnp.dtype(dtype)}
            jax.tree.map(np.testing.assert_array_equal, program(*args), all_of(jnp.dot)(*args))


def test_an_exported_product_is_jaxs_own():
    """For every platform, and for any number of rows."""
    assert "brainsurr_product" not in jax.jit(events.dot).trace(X, W).lower(lowering_platforms=("cuda",)).as_text()
    rows, w = jax.export.symbolic_args_specs((X, W), ("n, _", "_, _"))
    for x in (X, rows):
        exported = jax.export.export(jax.jit(events.dot), platforms=("cpu", "cuda", "tpu"))(x, w)
        assert not re.search("custom_call @(brainsurr_product|CustomSPMD)", exported.mlir_module())
        np.testing.assert_array_equal(exported.call(in_quarters(X), in_quarters(W)), in_quarters(X) @ in_quarters(W))


XS, WS = in_quarters(inputs((3, 6, 8), 0.3)), in_quarters(weights(3, 8, 4))


def loss(product):
    return lambda x, w: jnp.sum(jnp.square(product(x, w)))


def gradients(product):
    return jax.value_and_grad(loss(product), (0, 1))


def slope(product, x, w):
    return sum(jnp.sum(a * a) for a in jax.grad(loss(product), (0, 1))(x, w))


def in_a_loop(product, x, w):
    def add(y):
        return y + jax.lax.cond(y.max() < 9, product, lambda x, w: 2 * product(x, w), x, w) ** 2

    return jax.lax.while_loop(lambda y: y.max() < 50, add, product(x, w))


TRANSFORMATIONS = {
    "vmap over an inner axis of x": lambda p, x, w: jax.vmap(p, (1, None), 1)(x.swapaxes(0, 1), w[0]),
    "vmap of gradients over x": lambda p, x, w: jax.vmap(gradients(p), (0, None))(x, w[0]),
    "vmap of gradients over w": lambda p, x, w: jax.vmap(gradients(p), (None, 0))(x[0], w),
    "vmap of gradients over both": lambda p, x, w: jax.vmap(gradients(p))(x, w),
    "gradient of scan": lambda p, x, w: gradients(lambda x, w: jax.lax.map(lambda x: p(x, w), x))(x, w[0]),
    "jacfwd": lambda p, x, w: jax.jacfwd(p, (0, 1))(x[0], w[0]),
    "forward over reverse": lambda p, x, w: jax.jvp(jax.grad(loss(p), (0, 1)), (x[0], w[0]), (x[1], w[1])),
    "reverse over reverse": lambda p, x, w: jax.grad(partial(slope, p), (0, 1))(x[0], w[0]),
    "vmap of the transpose": lambda p, x, w: jax.vmap(
        lambda one: jax.linear_transpose(partial(p, one), w[0])(p(x[0], w[1]))
    )(x),
    "transpose in x": lambda p, x, w: jax.linear_transpose(lambda x: p(x, w[0]), x[0])(p(x[0], w[1])),
    "cond in a loop": lambda p, x, w: in_a_loop(p, x[0], w[0]),
}


def of_images(convolve):
    """The product of such an x and w as a convolution."""

    def product(x, w):
        x, w = x.reshape(2, 3, 4, 2), w.reshape(2, 2, 2, 4)
        return convolve(x, w, (1, 2), "SAME", **IMAGES).reshape(12, 4)

    return product


WAYS = ["dot", "dot of spikes", "convolution", "convolution of spikes"]


@pytest.mark.parametrize("kind", all_but(WAYS[::3], WAYS, pytest.mark.slow))
@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_a_transformation_of_it_is_that_of_the_dense_product(name, kind):
    are_spikes = kind.endswith("spikes")
    convolve = events.functions(are_spikes)["conv_general_dilated"], CONV[1]
    ours, dense = (product_of(are_spikes), jnp.dot) if kind.startswith("dot") else map(of_images, convolve)
    x, transformed = np.abs(np.sign(XS)) if are_spikes else XS, TRANSFORMATIONS[name]
    program, expected = (jax.jit(partial(transformed, product)) for product in (ours, dense))
    assert has_loops(program, x, WS)  # of arguments: XLA of jax 0.8.1 folds the dense convolution of constants wrongly
    jax.tree.map(np.testing.assert_array_equal, program(x, WS), expected(x, WS))


MESH = jax.make_mesh((2,), ("d",), (AxisType.Auto,), devices=jax.devices()[:2])
BATCH = in_quarters(inputs((5, 4, 8), 0.3))
SPLIT = {  # x; how it, w and the cotangent are split; what is sent for a product and the gradient of w, if it matters
    "batch": (BATCH[0], P("d"), P(), P("d"), ["all-reduce"]),
    "batch after time": (BATCH, P(None, "d"), P(), P(None, "d"), ["all-reduce"]),
    "images": (BATCH.reshape(4, 5, 4, 2), P("d"), P(), P("d"), ["all-reduce"]),
    "columns": (BATCH, P(), P(None, "d"), P(None, None, "d"), []),
    "features of images": (BATCH.reshape(4, 5, 4, 2), P(), P(None, None, None, "d"), P(None, None, None, "d"), []),
    "rows and columns": (BATCH, P(None, "d"), P(None, "d"), P(), None),
    "what is summed": (BATCH, P(None, None, "d"), P("d"), P(), None),
    "what is summed and columns": (BATCH, P(None, None, "d"), P(), P(None, None, "d"), ["all-gather"]),
}


@pytest.mark.parametrize("name", SPLIT)
def test_devices_keep_their_rows_and_columns(name):
    x, *split, kinds = SPLIT[name]
    ours, dense, w, g = events.dot, jnp.dot, WS[0], in_quarters(weights(*x.shape[:-1], 4))
    if name.endswith("images"):
        w, (ours, dense) = w.reshape(2, 2, 2, 4), (same_size, partial(CONV[1], **SAME))
    program = jax.jit(lambda *args: all_of(ours)(*args)[:2])
    args = jax.device_put((x, w, g), tuple(NamedSharding(MESH, spec) for spec in split))
    text = program.lower(*args).compile().as_text()
    assert CALL in text
    assert kinds is None or [each.kind for each in collectives(text)] == kinds
    jax.tree.map(np.testing.assert_array_equal, program(*args), all_of(dense)(x, w, g)[:2])


@pytest.mark.parametrize("check", [True, False])
def test_shard_map(check):
    @jax.jit
    @partial(jax.shard_map, mesh=MESH, in_specs=(P(None, "d"), P()), out_specs=P(), check_vma=check)
    def program(x, w):
        by_w = jax.grad(loss(events.dot), 1)(x, w)
        return by_w if check else jax.lax.psum(by_w, "d")

    assert has_loops(program, BATCH, WS[0])
    np.testing.assert_array_equal(program(BATCH, WS[0]), jax.grad(loss(jnp.dot), 1)(BATCH, WS[0]))


@pytest.mark.parametrize("split", [2, 1])
@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=str)
def test_explicit_axes_and_shard_map_over_some_axes_are_dense(kind, split):
    mesh, product = jax.make_mesh((split, 2), ("a", "b"), (kind,) * 2, devices=jax.devices()[: 2 * split]), events.dot
    x, w = jax.device_put((XS[1:, 0], WS[0]), (NamedSharding(mesh, P("a")), NamedSharding(mesh, P())))
    if kind is AxisType.Auto:
        product = jax.shard_map(product, mesh=mesh, in_specs=(P("a"), P()), out_specs=P("a"), axis_names={"a"})
    with jax.set_mesh(mesh):
        assert not has_loops(jax.jit(product), x, w)
        np.testing.assert_array_equal(jax.jit(product)(x, w), XS[1:, 0] @ WS[0])


@pytest.mark.skipif(not hasattr(jax.config, "jax_use_shardy_partitioner"), reason="this jax has one partitioner")
def test_the_former_partitioner_splits_the_dense_product():
    x, w = jax.device_put((BATCH[0], WS[0]), (NamedSharding(MESH, P("d")), NamedSharding(MESH, P())))
    jax.config.update("jax_use_shardy_partitioner", False)
    try:
        program = jax.jit(events.dot)
        assert not has_loops(program, x, w)
        np.testing.assert_array_equal(program(x, w), BATCH[0] @ WS[0])
    finally:
        jax.config.update("jax_use_shardy_partitioner", True)


def test_devices_share_the_threads(monkeypatch):
    """Several jobs at once, each on several threads."""
    monkeypatch.setattr(_product, "threads", lambda: 3)
    x, w, g = in_quarters(inputs((8, 100, 400), 0.05)), in_quarters(weights(400, 8)), in_quarters(weights(8, 100, 8))
    args = jax.device_put((x, w, g), tuple(NamedSharding(MESH, spec) for spec in (P("d"), P(), P("d"))))
    program, expected = jax.jit(lambda *args: all_of(events.dot)(*args)[:2]), (x @ w, np.einsum("abk,abm->km", x, g))
    for _ in range(20):
        jax.tree.map(np.testing.assert_array_equal, program(*args), expected)


ERRORS = [
    (events.dot, (X, X), "w [k, m]"),
    (events.dot, (np.float32(1), W), "shapes () and (8, 4)"),
    (events.dot, (X, W.astype(np.int32)), "int32"),
]


@pytest.mark.parametrize(("product", "args", "message"), ERRORS)
def test_shapes_and_dtypes_that_do_not_fit(product, args, message):
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        product(*args)


def test_a_gradient_of_very_many_rows_keeps_its_digits():
    """Of one sign: a sum of one row after another would lose half of them."""
    rows = 2**18
    x, g = np.ones((rows, 8), np.uint8), jnp.full((rows, 4), 0.1)
    found = jax.jit(lambda x, g: jax.vjp(lambda w: events.dot(x, w), jnp.ones((8, 4)))[1](g)[0])(x, g)
    sums = _kernels._BLOCK_TRANSPOSED + 64 + rows // _kernels._SUMMED  # of so many terms each
    np.testing.assert_allclose(found, rows * np.float64(np.float32(0.1)), rtol=sums * np.finfo(np.float32).eps / 2)


def test_it_runs_by_itself_donated_and_while_another_function_is_compiled():
    x, w = in_quarters(inputs((64, 64), 0.1)), in_quarters(weights(64, 64))
    for context in (jax.disable_jit(), jax.debug_nans(True)):
        with context:
            np.testing.assert_array_equal(events.dot(x, w), x @ w)

    @partial(jax.jit, donate_argnums=(0, 1))
    def program(y, z):
        with jax.ensure_compile_time_eval():
            constant = events.dot(x, w)
        return events.dot(y, z) + constant

    with jax.debug_nans(True):
        np.testing.assert_array_equal(program(jnp.array(x), jnp.array(w)), x @ w + x @ w)


def test_a_call_frees_its_memory():
    resource, calls = pytest.importorskip("resource"), 10**5

    @jax.jit
    def program(x, w):
        return jax.lax.fori_loop(0, calls, lambda i, x: events.dot(x, w), x)

    x, w, faults = np.eye(1, 8, dtype=np.float32), np.eye(8, dtype=np.float32), []
    for _ in range(2):
        np.testing.assert_array_equal(program(x, w), x)
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
    assert faults[1] - faults[0] < calls * 8 * _kernels.END / resource.getpagesize() / 4, "a quarter of its jobs"
