"""Half precision: what is held in float32 and what is not, the loss scaling, and the measure of noise."""

import re

import brainstate
import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest
from cases import all_but, needs_float16
from close import assert_close
from flax import nnx

import brainsurr as bs
from benchmarks.digits import brainstate as digits_brainstate
from benchmarks.digits import linen as digits_linen
from benchmarks.digits import nnx as digits_nnx
from benchmarks.digits import task, training
from benchmarks.robustness import precision
from benchmarks.robustness.reports import precision as report

pytestmark = [pytest.mark.slow, pytest.mark.numbers, pytest.mark.usefixtures("lenient")]
EACH = [digits_nnx, digits_linen, digits_brainstate]
HOSTS = pytest.mark.parametrize("host", all_but(EACH[:1], EACH))


@pytest.fixture(scope="module")
def data():
    return task.load()


def batches(data):
    """Two batches ``[2, batch, ...]`` of images and labels, and a key each."""
    images, labels, keys = training.batches(data.train_images, data.train_labels, np.random.default_rng(0), 0, 0)
    return images[:2], labels[:2], keys[:2]


def floats(state):
    return [leaf for leaf in jax.tree.leaves(state) if jnp.issubdtype(leaf.dtype, jnp.floating)]


@HOSTS
def test_bfloat16_activations_with_float32_parameters_and_alpha(host, data):
    network = host.Network(bs.LogTailedRelu(0.1), ("alpha",), 0, 20, "bfloat16")
    losses = [network.train_epoch(*batches(data)) for _ in range(2)]
    assert {loss.dtype for loss in losses} == {jnp.dtype("float32")}
    assert losses[1] < losses[0]
    assert {leaf.dtype for leaf in floats(network.state())} == {jnp.dtype("float32")}
    alphas = [surrogate.alpha for surrogate in network.surrogates()]
    assert [alpha.dtype for alpha in alphas] == [jnp.dtype("float32")] * 2
    assert all(0 < abs(alpha - 0.1) < 0.1 for alpha in alphas), "alpha is trained"
    spikes = network.evaluate(data.test_images[: task.BATCH], data.test_labels[: task.BATCH])[1]
    assert [s.dtype for s in spikes] == [jnp.dtype("bfloat16")] * 2
    assert all(np.isfinite(np.asarray(leaf)).all() for leaf in floats(network.state()))


@HOSTS
def test_every_product_is_of_bfloat16(host):
    # A product in float32 anywhere would give the right numbers, and miss the point.
    network = host.Network(bs.LogTailedRelu(0.1), ("alpha",), 0, 20, "bfloat16")
    arguments = jnp.zeros((task.BATCH, 64)), jnp.zeros(task.BATCH, int)
    if host is digits_brainstate:
        program, _ = brainstate.transform.make_jaxpr(network.evaluate)(*arguments)
    elif host is digits_nnx:
        network.net.eval()
        graphdef, state = nnx.split(network.net)
        program = jax.make_jaxpr(lambda s, *a: digits_nnx.evaluate(nnx.merge(graphdef, s), *a))(state, *arguments)
    else:
        program = jax.make_jaxpr(network.evaluate)(*arguments)
    text = jax.jit(jax.extend.core.jaxpr_as_fun(program)).lower(*program.in_avals).as_text()
    products = re.findall(r"dot_general .* : (.*)", text)
    assert len(products) == 3
    assert {dtype for types in products for dtype in re.findall(r"x(b?f\d+)>", types)} == {"bf16"}


def test_loss_of_half_precision_outputs_is_computed_in_float32():
    rng = np.random.default_rng(0)
    ys = jnp.asarray(4 * rng.normal(size=(8, 16, 10)), jnp.bfloat16)
    labels = rng.integers(0, 10, 16)
    logits = np.asarray(ys, np.float64).mean(0)
    expected = np.mean(np.log(np.exp(logits).sum(-1)) - logits[np.arange(16), labels])
    loss = task.cross_entropy(ys, jnp.asarray(labels))
    assert loss.dtype == jnp.float32
    assert_close(loss, expected, 8 + 10 + 16, scale=np.abs(logits).max())  # sums over time, classes and examples


def test_a_loss_scale_of_a_power_of_two_changes_no_bit(data):
    net = digits_nnx.build(0, precision.SURROGATE, precision.LEARNABLE)
    net.eval()
    xs, labels = task.still(data.train_images[:16]), data.train_labels[:16]
    gradients = nnx.jit(precision.scaled_gradients)
    (loss, plain), (same_loss, scaled) = (gradients(net, xs, labels, jnp.float32(s)) for s in (1, 2.0**15))
    assert loss == same_loss
    assert all((a == b).all() for a, b in zip(*map(jax.tree.leaves, (plain, scaled)), strict=True))


@needs_float16
def test_a_step_with_a_gradient_that_is_not_finite_is_left_out(data):
    network = precision.LossScaledNetwork(0, 20, scale=2.0**100, patience=3)  # beyond float16
    before = [np.asarray(leaf) for leaf in floats(network.state())]
    network.train_epoch(*batches(data))
    assert (int(network.left_out()), float(network.scale)) == (2, 2.0**98)
    assert all((a == b).all() for a, b in zip(before, floats(network.state()), strict=True))
    network.scale = jnp.float32(2.0**8)
    network.train_epoch(*batches(data))
    assert (int(network.left_out()), int(network.good), float(network.scale)) == (2, 2, 2.0**8)
    network.train_epoch(*batches(data))  # doubled after the third of the four
    assert (int(network.left_out()), int(network.good), float(network.scale)) == (2, 4, 2.0**9)
    assert all((a != b).any() for a, b in zip(before, floats(network.state()), strict=True) if a.size > 1)


@needs_float16
def test_underflow_is_seen_where_there_is_some(data):
    params = nnx.state(digits_nnx.build(0, precision.SURROGATE, precision.LEARNABLE), nnx.Param)
    share = precision.underflow(data, params, 2.0**-16)
    assert share["float32"] <= share["float16"] < 0.5
    assert share["float16, scaled"] > share["float32"] + 0.1, "made smaller instead of larger, gradients vanish"


def record(losses, accuracies):
    return {"loss": losses, "test_accuracy": [[a] for a in accuracies]}


RECORDS = [
    ([[2.0, 1.0], [3.0, 2.0]], [0.9, 0.8], (2, True)),
    ([[1.0, 1.0], [2.5, 1.0]], [0.9, 0.9], (1, True)),
    ([[4.0, 0.5], [4.0, 0.5]], [0.7, 0.8], (0, False)),
    ([[2.0, float("nan")], [2.0, 1.0]], [0.8, 0.9], (1, True)),
]


@pytest.mark.parametrize(("losses", "accuracies", "expected"), RECORDS)
def test_within_noise_is_between_the_extremes_of_the_reference(losses, accuracies, expected):
    reference = record([[2.0, 1.0], [3.0, 2.0]], [0.8, 0.9])
    assert report.within(record(losses, accuracies), reference) == expected
