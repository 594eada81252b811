"""A delay by whole time steps, in each framework: the input of that many steps ago, whatever way time is cut."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from combinations import label
from jax.sharding import AxisType, PartitionSpec

import brainsurr as bs
from brainsurr.neurons import Delay
from tools.hosts import HOSTS, Brainstate, Nnx

T, B, F = 7, 2, 3
X = np.random.default_rng(0).normal(size=(T, B, F)).astype(np.float32)
every_host = pytest.mark.parametrize("host", HOSTS, ids=label)
each_delay = pytest.mark.parametrize("steps", [0, 1, 3, T + 2, [2, 0, 5], [0, 0, 0]], ids=str)


def delayed(xs, steps):
    """One entry at a time."""
    steps, ys = np.broadcast_to(steps, F), np.zeros_like(xs)
    for t in range(len(xs)):
        for c in range(F):
            if t >= steps[c]:
                ys[t, ..., c] = xs[t - steps[c], ..., c]
    return ys


def first(host, layer):
    return host.call(layer, B, jnp.asarray(X)) if host is Brainstate else host.call(layer, (B, F), None, jnp.asarray(X))


@every_host
@each_delay
def test_gives_what_came_that_many_steps_ago(host, steps):
    _, ys = first(host, host.layers.Delay(F, steps))
    np.testing.assert_array_equal(ys, delayed(X, steps))


@every_host
@pytest.mark.parametrize("dtype", ["uint8", "bool", "int16", "bfloat16", "float32"])
def test_any_dtype_stays(host, dtype):
    xs = jnp.asarray(np.abs(100 * X), dtype)
    layer = host.layers.Delay(F, [0, 1, 2])
    if host is Brainstate:
        carry, ys = host.call(layer, B, xs)
    else:
        carry, ys = host.call(layer, (B, F), None, xs)
    assert ys.dtype == dtype
    assert (carry.shape, carry.dtype) == ((B, 2, F), jnp.float32)
    np.testing.assert_array_equal(ys, delayed(np.asarray(xs), [0, 1, 2]))


def test_a_state_that_would_round_its_input_is_refused():
    for dtype, state in (("int32", "float32"), ("float32", "bfloat16"), ("float16", "bfloat16"), ("float32", "int32")):
        xs = jnp.ones((T, F), dtype)
        with pytest.raises(ValueError, match=rf"of dtype {dtype}, got {state}: give state_dtype=jnp.{dtype}"):
            Delay()(jnp.zeros((1, F), state), xs)
        layer = Nnx.layers.Delay(F, state_dtype=dtype)
        after, ys = layer(layer.initialize_carry((F,)), xs)
        assert after.dtype == ys.dtype == dtype


def test_a_state_of_brainstate_by_its_name_and_anew():
    layer = Brainstate.layers.Delay((4, F), 2)
    with pytest.raises(ValueError, match=r"^Delay has no state yet: call init_state"):
        layer(jnp.ones((T, B, 4, F)))
    layer.init_state(B)
    assert layer.past.value.shape == (B, 4, 2, F)
    layer(jnp.ones((T, B, 4, F)))
    assert layer.past.value.all()
    layer.reset_state(B)
    assert not layer.past.value.any()


def test_over_no_time_at_all():
    for one in (Nnx.layers.Delay(F, 2), Nnx.layers.Delay(F, [0, 1, 2])):
        carry = one.initialize_carry((B, F))
        after, ys = one(carry, jnp.zeros((0, B, F)))
        assert ys.shape == (0, B, F)
        np.testing.assert_array_equal(after, carry)


def test_in_shard_map_the_state_takes_the_type_of_the_input():
    layer = Nnx.layers.Delay(F, [0, 1, 2])
    manual = jax.shard_map(
        lambda xs: layer(jnp.zeros((B, 2, F)), xs)[1],
        mesh=jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,)),
        in_specs=PartitionSpec(None, "data"),
        out_specs=PartitionSpec(None, "data"),
    )
    np.testing.assert_array_equal(manual(jnp.asarray(X)), delayed(X, [0, 1, 2]))


@every_host
@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"features": 0}, ValueError, "expected features to be a positive integer, got 0"),
        ({"steps": -1}, ValueError, "expected steps to be a non-negative integer, or one for each channel, got -1"),
        ({"steps": 1.0}, ValueError, "got 1.0"),
        ({"steps": True}, ValueError, "got True"),
        ({"steps": [1, 2]}, ValueError, "expected steps to be one integer or 3, got 2"),
        ({"steps": np.ones(3)}, ValueError, "a non-negative integer, or one for each"),
        ({"steps": [[1, 2, 3]]}, ValueError, "a non-negative integer, or one for each"),
        ({"steps": "1"}, ValueError, "got '1'"),
        ({"state_dtype": "floating"}, TypeError, "expected state_dtype to be a dtype"),
        ({"state_dtype": None}, TypeError, "expected state_dtype to be a dtype"),
        ({"state_dtype": jnp.complex64}, TypeError, "expected state_dtype to be a dtype"),
        ({"steps_": 1}, TypeError, r" has no argument steps_: did you mean steps\?"),
        ({"delay": 1}, TypeError, " has no argument delay: it is steps here"),
    ],
)
def test_wrong_arguments(host, wrong, error, message):
    with pytest.raises(error, match=f"^Delay.*{message}"):
        host.layers.Delay(**{"features": F} | wrong)


def test_a_carry_of_other_inputs():
    layer = Nnx.layers.Delay(F, 2)
    for carry in (
        None,
        jnp.zeros((T, B, 2, F)),
        jnp.zeros((B, 1, F)),
        jnp.zeros((5, 2, F)),
        jnp.zeros((B, 2, F), "c8"),
    ):
        with pytest.raises((ValueError, TypeError), match="carry"):
            layer(carry, jnp.asarray(X))
    with pytest.raises(ValueError, match=r"Delay: expected input_shape \(\*batch, 3\), got \(2, 4\)"):
        layer.initialize_carry((2, 4))
    with pytest.raises(ValueError, match=r"Delay: expected xs of shape \[time, ..., features\]"):
        layer(layer.initialize_carry((F,)), jnp.ones(F))


def test_a_layer_is_a_value_in_linen():
    assert hash(bs.linen.Delay(F, [1, 2, 3])) == hash(bs.linen.Delay(F, np.array([1, 2, 3])))
    assert bs.linen.Delay(F, jnp.array([1, 2, 3])) == bs.linen.Delay(F, (1, 2, 3))
    assert SimpleNamespace(**vars(bs.nnx.Delay(F, (1, 2, 3)))).steps == (1, 2, 3)
