"""The intervals that trained parameters stay in, and what keeps them there: a layer's clip, and optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import each_value_once, label, needs_float16
from close import assert_close
from neuron_table import EXPORTED as NEURONS
from surrogate_table import EXPORTED

import brainsurr as bs
from brainsurr import optim
from brainsurr.optim import follow, project

pytestmark = pytest.mark.numbers


# Values in [0.01, 1e6], whose edges are rounded to their dtypes, and the dtypes that they are trained in.
INSIDE = [(0.01, jnp.bfloat16), (1, jnp.bfloat16), (np.array([1, 2]), jnp.bfloat16), (np.array([0.5]), jnp.float32)]
INSIDE += [(jnp.asarray(0.01, dtype), dtype) for dtype in (jnp.bfloat16, jnp.float32)]
INSIDE += [pytest.param(jnp.asarray(x, jnp.float16), jnp.float16, marks=needs_float16) for x in (0.01, 65504.0)]
OUTSIDE = [0.0099, 2e6, 0, np.nan, jnp.array([0.5, -0.5]), np.array([0, 2]), jnp.float32(jnp.inf)]


def test_each_value_in_a_tree_has_its_own_bounds():
    """Under one name, and of a surrogate inside; what is no surrogate or neuron has none."""
    tree = {"w": 1.0, "a": bs.Arctan(2.0), "n": [bs.neurons.LIF(spike_fn=bs.LogTailedRelu(0.5).scaled(width=2.0))]}
    intervals, lif = optim.bounds(tree), bs.neurons.LIF.bounds
    assert (intervals["w"], intervals["a"].alpha) == (None, bs.Arctan.bounds["alpha"])
    (neuron,) = intervals["n"]
    assert (neuron.decay, neuron.spike_fn.surrogate.alpha, neuron.spike_fn.width) == (lif["decay"], (0, 1), (0.01, 100))
    updates, _ = optim.project(intervals).update(jax.tree.map(lambda leaf: 1e9, tree), None, tree)
    assert updates["w"] == 1e9
    assert tree["a"].alpha + updates["a"].alpha == bs.Arctan.bounds["alpha"][1]


KINDS = [*EXPORTED.values(), *NEURONS, bs.Scaled]


BOUNDS = {"alpha": (0.01, 100), "beta": (0, 10), "c": (0, 1), "epsilon": (0, 1), "h": (0, 1), "height": (0, 100)}
BOUNDS |= {"mu": (-1, 1), "s": (1, 100), "scale": (0, 10), "sigma": (0.01, 10), "slope": (0, 100)}
BOUNDS |= {"t_period": (1, 100), "w": (0.01, 10), "width": (0.01, 10)}
BOUNDS |= dict.fromkeys(("decay", "adaptation_decay", "current_decay", "refractory_decay", "damping"), (0, 1))
BOUNDS |= dict.fromkeys(("threshold", "spike_adaptation", "voltage_adaptation", "spike_damping", "delay"), (0, np.inf))
BOUNDS |= {"frequency": (0, 0.99)}
ALPHAS = {"QPseudoSpike": (0.1, 100), "NormalizedQPseudoSpike": (1.01, 100)}
ALPHAS |= dict.fromkeys(("LeakyRelu", "LogTailedRelu"), (0, 1))
ALPHAS |= dict.fromkeys(("InvSquareGrad", "SparseFastSigmoid"), (0.01, 1000))
ALPHAS |= dict.fromkeys(("FakeNumericalGradient", "GaussianGrad", "ReluGrad"), (0, 10))
ELSE = {kind: {"alpha": pair} for kind, pair in ALPHAS.items()}
ELSE |= {"SpikeRateEscape": {"beta": (0.01, 100)}, "Scaled": {"width": (0.01, 100)}}
ELSE |= {
    "ILIF": {"threshold": (0.01, np.inf)},
    "LearnableDelay": {"width": (0.01, np.inf)},
    "SynapticDelays": {"width": (0.01, np.inf)},
}


@pytest.mark.parametrize("kind", KINDS, ids=label)
def test_bounds_are_of_the_name_of_a_parameter_but_for_some(kind):
    bounds = bs.Arctan().scaled().bounds if kind is bs.Scaled else kind.bounds
    expected = BOUNDS | ELSE.get(kind.__name__, {})
    assert bounds == {name: expected.get(name, pair) for name, pair in bounds.items()}  # a new name has any


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind._lower_limits], ids=label)
def test_what_a_parameter_must_be_above_is_refused_and_its_edges_are_not(kind):
    given = {"surrogate": bs.Arctan()} if kind is bs.Scaled else {}
    for name, low in kind._lower_limits.items():
        with pytest.raises(ValueError, match=name):
            kind(**{name: low}, **given)
    its = kind(**given)
    for name in its.bounds.keys() & vars(its).keys():
        for edge in filter(np.isfinite, its.bounds[name]):
            kind(**{name: edge}, **given)
    for name in kind._lower_limits.keys() & kind._always_static:  # counts
        kind(**{name: 1}, **given)


def test_edges_have_no_more_entries_than_the_parameter():
    tx, p = project({"a": (np.zeros(3), np.ones(3))}), {"a": jnp.float32(0.5)}
    with pytest.raises(ValueError, match=r"expected bounds that broadcast into a parameter of \(\), got \(3,\)"):
        tx.update({"a": jnp.float32(0.1)}, tx.init(p), p)


def trained(alpha):
    bounds = {"alpha": (0.01, 1e6)}
    return bs.nnx.SpikingActivation(bs.Arctan(alpha), learnable="alpha", bounds=bounds, param_dtype=jnp.bfloat16).alpha


@pytest.mark.parametrize(("value", "dtype"), INSIDE)
def test_the_interval_is_closed_and_an_array_keeps_its_dtype(value, dtype):
    alpha = trained(value)[...]
    assert (alpha.dtype, alpha.weak_type) == (dtype, False)


@pytest.mark.parametrize("value", OUTSIDE)
def test_known_values_outside_are_refused_inside_a_trace_as_well(value):
    for make in (trained, lambda value: jax.eval_shape(lambda x: [trained(x), trained(value)], value)):
        with pytest.raises(ValueError, match="is outside"):
            make(value)


# Optax ------------------------------------------------------------------------------------------------------


def step(tx, params, grads, state=None):
    updates, state = tx.update(grads, tx.init(params) if state is None else state, params)
    return optax.apply_updates(params, updates), state


DTYPES = ["bfloat16", pytest.param("float16", marks=needs_float16), "float32", "float64"]
INTERVALS = [(0.01, 100.0), (0.0, 1.0), (-0.1, 1 / 3), (2e-7, 3e-5), (-6e4, 1e6), (0.0, np.inf)]


def inside(interval, dtype):
    """Every number of a narrow dtype in an interval, many of a wide one; and what the edges are there."""
    rng, bits = np.random.default_rng(0), {"bfloat16": 16, "float16": 16, "float32": 32, "float64": 64}[dtype]
    pattern = np.arange(2**16) if bits == 16 else rng.integers(0, 2**bits, 2**15, f"uint{bits}")
    numbers = pattern.astype(f"uint{bits}").view(jnp.dtype(dtype))
    if bits > 16:  # random bits are seldom near 1
        numbers = np.concatenate([numbers, rng.uniform(-2, 2, 2**15).astype(dtype)])
    with np.errstate(invalid="ignore"):  # ml_dtypes warns of NaN
        numbers = numbers[np.isfinite(numbers)]
    most = float(jnp.finfo(dtype).max)
    low, high = (np.asarray(edge if np.isinf(edge) else np.clip(edge, -most, most), dtype) for edge in interval)
    return np.resize(numbers[(numbers >= low) & (numbers <= high)], 2**16), low, high  # of one shape: compiled once


def pushes(shape, dtype, seed):
    """Updates of every size, and the ones that were wrong."""
    rng = np.random.default_rng(seed)
    u = rng.normal(size=shape) * 10.0 ** rng.choice([rng.uniform(-3, 3, shape), rng.uniform(-46, 39, shape)])
    known = [0.0, -0.0, np.inf, -np.inf, 0.25, -0.25, 100.0, -100.0, 1e-45, -1e-45, 1e-7, -1e-7]
    u[: len(known)] = known[: len(u)]
    with np.errstate(over="ignore"):
        return rng.permutation(u).astype(jnp.dtype(dtype))


@pytest.mark.parametrize(("own", "theirs"), each_value_once(DTYPES, ["float32", *DTYPES[:2], "float64"]))
def test_what_is_stored_is_inside_whatever_the_dtypes(own, theirs, lenient):
    """As check_inside reads it, by NumPy; compiled in one program, which may keep more bits, in two, and not at all."""
    ranges = {interval: inside(interval, own) for interval in INTERVALS}
    values = {interval: numbers for interval, (numbers, _, _) in ranges.items()}
    tx = project({interval: interval for interval in INTERVALS})

    def update(p, u):
        return tx.update(u, tx.init(p), p)[0]

    def apply(p, u):
        return optax.apply_updates(p, update(p, u))

    with jax.enable_x64(True):
        whole, first, second = map(jax.jit, (apply, update, optax.apply_updates))
        for seed in range(4):
            u = {interval: pushes(numbers.shape, theirs, seed) for interval, numbers in values.items()}
            p, u = jax.tree.map(jnp.asarray, (values, u))
            for new in (whole(p, u), second(p, first(p, u)), *([] if seed else [apply(p, u)])):
                for interval, (numbers, low, high) in ranges.items():
                    assert new[interval].dtype == own
                    stored = np.asarray(new[interval])
                    wrong = ~((stored >= low) & (stored <= high))
                    assert not wrong.any(), (interval, numbers[wrong][0], u[interval][wrong][0], stored[wrong][0])
        for side, push in ((1, -np.inf), (2, np.inf)):
            new = p
            for _ in range(8):  # the first steps may be too short by a rounding
                new = whole(new, jax.tree.map(lambda p, push=push: jnp.full_like(p, push, dtype=theirs), new))
            for interval, ends in ranges.items():
                if np.isfinite(ends[side]):
                    np.testing.assert_array_equal(new[interval], np.full(len(ends[0]), ends[side]))


@pytest.mark.parametrize("theirs", DTYPES)
@pytest.mark.parametrize("own", DTYPES)
def test_inside_it_is_the_sum_and_no_more_than_rounded(own, theirs, lenient):
    """Rounded as stored, and as the update."""
    interval = (-4.0, 4.0)
    rng = np.random.default_rng(1)
    p, u = rng.uniform(-2, 2, 20_000).astype(jnp.dtype(own)), rng.uniform(-1.9, 1.9, 20_000).astype(jnp.dtype(theirs))
    with jax.enable_x64(True):
        tx = project(interval)
        updates = tx.update(u, tx.init(p), p)[0]
        assert updates.dtype == jnp.result_type(p, u)
        new = optax.apply_updates(p, updates)
    expected = p.astype(np.float64) + u.astype(np.float64)
    error = np.abs(np.asarray(new, np.float64) - expected)
    # Two roundings of numbers below 4 in the dtype of the update, and one in that of the parameter.
    assert (error <= 2 * (2 * float(jnp.finfo(updates.dtype).eps) + float(jnp.finfo(own).eps))).all()


@pytest.mark.parametrize("tx", [project({"a": None}), follow(lambda count: 1.0)], ids=["project", "follow"])
def test_needs_the_parameters(tx):
    with pytest.raises(ValueError, match=r"needs the parameters: tx.update\(grads, state, params\)"):
        tx.update({"a": 1.0}, tx.init({"a": 1.0}))


def test_a_network_may_be_a_tuple_of_layers():
    """As it is in Equinox: a tuple is an interval only if it is a pair of numbers."""
    tx = optax.chain(optax.sgd(1.0), project(({"alpha": (0.0, 1.0)}, {"w": None})))
    params = ({"alpha": jnp.array(0.5)}, {"w": jnp.array(0.5)})
    after, _ = step(tx, params, ({"alpha": jnp.array(2.0)}, {"w": jnp.array(2.0)}))
    assert after == ({"alpha": 0.0}, {"w": -1.5})


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_follow_is_where_the_schedule_is(dtype, lenient):
    """Whatever the gradient says, within a rounding of the parameter's own dtype, and in one compilation."""
    traces, tx = [], follow(optax.linear_schedule(0.25, 0.0, 4))

    @jax.jit
    def update(grads, state, params):
        traces.append(None)
        return tx.update(grads, state, params)

    params = {"alpha": jnp.array([0.25, 0.9], dtype)}
    state = tx.init(params)
    for expected in (0.1875, 0.125, 0.0625, 0.0, 0.0):
        updates, state = update({"alpha": jnp.array([jnp.nan, 100.0], dtype)}, state, params)
        params = optax.apply_updates(params, updates)
        assert params["alpha"].dtype == dtype
        assert_close(params["alpha"], expected, 1, scale=0.9)
    assert len(traces) == 1
