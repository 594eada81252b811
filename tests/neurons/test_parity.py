"""LIF and ALIF with all their options: spikes and gradients are those of the loops of the table, in float64."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from close import assert_close
from neuron_table import ADAPTATION, DECAY, KERNEL, THRESHOLD, B, F, T, X, alif, lif

import brainsurr as bs
from brainsurr.neurons import ALIF, LIF, Recurrent
from tools.frameworks import by_name

pytestmark = pytest.mark.numbers

GRADIENT = T * (F + 8) + T * B  # in each step a sum over neurons and as many products, then one over time and batch

# Everything is a small multiple of a power of two: the forward pass is exact in float32, whatever is fused, and
# potentials that land exactly on the threshold occur. The spikes can then be compared exactly.
rng = np.random.default_rng(2)
ON_SPIKES, ON_V = rng.integers(-4, 5, (T, B, F)) / 4, rng.integers(-4, 5, (B, F)) / 4
V0 = 0.25
SCALAR = {"alpha": 0.25, "width": 0.5, "decay": 0.5, "threshold": 1.0}
SCALAR |= {"adaptation_decay": 0.5, "spike_adaptation": 0.5, "voltage_adaptation": 1.0}
CHANNEL = {
    "alpha": np.array([0.0, 0.125, 0.5, 1.0], np.float32),
    "width": np.array([0.25, 0.5, 1.0, 0.125], np.float32),
}
CHANNEL |= {"decay": DECAY, "threshold": THRESHOLD, **ADAPTATION}


def loop(values, step, n_states, flags, recurrent):
    """Spikes and last states; by name the gradient of sum(ON_SPIKES s) + sum(ON_V v), and the size of its terms."""

    def run(values):
        fields = {name: value.reshape((1,) * (2 - value.ndim) + value.shape) for name, value in values.items()}
        alpha, width, kernel, xs = (fields.pop(name) for name in ("alpha", "width", "kernel", "xs"))

        def fire(h):
            tail = jnp.minimum(h, width) + width * jnp.log(jnp.maximum(h, width) / width)
            g = jnp.where(h <= 0, alpha * h, tail)  # of LogTailedRelu with a width
            return (h >= 0).astype(float) + (g - jax.lax.stop_gradient(g))  # which is exactly 0

        zeros = jnp.zeros((B, F))
        state, s, spikes = (zeros + V0, *[zeros] * (n_states - 1)), zeros, []
        for x in xs:
            state, s = step(fire, state, x + s @ kernel if recurrent else x, **fields, **flags)
            spikes.append(s)
        terms = [*(jnp.stack(spikes) * ON_SPIKES), state[0] * ON_V]
        return jnp.stack(terms), (jnp.stack(spikes), [*state, s])

    with jax.enable_x64(True), jax.numpy_rank_promotion("allow"):
        slopes, (spikes, states) = jax.jacfwd(run, has_aux=True)(jax.tree.map(jnp.float64, values))
    grads, sizes = ({name: of(slope).sum((0, 1, 2)) for name, slope in slopes.items()} for of in (np.asarray, np.abs))
    return spikes, states, grads, sizes


OPTIONS = {
    "reset": ("subtract", "zero", "none"),
    "reset_grad": (None, True, False),
    "decay_input": (False, True),
    "reset_delay": (False, True),
    "adapts": (None, "threshold", "input", "baseline"),
    "refractory": (0, 2),
    "per_channel": (True, False),
    "recurrent": (True, False),
    "dtype": ("float32", "bfloat16"),
}


def cases():
    """Combinations with every triple of options in one of them: in `make test` one, in `make test-all` every pair."""
    rows = {
        row: set(itertools.combinations(enumerate(row), 3))
        for row in itertools.product(*OPTIONS.values())
        if row[0] != "none" or (row[1], row[3]) == (None, False)
    }
    left, tried = set().union(*rows.values()), set()
    while left:
        row = max(rows, key=lambda row: len(rows[row] & left))  # what has most new
        pairs = set(itertools.combinations(enumerate(row), 2))
        marks = () if not tried else pytest.mark.slow if pairs - tried else pytest.mark.exhaustive
        left, tried = left - rows[row], tried | pairs
        yield pytest.param(*row, marks=marks, id="-".join(f"{name}={o}" for name, o in zip(OPTIONS, row, strict=True)))


@pytest.mark.parametrize(tuple(OPTIONS), list(cases()))
def test_spikes_and_gradients_are_those_of_the_loop(
    reset, reset_grad, decay_input, reset_delay, adapts, refractory, per_channel, recurrent, dtype
):
    values = CHANNEL if per_channel else SCALAR
    flags = {"reset": reset, "reset_grad": reset_grad, "decay_input": decay_input, "reset_delay": reset_delay}
    flags |= {"refractory": refractory}
    if adapts:
        adapted = (adapts, reset) != ("baseline", "subtract")
        flags |= {"adapts": adapts.replace("baseline", "threshold"), "reset_adapted": adapted}
    fields = {name: values[name] for name in (list(SCALAR)[2:] if adapts else ("decay", "threshold"))}
    surrogate = bs.LogTailedRelu(values["alpha"], continuous=True).scaled(width=values["width"])
    kind, step = (ALIF, alif) if adapts else (LIF, lif)
    neuron = kind(spike_fn=surrogate, **fields, **flags)
    if recurrent:
        neuron = Recurrent(neuron, jnp.asarray(KERNEL, jnp.float32))
    zeros, structure = jax.tree.flatten(neuron.initial_state(jnp.zeros((B, F))))
    start = structure.unflatten([zeros[0] + V0, *zeros[1:]])

    def loss(neuron, xs):
        state, ys = neuron(start, xs)
        v = jax.tree.leaves(state)[0]
        on_spikes = jnp.sum(ys * jnp.asarray(ON_SPIKES, ys.dtype)).astype(v.dtype)
        return on_spikes + jnp.sum(v * jnp.asarray(ON_V, v.dtype)), (state, ys)

    (grads, gx), (last, ys) = jax.jit(jax.grad(loss, (0, 1), has_aux=True))(neuron, jnp.asarray(X, dtype))
    values = {"alpha": values["alpha"], "width": values["width"]} | fields | {"kernel": KERNEL, "xs": X}
    spikes, states, expected, sizes = loop(values, step, len(zeros) - (recurrent and not reset_delay), flags, recurrent)
    assert ys.dtype == dtype
    np.testing.assert_array_equal(np.asarray(ys, np.float64), spikes)
    v, *between, s = states
    state = [v, *([s] if recurrent or reset_delay else []), *between[reset_delay:]]
    for now, then in zip(jax.tree.leaves(last), state, strict=True):
        assert now.dtype == jnp.float32
        np.testing.assert_array_equal(now, then)

    # In bfloat16 the gradient of each input is rounded, and in each step what comes back through the spikes.
    back = recurrent or reset_delay or bool(adapts)
    half, whole = {"operations": T if back else 1, "dtype": jnp.bfloat16}, {"operations": GRADIENT}
    grads = by_name(grads)
    assert grads.keys() == {*fields, "alpha", "width", "height", *(["kernel"] if recurrent else [])}
    for name in grads.keys() - {"height"}:
        rounding = half if dtype == "bfloat16" and back else whole
        assert_close(grads[name], expected[name], **rounding, scale=np.max(sizes[name]))
    assert_close(gx, expected["xs"], **(half if dtype == "bfloat16" else whole))
