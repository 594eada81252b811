import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from brainsurr.optim import follow, project

BOUNDS = {"alpha": (0.01, 0.3), "decay": (0.0, 1.0), "w": None}


def step(tx, params, grads, state=None):
    updates, state = tx.update(grads, tx.init(params) if state is None else state, params)
    return optax.apply_updates(params, updates), state


def test_an_edge_is_reached_kept_and_left():
    tx = optax.chain(optax.sgd(0.1), project(BOUNDS))
    params = {"alpha": jnp.array(0.1), "decay": jnp.array([0.5, 0.95]), "w": jnp.array(0.5)}
    push = {"alpha": jnp.array(-1.0), "decay": jnp.array([1.0, -1.0]), "w": jnp.array(-10.0)}
    for _ in range(8):
        params, _ = step(tx, params, push)
    np.testing.assert_array_equal(params["alpha"], np.float32(0.3))
    np.testing.assert_array_equal(params["decay"], [0.0, 1.0])
    np.testing.assert_allclose(params["w"], 8.5)
    params, _ = step(tx, params, jax.tree.map(jnp.negative, push))
    np.testing.assert_allclose(params["alpha"], 0.2, rtol=1e-6)
    np.testing.assert_allclose(params["decay"], [0.1, 0.9], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("interval", [(0.01, 0.3), (0.0, 1.0), (1 / 3, 10.0), (-0.1, 0.1)])
def test_never_outside_not_by_a_rounding(dtype, interval):
    rng = np.random.default_rng(0)
    low, high = (jnp.asarray(edge, dtype) for edge in interval)
    p = jnp.asarray(rng.uniform(low, high, 20_000), dtype)
    u = jnp.asarray(rng.normal(size=p.shape) * rng.choice([1e-3, 1, 1e3], p.shape), dtype)
    tx = project({"p": interval})
    new = jax.jit(lambda p, u: optax.apply_updates(p, tx.update(u, tx.init(p), p)[0]))({"p": p}, {"p": u})["p"]
    assert new.dtype == p.dtype
    assert (new >= low).all()
    assert (new <= high).all()
    unclipped = np.asarray(p + u)
    inside = (unclipped > low) & (unclipped < high)
    assert inside.sum() > 1000
    rounding = float(jnp.finfo(dtype).eps) * max(map(abs, interval)) * 2
    np.testing.assert_allclose(np.float64(new)[inside], np.float64(unclipped)[inside], atol=rounding)


@pytest.mark.usefixtures("lenient")
def test_adam_pushed_out_for_long_has_no_long_way_back():
    """The stored value never left, so once adam's own momentum has turned it leaves the edge."""
    tx = optax.chain(optax.adam(0.1, b1=0.0), project({"p": (0.0, 1.0)}))
    params, state = {"p": jnp.array(0.5)}, None
    for _ in range(50):
        params, state = step(tx, params, {"p": jnp.array(-1.0)}, state)
        assert 0 <= params["p"] <= 1
    params, state = step(tx, params, {"p": jnp.array(1.0)}, state)
    assert params["p"] < 0.95


def test_nothing_bounded_is_left_alone():
    tx = project({"a": None, "b": {"c": None}})
    updates = {"a": jnp.array(3.0), "b": {"c": jnp.array(-2.0)}}
    assert tx.update(updates, tx.init(updates), updates)[0] == updates


def test_needs_the_parameters():
    with pytest.raises(ValueError, match=r"project needs the parameters: tx.update\(grads, state, params\)"):
        project({"a": None}).update({"a": 1.0}, optax.EmptyState())


def test_a_network_may_be_a_tuple_of_layers():
    """As it is in Equinox: a tuple is an interval only if it is a pair of numbers."""
    tx = optax.chain(optax.sgd(1.0), project(({"alpha": (0.0, 1.0)}, {"w": None})))
    params = ({"alpha": jnp.array(0.5)}, {"w": jnp.array(0.5)})
    after, _ = step(tx, params, ({"alpha": jnp.array(2.0)}, {"w": jnp.array(2.0)}))
    assert after == ({"alpha": 0.0}, {"w": -1.5})


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_follow_is_where_the_schedule_is(dtype, lenient):
    """Whatever the gradient says, and within a rounding of the parameter's own dtype."""
    tx = follow(optax.linear_schedule(0.25, 0.0, 4))
    params, state = {"alpha": jnp.array([0.25, 0.9], dtype)}, None
    for expected in (0.1875, 0.125, 0.0625, 0.0, 0.0):
        params, state = step(tx, params, {"alpha": jnp.array([jnp.nan, 100.0], dtype)}, state)
        assert params["alpha"].dtype == dtype
        np.testing.assert_allclose(np.asarray(params["alpha"], np.float32), expected, atol=2e-3)


def test_follow_does_not_recompile_and_asks_for_the_parameters(lenient):
    traces = []

    @jax.jit
    def update(grads, state, params):
        traces.append(None)
        return tx.update(grads, state, params)

    tx = follow(lambda count: 1.0 / count)
    params = jnp.array(0.3, jnp.float32)
    state = tx.init(params)
    for _ in range(3):
        updates, state = update(jnp.array(1.0), state, params)
        params = optax.apply_updates(params, updates)
    assert len(traces) == 1
    np.testing.assert_allclose(params, 1 / 3, rtol=1e-6)
    with pytest.raises(ValueError, match="needs the parameters"):
        tx.update(params, state)
