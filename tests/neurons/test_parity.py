"""LIF and ALIF with all their options: the spikes of a NumPy loop, and the gradients of a backward pass by hand."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from close import assert_close

import brainsurr as bs
from brainsurr.neurons import ALIF, LIF, Recurrent
from tools.frameworks import by_name

pytestmark = pytest.mark.numbers

T, B, F = 6, 3, 4
GRADIENT = T * (F + 8) + T * B  # in each step a sum over neurons and as many products, then one over time and batch

# Everything is a small multiple of a power of two: the forward pass is exact in float32, whatever is fused, and
# potentials that land exactly on the threshold occur. The spikes can then be compared exactly.
rng = np.random.default_rng(0)
X = rng.integers(-6, 15, (T, B, F)) / 8
KERNEL = rng.integers(-4, 5, (F, F)) / 8
ON_SPIKES, ON_V = rng.integers(-4, 5, (T, B, F)) / 4, rng.integers(-4, 5, (B, F)) / 4
V0 = 0.25
SCALAR = {"alpha": 0.25, "width": 0.5, "decay": 0.5, "threshold": 1.0}
SCALAR |= {"adaptation_decay": 0.5, "spike_adaptation": 0.5, "voltage_adaptation": 1.0}
CHANNEL = {
    "alpha": np.array([0.0, 0.125, 0.5, 1.0], np.float32),
    "width": np.array([0.25, 0.5, 1.0, 0.125], np.float32),
    "decay": np.array([0.5, 0.75, 0.25, 1.0], np.float32),
    "threshold": np.array([1.0, 0.75, 1.25, 0.5], np.float32),
    "adaptation_decay": np.array([0.5, 0.75, 0.0, 0.5], np.float32),
    "spike_adaptation": np.array([0.5, 1.0, 2.0, 0.25], np.float32),
    "voltage_adaptation": np.array([-1.0, 0.0, 0.0, 0.5], np.float32),
}


def loop(values, kernel, reset, reset_grad, decay_input, reset_delay, adapts):
    """Spikes and last state; the gradient of sum(ON_SPIKES s) + sum(ON_V v), and the size of its terms; in float64."""
    alpha, width, decay, threshold, rho, b, c = (np.asarray(values[name], np.float64) for name in SCALAR)
    kernel = np.zeros((F, F)) if kernel is None else kernel
    gain = 1 - decay if decay_input else 1.0
    v, s, a = np.full((B, F), V0), np.zeros((B, F)), np.zeros((B, F))
    tape, spikes = [], []
    for x in X:
        before = v, s, a
        if adapts and reset_delay:  # late, so that what is subtracted is the threshold at which it fired
            a = rho * a + (1 - rho) * (b * s + c * v)
        drive = x + s @ kernel - (a if adapts == "input" else 0)
        limit, fired_at = (threshold + (some if adapts == "threshold" else 0) for some in (a, before[2]))
        u = decay * v + gain * drive
        r = s if reset_delay else (u >= limit).astype(float)
        v = {"subtract": u - fired_at * r, "zero": u * (1 - r), "none": u}[reset]
        h = (v if reset_delay else u) - limit
        s = (h >= 0).astype(float)
        if adapts and not reset_delay:
            a = rho * a + (1 - rho) * (b * s + c * v)
        tape.append((*before, drive, u, fired_at, r, v, h, s))
        spikes.append(s)

    feed = reset != "zero" if reset_grad is None else reset_grad
    grads = {name: np.zeros(np.shape(values[name])) for name in values} | {"kernel": np.zeros((F, F))}
    gx, gv, ga, gs_next = np.zeros_like(X), ON_V.copy(), np.zeros((B, F)), np.zeros((B, F))
    last, sizes = (v, s, a), dict.fromkeys(grads, 0.0)

    def add(name, g):
        sizes[name] += np.abs(g).sum(0 if grads[name].ndim else None)
        grads[name] = grads[name] + g.sum(0 if grads[name].ndim else None)

    def adapted(ga, a, v, s):
        """Back through the adaptation: what of its gradient goes to the one before, the potential and the spikes."""
        add("adaptation_decay", ga * (a - b * s - c * v))
        add("spike_adaptation", ga * (1 - rho) * s)
        add("voltage_adaptation", ga * (1 - rho) * v)
        return rho * ga, ga * (1 - rho) * c, ga * (1 - rho) * b

    for t in reversed(range(T)):
        v_before, s_before, a_before, drive, u, fired_at, r, v, h, s = tape[t]
        gs = ON_SPIKES[t] + gs_next
        if adapts and not reset_delay:
            ga, to_v, to_s = adapted(ga, a_before, v, s)
            gv, gs = gv + to_v, gs + to_s
        slope = np.where(h <= 0, alpha, width / np.maximum(h, width))  # of LogTailedRelu with a width
        if reset_delay:  # the spike comes of the potential after the reset
            gv = gv + gs * slope
        gr = feed * -gv * {"subtract": fired_at, "zero": u, "none": 0}[reset]
        gfired_at = -gv * r if reset == "subtract" else np.zeros((B, F))
        gu = gv * (1 - r) if reset == "zero" else gv
        if not reset_delay:
            gs, gr = gs + gr, 0
            gu = gu + gs * slope
        glimit = -gs * slope
        add("alpha", gs * np.minimum(h, 0))
        add("width", gs * np.log(np.maximum(h, width) / width))  # below, the primitive does not depend on it
        add("threshold", glimit + gfired_at)
        add("decay", gu * (v_before - decay_input * drive))
        gx[t] = gain * gu
        ga = ga + {"threshold": glimit, "input": -gx[t], None: 0}[adapts]
        to_v, to_s = 0, 0
        if adapts and reset_delay:
            ga, to_v, to_s = adapted(ga, a_before, v_before, s_before)
        ga = ga + (gfired_at if adapts == "threshold" else 0)
        grads["kernel"] += s_before.T @ gx[t]
        sizes["kernel"] += s_before.T @ np.abs(gx[t])
        gv, gs_next = decay * gu + to_v, gr + gx[t] @ kernel.T + to_s
    return np.stack(spikes), last, grads, sizes, gx


OPTIONS = {
    "reset": ("subtract", "zero", "none"),
    "reset_grad": (None, True, False),
    "decay_input": (False, True),
    "reset_delay": (False, True),
    "adapts": (None, "threshold", "input"),
    "per_channel": (True, False),
    "recurrent": (True, False),
    "dtype": ("float32", "bfloat16"),
}


def cases():
    """A few of all combinations, with every triple of options in one of them; every pair in the quick ones."""
    rows = {row: set(itertools.combinations(enumerate(row), 3)) for row in itertools.product(*OPTIONS.values())}
    left, tried = set().union(*rows.values()), set()
    while left:
        row = max(rows, key=lambda row: len(rows[row] & left))  # what has most new
        pairs = set(itertools.combinations(enumerate(row), 2))
        marks = () if pairs - tried else pytest.mark.exhaustive
        left, tried = left - rows[row], tried | pairs
        yield pytest.param(*row, marks=marks, id="-".join(f"{name}={o}" for name, o in zip(OPTIONS, row, strict=True)))


@pytest.mark.parametrize(tuple(OPTIONS), list(cases()))
def test_spikes_and_gradients_are_those_of_the_loop(
    reset, reset_grad, decay_input, reset_delay, adapts, per_channel, recurrent, dtype
):
    values = CHANNEL if per_channel else SCALAR
    flags = {"reset": reset, "reset_grad": reset_grad, "decay_input": decay_input, "reset_delay": reset_delay}
    fields = {name: values[name] for name in (list(SCALAR)[2:] if adapts else ("decay", "threshold"))}
    surrogate = bs.LogTailedRelu(values["alpha"], continuous=True).scaled(width=values["width"])
    kind = functools.partial(ALIF, adapts=adapts) if adapts else LIF
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
    spikes, (v, s, a), expected, sizes, expected_gx = loop(
        values, KERNEL if recurrent else None, adapts=adapts, **flags
    )
    assert ys.dtype == dtype
    np.testing.assert_array_equal(np.asarray(ys, np.float64), spikes)
    state = [v, *([s] if recurrent or reset_delay else []), *([a] if adapts else [])]
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
    assert_close(gx, expected_gx, **(half if dtype == "bfloat16" else whole))
