"""`unroll` of each framework: the numbers of the plain network, gradients too, in a fraction of its memory."""

from functools import partial

import brainstate
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from close import assert_close
from combinations import each_value_once, first_quick, label
from flax import linen, nnx
from jax.sharding import AxisType, PartitionSpec

import brainsurr as bs
import brainsurr.brainstate
import brainsurr.linen
import brainsurr.nnx
from tools.hosts import HOSTS, Brainstate, Nnx

# Inputs, weights and decays are small multiples of a power of two: no sum of the forward pass is rounded, in any order,
# and spikes and potentials are equal. What a gradient is made of is rounded: in each step a sum over 5 neurons and as
# many products, and then a sum over time, batch and outputs.
T, BATCH = 7, 4
GRADIENT = T * (5 + 8) + T * BATCH * 2
# Each size and each remat; tests/test_unroll.py has the whole product.
RUNS = [(3, "full"), (3, "dots"), (1, "full"), (T, "dots"), (3, "none"), (T + 1, "full")]
slow, exhaustive = pytest.mark.slow, pytest.mark.exhaustive
runs = pytest.mark.parametrize(
    ("size", "remat"), [*RUNS[:2], *(pytest.param(*run, marks=exhaustive) for run in RUNS[2:])]
)
pytestmark = pytest.mark.usefixtures("lenient")


class Case:
    """Network, parameters and carry, with ``run(params, carry, xs, **options)``, by `unroll` if there are options."""

    def __init__(self, host, inputs=3, hidden_size=5):
        brainstate.random.seed(0)
        layers, rngs = host.layers, nnx.Rngs(0)
        act = layers.SpikingActivation(bs.LogTailedRelu(jnp.full(hidden_size, 0.1)), learnable="alpha")
        feedback = {"recurrent": True, **({"rngs": rngs} if host is Nnx else {})}
        lif = layers.LIF(hidden_size, decay=0.5, spike_fn=act, learnable="decay", **feedback)
        first, last = host.dense(inputs, hidden_size, rngs), host.dense(hidden_size, 2, rngs)
        self.net = layers.SpikingSequential([first, lif, last, layers.LI(2, decay=0.5, learnable="decay")])
        params, self.start, self.run, _ = host.pure(self.net, (BATCH, inputs))
        self.params = jax.tree.map(lambda p: jnp.round(8 * p) / 8 if p.ndim == 2 else p, params)
        self.carry = self.start((BATCH, inputs))

    def value_and_gradient(self, loss, **options):
        """``(params, carry, xs) -> (carry, ys), gradients``, compiled."""
        run = partial(self.run, **options)

        def loss_and_value(params, carry, xs):
            value = run(params, carry, xs)
            return loss(*value), value

        return jax.jit(lambda *args: jax.grad(loss_and_value, (0, 1, 2), has_aux=True)(*args)[::-1])

    def gradient(self, loss, **options):
        """``(params, carry, xs) -> gradients`` of ``loss(carry, ys)``, compiled."""
        run = partial(self.run, **options)
        return jax.jit(jax.grad(lambda params, carry, xs: loss(*run(params, carry, xs)), (0, 1, 2)))


host = pytest.mark.parametrize("host", HOSTS, ids=label)


def loss(carry, ys):
    return jnp.mean((ys - 1) ** 2) + sum(jnp.sum(leaf) for leaf in jax.tree.leaves(carry)) / 10


def inputs(steps=T, features=3):
    return jnp.asarray(np.random.default_rng(0).integers(-4, 5, (steps, BATCH, features)) / 2, jnp.float32)


def equal(actual, desired):
    jax.tree.map(np.testing.assert_array_equal, actual, desired)


@pytest.mark.parametrize(
    ("host", "settings"),
    [
        *((host, RUNS[i : i + 1]) for i, host in enumerate(HOSTS)),
        *(pytest.param(host, RUNS[:i] + RUNS[i + 1 :], marks=exhaustive) for i, host in enumerate(HOSTS)),
    ],
    ids=label,
)
def test_equals_the_plain_network(host, settings):
    case, xs = Case(host), inputs()
    plain, plain_grads = case.value_and_gradient(loss)(case.params, case.carry, xs)
    assert all(float(jnp.abs(leaf).max()) > 0 for leaf in jax.tree.leaves(plain_grads)), "every gradient is tried"
    for size, remat in settings:
        run = case.value_and_gradient(loss, block_size=size, remat=remat)
        value, grads = run(case.params, case.carry, xs)
        equal(value, plain)
        assert_close(grads, plain_grads, GRADIENT)


@runs
def test_brainstate_by_its_own_transformations(size, remat):
    """The module with its states in it, differentiated by brainstate: the gradients of the function of parameters."""
    case, xs, options = Case(Brainstate), inputs(), {"block_size": size, "remat": remat}
    expected = case.gradient(loss)(case.params, case.carry, xs)
    case.net.init_state(BATCH)
    states, hidden = (case.net.states(kind) for kind in (brainstate.ParamState, brainstate.HiddenState))
    states.assign_dict_values(case.params)

    def f(carry, xs):
        for state, value in zip(hidden.values(), carry, strict=True):
            state.value = value
        ys = brainsurr.brainstate.unroll(case.net, xs, **options)
        return loss([state.value for state in hidden.values()], ys)

    grad = brainstate.transform.jit(brainstate.transform.grad(f, states, argnums=(0, 1)))
    grads, (by_carry, by_xs) = grad(case.carry, xs)
    assert_close((grads, by_carry, by_xs), expected, GRADIENT)


@pytest.mark.parametrize(("host", "reduce"), each_value_once(HOSTS, ["mean", "max", "last"]), ids=label)
def test_reductions(host, reduce):
    case, xs = Case(host), inputs()
    _, ys = case.run(case.params, case.carry, xs)
    _, reduced = case.run(case.params, case.carry, xs, reduce=reduce)
    assert_close(reduced, {"mean": ys.mean(0), "max": ys.max(0), "last": ys[-1]}[reduce], T)


@host
def test_a_stream_goes_on(host):
    case, xs = Case(host), inputs()
    whole = case.run(case.params, case.carry, xs)
    carry, first = case.run(case.params, case.carry, xs[:4], block_size=2)
    carry, second = case.run(case.params, carry, xs[4:], block_size=2)
    equal((carry, jnp.concatenate([first, second])), whole)


@pytest.mark.parametrize("host", first_quick(HOSTS), ids=label)
def test_memory(host):
    case = Case(host, inputs=64, hidden_size=128)

    def temporaries(steps, **options):
        """Bytes of temporary memory of a compiled gradient."""
        xs = inputs(steps, 64)

        def mean_loss(carry, ys):
            return loss(carry, ys if options else ys.mean(0))

        lowered = case.gradient(mean_loss, **options).lower(case.params, case.carry, xs)
        return lowered.compile().memory_analysis().temp_size_in_bytes

    blocks = {"remat": "full", "reduce": "mean"}
    assert temporaries(100, **blocks) <= 0.30 * temporaries(100)
    assert temporaries(2500, **blocks) <= 8 * temporaries(100, **blocks)  # the square root of 25 is 5


def test_other_state_of_nnx_rides_along():
    rngs = nnx.Rngs(0)
    norm, drop = nnx.BatchNorm(3, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)
    net = brainsurr.nnx.SpikingSequential([norm, drop, brainsurr.nnx.LIF(3)])
    count = int(drop.rngs.count[...])

    @nnx.jit
    def run(net, xs):
        return brainsurr.nnx.unroll(net, net.initialize_carry(xs.shape[1:]), xs, block_size=2, remat="full")

    run(net, inputs())
    mean = np.zeros(3)
    for block in (inputs()[:2], inputs()[2:4], inputs()[4:6], inputs()[6:]):
        mean = 0.99 * mean + 0.01 * np.asarray(block).mean((0, 1))
    assert_close(norm.mean[...], mean, 4 * (2 * BATCH + 3), scale=0.01 * np.abs(inputs()).max())
    assert int(drop.rngs.count[...]) == count + 4, "one draw a block"


def test_what_nnx_only_reads_is_not_written():
    spike_fn = bs.LogTailedRelu(jnp.full(3, 0.25))
    drop = nnx.Dropout(0.5, deterministic=True, rngs=nnx.Rngs(0))
    net = brainsurr.nnx.SpikingSequential([brainsurr.nnx.LIF(3, decay=jnp.full(3, 0.5), spike_fn=spike_fn), drop])
    carry = net.initialize_carry((BATCH, 3))  # its variables are not those of the traces below
    for transform in (jax.jit, lambda f: jax.jit(jax.grad(lambda xs: jnp.sum(f(xs))))):
        expected = transform(lambda xs: net(carry, xs)[1])(inputs())
        for remat in ("none", "full"):
            run = transform(lambda xs, remat=remat: brainsurr.nnx.unroll(net, carry, xs, block_size=2, remat=remat)[1])
            assert_close(run(inputs()), expected, GRADIENT)


def test_other_state_of_linen_rides_along_also_where_layers_belong_to_an_outer_module():
    class Net(linen.Module):
        @linen.compact
        def __call__(self, xs):
            norm = linen.BatchNorm(use_running_average=False)
            layers = [norm, linen.Dropout(0.5, deterministic=False), brainsurr.linen.LIF(3)]
            net = brainsurr.linen.SpikingSequential(layers)
            carry = net.initialize_carry(jax.random.key(0), xs.shape[1:])
            return brainsurr.linen.unroll(net, carry, xs, block_size=2, remat="full")

    rngs = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    variables = Net().init(rngs, inputs())
    _, state = Net().apply(variables, inputs(), rngs=rngs, mutable="batch_stats")
    mean = np.zeros(3)
    for block in (inputs()[:2], inputs()[2:4], inputs()[4:6], inputs()[6:]):
        mean = 0.99 * mean + 0.01 * np.asarray(block).mean((0, 1))
    scale = 0.01 * np.abs(inputs()).max()
    assert_close(state["batch_stats"]["BatchNorm_0"]["mean"], mean, 4 * (2 * BATCH + 3), scale=scale)


class Noisy(linen.Module):
    """A network that keeps statistics, counts its calls, draws random numbers, notes its input and has parameters."""

    @linen.compact
    def __call__(self, carry, xs):
        calls = self.variable("counters", "calls", jnp.zeros, ())
        if not self.is_initializing():
            calls.value += 1
        self.sow("intermediates", "input", xs.sum())
        keep = linen.Dropout(0.5, deterministic=False)(jnp.ones_like(xs))
        self.sow("intermediates", "keep", keep[0])
        return brainsurr.linen.LIF(3, decay=0.5, learnable="decay")(carry, xs * keep)


class Inside(linen.Module):
    """`unroll` within a method of a module."""

    remat: str = "none"

    def setup(self):
        self.net = Noisy()

    def __call__(self, carry, xs):
        return brainsurr.linen.unroll(self.net, carry, xs, block_size=2, remat=self.remat)


BLOCKS = [slice(0, 2), slice(2, 4), slice(4, 6), slice(6, T)]


def check_noted(counters, noted):
    """Four blocks, of which the last is shorter: each counts, notes its own input and draws its own mask."""
    assert counters["calls"] == 4
    # A block in the scan is an entry of the first array; the shorter one comes after the scan.
    by_block, rest = noted["input"]
    assert_close([*by_block, rest], [inputs()[block].sum() for block in BLOCKS], 2 * BATCH * 3)
    masks = np.stack([*noted["keep"][0], noted["keep"][1]])
    assert masks.shape == (4, BATCH, 3)
    assert len({mask.tobytes() for mask in masks}) == 4, "a mask for each block"


@pytest.mark.slow
@pytest.mark.parametrize("remat", ["none", "dots", "full"])
def test_linen_collections_inside_a_method(remat):
    carry, rngs = jnp.zeros((BATCH, 3)), {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    net = Inside(remat)
    variables = net.init(rngs, carry, inputs())
    assert list(variables["params"]["net"]["LIF_0"]) == ["decay"], "made by init"

    def loss(params, xs):
        given = {"params": params, "counters": variables["counters"]}
        (_, ys), state = net.apply(given, carry, xs, rngs=rngs, mutable=["counters", "intermediates"])
        return jnp.sum(ys), state

    gradients, state = jax.jit(jax.grad(loss, has_aux=True))(variables["params"], inputs())
    assert float(jnp.abs(gradients["net"]["LIF_0"]["decay"]).sum()) > 0
    check_noted(state["counters"]["net"], state["intermediates"]["net"])


@pytest.mark.parametrize("remat", ["none", "full"])
def test_linen_collections_of_a_bound_module(remat):
    carry, rngs = jnp.zeros((BATCH, 3)), {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    variables = Noisy().init(rngs, carry, inputs())

    @jax.jit
    def run(variables, xs):
        net = Noisy().bind(variables, rngs=rngs, mutable=["counters", "intermediates"])
        brainsurr.linen.unroll(net, carry, xs, block_size=2, remat=remat)
        return net.variables

    given = {name: variables[name] for name in ("params", "counters")}
    state = run(given, inputs())
    check_noted(state["counters"], state["intermediates"])


def test_linen_inside_of_a_remat_of_flax():
    carry, rngs = jnp.zeros((BATCH, 3)), {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    variables = Inside().init(rngs, carry, inputs())
    given = {name: variables[name] for name in ("params", "counters")}
    answers = []
    for module in (Inside("full"), linen.remat(Inside)("full")):

        @jax.jit
        def run(params, module=module):
            def loss(params):
                (_, ys), state = module.apply(
                    given | {"params": params}, carry, inputs(), rngs=rngs, mutable="counters"
                )
                return jnp.sum(ys), state

            return jax.grad(loss, has_aux=True)(params)

        answers.append(run(given["params"]))
    assert_close(answers[1][0], answers[0][0], GRADIENT)
    assert answers[1][1]["counters"]["net"]["calls"] == 4


def test_linen_wants_a_bound_module():
    with pytest.raises(ValueError, match="unroll: expected a bound module"):
        brainsurr.linen.unroll(brainsurr.linen.LIF(3), jnp.zeros((BATCH, 3)), inputs())


explicit_axes = pytest.mark.xfail(
    jax.__version_info__ < (0, 10), reason="jax 0.8: a Linear's gradient under explicit axes is ambiguous to jax itself"
)


@pytest.mark.slow
@explicit_axes
@pytest.mark.parametrize(
    ("host", "options"),
    [
        *((host, {}) for host in HOSTS),
        pytest.param(Nnx, {"block_size": 2}, marks=exhaustive),
        (Nnx, {"block_size": 2, "remat": "full"}),
    ],
)
def test_a_carry_that_knows_of_no_mesh_under_explicit_axes(host, options):
    case = Case(host)
    run = case.run
    case.run = lambda params, carry, *xs, **o: run(params, jax.tree.map(lambda c: jnp.zeros(c.shape), carry), *xs, **o)
    expected = case.gradient(loss)(case.params, case.carry, inputs())
    with jax.set_mesh(jax.make_mesh((BATCH,), ("batch",), axis_types=(AxisType.Explicit,))):
        xs = jax.device_put(inputs(), PartitionSpec(None, "batch"))
        assert_close(case.gradient(loss, **options)(case.params, case.carry, xs), expected, GRADIENT)


@pytest.mark.slow
@explicit_axes
@host
def test_a_carry_that_lies_where_the_inputs_lie_under_explicit_axes(host):
    case = Case(host)
    expected = case.gradient(loss)(case.params, case.carry, inputs())
    with jax.set_mesh(jax.make_mesh((BATCH,), ("batch",), axis_types=(AxisType.Explicit,))):
        xs = jax.device_put(inputs(), PartitionSpec(None, "batch"))
        carry = jax.device_put(case.carry, PartitionSpec("batch"))
        assert_close(case.gradient(loss, block_size=2, remat="full")(case.params, carry, xs), expected, GRADIENT)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{}, pytest.param({"block_size": 2}, marks=exhaustive), {"block_size": 2, "remat": "full"}], ids=str
)
def test_a_carry_that_knows_of_no_mesh_in_shard_map(options):
    case, mesh = Case(Nnx), jax.make_mesh((BATCH,), ("batch",), axis_types=(AxisType.Auto,))

    @partial(
        jax.shard_map, mesh=mesh, in_specs=(PartitionSpec(), PartitionSpec(None, "batch")), out_specs=PartitionSpec()
    )
    def mean(params, xs):
        ys = case.run(params, case.start(xs.shape[1:]), xs, **options)[1]
        return jax.lax.pmean(jnp.mean((ys - 1) ** 2), "batch")

    plain = jax.jit(jax.grad(lambda params: jnp.mean((case.run(params, case.carry, inputs())[1] - 1) ** 2)))
    expected = plain(case.params)
    assert_close(jax.jit(jax.grad(mean))(case.params, inputs()), expected, GRADIENT)


@host
def test_bad_input_is_named(host):
    case = Case(host)
    with pytest.raises(ValueError, match="block_size to be at least 1, got 0"):
        case.run(case.params, case.carry, inputs(), block_size=0)
    with pytest.raises(ValueError, match="remat to be one of"):
        case.run(case.params, case.carry, inputs(), remat="some")
