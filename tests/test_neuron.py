"""Neurons as values in plain jax: their steps by hand, their dtypes, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import brainsurr as bs
from brainsurr._checks import check_input_shape
from brainsurr.neurons import ALIF, LIF, Delay, Recurrent

pytestmark = pytest.mark.numbers

F = bs.LogTailedRelu(0.1)


@pytest.mark.parametrize(("reset", "v_after"), [("subtract", [0.75, 0.0, 0.5]), ("zero", [0.75, 0, 0]), ("none", None)])
def test_lif_step_by_hand(reset, v_after):
    v, x = jnp.array([0.5, 1.0, 1.0]), jnp.array([0.5, 0.5, 1.0])
    v, s = LIF(decay=0.5, spike_fn=F, reset=reset).step(v, x)
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
        return LIF(decay=0.5, spike_fn=F, reset=reset, reset_grad=reset_grad).step(jnp.zeros(()), x)[0]

    assert jax.grad(v_after)(jnp.array(1.5)) == expected


def test_reset_to_zero_explodes_unless_detached():
    def last(x, reset_grad):
        neuron = LIF(decay=1.0, spike_fn=bs.LogTailedRelu(0.9), reset="zero", reset_grad=reset_grad)
        return neuron(jnp.array(-4.0), x)[0]

    x = jnp.full(20, 0.01)
    assert np.abs(jax.grad(last)(x, True)).max() > 1e6
    assert np.abs(jax.grad(last)(x, None)).max() == 1


def test_at_the_threshold_a_fused_multiply_add_decides():
    """0.9 * 0.75 + 0.325 is 1 if it is rounded once, and the float before 1 if the product is rounded as well."""
    decay, v, x = np.float32([0.9, 0.75, 0.325])
    twice, once = decay * v + x, np.float32(np.float64(decay) * np.float64(v) + np.float64(x))
    assert (twice, once) == (np.nextafter(np.float32(1), np.float32(0)), 1)
    neuron = LIF(decay=0.9, spike_fn=F, reset="none")
    for run in (neuron.step, jax.jit(lambda v, x: neuron.step(v, x))):
        u, s = run(jnp.full(1, v), jnp.full(1, x))
        assert (u, s) in [(twice, 0), (once, 1)]
    exactly = neuron.replace(decay=0.5)  # small multiples of a power of two: nothing is rounded
    for run in (exactly.step, jax.jit(lambda v, x: exactly.step(v, x))):
        assert run(jnp.full(1, 0.75), jnp.full(1, 0.625)) == (1, 1)


def test_a_decay_of_one_is_an_integrate_and_fire_neuron():
    v, _ = LIF(decay=1, spike_fn=F)(jnp.zeros(2), jnp.full((3, 2), 0.25))
    np.testing.assert_array_equal(v, 0.75)


def test_recurrent_step_adds_the_last_spikes():
    kernel = jnp.array([[0.0, 0.5], [0.25, 0.0]])
    carry = jnp.zeros(2), jnp.array([1.0, 0.0])
    (v, s), spikes = Recurrent(LIF(decay=0.5, spike_fn=F), kernel).step(carry, jnp.array([0.25, 0.5]))
    np.testing.assert_array_equal(spikes, [0, 1])
    np.testing.assert_array_equal(s, spikes)
    np.testing.assert_array_equal(v, [0.25, 0.0])


def test_parameters_per_channel_broadcast_over_any_batch():
    decay = jnp.array([0.0, 0.5, 1.0])
    v, _ = LIF(decay=decay, threshold=jnp.full(3, 9.0), spike_fn=F).step(jnp.ones((2, 4, 3)), jnp.zeros((2, 4, 3)))
    np.testing.assert_array_equal(v, np.broadcast_to(decay, (2, 4, 3)))


def test_nan_shows():
    v, s = LIF(spike_fn=F).step(jnp.array([jnp.nan, 0.0]), jnp.ones(2))
    np.testing.assert_array_equal(np.isnan(v), [True, False])
    np.testing.assert_array_equal(np.isnan(s), [True, False])


def test_shape_mismatch_says_which_layer_takes_what():
    with pytest.raises(ValueError, match=r"carry, \(3,\), got \(5, 3\).*a LIFCell takes one step"):
        LIF().step(jnp.zeros(3), jnp.zeros((5, 3)))
    for carry in (None, jnp.zeros((4, 3))):  # none yet, and one of another batch
        with pytest.raises(ValueError, match=r"got \(5, 3\): use a carry for this batch, from initialize_carry"):
            LIF().step(carry, jnp.zeros((5, 3)))
    recurrent = Recurrent(LIF(), jnp.eye(3))
    with pytest.raises(ValueError, match=r"carry, \(\(5, 3\), \(5, 3\)\), got \(3,\)"):  # would broadcast
        recurrent.step((jnp.zeros((5, 3)), jnp.zeros((5, 3))), jnp.zeros(3))
    with pytest.raises(ValueError, match=r"v, s of shapes \(\(5, 3\), \(5, 3\)\), got \(5, 3\)"):
        recurrent.step(jnp.zeros((5, 3)), jnp.zeros((5, 3)))
    with pytest.raises(ValueError, match=r"the shape of the carry, \(\(3,\), \(3,\)\), got \(3,\)"):
        LIF().step((jnp.zeros(3), jnp.zeros(3)), jnp.zeros(3))
    with pytest.raises(ValueError, match="LIF: decay of shape"):
        LIF(decay=jnp.zeros(2)).step(jnp.zeros(3), jnp.zeros(3))
    with pytest.raises(ValueError, match="Delay: expected steps to be one integer or 3, got 2"):
        Delay([1, 2])(jnp.zeros((2, 3)), jnp.zeros((5, 3)))


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"reset": "soft"}, ValueError, "expected reset to be one of 'subtract', 'zero', 'none', got 'soft'"),
        ({"spike_fn": bs.LogTailedRelu}, TypeError, "expected spike_fn to be a surrogate or a function"),
        ({"spike_fn": "relu"}, TypeError, "spike_fn.*got 'relu'"),
        ({"spike_fn": None}, TypeError, "spike_fn.*got None"),
        ({"decay": 1.1}, ValueError, r"decay = 1.1 is outside \[0.0, 1.0\]"),
        ({"decay": -0.1}, ValueError, r"decay = -0.1 is outside \[0.0, 1.0\]"),
        ({"decay": float("nan")}, ValueError, "decay to be finite, got nan"),
        ({"decay": "0.9"}, TypeError, "decay to be a real number or array, got '0.9'"),
        ({"threshold": None}, TypeError, "threshold to be a real number or array"),
        ({"reset_delay": 1}, TypeError, "reset_delay to be True or False, got 1"),
        ({"reset_grad": 1}, TypeError, "reset_grad to be True, False or None, got 1"),
    ],
)
def test_bad_configuration(kwargs, error, message):
    with pytest.raises(error, match="^LIF: .*" + message):
        LIF(**kwargs)
    with pytest.raises(error, match="^ALIF: .*" + message):
        ALIF(**kwargs)


@pytest.mark.parametrize("shape", [(), (3,), (4, 2)])
def test_input_shape(shape):
    with pytest.raises(ValueError, match=r"LIF: expected input_shape \(\*batch, 4\), got \("):
        check_input_shape("LIF", 4, shape)
    assert check_input_shape("LIF", 4, [2, 4]) == (2, 4)


# What 0.1 did, and a fresh mind found gone ------------------------------------------------------------------------


def test_each_part_of_a_state_keeps_its_dtype():
    v = jnp.zeros((2, 4))
    state = v, v.astype(jnp.bfloat16)
    neuron = LIF(reset_delay=True)
    for after, _ in (neuron.step(state, v + 1), neuron(state, jnp.ones((3, 2, 4)))):
        assert [part.dtype for part in after] == [jnp.float32, jnp.bfloat16]


@pytest.mark.parametrize("neuron", [LIF(reset_delay=True), ALIF(), Recurrent(LIF(), jnp.eye(4))])
def test_a_state_may_be_of_lists_or_of_integers(neuron):
    """As a checkpoint gives it that is restored without a template."""
    x, start = jnp.ones((2, 4)), neuron.initial_state(jnp.zeros((2, 4)))
    expected = neuron.step(start, x)
    for state in (list(start), jax.tree.map(lambda part: np.zeros(part.shape, int), start)):
        jax.tree.map(np.testing.assert_array_equal, neuron.step(state, x), expected)


def test_a_state_of_another_structure_is_named():
    with pytest.raises(ValueError, match="ALIF: expected a carry like the state before the first step, v, a of shapes"):
        ALIF().step({"v": jnp.zeros(4), "s": jnp.zeros(4)}, jnp.zeros(4))
    with pytest.raises(ValueError, match=r"Delay: expected the carry .* to have the shape \(2, 3, 4\), got \(2, 4\)"):
        Delay(3)(jnp.zeros((2, 4)), jnp.ones((5, 2, 4)))


@pytest.mark.parametrize("layers", [bs.nnx, bs.brainstate], ids=["nnx", "brainstate"])
def test_a_word_that_is_set_afterwards_is_checked(layers):
    for layer, name in ((layers.LIF(4), "reset"), (layers.ALIF(4), "adapts")):
        setattr(layer, name, "soft")
        with pytest.raises(ValueError, match=f"expected {name} to be one of"):
            layer.neuron.step(layer.neuron.initial_state(jnp.zeros(4)), jnp.zeros(4))


class Unhashable:
    """A function in the place of a surrogate that compares by value."""

    __hash__ = None

    def __eq__(self, other):
        return True

    def __call__(self, x):
        return bs.Arctan(2.0)(x)


@pytest.mark.parametrize("layers", [bs.nnx, bs.linen, bs.brainstate], ids=["nnx", "linen", "brainstate"])
def test_a_spike_function_without_a_hash(layers):
    f = Unhashable()
    assert layers.LIF(4, spike_fn=f).spike_fn is f
    xs, neuron = jnp.ones((3, 4)), LIF(spike_fn=f)
    expected = LIF(spike_fn=bs.Arctan(2.0))(jnp.zeros(4), xs)
    jax.tree.map(np.testing.assert_array_equal, neuron(jnp.zeros(4), xs), expected)


def test_linen_shows_arrays_alone_to_who_captures_everything():
    layer = bs.linen.LIF(4)
    _, noted = layer.apply(
        {}, jnp.zeros((2, 4)), jnp.ones((3, 2, 4)), capture_intermediates=lambda *_: True, mutable=["intermediates"]
    )
    assert set(noted["intermediates"]) <= {"__call__", "setup"}
