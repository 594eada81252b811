"""`operations` counts what loops in NumPy count, of any network, however it is run."""

from functools import partial
from itertools import product

import brainstate
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import each_value_once, label
from flax import nnx
from jax.experimental import pallas

import brainsurr as bs
from brainsurr import events
from tools.frameworks import HOSTS, Brainstate, Linen

pytestmark = pytest.mark.usefixtures("lenient")  # flax's Linear and convolutions
RNG = np.random.default_rng(0)


def spikes(*shape):
    return RNG.integers(0, 2, shape).astype(np.float32)


def quarters(*shape):
    return (RNG.integers(-1, 4, shape) / 4).astype(np.float32)


# A network, in each framework ---------------------------------------------------------------------------------------

T, BATCH = 5, 3
XS, FIRST, BACK, LAST = spikes(T, BATCH, 4), quarters(4, 6), quarters(6, 6), quarters(6, 2)
SHAPED = {w.shape: w for w in (FIRST, FIRST.T, BACK, LAST, LAST.T, np.zeros(6, "f4"), np.zeros(2, "f4"))}


def expected():
    """Inputs, additions and dense multiplications of each product, of the neurons in a loop."""
    v = s = np.zeros((BATCH, 6))
    sent, back = 0, 0
    for x in XS:
        back += np.count_nonzero(s)
        v = 0.5 * v + x @ FIRST + s @ BACK
        s = (v >= 1).astype(float)
        v = v - s
        sent += np.count_nonzero(s)
    assert 0 < back < sent < T * BATCH * 6
    n = np.count_nonzero(XS)
    counts = (n, n * 6, T * BATCH * 24), (back, back * 6, T * BATCH * 36), (sent, sent * 2, T * BATCH * 12)
    return [(inputs / BATCH, additions / BATCH, 0, dense / BATCH) for inputs, additions, dense in counts]


def network(host, **options):
    layers = [host.dense(4, 6, nnx.Rngs(0)), host.layers.LIF(6, decay=0.5, **host.recurrent(jnp.asarray(BACK)))]
    net = host.layers.SpikingSequential([*layers, host.dense(6, 2, nnx.Rngs(0))], **options)
    return net, jax.tree.map(lambda p: jnp.asarray(SHAPED[p.shape]), host.pure(net, XS.shape[1:]).params)


@pytest.mark.parametrize(("host", "how"), each_value_once(HOSTS, ["unroll", "jit", "module", "events"]), ids=label)
def test_a_network_costs_what_a_loop_counts(host, how):
    net, params = network(host, events=how == "events")
    _, start, run, _ = host.pure(net, XS.shape[1:])
    carry, xs = start(XS.shape[1:]), XS.astype(bool if how == "events" else "f4")
    if how == "module":
        net = net.bind({"params": params}) if host is Linen else host().with_params(net, params)
        if host is Brainstate:
            net.init_state(BATCH)
            before = net.states().to_dict_values()
            report = bs.operations(brainstate.transform.jit(net), xs, examples=BATCH)
            jax.tree.map(np.testing.assert_array_equal, net.states().to_dict_values(), before)
        else:
            report = bs.operations(net, carry, xs, examples=BATCH)
    else:
        f = partial(run, params, carry, **{"block_size": 2, "remat": "full"} if how == "unroll" else {})
        report = bs.operations(jax.jit(f) if how == "jit" else f, xs, examples=BATCH)
        assert ("events_product" in str(jax.make_jaxpr(f)(xs))) == (how == "events")
    linear = "Dense" if host is Linen else "Linear"
    assert list(report) == [f"0 {linear}", "1 LIF", f"2 {linear}"]
    np.testing.assert_allclose([*report.values()], expected())
    np.testing.assert_allclose(report.total, np.sum(expected(), 0))


def test_what_a_module_of_nnx_writes_stays_behind():
    """In training, and with a transformation of NNX inside."""
    rngs = nnx.Rngs(0)
    norm, lstm = nnx.BatchNorm(4, rngs=rngs), nnx.RNN(nnx.LSTMCell(4, 5, rngs=rngs), time_major=True)
    layers = [norm, nnx.Dropout(0.5, rngs=rngs), lstm, nnx.Linear(5, 2, rngs=rngs)]
    net = bs.nnx.SpikingSequential([*layers, bs.nnx.LI(2)])
    report = bs.operations(net, net.initialize_carry((BATCH, 4)), jnp.asarray(XS, "f4"), examples=BATCH)
    assert report["3 Linear"].dense == T * 5 * 2
    assert not norm.mean[...].any()


# Products by themselves ---------------------------------------------------------------------------------------------


def edges(mask, kernel, stride, padding, apart, spread):
    """How many pairs of an entry of ``mask`` and a weight of ``kernel`` a convolution multiplies."""
    n, rows, columns, channels = mask.shape
    wide = np.zeros((n, (rows - 1) * spread + 1, (columns - 1) * spread + 1, channels), int)
    wide[:, ::spread, ::spread] = mask
    wide = np.pad(wide, [(0, 0), *padding, (0, 0)])
    taps = [(i * apart, j * apart) for i, j in product(*map(range, kernel[:2]))]
    ends = [size - (k - 1) * apart for size, k in zip(wide.shape[1:3], kernel[:2], strict=True)]
    places = product(range(0, ends[0], stride[0]), range(0, ends[1], stride[1]))
    entries = sum(wide[:, y + i, x + j].sum() for y, x in places for i, j in taps)
    return int(entries) * kernel[3] * kernel[2] // channels  # of which each meets the features of its group


STRIDED = (3, 2, 2, 6), (2, 1), ((1, 2), (0, 1)), 2, 1  # in two groups, with holes
TRANSPOSED = (2, 3, 4, 5), (1, 1), ((1, 1), (2, 0)), 1, 2
PASSING = (3, 3, 4, 5), (2, 2), ((1, 1), (0, 2)), 1, 1  # over zeros


def convolution(kernel, stride, padding, apart, spread):
    how = {"rhs_dilation": (apart, apart), "lhs_dilation": (spread, spread), "feature_group_count": 4 // kernel[2]}
    how |= {"window_strides": stride, "padding": padding, "dimension_numbers": ("NHWC", "HWIO", "NHWC")}
    return how | {"rhs": jnp.ones(kernel)}


@jax.custom_vjp
def by_rule(x):
    return jnp.dot(x, jnp.zeros((3, 7)))


by_rule.defvjp(lambda x: (by_rule(x), None), lambda _, g: (jnp.dot(g, jnp.zeros((7, 3))),))


def numbers(*shape):
    """Few of them are 0, one is -0.0 and one NaN."""
    x = RNG.normal(size=shape).astype(np.float32) * spikes(*shape)
    x.flat[:2] = -0.0, np.nan
    return x


IMAGES, GRADED, QUERIES = spikes(2, 7, 6, 4), numbers(2, 3), spikes(2, 4, 3)
KEYS, VALUES = spikes(2, 5, 3), numbers(2, 5, 6)
IMAGES[0, :2] = 1.0  # also beside the padding


def of_all_kinds(images, graded, queries, keys, values):
    """One product to a line, and in the first line one of weights alone."""
    weights = jnp.dot(jnp.ones((3, 8)), jnp.ones((8, 5)))
    strided, transposed, passing = (convolution(*how) for how in (STRIDED, TRANSPOSED, PASSING))
    outputs = [jax.lax.conv_general_dilated(images, **strided)]
    outputs += [jax.lax.conv_general_dilated(images, **transposed)]
    outputs += [events.conv_general_dilated(images, **passing)]
    outputs += [jnp.dot(graded, weights)]
    scores = jnp.einsum("bqd,bkd->bqk", queries, keys)
    outputs += [jnp.einsum("bqk,bkd->bqd", (scores > 1).astype(jnp.float32), values)]
    outputs += [jnp.einsum("bkd,bkd->bk", values, values)]
    outputs += [jax.vmap(lambda x: jnp.dot(x, jnp.ones(3)))(queries)]
    outputs += [jax.lax.scan(lambda x, w: (jnp.dot(x, w), None), queries, jnp.tile(jnp.eye(3), (6, 1, 1)))[0]]
    outputs += [by_rule(keys)]
    return *outputs, jax.checkpoint(lambda x: jnp.dot(jnp.ones((2, 4)), x))(queries[0])


def test_each_product_costs_its_pairs():
    """Of spikes or, with a True, of numbers: inputs that are not 0, pairs, and pairs if nothing is 0."""
    given = IMAGES, GRADED, QUERIES, KEYS, VALUES
    fires, on = [x != 0 for x in given], [np.ones(x.shape, bool) for x in given]
    n = [np.count_nonzero(fire) for fire in fires]
    scores = np.einsum("bqd,bkd->bqk", fires[2], fires[3], dtype=int)
    mixed = np.einsum("bqk,bkd->", scores > 1, fires[4], dtype=int)
    mine = [
        *[(n[0], edges(fires[0], *how), edges(on[0], *how)) for how in (STRIDED, TRANSPOSED, PASSING)],
        (n[1], n[1] * 5, 6 * 5, True),
        (n[2] + n[3], scores.sum(), 2 * 4 * 5 * 3),
        (np.count_nonzero(scores > 1) + n[4], mixed, 2 * 4 * 5 * 6),
        (2 * n[4], n[4], 2 * 5 * 6, True),
        (n[2], n[2], 24),
        (6 * n[2], 6 * n[2] * 3, 6 * 24 * 3),
        (n[3], n[3] * 7, 30 * 7),
        (np.count_nonzero(QUERIES[0]), 2 * np.count_nonzero(QUERIES[0]), 12 * 2),
    ]
    report = bs.operations(of_all_kinds, *given, examples=2)
    expected = [(i, 0 if graded else o, o if graded else 0, d) for i, o, d, *graded in mine]
    np.testing.assert_array_equal([*report.values()], np.array(expected) / 2)
    assert all(place.startswith("test_operations.py:") for place in report)
    assert [place.endswith(" pairs") for place in report] == [i in (4, 5, 6) for i in range(11)]


def test_counts_are_exact_beyond_32_bits():
    """An odd number, which float32 has not either, of sums that float16 has not."""
    report = bs.operations(lambda x: jnp.dot(x, jnp.ones((2049, 1025))), jnp.ones((1025, 2049), jnp.uint8), examples=1)
    assert report.total == (2049 * 1025, 2049 * 1025**2, 0, 2049 * 1025**2)
    assert 2049 * 1025**2 > 2**31


def test_a_product_of_spikes_and_one_of_numbers_in_one_place():
    """Neither decides of the other. A layer of one's own says the line, a network in a network both layers."""

    def both(xs):
        return jnp.dot(xs, jnp.ones((4, 2))) + jnp.dot(0.5 * xs, jnp.ones((4, 2)))

    @jax.checkpoint
    def again(xs):
        return bs.nnx.SpikingSequential([partial(jnp.dot, b=jnp.ones((2, 3)))])((None,), xs)[1]

    net = bs.nnx.SpikingSequential([both, again])
    report = bs.operations(net, net.initialize_carry((BATCH, 4)), XS, examples=BATCH)
    line = both.__code__.co_firstlineno + 1
    first, second = f"0 both test_operations.py:{line}", "1 again 0 partial"
    assert list(report) == [first, second]
    n = np.count_nonzero(XS) / BATCH
    np.testing.assert_allclose(report[first], (2 * n, 2 * n, 2 * n, 2 * T * 8))
    assert "in all" in str(report)


WAYS = (3, [partial(jnp.dot, b=jnp.ones((3, 2)))]), (2, [])


def test_the_ways_of_a_residual_block_are_told_apart():
    """By the shape of their weights, where a network in a layer of one's own names them alike."""
    long, short = (bs.nnx.SpikingSequential([partial(jnp.dot, b=jnp.ones((4, n))), *more]) for n, more in WAYS)

    def block(xs):
        return long((None,) * 2, xs)[1] + short((None,), xs)[1]

    net = bs.nnx.SpikingSequential([block])
    report = bs.operations(net, (None,), XS, examples=BATCH)
    n = np.count_nonzero(XS) / BATCH
    assert {name: row.dense for name, row in report.items()} == {
        "0 block 0 partial 4 x 3": T * 12,
        "0 block 0 partial 4 x 2": T * 8,
        "0 block 1 partial": T * 6,
    }
    assert report["0 block 0 partial 4 x 2"].inputs == pytest.approx(n)


def in_a_branch(x):
    return jax.lax.cond(x[0, 0] > 0, lambda: jnp.dot(x, x), lambda: x)


def in_a_while_loop(x):
    return jax.lax.while_loop(lambda x: x[0, 0] < 3, lambda x: jnp.dot(x, x), x)


def on_devices(x):
    mesh = jax.make_mesh((1,), ("data",), (jax.sharding.AxisType.Auto,), devices=jax.devices()[:1])
    spec = jax.sharding.PartitionSpec("data")
    return jax.shard_map(lambda x: jnp.dot(x, jnp.ones((3, 3))), mesh=mesh, in_specs=spec, out_specs=spec)(x)


def in_a_kernel(x):
    def kernel(x, y):
        y[...] = jnp.dot(x[...], x[...])

    return pallas.pallas_call(kernel, jax.ShapeDtypeStruct(x.shape, x.dtype))(x)


@pytest.mark.parametrize("f", [in_a_branch, in_a_while_loop, on_devices, in_a_kernel], ids=label)
def test_a_product_that_is_hidden_is_an_error(f):
    with pytest.raises(NotImplementedError, match=r"matrix product inside (cond|while|shard_map|pallas_call)"):
        bs.operations(f, jnp.ones((3, 3)), examples=1)


def test_what_is_not_counted_is_an_error():
    with pytest.raises(ValueError, match="expected f to have a product that depends on the arguments, got none"):
        bs.operations(lambda x: x + jnp.dot(jnp.ones(3), jnp.ones(3)), jnp.ones(3), examples=1)
