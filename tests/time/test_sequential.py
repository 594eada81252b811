"""Layers in a row: a product over the last axis gets a row for each example of each time step, if a device has all."""

import re
from functools import partial
from itertools import pairwise

import brainstate
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from asked import called
from cases import each_value_once, first_quick, label
from close import assert_close
from flax import linen, nnx
from flax.errors import ScopeParamShapeError
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from neuron_table import NAMES

import brainsurr as bs
from benchmarks.robustness.collectives import collectives
from brainsurr._gradients.program import equations
from brainsurr.neurons._neuron import Unmatched
from tools.frameworks import HOSTS, Brainstate, Linen, Nnx

T, BATCH, SIZES = 12, 4, (6, 5, 3)
pytestmark = pytest.mark.usefixtures("lenient")
host = pytest.mark.parametrize("host", HOSTS, ids=label)
WAYS = [{}, *({"block_size": 3, "remat": remat} for remat in ("dots", "full"))]


@pytest.fixture
def one_device(monkeypatch):
    """As for a user: conftest asks for eight."""
    monkeypatch.setattr(jax, "device_count", lambda: 1)


def network(host):
    layers, rngs = host.layers, nnx.Rngs(0)
    rows = [host.dense(i, o, rngs) for i, o in pairwise(SIZES)]
    return layers.SpikingSequential([rows[0], layers.LIF(SIZES[1], decay=0.5), rows[1], layers.LI(SIZES[2])])


def inputs(features=SIZES[0]):
    return jnp.asarray(np.random.default_rng(0).integers(0, 2, (T, BATCH, features)), jnp.float32)


def losses(host, net, options, batch=BATCH):
    """``(params, xs) -> loss`` of a network, and its parameters."""
    params, start, run, _ = host.pure(net, (batch, SIZES[0]))
    carry = start((batch, SIZES[0]))
    return (lambda params, xs: jnp.mean(run(params, carry, xs, **options)[1] ** 2)), params


def gradient(host, options):
    """``(params, xs) -> (loss, gradients)`` of a new network, and its parameters: no sum of its products is rounded."""
    loss, params = losses(host, network(host), options)
    return jax.jit(jax.value_and_grad(loss, (0, 1))), jax.tree.map(lambda p: jnp.round(4 * p) / 4, params)


def transposed(text):
    """The arrays ``[..., batch, features]`` that a compiled program transposes, or stores with axes reordered."""
    arrays = re.findall(r"= \w+\[([\d,]+)\]\{([\d,]+)\S* (\w+)\(", text)
    return [
        shape
        for shape, layout, operation in arrays
        if shape.count(",") >= 2
        if operation == "transpose" or layout.split(",") != sorted(layout.split(","), reverse=True)
    ]


@pytest.mark.parametrize(("host", "options"), each_value_once(HOSTS, WAYS), ids=label)
def test_no_array_over_time_is_reordered_for_a_product(host, options, one_device, monkeypatch):
    step, params = gradient(host, options)
    rows = step.lower(params, inputs()).compile()
    assert transposed(rows.as_text()) == []
    monkeypatch.setattr(jax, "device_count", lambda: 8)
    step, params = gradient(host, options)
    axes = step.lower(params, inputs()).compile()
    assert len(transposed(axes.as_text())) == 2  # once for the weights of each product
    assert_close(rows(params, inputs()), axes(params, inputs()), T * BATCH * sum(SIZES))


@host
@pytest.mark.parametrize("dtype", first_quick(["uint8", "bool"]))
def test_spikes_in_bytes_are_floats_for_a_block_at_a_time(host, dtype, one_device):
    xs = jnp.asarray(np.random.default_rng(1).integers(0, 2, (256, BATCH, 64)), dtype)
    layers, rngs = host.layers, nnx.Rngs(0)
    net = layers.SpikingSequential([host.dense(64, 2, rngs), layers.LIF(2), layers.LI(2)])
    params, start, run, _ = host.pure(net, xs.shape[1:])
    carry = start(xs.shape[1:])

    @jax.jit
    @jax.value_and_grad
    def step(params, xs):
        return jnp.mean(run(params, carry, xs, block_size=16, remat="full", reduce="mean")[1] ** 2)

    compiled = step.lower(params, xs).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 4 * xs.size / 2  # of all as float32; a block is a sixteenth
    assert_close(compiled(params, xs), step(params, xs.astype(jnp.float32)), 256 * BATCH * 64)


@pytest.mark.parametrize("options", first_quick([{"block_size": 3, "remat": "dots"}, {}]), ids=str)
def test_brainstate_by_its_own_transformations(options, one_device):
    """The weights are states of the module, which brainstate sees read inside the checkpoint around a product."""
    net, xs = network(Brainstate), inputs()
    net.init_state(batch_size=BATCH)
    states = net.states(brainstate.ParamState)

    def loss(xs):
        ys = bs.brainstate.unroll(net, xs, **options) if options else net(xs)
        return jnp.mean(ys**2)

    grads, by_xs = brainstate.transform.jit(brainstate.transform.grad(loss, states, argnums=0))(xs)
    expected, params = losses(Brainstate, net, options)
    assert all(float(jnp.abs(grad).max()) > 0 for grad in jax.tree.leaves((grads, by_xs)))
    assert_close((grads, by_xs), jax.jit(jax.grad(expected, (0, 1)))(params, xs), T * BATCH * sum(SIZES))


def ranks(step, *args):
    """How many axes what goes into each product of a function has, from its trace, checkpoints too."""
    program = jax.make_jaxpr(lambda *args: step(*args))(*args)  # a new function: jax keeps traces
    products = [equation for equation in equations(program.jaxpr) if equation.primitive.name == "dot_general"]
    return [equation.invars[0].aval.ndim for equation in products]


def other_dot(lhs, rhs, dimensions, **options):
    return jax.lax.dot_general(lhs, rhs, dimensions, **options)


def subclass(layer, *arguments, **options):
    """A layer that a user derives from one of a framework; it may be something else."""
    return type("Own", (layer,), {})(*arguments, **options)


# Products over the last axis alone, and then others, on [time, batch, 6] or [time, batch, 2, 3].
RNGS = nnx.Rngs(0)
ON_ROWS = [
    (Nnx, lambda: nnx.LinearGeneral(6, (5, 2), rngs=RNGS), (6,)),
    (Linen, lambda: linen.DenseGeneral((5, 2)), (6,)),
    (Linen, lambda: linen.DenseGeneral(5), (2, 3)),
]
WITH_AXES = [
    (Nnx, lambda: nnx.LinearGeneral((2, 3), 5, axis=(-2, -1), rngs=RNGS), (2, 3)),
    (Nnx, lambda: nnx.LinearGeneral(6, 5, batch_axis={0: T}, rngs=RNGS), (6,)),
    (Nnx, lambda: nnx.Linear(6, 5, dot_general=other_dot, rngs=RNGS), (6,)),
    (Nnx, lambda: subclass(nnx.Linear, 6, 5, rngs=RNGS), (6,)),
    (Linen, lambda: linen.DenseGeneral(5, axis=(-2, -1)), (2, 3)),
    (Linen, lambda: linen.Dense(5, dot_general=other_dot), (6,)),
    (Linen, lambda: subclass(linen.Dense, 5), (6,)),
    (Brainstate, lambda: subclass(brainstate.nn.Linear, 6, 5), (6,)),
]


@pytest.mark.parametrize(("host", "layer", "shape"), [*ON_ROWS, *WITH_AXES])
def test_products_over_the_last_axis_get_rows(host, layer, shape, one_device, monkeypatch):
    flat = (host, layer, shape) in ON_ROWS
    params, _, run, _ = host.pure(host.layers.SpikingSequential([layer()]), (BATCH, *shape))
    run = partial(run, params, [] if host is Brainstate else (None,))
    xs = jnp.asarray(np.random.default_rng(0).integers(0, 2, (T, BATCH, *shape)), jnp.float32)
    assert ranks(run, xs) == ([2] if flat else [xs.ndim])
    rows = run(xs)[1]
    monkeypatch.setattr(jax, "device_count", lambda: 8)
    assert ranks(run, xs) == [xs.ndim]
    axes = run(xs)[1]
    assert rows.shape == axes.shape
    assert_close(rows, axes, 6)


def test_rows_are_made_where_no_device_cuts_time_or_batch(monkeypatch):
    """In `shard_map` an array is the part of one device; explicit types say what is cut; elsewhere nothing does."""
    run = partial(bs.nnx.SpikingSequential([nnx.Linear(6, 5, use_bias=False, rngs=nnx.Rngs(0))]), (None,))
    assert jax.device_count() == 8
    assert ranks(run, inputs()) == [3]
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    assert ranks(run, inputs()) == [2]
    monkeypatch.undo()
    shape, names, seen = (2, 2), ("batch", "hidden"), []
    auto, explicit = (
        jax.make_mesh(shape, names, (kind,) * 2, devices=jax.devices()[:4])
        for kind in (AxisType.Auto, AxisType.Explicit)
    )
    for spec, rank in ((PartitionSpec(None, "batch"), 3), (PartitionSpec(), 2)):
        with jax.set_mesh(explicit):
            assert ranks(run, jax.device_put(inputs(), NamedSharding(explicit, spec))) == [rank]

    def inside(xs):
        seen.extend(ranks(run, xs))
        return xs

    spec = PartitionSpec(None, "batch")
    jax.shard_map(inside, mesh=auto, in_specs=spec, out_specs=spec)(inputs())
    assert seen == [2]
    # An axis that is not manual may cut what `shard_map` gives.
    jax.jit(jax.shard_map(inside, mesh=auto, in_specs=spec, out_specs=spec, axis_names={"batch"}))(inputs())
    assert seen == [2, 3]


@pytest.mark.parametrize(("host", "options"), each_value_once(HOSTS, WAYS), ids=label)
def test_devices_send_each_other_the_gradient_once(host, options):
    """Each takes its part of the batch; the compiled step moves and reorders nothing else."""
    loss, params = losses(host, network(host), options, BATCH // 2)
    mesh = jax.make_mesh((2,), ("batch",), (AxisType.Auto,), devices=jax.devices()[:2])
    parts = PartitionSpec(None, "batch")

    @jax.jit
    @partial(jax.shard_map, mesh=mesh, in_specs=(PartitionSpec(), parts), out_specs=PartitionSpec(), check_vma=False)
    def step(params, xs):
        return jax.lax.pmean(jax.value_and_grad(loss)(params, xs), "batch")

    params, xs = jax.device_put((params, inputs()), tuple(NamedSharding(mesh, p) for p in (PartitionSpec(), parts)))
    text = step.lower(params, xs).compile().as_text()
    assert transposed(text) == []
    sent = collectives(text)
    assert {(each.kind, each.loops) for each in sent} == {("all-reduce", 0)}
    assert sum(each.elements for each in sent) == 1 + sum(leaf.size for leaf in jax.tree.leaves(params))
    whole, alone = losses(host, network(host), options)[0], jax.device_put((params, xs), jax.devices()[0])
    assert_close(step(params, xs), jax.jit(jax.value_and_grad(whole))(*alone), T * BATCH * sum(SIZES))


def images(host, make=lambda kind, **of: kind(**of)):
    """A network of a convolution over ``[time, batch, 4, 4, 1]``."""
    of = {"features": 3} if host is Linen else {"in_features": 1, "out_features": 3, "rngs": nnx.Rngs(0)}
    convolution = make((linen if host is Linen else nnx).Conv, kernel_size=(3, 3), **of)
    return host.layers.SpikingSequential([convolution, host.layers.LIF(3)]), inputs(16).reshape(T, BATCH, 4, 4, 1)


@pytest.mark.parametrize(("host", "options"), each_value_once([Nnx, Linen], first_quick(WAYS)), ids=label)
def test_devices_keep_their_examples_of_a_convolution(host, options):
    """Plain `jit` sends the gradient alone, as `shard_map` does; of a subclass that is called as flax's, too."""
    net, xs = images(host, subclass)
    params, start, run, _ = host.pure(net, xs.shape[1:])
    carry = start(xs.shape[1:])

    @jax.jit
    @partial(jax.value_and_grad, has_aux=True)
    def step(params, xs):
        ys = run(params, carry, xs, **options)[1]
        return jnp.mean(ys**2), ys

    mesh = jax.make_mesh((2,), ("batch",), (AxisType.Auto,), devices=jax.devices()[:2])
    split, whole = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in [(None, "batch"), ()])
    placed = jax.device_put((params, xs), (whole, split))
    assert {each.kind for each in collectives(step.lower(*placed).compile().as_text())} == {"all-reduce"}
    assert_close(step(*placed), step(*jax.device_put((params, xs), jax.devices()[0])), xs.size)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="of XLA on a CPU")
def test_a_step_holds_no_array_before_its_loop_starts(one_device):
    """Spikes and slopes of two layers, and the output of a product: not what loops are going to write, too."""
    shape, rngs = (32, 64, 128), nnx.Rngs(0)
    linears = [nnx.Linear(128, features, rngs=rngs) for features in (128, 128, 2)]
    net = bs.nnx.SpikingSequential([linears[0], bs.nnx.LIF(128), linears[1], bs.nnx.LIF(128), linears[2]])
    params, start, run, _ = Nnx.pure(net, shape[1:])
    carry = start(shape[1:])
    xs = jnp.asarray(np.random.default_rng(0).integers(0, 2, shape), jnp.float32)

    def step(options):
        return jax.jit(jax.value_and_grad(lambda params, xs: jnp.mean(run(params, carry, xs, **options)[1] ** 2)))

    whole = step({}).lower(params, xs).compile()
    assert whole.memory_analysis().temp_size_in_bytes < 6.5 * xs.nbytes  # one more before jax 0.10
    assert_close(whole(params, xs), step({"block_size": 4})(params, xs), xs.size)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="of XLA on a CPU")
def test_a_few_large_steps_are_written_out():
    """A loop would run each on one thread; it has no loop, forward or backward, and the numbers of one."""
    neuron, xs = (
        bs.neurons.LIF(decay=0.5),
        jnp.asarray(np.random.default_rng(0).normal(0.5, 1, (3, 4, 2**16)), jnp.float32),
    )
    step = jax.jit(jax.grad(lambda xs: jnp.square(neuron(jnp.zeros(xs.shape[1:]), xs)[1]).sum()))
    assert "while(" not in step.lower(xs).compile().as_text()
    assert "while(" in step.lower(xs[:, :1]).compile().as_text()
    assert_close(step(xs)[:, :1], step(xs[:, :1]), 3)


def test_an_output_that_nnx_captures_keeps_its_axes(monkeypatch):
    if not hasattr(nnx, "capture"):
        pytest.skip("this flax has no nnx.capture")
    for devices, (net, xs) in ((8, images(Nnx)), (1, (network(Nnx), inputs()))):
        monkeypatch.setattr(jax, "device_count", lambda devices=devices: devices)
        carry = net.initialize_carry(xs.shape[1:])
        outputs = nnx.capture(net, nnx.Intermediate, method_outputs=nnx.Intermediate)(carry, xs)[1]
        assert [jnp.shape(leaf)[:2] for leaf in jax.tree.leaves(outputs["layers"][0])] == [(T, BATCH)]
    assert ranks(partial(net, carry), xs) == [2, 2]  # and then as before


@host
def test_outside_of_a_trace_there_is_no_checkpoint(host, one_device, monkeypatch):
    """It would take longer than the product."""
    params, start, run, _ = host.pure(network(host), (BATCH, SIZES[0]))
    carry = start((BATCH, SIZES[0]))
    expected = jax.jit(run)(params, carry, inputs())[1]
    monkeypatch.setattr(jax, "checkpoint", None)
    assert_close(run(params, carry, inputs())[1], expected, sum(SIZES))


def test_linen_makes_parameters_in_apply(one_device):
    net, xs = network(Linen), inputs()
    carry, key = net.initialize_carry(jax.random.key(0), xs.shape[1:]), jax.random.key(0)
    outputs, variables = net.apply({}, carry, xs, rngs={"params": key}, mutable=["params"])
    expected = net.apply(variables, carry, xs)
    assert_close(outputs, expected, sum(SIZES))


@pytest.mark.parametrize("shape", [(T, 0, 6), (T, BATCH, 0)])
def test_nothing_in_a_batch_or_no_features(shape, one_device):
    layer = nnx.Linear(shape[-1], 5, kernel_init=nnx.initializers.zeros, rngs=nnx.Rngs(0))
    assert bs.nnx.SpikingSequential([layer])((None,), jnp.zeros(shape))[1].shape == (*shape[:-1], 5)


OF_FLOATS = [name for name, kind in NAMES.items() if not issubclass(kind, Unmatched)]


@pytest.mark.parametrize(("host", "name", "dtype"), each_value_once(HOSTS, OF_FLOATS, ["uint8", "bool"]), ids=label)
def test_a_layer_takes_spikes_in_bytes(host, name, dtype):
    layer = getattr(host.layers, name)(3)
    xs = np.random.default_rng(2).integers(0, 2, (5, 3) if "Cell" in name else (4, 5, 3))
    in_bytes, in_floats = (called(host, layer, (5, 3), jnp.asarray(xs, kind))[1] for kind in (dtype, jnp.float32))
    assert in_bytes.dtype == jnp.float32
    np.testing.assert_array_equal(in_bytes, in_floats)


@pytest.mark.parametrize("host", HOSTS, ids=label)
def test_an_error_names_its_layer(host):
    """That of a framework, which names no layer, as well as our own. As many steps as examples tell nothing of axes."""

    def fail(layers, features):
        params, start, run, _ = host.pure(host.layers.SpikingSequential(layers), (3, 4))
        run(params, start((3, 4)), jnp.ones((3, 3, features)))

    for features, hidden, layer in ((6, 8, 0), (4, 9, 1)):
        layers = [host.dense(4, 8, nnx.Rngs(0)), host.layers.LIF(hidden)]
        with pytest.raises((TypeError, ValueError, ScopeParamShapeError)) as error:
            fail(layers, features)
        told = f"in layer {layer} of SpikingSequential, {type(layers[layer]).__name__}, for an input"
        assert any(note.startswith(told) for note in error.value.__notes__)
