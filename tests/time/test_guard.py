"""Within `unroll`, a layer without a state may not mix time steps; and which layers the guard does not see."""

import brainstate
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from combinations import each_value_once, label
from flax import linen, nnx

from brainsurr import brainstate as bst
from brainsurr import linen as bl
from brainsurr import nnx as bn

T, B, F = 24, 3, 4
XS = jnp.asarray(np.random.default_rng(0).normal(1, 1, (T, B, F)), jnp.float32)
KEY = jax.random.key(0)

pytestmark = pytest.mark.usefixtures("lenient")  # the Linear of brainstate, the layers of flax


def run_nnx(layer, **options):
    net = bn.SpikingSequential([nnx.Linear(F, F, rngs=nnx.Rngs(0)), bn.LIF(F), layer, bn.LI(F)])
    carry = net.initialize_carry((B, F))
    return nnx.eval_shape(lambda net: bn.unroll(net, carry, XS, **options)[1], net)


def run_linen(layer, **options):
    net = bl.SpikingSequential([linen.Dense(F), bl.LIF(F), layer, bl.LI(F)])
    carry = net.initialize_carry(KEY, (B, F))

    def run(variables):
        bound = net.bind(variables, rngs={"dropout": KEY}, mutable=["batch_stats"])
        return bl.unroll(bound, carry, XS, **options)[1]

    return jax.eval_shape(run, net.init(KEY, carry, XS))


def run_brainstate(layer, **options):
    net = bst.SpikingSequential([brainstate.nn.Linear(F, F), bst.LIF(F), layer, bst.LI(F)])
    net.init_state(B)
    with brainstate.environ.context(fit=True):
        return brainstate.transform.make_jaxpr(lambda: bst.unroll(net, XS, **options))()


HOSTS = {"nnx": run_nnx, "linen": run_linen, "brainstate": run_brainstate}
RUNS = list(HOSTS.values())


def centre(xs):
    return xs - xs.mean(0)


def running_sum(xs):
    return jax.lax.scan(lambda total, x: (total + x, total + x), jnp.zeros(xs.shape[1:]), xs)[1]


def all_pairs(xs):
    weights = jax.nn.softmax(jnp.einsum("tbf,sbf->bts", xs, xs))
    return jnp.einsum("bts,sbf->tbf", weights, xs)


def smooth(xs):
    kernel = jnp.ones((1, F, 3))
    return jax.lax.conv_general_dilated(xs, kernel, (1,), "SAME", dimension_numbers=("WNC", "OIW", "WNC"))


ACROSS = {
    "a delay": lambda xs: jnp.concatenate([jnp.zeros_like(xs[:3]), xs[:-3]]),
    "a mean": centre,
    "a mean, compiled": jax.jit(centre),
    "a mean, each feature alone": jax.vmap(lambda xs: xs - xs.mean(), -1, -1),
    "backwards": lambda xs: xs[::-1],
    "the place in time": lambda xs: xs + jnp.arange(len(xs), dtype=xs.dtype)[:, None, None],
    "the place, in NumPy": lambda xs: xs + np.arange(len(xs), dtype=np.float32)[:, None, None],
    "sample and hold": lambda xs: jnp.repeat(xs[::4], 4, axis=0)[: len(xs)],
    "a gate by the rate": lambda xs: xs * (xs.mean(0) > 0.5),
    "a sum so far": lambda xs: jnp.cumsum(xs, 0),
    "a scan": running_sum,
    "all pairs": all_pairs,
    "a convolution": lambda xs: smooth(xs) + xs,
    "a maximum of three": lambda xs: linen.max_pool(xs.swapaxes(0, 1), (3,), (1,), "SAME").swapaxes(0, 1),
    "a rank": lambda xs: jnp.sort(xs, 0),
    "steps drawn": lambda xs: jnp.take(xs, jax.random.randint(KEY, len(xs), 0, len(xs)), axis=0),
    "one step set": lambda xs: xs.at[0].set(0),
    "two steps set": lambda xs: jax.lax.dynamic_update_slice(xs, xs[:2] * 0, (0, 0, 0)),
    "a shift": lambda xs: jax.lax.pad(xs, np.float32(0), [(1, -1, 0), (0, 0, 0), (0, 0, 0)]),
    "frequencies": lambda xs: jnp.fft.fft(xs.swapaxes(0, -1)).real.swapaxes(0, -1),
    "a reshape for a transpose": lambda xs: xs.reshape(B, -1, F).swapaxes(0, 1),
}


@pytest.mark.parametrize(("kind", "run"), each_value_once(list(ACROSS), RUNS), ids=label)
def test_a_layer_that_looks_across_time_is_refused(run, kind):
    with pytest.raises(ValueError, match=r"layers\[2\], .*, has no state, but its output"):
        run(ACROSS[kind], block_size=5)


def test_with_a_single_block_nothing_is_cut():
    run_nnx(centre, block_size=T)


def report_the_mean(xs):
    jax.debug.callback(reported.append, xs.mean())
    return xs


def each_picture(xs):
    pictures = xs.reshape(-1, B, 2, 2, 1)
    return nnx.Conv(1, 1, (2, 2), rngs=nnx.Rngs(0))(pictures).reshape(xs.shape)


def of_few_steps(xs):
    if len(xs) > T:
        raise NotImplementedError
    return centre(xs)


reported = []
ALONE = {
    "of one batch size": lambda xs: jnp.flip(xs.reshape(-1, B, 2, 2), -1).reshape(-1, B, F),
    "rows": lambda xs: xs.reshape(-1, F).reshape(len(xs), -1, F),
    "groups": lambda xs: jax.nn.softmax(xs.reshape(-1, B, 2, 2), axis=2).reshape(xs.shape),
    "the place in a step": lambda xs: jnp.tanh(xs * jnp.arange(F)),
    "examples in another order": lambda xs: jnp.take(xs, jnp.array([2, 0, 1]), axis=1),
    "a rank in each step": lambda xs: jnp.take_along_axis(xs, jnp.argsort(xs, -1), -1),
    "one feature set": lambda xs: xs.at[..., 0].set(0),
    "step by step": lambda xs: jax.lax.map(lambda x: x - x.mean(), xs),
    "a scan over features": lambda xs: jnp.moveaxis(running_sum(jnp.moveaxis(xs, -1, 0)), 0, -1),
    "a scan over weights": lambda xs: jax.lax.scan(lambda x, w: (x @ w, None), xs, jnp.ones((2, F, F)))[0],
    "rejection sampling": lambda xs: jax.random.poisson(KEY, jnp.abs(xs)).astype(xs.dtype),
    "a report of the mean": report_the_mean,
    "a convolution of each picture": each_picture,
    "of few steps": of_few_steps,
}


@pytest.mark.parametrize(("kind", "run"), each_value_once(list(ALONE), RUNS), ids=label)
def test_a_layer_that_treats_each_time_step_alone_passes(run, kind):
    """And one that can't be traced by itself; what is traced does not run, so nothing is reported twice."""
    run(ALONE[kind], block_size=5)
    assert not reported


MODULES = {
    run_nnx: [
        nnx.LayerNorm(F, rngs=nnx.Rngs(0)),
        nnx.Dropout(0.5, rngs=nnx.Rngs(0)),
        nnx.Sequential(nnx.Linear(F, 8, rngs=nnx.Rngs(0)), jax.nn.relu, nnx.Linear(8, F, rngs=nnx.Rngs(0))),
        nnx.BatchNorm(F, rngs=nnx.Rngs(0)),
    ],
    run_linen: [
        linen.LayerNorm(),
        linen.Dropout(0.5, deterministic=False),
        linen.Sequential([linen.Dense(8), jax.nn.relu, linen.Dense(F)]),
        linen.BatchNorm(use_running_average=False),
    ],
    run_brainstate: [
        brainstate.nn.LayerNorm(F),
        brainstate.nn.Dropout(0.5),
        brainstate.nn.Sequential(brainstate.nn.Linear(F, 8), jax.nn.relu, brainstate.nn.Linear(8, F)),
        brainstate.nn.BatchNorm1d((B, F)),
    ],
}


@pytest.mark.parametrize("run", RUNS, ids=HOSTS)
def test_modules_of_the_hosts_pass(run):
    """BatchNorm, the last of each, mixes time steps: it keeps statistics, which are a state, and is let be."""
    for layer in MODULES[run]:
        run(layer, block_size=5)


MIXING = {
    run_nnx: lambda: nnx.Sequential(nnx.Linear(F, F, rngs=nnx.Rngs(0)), centre),
    run_linen: lambda: linen.Sequential([linen.Dense(F), centre]),
    run_brainstate: lambda: brainstate.nn.Sequential(brainstate.nn.Linear(F, F), centre),
}


@pytest.mark.parametrize("run", RUNS, ids=HOSTS)
def test_a_module_with_parameters_that_mixes_is_refused(run):
    with pytest.raises(ValueError, match="Sequential, has no state"):
        run(MIXING[run](), block_size=5)


def test_a_product_whose_function_is_replaced_is_refused():
    def centred(lhs, rhs, dimensions, **options):
        return centre(jax.lax.dot_general(lhs, rhs, dimensions, **options))

    with pytest.raises(ValueError, match="Linear, has no state"):
        run_nnx(nnx.Linear(F, F, dot_general=centred, rngs=nnx.Rngs(0)), block_size=5)


def test_layers_of_other_ranks_and_structures_pass():
    """Two axes, whose second is no batch, and a dictionary from layer to layer."""
    by_groups = lambda xs: jax.nn.softmax(xs.reshape(-1, 2, 2), axis=1).reshape(xs.shape)  # noqa: E731
    net = bn.SpikingSequential([by_groups, lambda xs: {"x": xs}, lambda tree: tree["x"], bn.LIF(F)])
    _, ys = bn.unroll(net, (None, None, None, jnp.zeros(F)), XS[:, 0], block_size=4)
    assert ys.shape == (T, F)


def test_inside_of_a_network_of_ones_own_and_under_a_gradient():
    class Net(nnx.Module):
        def __init__(self):
            self.inner = bn.SpikingSequential([bn.LIF(F), centre])

        def __call__(self, carry, xs):
            return self.inner(carry, xs)

    net = Net()
    carry = net.inner.initialize_carry((B, F))
    with pytest.raises(ValueError, match=r"layers\[1\], centre, has no state"):
        jax.grad(lambda xs: bn.unroll(net, carry, xs, block_size=4, remat="full")[1].sum())(XS)
