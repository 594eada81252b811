from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dtypes import FLOATS

import brainsurr as bs
from brainsurr._checks import check_input_shape
from brainsurr._layers.arguments import LIFArguments
from brainsurr._layers.equation import (
    li_step_with_output,
    lif_carry,
    lif_step,
    lif_step_with_spikes,
    neuron_step,
)
from brainsurr._time.scan import scan_over_time

pytestmark = pytest.mark.numbers

F = bs.LogTailedRelu(0.1)


@pytest.mark.parametrize(("reset", "v_after"), [("subtract", [0.75, 0.0, 0.5]), ("zero", [0.75, 0, 0]), ("none", None)])
def test_lif_step_by_hand(reset, v_after):
    v, x = jnp.array([0.5, 1.0, 1.0]), jnp.array([0.5, 0.5, 1.0])
    v, s = lif_step(v, x, decay=0.5, threshold=1.0, spike_fn=F, reset=reset)
    np.testing.assert_array_equal(s, [0, 1, 1])  # on the threshold is a spike
    np.testing.assert_array_equal(v, [0.75, 1.0, 1.5] if v_after is None else v_after)


@pytest.mark.parametrize(
    ("reset", "reset_grad", "expected"),
    [
        # u = 1.5, threshold 1, so s = 1 and ds/du = 1 (LogTailedRelu within one of the threshold).
        ("subtract", None, 0.0),  # 1 - threshold ds/du
        ("subtract", True, 0.0),
        ("subtract", False, 1.0),
        ("zero", None, 0.0),  # 1 - s: detached unless asked for
        ("zero", True, -1.5),  # 1 - s - u ds/du
        ("zero", False, 0.0),
        ("none", None, 1.0),
    ],
)
def test_gradient_through_the_reset(reset, reset_grad, expected):
    def v_after(x):
        return lif_step(jnp.zeros(()), x, decay=0.5, threshold=1.0, spike_fn=F, reset=reset, reset_grad=reset_grad)[0]

    assert jax.grad(v_after)(jnp.array(1.5)) == expected


def test_reset_to_zero_explodes_unless_detached():
    def last(x, reset_grad):
        neuron = {"decay": 1.0, "threshold": 1.0, "spike_fn": bs.LogTailedRelu(0.9), "reset": "zero"}
        return scan_over_time("LIF", neuron_step(reset_grad=reset_grad, **neuron), jnp.array(-4.0), x)[0]

    x = jnp.full(20, 0.01)
    assert np.abs(jax.grad(last)(x, True)).max() > 1e6
    assert np.abs(jax.grad(last)(x, None)).max() == 1


def test_at_the_threshold_a_fused_multiply_add_decides():
    """0.9 * 0.75 + 0.325 is 1 if it is rounded once, and the float before 1 if the product is rounded as well."""
    decay, v, x = np.float32([0.9, 0.75, 0.325])
    twice, once = decay * v + x, np.float32(np.float64(decay) * np.float64(v) + np.float64(x))
    assert (twice, once) == (np.nextafter(np.float32(1), np.float32(0)), 1)
    step = partial(lif_step, decay=0.9, threshold=1.0, spike_fn=F, reset="none")
    for run in (step, jax.jit(step)):
        u, s = run(jnp.full(1, v), jnp.full(1, x))
        assert (u, s) in [(twice, 0), (once, 1)]
    exactly = partial(step, decay=0.5)  # small multiples of a power of two: nothing is rounded
    for run in (exactly, jax.jit(exactly)):
        assert run(jnp.full(1, 0.75), jnp.full(1, 0.625)) == (1, 1)


def test_a_decay_of_one_is_an_integrate_and_fire_neuron():
    LIFArguments(2, decay=1)._check("LIF")
    v, _ = scan_over_time(
        "LIF", neuron_step(decay=1.0, threshold=1.0, spike_fn=F), jnp.zeros(2), jnp.full((3, 2), 0.25)
    )
    np.testing.assert_array_equal(v, 0.75)


@pytest.mark.parametrize("dtype", FLOATS)
def test_spikes_follow_the_input_and_the_state_itself(dtype):
    step = neuron_step(decay=0.9, threshold=1.0, spike_fn=F)
    v, s = step(jnp.zeros(3), jnp.ones(3, dtype))
    assert (v.dtype, s.dtype) == (jnp.float32, dtype)
    step = neuron_step(jnp.eye(3), decay=0.9, threshold=1.0, spike_fn=F)
    (v, last), s = step(lif_carry(jnp.zeros(3), True), jnp.ones(3, dtype))
    assert (v.dtype, last.dtype, s.dtype) == (jnp.float32, jnp.float32, dtype)
    v, y = li_step_with_output(jnp.zeros(3), jnp.ones(3, dtype), decay=0.9)
    assert (v.dtype, y.dtype) == (jnp.float32, dtype)


def test_recurrent_step_adds_the_last_spikes():
    kernel = jnp.array([[0.0, 0.5], [0.25, 0.0]])
    carry = jnp.zeros(2), jnp.array([1.0, 0.0])
    (v, s), spikes = lif_step_with_spikes(
        carry, jnp.array([0.25, 0.5]), kernel=kernel, decay=0.5, threshold=1.0, spike_fn=F
    )
    np.testing.assert_array_equal(spikes, [0, 1])
    np.testing.assert_array_equal(s, spikes)
    np.testing.assert_array_equal(v, [0.25, 0.0])


def test_parameters_per_channel_broadcast_over_any_batch():
    decay = jnp.array([0.0, 0.5, 1.0])
    v, _ = lif_step(jnp.ones((2, 4, 3)), jnp.zeros((2, 4, 3)), decay=decay, threshold=jnp.full(3, 9.0), spike_fn=F)
    np.testing.assert_array_equal(v, np.broadcast_to(decay, (2, 4, 3)))


def test_nan_shows():
    v, s = lif_step(jnp.array([jnp.nan, 0.0]), jnp.ones(2), decay=0.9, threshold=1.0, spike_fn=F)
    np.testing.assert_array_equal(np.isnan(v), [True, False])
    np.testing.assert_array_equal(np.isnan(s), [True, False])


def test_shape_mismatch_says_which_layer_takes_what():
    with pytest.raises(ValueError, match=r"carry, \(3,\), got \(5, 3\).*a LIFCell takes one step"):
        lif_step(jnp.zeros(3), jnp.zeros((5, 3)), decay=0.9, threshold=1.0, spike_fn=F)
    for carry in (None, jnp.zeros((4, 3))):  # none yet, and one of another batch
        with pytest.raises(ValueError, match=r"got \(5, 3\): use a carry for this batch, from initialize_carry"):
            lif_step(carry, jnp.zeros((5, 3)), decay=0.9, threshold=1.0, spike_fn=F)
    recurrent = neuron_step(jnp.eye(3), decay=0.9, threshold=1.0, spike_fn=F)
    with pytest.raises(ValueError, match=r"carry, \(5, 3\), got \(3,\)"):  # would broadcast with the last spikes
        recurrent((jnp.zeros((5, 3)), jnp.zeros((5, 3))), jnp.zeros(3))
    with pytest.raises(ValueError, match=r"its potential and its last spikes, got \(5, 3\)"):
        recurrent(jnp.zeros((5, 3)), jnp.zeros((5, 3)))
    with pytest.raises(ValueError, match=r"the shape of the carry, \(\(3,\), \(3,\)\), got \(3,\)"):
        neuron_step(decay=0.9, threshold=1.0, spike_fn=F)((jnp.zeros(3), jnp.zeros(3)), jnp.zeros(3))
    with pytest.raises(ValueError, match="decay of shape"):
        lif_step(jnp.zeros(3), jnp.zeros(3), decay=jnp.zeros(2), threshold=1.0, spike_fn=F)


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"features": 0}, ValueError, "expected features to be a positive integer, got 0"),
        ({"features": 2.0}, ValueError, "positive integer, got 2.0"),
        ({"features": True}, ValueError, "positive integer, got True"),
        ({"reset": "soft"}, ValueError, "expected reset to be one of 'subtract', 'zero', 'none', got 'soft'"),
        ({"spike_fn": bs.LogTailedRelu}, TypeError, "expected spike_fn to be a surrogate or a function"),
        ({"spike_fn": "relu"}, TypeError, "spike_fn.*got 'relu'"),
        ({"spike_fn": None}, TypeError, "spike_fn.*got None"),
        ({"decay": 1.1}, ValueError, r"decay = 1.1 is outside \[0.0, 1.0\]"),
        ({"decay": -0.1}, ValueError, r"decay = -0.1 is outside \[0.0, 1.0\]"),
        ({"decay": float("nan")}, ValueError, "decay = nan is outside"),
        ({"decay": "0.9"}, TypeError, "decay to be a number or an array, got '0.9'"),
        ({"decay": np.full(3, 0.9)}, ValueError, r"decay to be one number or 4, got shape \(3,\)"),
        ({"threshold": None}, TypeError, "threshold to be a number or an array"),
    ],
)
def test_bad_configuration(kwargs, error, message):
    good = {"features": 4, "reset": "zero", "spike_fn": F, "decay": 0.9, "threshold": 1.0}
    LIFArguments(**good)._check("LIF")
    with pytest.raises(error, match="LIF: .*" + message):
        LIFArguments(**good | kwargs)._check("LIF")


def test_unknown_reset_in_a_step():
    with pytest.raises(ValueError, match="got 'hard'"):
        lif_step(jnp.zeros(1), jnp.zeros(1), decay=0.9, threshold=1.0, spike_fn=F, reset="hard")


@pytest.mark.parametrize("shape", [(), (3,), (4, 2)])
def test_input_shape(shape):
    with pytest.raises(ValueError, match=r"LIF: expected input_shape \(\*batch, 4\), got \("):
        check_input_shape("LIF", 4, shape)
    assert check_input_shape("LIF", 4, [2, 4]) == (2, 4)
