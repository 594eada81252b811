"""Within `unroll`, a layer without a state may not mix time steps; and which layers the guard does not see."""

import contextlib
import functools
import re

import brainstate
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import all_but, each_value_once, label, programs
from flax import linen, nnx

from brainsurr import Arctan
from brainsurr import nnx as bn
from brainsurr._time import guard
from tools.frameworks import HOSTS, Brainstate, Linen, Nnx

T, B, F = 24, 3, 4
XS = jnp.asarray(np.random.default_rng(0).normal(1, 1, (T, B, F)), jnp.float32)

pytestmark = pytest.mark.usefixtures("lenient")  # the Linear of brainstate, the layers of flax


def run(host, layer, jit=True, **options):
    """Outputs of a network with a layer, by `unroll` if there are options."""
    layers = [host.dense(F, F, nnx.Rngs(0)), host.layers.LIF(F), layer, host.layers.LI(F)]
    params, start, apply, _ = host.pure(host.layers.SpikingSequential(layers, mixes_examples=True), (B, F))
    carry = start((B, F))

    def ys(params):
        return apply(params, carry, XS, **options)[1]

    with brainstate.environ.context(fit=True):
        return (jax.jit(ys) if jit else ys)(params)


hosts = pytest.mark.parametrize("host", HOSTS, ids=label)


def delay(xs):
    return jnp.concatenate([jnp.zeros_like(xs[:3]), xs[:-3]])


def centre(xs):
    return xs - xs.mean(0)


def place_in_time(xs):
    return xs + jnp.arange(len(xs), dtype=xs.dtype)[:, None, None]


ACROSS = [delay, centre, place_in_time]


CALLS = each_value_once(ACROSS, HOSTS, [False, True], [5, 1])


@pytest.mark.parametrize(("layer", "host", "jit", "size"), CALLS, ids=label)
def test_a_layer_that_looks_across_time_is_refused_by_unroll(host, layer, jit, size):
    """Also a delay that is longer than a block."""
    assert run(host, layer, jit).shape == XS.shape  # without it, such a layer is a layer like any other
    with pytest.raises(ValueError, match=rf"layers\[2\], {layer.__name__}, mixes time steps"):
        run(host, layer, jit, block_size=size)


def scale(xs):
    return jnp.tanh(xs * jnp.arange(F))


def of_one_batch_size(xs):
    return jnp.flip(xs.reshape(-1, B, 2, 2), -1).reshape(-1, B, F)


def gather(xs):
    return jnp.take(xs, jnp.array([2, 0, 1]), axis=1)


ALONE = [jax.nn.relu, scale, of_one_batch_size, gather, jnp.log]


@pytest.mark.parametrize(("layer", "host"), each_value_once(ALONE, HOSTS), ids=label)
def test_a_layer_that_treats_each_time_step_alone_passes(host, layer):
    run(host, layer, block_size=5)


def compiled(run):
    """How many programs are compiled while a function is traced."""
    jax.clear_caches()
    before = len(programs)
    jax.jit(run).trace()
    return len(programs) - before


def images(host):
    """Three convolutions, with pools, a mask and layers of neurons between."""
    rngs, snn = nnx.Rngs(0), host.layers
    if host is Nnx:
        convs = [nnx.Conv(*sizes, (3, 3), rngs=rngs) for sizes in ((2, 4), (4, 4), (4, 8))]
        dropout = nnx.Dropout(0.2, deterministic=True)
    elif host is Linen:
        convs, dropout = [linen.Conv(size, (3, 3)) for size in (4, 4, 8)], linen.Dropout(0.2, deterministic=True)
    else:
        shapes = ((8, 8, 2), 4), ((4, 4, 4), 4), ((2, 2, 4), 8)
        convs = [jax.vmap(brainstate.nn.Conv2d(shape, size, 3)) for shape, size in shapes]  # of four axes alone
        dropout = brainstate.nn.Dropout(0.8)
    pool = lambda xs: nnx.max_pool(xs, (2, 2), (2, 2))  # noqa: E731
    first, second, third = convs
    rest = [lambda xs: xs.reshape(*xs.shape[:2], -1), dropout, host.dense(32, F, rngs), snn.LI(F)]
    spikes = [snn.LIF(size) if host is not Brainstate else Arctan(2.0) for size in (4, 4, 8)]
    return [first, spikes[0], pool, second, spikes[1], pool, third, spikes[2], *rest]


@hosts
def test_nothing_is_compiled_while_a_network_of_the_framework_is_traced(host, monkeypatch):
    monkeypatch.setattr(guard, "_tried", lambda *args: pytest.fail("a layer was tried"))
    shape = (B, 8, 8, 2)
    with brainstate.environ.context(fit=False):
        params, start, apply, _ = host.pure(host.layers.SpikingSequential(images(host)), shape)
        xs, carry = jnp.ones((T, *shape)), start(shape)
        assert not compiled(lambda: [apply(params, carry, xs, **options)[1] for options in ({}, {"block_size": 5})])


def test_a_layer_that_is_tried_is_compiled():
    """So the count above is not 0 for want of counting."""
    net = bn.SpikingSequential([lambda xs: jnp.abs(jnp.fft.fft(xs)), bn.LIF(F)])
    carry = net.initialize_carry((B, F))
    assert compiled(lambda: net(carry, XS)[1])


def spectrum(axis):
    """What no rule tells, so that it is tried."""
    return lambda xs: jnp.abs(jnp.fft.fft(xs, axis=axis))


def test_a_layer_is_tried_on_time_too():
    run(Nnx, spectrum(-1), block_size=5)
    with pytest.raises(ValueError, match="mixes time steps"):
        run(Nnx, spectrum(0), block_size=5)


def test_a_batch_of_any_size_in_an_export():
    """A flatten passes, and a layer that mixes examples still raises an error."""
    (batch,) = jax.export.symbolic_shape("batch")
    for layer, raises in (
        (lambda xs: xs.reshape(*xs.shape[:2], -1), False),
        (lambda xs: xs - xs.mean(1, keepdims=True), True),
    ):
        run = jax.jit(bn.SpikingSequential([layer]).__call__)
        with pytest.raises(ValueError, match="mixes the examples") if raises else contextlib.nullcontext():
            jax.export.export(run)((None,), jax.ShapeDtypeStruct((T, batch, F), jnp.float32))


@pytest.mark.parametrize("jit", [False, True])
def test_a_layer_that_draws_from_a_key_of_another_kind_is_tried(jit):
    """The key is a number or, within a trace, none."""

    def run(key):
        net = bn.SpikingSequential([lambda xs: spectrum(1)(xs) * jax.random.uniform(key, (F,))])
        return net((None,), XS)

    with pytest.raises(ValueError, match="mixes the examples"):
        (jax.jit(run) if jit else run)(jax.random.key(0, impl="rbg"))


@hosts
def test_neurons_do_not_run_over_the_batch(host):
    """Where layers without a state put examples in the place of time; what puts them back, or is last, is let be."""

    def ys(*layers, **options):
        net = host.layers.SpikingSequential([host.layers.LIF(F), *layers], **options)
        params, start, apply, _ = host.pure(net, (B, F))
        return apply(params, start((B, F)), XS)[1]

    merge, last = [lambda xs: xs.reshape(-1, F)], [host.layers.LI(F)]
    for moves in (merge, [lambda xs: xs.mean(0)], [lambda xs: jnp.swapaxes(xs, 0, 1)]):
        with pytest.raises(
            ValueError, match=rf"layers\[1\], .* examples on the time axis: .*, {B}\), before layers\[2\], LI"
        ):
            ys(*moves, *last)
        ys(*moves)
    back = [lambda xs: xs.reshape(-1, B, F)]
    np.testing.assert_array_equal(ys(*merge, *back, *last), ys(*last))
    assert ys(*merge, *back, *last, lambda xs: xs[::2], *last).shape == (T // 2, B, F)
    assert ys(lambda xs: xs[::2], *last).shape == (T // 2, B, F)
    if host is not Brainstate:  # whose states have the size of the batch
        assert ys(*merge, *last, mixes_examples=True).shape == (T * B, F)


def test_layers_of_other_ranks_and_structures_pass():
    """Two axes, whose second is no batch; a dictionary from layer to layer; parameters that are divided by."""

    class Scaled(nnx.Module):
        def __init__(self):
            self.variance, self.count = nnx.Param(jnp.array(0.5)), nnx.Param(jnp.array(4))

        def __call__(self, xs):
            return xs / jnp.sqrt(self.variance[...]) / self.count[...].astype(xs.dtype)

    by_groups = lambda xs: jax.nn.softmax(xs.reshape(-1, 2, 2), axis=1).reshape(xs.shape)  # noqa: E731
    layers = [by_groups, Scaled(), lambda xs: {"x": xs}, lambda tree: tree["x"], bn.LIF(F)]

    @nnx.jit
    def run(net, xs):
        return bn.unroll(net, (None, None, None, None, jnp.zeros(F)), xs, block_size=4)[1]

    assert run(bn.SpikingSequential(layers), XS[:, 0]).shape == (T, F)


def test_axis_1_of_a_vmapped_network_is_not_the_batch():
    net = bn.SpikingSequential([centre_the_batch])
    np.testing.assert_array_equal(jax.vmap(lambda xs: net((None,), xs)[1])(XS[None])[0], centre_the_batch(XS))


def test_inside_of_a_network_of_ones_own_and_under_a_gradient():
    class Net(nnx.Module):
        def __init__(self):
            self.inner = bn.SpikingSequential([bn.LIF(F), centre])

        def __call__(self, carry, xs):
            return self.inner(carry, xs)

    net = Net()
    carry = net.inner.initialize_carry((B, F))
    with pytest.raises(ValueError, match=r"layers\[1\], centre, mixes time steps"):
        jax.grad(lambda xs: bn.unroll(net, carry, xs, block_size=4, remat="full")[1].sum())(XS)


def test_what_the_guard_does_not_see():
    """What fails on other inputs than its own; side effects are not caused twice, whether or not it is refused."""
    printed = []

    def prints(xs):
        jax.debug.callback(lambda: printed.append(1))
        return centre(xs)

    def of_few_steps(xs):
        if len(xs) > 4:
            raise NotImplementedError
        return centre(xs)

    net = bn.SpikingSequential([of_few_steps, bn.LIF(F)], mixes_examples=True)
    bn.unroll(net, net.initialize_carry((B, F)), XS, block_size=4)
    net = bn.SpikingSequential([prints, bn.LIF(F)], mixes_examples=True)
    with pytest.raises(ValueError, match="prints, mixes time steps"):
        bn.unroll(net, net.initialize_carry((B, F)), XS, block_size=4)
    net(net.initialize_carry((B, F)), XS)
    jax.effects_barrier()
    assert len(printed) == 1


# Examples of a batch --------------------------------------------------------------------------------------------------

F12 = 12


def centre_the_batch(xs):
    return xs - xs.mean(1, keepdims=True)


def attend(attention):
    """Among the features of an example, three parts of four."""
    return lambda xs: attention(xs.reshape(*xs.shape[:-1], 3, 4)).reshape(xs.shape)


def rngs():
    return nnx.Rngs(0)


class Own(nnx.Module):
    """Two layers in one, such as batch statistics behind a convolution that mixes the batch."""

    def __init__(self, first, second):
        self.first, self.second = first, second

    def __call__(self, xs):
        return self.second(self.first(xs))


def conv(*args, **options):
    return nnx.Conv(F12, F12, *args, rngs=rngs(), **options)


MIXING = [
    (Nnx, lambda: conv((5,))),
    (Nnx, lambda: conv((2,), padding="CAUSAL", kernel_dilation=2)),
    (Nnx, lambda: lambda xs: xs + jnp.roll(xs, 2, axis=1)),
    (Nnx, lambda: Own(conv((2,)), nnx.BatchNorm(F12, use_running_average=True, rngs=rngs()))),
    (Nnx, lambda: Own(conv((2,)), nnx.Dropout(0.5, rngs=rngs()))),
    (Nnx, lambda: nnx.MultiHeadAttention(2, F12, decode=False, deterministic=True, rngs=rngs())),
    (Nnx, lambda: nnx.RNN(nnx.GRUCell(F12, F12, rngs=rngs()))),
    (Nnx, lambda: nnx.GroupNorm(F12, num_groups=2, rngs=rngs())),
    (Linen, lambda: linen.Conv(F12, (5,))),
    (Linen, lambda: linen.GroupNorm(num_groups=2)),
    (Brainstate, lambda: brainstate.nn.Conv1d((B, F12), F12, 5)),
    *((host, lambda: centre_the_batch) for host in HOSTS),
    # Within the first part of the batch, or of pairs: by an index, which is tried.
    (Nnx, lambda: lambda xs: xs[:, jnp.array([1, 0, *range(2, B)])]),
    (Nnx, lambda: lambda xs: xs.at[:, [0]].set(xs[:, [1]])),
]
SEPARATE = [
    (Nnx, lambda: nnx.BatchNorm(F12, rngs=rngs())),  # its statistics say that it is meant
    (Nnx, lambda: attend(nnx.MultiHeadAttention(2, 4, decode=False, deterministic=True, rngs=rngs()))),
    (Nnx, lambda: nnx.RNN(nnx.GRUCell(F12, F12, rngs=rngs()), time_major=True)),
    (Nnx, lambda: nnx.GroupNorm(F12, num_groups=2, reduction_axes=(-1,), rngs=rngs())),
    (Nnx, lambda: nnx.Dropout(0.5, rngs=rngs())),
    (Brainstate, lambda: brainstate.nn.Dropout(0.5)),
    (Brainstate, lambda: brainstate.nn.BatchNorm1d((B, F12))),
    *((host, lambda: lambda xs: xs * jnp.arange(B)[:, None]) for host in HOSTS),  # a weight of each example
    *((host, functools.partial(host.layers.Window, F12, 3)) for host in HOSTS),
]


def forward(host, layer, how, **options):
    """Run a network whose first layer is the one, as a plain call, compiled, or by `unroll`."""
    brainstate.random.seed(0)
    xs = jnp.asarray(np.random.default_rng(0).normal(0, 1, (T, B, F12)), jnp.float32)
    net = host.layers.SpikingSequential([layer, host.layers.LI(36 if "Window" in str(type(layer)) else F12)], **options)
    params, start, apply, _ = host.pure(net, (B, F12))
    blocks = {"block_size": 6} if how == "in blocks" else {}
    run = lambda params: apply(params, start((B, F12)), xs, **blocks)[1]  # noqa: E731
    with brainstate.environ.context(fit=True):
        return jax.jit(run)(params) if how == "compiled" else run(params)


HOW = ["plain", "compiled", "in blocks"]


@pytest.mark.parametrize(("layer", "how"), each_value_once(MIXING, HOW))
def test_a_layer_that_mixes_examples_is_refused(layer, how):
    host, make = layer
    with pytest.raises(ValueError, match=r"layers\[0\], \S+, mixes the examples of a batch.* mixes_examples=True"):
        forward(host, make(), how)
    if how == "plain":
        forward(host, make(), how, mixes_examples=True)


fft = jnp.fft.fft  # which no rule tells of, so that it is tried on numbers
TRIED = {
    "a little": (lambda xs: 1 + 1e-6 * fft(xs, axis=1).real, True),
    "booleans": (lambda xs: fft((xs > 1).astype(jnp.float32), axis=1).real > 1, True),
    "many features": (lambda xs: fft(xs, axis=1).real, True),  # tried on a part of the steps
    "one feature": (lambda xs: fft(xs, axis=1).real, True),
    "beside infinity": (lambda xs: jnp.where(xs > 1, jnp.inf, fft(xs, axis=1).real), True),
    "NaN": (lambda xs: fft(jnp.log(xs), axis=2).real, False),
    "infinity": (lambda xs: fft(jnp.where(xs > 1, jnp.inf, xs), axis=2).real, False),
}


@pytest.mark.parametrize("name", TRIED)
def test_what_is_tried_on_numbers(name):
    layer, mixes = TRIED[name]
    xs = {"one feature": XS[..., :1], "many features": jnp.ones((6, 5, 50_000)), "booleans": XS > 1}.get(name, XS)
    net = bn.SpikingSequential([layer])
    with pytest.raises(ValueError, match="mixes the examples") if mixes else contextlib.nullcontext():
        net((None,), xs)


@pytest.mark.parametrize(("layer", "how"), each_value_once(all_but(SEPARATE[::3], SEPARATE, pytest.mark.slow), HOW[1:]))
def test_a_layer_that_treats_each_example_alone_passes(layer, how):
    (host, make), is_stateful = layer, re.search("Dropout|BatchNorm", type(layer[1]()).__name__)
    ys = forward(host, make(), "in blocks" if is_stateful else how)
    if not is_stateful:
        np.testing.assert_allclose(ys, forward(host, make(), "plain"), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("host", [Nnx, Linen], ids=label)
def test_one_mask_over_time_is_refused_in_blocks(host):
    make = {Nnx: functools.partial(nnx.Dropout, rngs=rngs()), Linen: linen.Dropout}[host]
    with pytest.raises(ValueError, match="one mask for all time steps: leave axis 0"):
        forward(host, make(0.5, broadcast_dims=(0,), deterministic=False), "in blocks")
    off = make(0.5, broadcast_dims=(0,), deterministic=True)
    np.testing.assert_allclose(forward(host, off, "in blocks"), forward(host, off, "plain"), rtol=1e-5, atol=1e-6)


def of_24_steps(xs):
    return xs.reshape(T, B, F)


def test_a_layer_made_for_one_length_of_time_is_named():
    net = bn.SpikingSequential([bn.LIF(F), of_24_steps])
    for call in (lambda: net.initialize_carry((B, F)), lambda: bn.unroll(net, (XS[0], None), XS, block_size=6)):
        with pytest.raises(TypeError) as caught:
            call()
        told = r"in layer 1 of SpikingSequential, of_24_steps, for an input .* of \([16], 3, 4\)"
        assert any(re.match(told, note) for note in caught.value.__notes__)
