"""Half precision: what is held in float32 and what is not, the loss scaling, and the measure of noise."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import all_but, needs_float16

import brainsurr as bs
from benchmarks.digits import network, task, training
from benchmarks.lib import FRAMEWORKS
from benchmarks.robustness import precision
from benchmarks.robustness.reports import precision as report

pytestmark = [pytest.mark.slow, pytest.mark.numbers, pytest.mark.usefixtures("lenient")]


@pytest.fixture(scope="module")
def data():
    return task.load()


def batches(data):
    """Two batches ``[2, batch, ...]`` of images and labels, and a key each."""
    images, labels, keys = training.batches(*data[0], np.random.default_rng(0), 0, 0)
    return images[:2], labels[:2], keys[:2]


def floats(state):
    return [leaf for leaf in jax.tree.leaves(state) if jnp.issubdtype(leaf.dtype, jnp.floating)]


@pytest.mark.parametrize("framework", all_but(FRAMEWORKS[:1], FRAMEWORKS))
def test_bfloat16_activations_with_float32_parameters_and_alpha(framework, data):
    net = network.Network(framework, bs.LogTailedRelu(0.1), ("alpha",), 0, 20, "bfloat16")
    losses = [net.train_epoch(*batches(data)) for _ in range(2)]
    assert {loss.dtype for loss in losses} == {jnp.dtype("float32")}
    assert losses[1] < losses[0]
    assert {leaf.dtype for leaf in floats(net.state)} == {jnp.dtype("float32")}
    alphas = [surrogate["alpha"] for surrogate in net.surrogates()]
    assert len(alphas) == 2
    assert all(0 < abs(alpha - 0.1) < 0.1 for alpha in alphas), "alpha is trained"
    images, labels = (array[: task.BATCH] for array in data[1])
    assert [s.dtype for s in net.evaluate(images, labels)[1]] == [jnp.dtype("bfloat16")] * 2
    assert all(np.isfinite(np.asarray(leaf)).all() for leaf in floats(net.state))
    # A product in float32 anywhere would give the right numbers, and miss the point.
    products = re.findall(
        r"dot_general .* : (.*)", network.evaluate.lower(net.model, net.state[0], images, labels).as_text()
    )
    assert len(products) == 3
    assert {dtype for types in products for dtype in re.findall(r"x(b?f\d+)>", types)} == {"bf16"}


@needs_float16
def test_a_step_with_a_gradient_that_is_not_finite_is_left_out(data):
    network.model.cache_clear()  # with one that another program has traced, jax's second call lacks two constants
    net = precision.LossScaledNetwork(0, 20, scale=2.0**100, patience=3)  # beyond float16
    before = [np.asarray(leaf) for leaf in floats(net.state)]
    net.train_epoch(*batches(data))
    assert (int(net.left_out()), float(net.scale)) == (2, 2.0**98)
    assert all((a == b).all() for a, b in zip(before, floats(net.state), strict=True))
    net.scale = jnp.float32(2.0**8)
    net.train_epoch(*batches(data))
    assert (int(net.left_out()), int(net.good), float(net.scale)) == (2, 2, 2.0**8)
    net.train_epoch(*batches(data))  # doubled after the third of the four
    assert (int(net.left_out()), int(net.good), float(net.scale)) == (2, 4, 2.0**9)
    assert all((a != b).any() for a, b in zip(before, floats(net.state), strict=True) if a.size > 1)


@needs_float16
def test_underflow_is_seen_where_there_is_some(data):
    share = precision.underflow(data, precision.model("float32").first(0), 2.0**-16)
    assert share["float32"] <= share["float16"] < 0.5
    assert share["float16, scaled"] > share["float32"] + 0.1, "made smaller instead of larger, gradients vanish"


def test_what_is_measured_is_what_the_report_reads(data):
    runs = {f"nnx, {dtype}": precision.plain("nnx", dtype, 2, 1, data, 10) for dtype in precision.DTYPES}
    assert all((run["dtypes_of_state"], run["finite"]) == (["float32"], True) for run in runs.values())
    assert report.table({"runs": runs, "settings": {"epochs": 1}}).count("\n| nnx, ") == 2


def test_within_noise_is_between_the_extremes_of_the_reference():
    reference = {"loss": [[2.0, 1.0], [3.0, 2.0]], "test_accuracy": [[0.8], [0.9]]}
    for losses, accuracies, expected in (
        ([[2.0, 1.0], [3.0, 2.0]], [[0.9], [0.8]], (2, True)),
        ([[1.0, 1.0], [2.5, 1.0]], [[0.9], [0.9]], (1, True)),
        ([[4.0, 0.5], [4.0, 0.5]], [[0.7], [0.8]], (0, False)),
        ([[2.0, float("nan")], [2.0, 1.0]], [[0.8], [0.9]], (1, True)),
    ):
        assert report.within({"loss": losses, "test_accuracy": accuracies}, reference) == expected
