"""`unroll` gives the numbers of the plain time loop, in a fraction of its memory."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import each_value_once, first_quick, needs_float16
from close import assert_close, assert_equal
from flax import nnx
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import brainsurr as bs
from brainsurr._gradients.program import equations
from brainsurr.neurons import LIF
from brainsurr.nnx import SpikingSequential

pytestmark = pytest.mark.numbers

# Parameters and inputs are small multiples of a power of two: no sum of the forward pass is rounded, in any order, in
# bfloat16 neither, and spikes and potentials are equal. What a gradient is made of is rounded: in each step a sum over
# neurons and as many products, and then a sum over time and batch.
T, BATCH, WIDTH = 7, 4, 5
GRADIENT = T * (WIDTH + 8) + T * BATCH
REMATS = ("none", "dots", "full")


def parameters(seed=0, dtype=jnp.float32):
    rng = np.random.default_rng(seed)
    return {
        "w": jnp.asarray(rng.integers(-4, 5, (3, WIDTH)) / 4, dtype),
        "out": jnp.asarray(rng.integers(-4, 5, (WIDTH, 2)) / 4, dtype),
        "neuron": LIF(decay=jnp.float32(0.75), spike_fn=bs.LogTailedRelu(jnp.full(WIDTH, 0.1))),
    }


def network(p, v, xs):
    """Dense, LIF, dense: layer by layer over a stretch of time."""
    v, spikes = p["neuron"](v, xs @ p["w"])
    return v, spikes @ p["out"]


def unrolled(p, v, xs, **options):
    """The same by `unroll`."""
    return bs.unroll(partial(network, p), v, xs, **options)


def time_loop(p, v, xs):
    """The same, step by step in Python."""
    ys = []
    for x in xs:
        v, s = p["neuron"].step(v, x @ p["w"])
        ys.append(s @ p["out"])
    return v, jnp.stack(ys)


def start(seed=1, dtype=jnp.float32):
    rng = np.random.default_rng(seed)
    v = jnp.asarray(rng.integers(-8, 9, (BATCH, WIDTH)) / 8, jnp.float32)
    return v, jnp.asarray(rng.integers(-4, 5, (T, BATCH, 3)) / 2, dtype)


def loss(run, p, v, xs):
    v, ys = run(p, v, xs)
    return jnp.sum(ys**2) + jnp.sum(v * 3)


@pytest.fixture(scope="module")
def expected():
    args = (parameters(), *start())
    return jax.jit(time_loop)(*args), jax.jit(jax.grad(partial(loss, time_loop), (0, 1, 2)))(*args)


@pytest.mark.parametrize(("size", "remat"), each_value_once(first_quick((None, np.int64(3), 1, T, T + 1)), REMATS))
def test_equals_the_time_loop(expected, size, remat):
    run = partial(unrolled, block_size=size, remat=remat)
    args = (parameters(), *start())
    assert_equal(jax.jit(run)(*args), expected[0])
    assert_close(jax.jit(jax.grad(partial(loss, run), (0, 1, 2)))(*args), expected[1], GRADIENT)


def test_what_is_computed_again_has_no_barrier():
    """In a loop XLA has no forward pass to merge it with, so that a barrier costs time alone."""
    program = jax.make_jaxpr(partial(unrolled, block_size=3, remat="full"))(parameters(), *start())
    assert "prevent_cse=False" in str(program)


REDUCED = {"mean": lambda y: y.mean(0), "max": lambda y: y.max(0), "last": lambda y: y[-1], None: lambda y: y}


def same(carry, xs):
    return [carry, xs]  # a list serves as well as a tuple


def reduced(xs, size, reduce, block=same):
    return bs.unroll(block, None, xs, block_size=size, reduce=reduce)[1]


REDUCTIONS = each_value_once(["mean", "max", "last"], [1, 3, T, T + 1], [jnp.float32, jnp.bfloat16])


@pytest.mark.parametrize(("reduce", "size", "dtype"), REDUCTIONS)
def test_reductions_and_their_gradients(reduce, size, dtype):
    xs = jnp.asarray(np.random.default_rng(0).integers(0, 3, (10, 2, 6)), dtype)  # many ties, also between blocks
    weights = jnp.arange(1.0, 13).reshape(2, 6).astype(dtype)

    def value_and_gradient(f):
        def loss_and_value(xs):
            y = f(2 * xs)
            return jnp.sum(y * weights).astype(jnp.float32), y

        gradient, y = jax.jit(jax.grad(loss_and_value, has_aux=True))(xs)
        return y, gradient

    (y, got), (plain, wanted) = map(value_and_gradient, (lambda xs: reduced(xs, size, reduce), REDUCED[reduce]))
    assert y.dtype == dtype
    assert_close(y, plain, 2, each=True)  # the sums are exact
    assert_close(got, wanted, 4, each=True)


@pytest.mark.parametrize("dtype", ["int8", "int32", "bool"])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_reductions_of_what_has_no_gradient(dtype, size):
    xs = np.array([[0, 1], [1, 1], [0, 0], [1, 1], [1, 1]]).astype(dtype)
    answers = jax.jit(lambda xs: [reduced(xs, size, reduce) for reduce in REDUCED])(xs)
    for (reduce, of), answer in zip(REDUCED.items(), answers, strict=True):
        assert answer.dtype == ("float32" if reduce == "mean" else dtype)
        assert_close(np.asarray(answer, np.float32), of(xs), 2, each=True)  # sums of integers are exact


@needs_float16
def test_mean_is_summed_in_float32():
    ones = jnp.ones((70_000, 1), jnp.float16)  # a float16 ends at 65,504: summed in it, this is inf
    assert reduced(ones, 70_000, "mean") == 1


TO_MAXIMISE = [
    ([1.0, np.nan, 2.0], "float32"),
    ([np.nan, 5.0, 5.0, 1.0], "float32"),
    ([2.0, 5.0, 5.0, 1.0], "float32"),
    ([1.0, np.inf, np.inf, 3.0], "float32"),
    ([-np.inf] * 4, "float32"),
    ([2e38] * 4, "float32"),
    pytest.param(([100.0] * 3000, "float16"), marks=needs_float16),  # whose ties float16 can't count
    ([0.0, 1.0] * 1000, "bfloat16"),
]


@pytest.mark.parametrize(("ys", "size"), each_value_once(TO_MAXIMISE, [1, 2, 3, 7, 100_000]), ids=lambda _: "")
def test_the_gradient_of_a_maximum(ys, size):
    """Ties share it; it is NaN everywhere if the maximum is NaN, and 0 if the maximum is infinite."""
    ys = jnp.asarray(*ys)
    value, gradient = jax.jit(jax.value_and_grad(partial(reduced, size=size, reduce="max")))(ys)
    np.testing.assert_array_equal(value, jnp.max(ys))
    ties = np.asarray(ys == value, float)
    expected = ties / ties.sum() if np.isfinite(value) else np.where(np.isnan(value), np.nan, 0 * ties)
    np.testing.assert_allclose(gradient.astype(jnp.float32), expected, rtol=0.01)


def three_outputs(carry, xs):
    return carry + xs.sum(0), (xs, {"twice": 2 * xs, "square": xs**2})


@pytest.mark.parametrize(("size", "remat"), each_value_once((1, 3, T, T + 1), REMATS))
def test_a_reduction_for_each_output(size, remat):
    xs, reduce = start()[1][:, 0], ("last", {"twice": "max", "square": None})

    def in_blocks(xs):
        return bs.unroll(three_outputs, jnp.zeros(3), xs, block_size=size, remat=remat, reduce=reduce)[1]

    def plain(xs):
        return xs[-1], {"twice": (2 * xs).max(0), "square": xs**2}

    def gradient(run):
        return jax.jit(jax.grad(lambda xs: (sum(map(jnp.sum, jax.tree.leaves(ys := run(xs)))), ys), has_aux=True))(xs)

    (got, ys), (wanted, expected) = gradient(in_blocks), gradient(plain)
    assert_equal(ys, expected)
    assert_close(got, wanted, 4 * T)


def test_no_time_steps():
    carry, xs = start()
    v, ys = bs.unroll(partial(network, parameters()), carry, xs[:0], remat="full")
    np.testing.assert_array_equal(v, carry)
    assert ys.shape == (0, BATCH, 2)
    with pytest.raises(ValueError, match="over zero time steps"):
        bs.unroll(three_outputs, jnp.zeros(3), xs[:0, 0], reduce=(None, "mean"))


def blocks_of(*shapes):
    """The lengths of the blocks that inputs of these shapes are cut into, each as often as it is compiled."""
    lengths = []
    xs = [jax.ShapeDtypeStruct(shape, jnp.int8) for shape in shapes]
    jax.eval_shape(lambda xs: bs.unroll(lambda c, xs: (c, lengths.append(len(xs[0])) or xs), None, xs), xs)
    return lengths


SIZES = {1: 1, 2: 2, 4: 4, 7: 3, 13: 6, 30: 10, 62: 15, 100: 20, 106: 20, 997: 63, 1000: 50, 10_000: 200}
OF_BATCHES = [
    ((100, 32, 3), 20),  # 48 time steps would have 1536 examples: no more than twice the square root
    ((100, 128, 3), 10),  # 12, to which 10 is nearer than 20
    ((100, 256, 3), 5),
    ((100, 10_000, 3), 5),
    ((60, 400, 3), 4),  # 3.9, half the square root, to which 4 is nearer than 5; 3 is less than it
    ((98, 90, 3), 14),  # 17, for which 7 and 49 are too far
    ((100, 8, 32, 3), 5),  # 8 pictures of 32 rows
    ((10_000, 16, 3), 100),  # 96
    ((4, 10_000, 3), 1),
]


@pytest.mark.parametrize(("shape", "size"), [*(((steps,), size) for steps, size in SIZES.items()), *OF_BATCHES])
def test_default_block_size(shape, size):
    """Smaller for large batches; one that divides the steps, where it can, is compiled once."""
    assert blocks_of(shape) == [size, shape[0] % size][: 1 + (shape[0] % size > 0)]
    assert blocks_of(shape[:1], shape)[0] == size


def test_default_block_size_of_a_batch_of_any_size():
    lengths = []
    run = jax.jit(lambda xs: bs.unroll(lambda c, x: (c, lengths.append(len(x)) or x), None, xs)[1])
    for shape in ("(100, batch, 3)", "(100, 256, batch, 3)"):
        jax.export.export(run)(jax.ShapeDtypeStruct(jax.export.symbolic_shape(shape), jnp.float32))
    assert lengths == [20, 5]


def temporaries(steps, **options):
    """Bytes of temporary memory of a compiled training step, 64-128-10 with a batch of 16."""
    p = {"w": jnp.ones((64, 128)), "out": jnp.ones((128, 10))}

    def block(p, carry, xs):
        carry, spikes = LIF(decay=0.9, spike_fn=bs.LogTailedRelu(0.1))(carry, xs @ p["w"])
        return carry, spikes @ p["out"]

    def loss(p, carry, xs):
        if not options:
            return jnp.mean(block(p, carry, xs)[1].mean(0) ** 2)
        return jnp.mean(bs.unroll(partial(block, p), carry, xs, reduce="mean", **options)[1] ** 2)

    xs, carry = jnp.zeros((steps, 16, 64)), jnp.zeros((16, 128))
    return jax.jit(jax.grad(loss)).lower(p, carry, xs).compile().memory_analysis().temp_size_in_bytes


@pytest.mark.slow
@pytest.mark.parametrize("steps", [7, 11, 13])
def test_memory_of_a_few_steps_that_no_block_divides(steps):
    assert temporaries(steps, remat="full") <= temporaries(steps)


@pytest.mark.slow
def test_memory_grows_like_the_square_root_of_time():
    # Ten thousand steps are a hundred times one hundred: the square root of that is 10.
    plain, blocks = temporaries(100), temporaries(100, remat="full")
    assert blocks <= 0.30 * plain
    assert temporaries(10_000, remat="full") <= 15 * blocks
    assert temporaries(10_000) >= 50 * plain  # a long loop holds fewer of its arrays at once than a short one


@pytest.mark.parametrize("layers", [False, True])
def test_dots_keeps_matrix_products_and_full_repeats_them(layers):
    """Those of a `Linear` too, though each has a checkpoint of its own."""

    def products(remat):
        def loss(w):
            def block(carry, xs):
                return carry, jnp.tanh(jnp.tanh(xs @ w) @ w)

            if layers:
                linear = nnx.Linear(3, 3, use_bias=False, kernel_init=lambda *_: w, rngs=nnx.Rngs(0))
                block = SpikingSequential([linear, jnp.tanh, linear, jnp.tanh])
                carry = block.initialize_carry((2, 3))
            else:
                carry = jnp.zeros(())
            return bs.unroll(block, carry, jnp.ones((8, 2, 3)), block_size=4, remat=remat)[1].sum()

        program = jax.make_jaxpr(jax.value_and_grad(loss))(jnp.ones((3, 3)))
        return sum(equation.primitive.name == "dot_general" for equation in equations(program.jaxpr))

    assert [products(remat) for remat in REMATS] == [5, 5, 7]  # two forward, three backward


def test_a_carry_gets_its_types_from_one_part_after_another():
    """A delay of three blocks: on explicit axes a part has the type of the inputs once the one before has it."""
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Explicit,))
    xs = np.arange(32.0, dtype=np.float32).reshape(8, 4)

    def block(carry, xs):
        a, b, c = carry
        return (xs[-1], a, b), xs - c[None]

    start = (jnp.zeros(4),) * 3
    with jax.set_mesh(mesh):
        placed = jax.device_put(xs, NamedSharding(mesh, P(None, "batch")))
        _, ys = jax.jit(lambda xs: bs.unroll(block, start, xs, block_size=1))(placed)
    np.testing.assert_array_equal(ys, xs - np.concatenate([np.zeros((3, 4), np.float32), xs[:-3]]))
