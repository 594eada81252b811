"""nnx = linen = brainstate = a NumPy loop: the same spikes, and the gradients of a backward pass written by hand."""

import functools
import itertools
import operator

import brainstate
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from close import assert_close
from combinations import each_value_once, label
from flax import linen, nnx

import brainsurr as bs
from brainsurr.interop import transfer
from tools.hosts import HOSTS, Brainstate, Linen, Nnx, by_name

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
SCALAR = {"alpha": 0.25, "decay": 0.5, "threshold": 1.0}
SCALAR |= {"adaptation_decay": 0.5, "spike_adaptation": 0.5, "voltage_adaptation": 1.0}
CHANNEL = {
    "alpha": np.array([0.0, 0.125, 0.5, 1.0], np.float32),
    "decay": np.array([0.5, 0.75, 0.25, 1.0], np.float32),
    "threshold": np.array([1.0, 0.75, 1.25, 0.5], np.float32),
    "adaptation_decay": np.array([0.5, 0.75, 0.0, 0.5], np.float32),
    "spike_adaptation": np.array([0.5, 1.0, 2.0, 0.25], np.float32),
    "voltage_adaptation": np.array([-1.0, 0.0, 0.0, 0.5], np.float32),
}


def loop(values, kernel, reset, reset_grad, decay_input, reset_delay, adapts):
    """Spikes and last state; the gradient of sum(ON_SPIKES s) + sum(ON_V v), and the size of its terms; in float64."""
    alpha, decay, threshold, rho, b, c = (np.asarray(values[name], np.float64) for name in SCALAR)
    width = np.asarray(values.get("width", 1.0), np.float64)  # of LogTailedRelu, whose primitive is continuous
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
    grads = {name: np.zeros(np.shape(values[name])) for name in values} | {"recurrent_kernel": np.zeros((F, F))}
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
        slope = np.where(h <= 0, alpha, width / np.maximum(h, width))  # of LogTailedRelu
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
        if "width" in values:
            add("width", gs * np.log(np.maximum(h, width) / width))  # below, the primitive does not depend on it
        add("threshold", glimit + gfired_at)
        add("decay", gu * (v_before - decay_input * drive))
        gx[t] = gain * gu
        ga = ga + {"threshold": glimit, "input": -gx[t], None: 0}[adapts]
        to_v, to_s = 0, 0
        if adapts and reset_delay:
            ga, to_v, to_s = adapted(ga, a_before, v_before, s_before)
        ga = ga + (gfired_at if adapts == "threshold" else 0)
        grads["recurrent_kernel"] += s_before.T @ gx[t]
        sizes["recurrent_kernel"] += s_before.T @ np.abs(gx[t])
        gv, gs_next = decay * gu + to_v, gr + gx[t] @ kernel.T + to_s
    return np.stack(spikes), last, grads, sizes, gx


def loss(carry, ys):
    v = jax.tree.leaves(carry)[0]
    return jnp.sum(ys * jnp.asarray(ON_SPIKES, ys.dtype)).astype(v.dtype) + jnp.sum(v * jnp.asarray(ON_V, v.dtype))


OPTIONS = {
    "host": HOSTS,
    "reset": ("subtract", "zero", "none"),
    "reset_grad": (None, True, False),
    "decay_input": (False, True),
    "reset_delay": (False, True),
    "adapts": (None, "threshold", "input"),
    "learnable": (True, False),
    "per_channel": (True, False),
    "recurrent": (True, False),
    "dtype": ("float32", "bfloat16"),
}


def cases():
    """A few of all combinations, with every triple of options in one of them; every pair in the quick ones."""
    bit = {}  # of each triple, in the integers that stand for sets of them

    def triples(row):
        choices = itertools.combinations(enumerate(row), 3)
        return functools.reduce(operator.or_, (1 << bit.setdefault(triple, len(bit)) for triple in choices))

    rows = {row: triples(row) for row in itertools.product(*OPTIONS.values())}
    left, tried = functools.reduce(operator.or_, rows.values()), set()
    while left:
        row = max(rows, key=lambda row: (rows[row] & left).bit_count())  # what has most new
        pairs = set(itertools.combinations(enumerate(row), 2))
        marks = () if pairs - tried else pytest.mark.exhaustive
        left, tried = left & ~rows[row], tried | pairs
        name = "-".join(f"{name}={label(o) or o}" for name, o in zip(OPTIONS, row, strict=True))
        yield pytest.param(*row, marks=marks, id=name)


@pytest.mark.parametrize(tuple(OPTIONS), list(cases()))
def test_layer_equals_the_loop(
    host, reset, reset_grad, decay_input, reset_delay, adapts, learnable, per_channel, recurrent, dtype
):
    host, values = host(), CHANNEL if per_channel else SCALAR
    surrogate = bs.LogTailedRelu(values["alpha"])
    names = {name for name in values if name != "alpha" and (adapts or "adaptation" not in name)}
    flags = {"reset": reset, "reset_grad": reset_grad, "decay_input": decay_input, "reset_delay": reset_delay}
    layer = (host.layers.ALIF if adapts else host.layers.LIF)(
        F,
        **{name: values[name] for name in names},
        **flags,
        **({"adapts": adapts} if adapts else {}),
        learnable=names if learnable else (),
        bounds={"voltage_adaptation": None} if learnable and adapts else {},
        spike_fn=host.layers.SpikingActivation(surrogate, learnable="alpha") if learnable else surrogate,
        carry_init=host.constant(V0),
        **(host.recurrent(jnp.asarray(KERNEL, jnp.float32)) if recurrent else {}),
    )
    (carry, ys), grads, gx = host.grad(layer, loss, jnp.asarray(X, dtype))
    spikes, (v, s, a), expected, sizes, expected_gx = loop(
        values, KERNEL if recurrent else None, adapts=adapts, **flags
    )

    assert ys.dtype == dtype
    np.testing.assert_array_equal(np.asarray(ys, np.float64), spikes)
    state = [v, *([s] if recurrent or reset_delay else []), *([a] if adapts else [])]
    for now, then in zip(jax.tree.leaves(carry), state, strict=True):
        assert now.dtype == jnp.float32
        np.testing.assert_array_equal(np.asarray(now), then)

    # In bfloat16 the gradient of each input is rounded, and in each step what comes back through the spikes.
    back = recurrent or reset_delay or bool(adapts)
    half, whole = {"operations": T if back else 1, "dtype": jnp.bfloat16}, {"operations": GRADIENT}
    trained = names | {"alpha"} if learnable else set()
    trained |= {"recurrent_kernel"} if recurrent else set()
    grads = by_name(grads)
    assert set(grads) == trained
    for name in trained:
        rounding = half if dtype == "bfloat16" and back else whole
        assert_close(grads[name], expected[name], **rounding, scale=np.max(sizes[name]))
    assert_close(gx, expected_gx, **(half if dtype == "bfloat16" else whole))


@pytest.mark.parametrize(("host", "per_channel"), each_value_once(HOSTS, [True, False]), ids=label)
def test_a_trained_width_equals_the_loop(host, per_channel):
    host, values = host(), CHANNEL if per_channel else SCALAR
    values = values | {"width": np.array([0.25, 0.5, 1.0, 0.125], np.float32) if per_channel else 0.25}
    surrogate = bs.LogTailedRelu(values["alpha"], continuous=True).scaled(width=values["width"])
    lif = host.layers.LIF(
        F,
        decay=values["decay"],
        threshold=values["threshold"],
        learnable=("decay", "threshold"),
        spike_fn=host.layers.SpikingActivation(surrogate, learnable=("alpha", "width")),
        carry_init=host.constant(V0),
    )
    (_, ys), grads, gx = host.grad(lif, loss, jnp.asarray(X, jnp.float32))
    spikes, _, expected, sizes, expected_gx = loop(values, None, "subtract", None, False, False, None)
    np.testing.assert_array_equal(ys, spikes)
    assert (np.abs(expected["width"]) > 0.1).any()  # the case says something
    assert by_name(grads).keys() == {"decay", "threshold", "alpha", "width"}
    for name, grad in by_name(grads).items():
        assert_close(grad, expected[name], GRADIENT, scale=np.max(sizes[name]))
    assert_close(gx, expected_gx, GRADIENT)


@pytest.mark.parametrize("host", HOSTS, ids=label)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_integrator_equals_the_loop(host, dtype):
    host, decay = host(), CHANNEL["decay"].astype(np.float64)
    li = host.layers.LI(F, decay=CHANNEL["decay"], learnable="decay", carry_init=host.constant(V0))
    (carry, ys), grads, gx = host.grad(li, loss, jnp.asarray(X, dtype))
    v, vs, gdecay, gv = np.full((B, F), V0), [], 0, ON_V
    for x in X:
        vs.append(v)
        v = decay * v + x
    expected = np.stack([*vs[1:], v])
    expected_gx = np.zeros_like(X)
    for t in reversed(range(T)):
        gv = gv + ON_SPIKES[t]
        gdecay, expected_gx[t], gv = gdecay + (gv * vs[t]).sum(0), gv, decay * gv
    assert ys.dtype == dtype
    assert carry.dtype == jnp.float32
    np.testing.assert_array_equal(carry, v)
    assert_close(ys, expected, 1, each=True)
    assert_close(by_name(grads)["decay"], gdecay, GRADIENT)
    assert_close(gx, expected_gx, 1 if dtype == "bfloat16" else GRADIENT)


@pytest.mark.slow
@pytest.mark.usefixtures("lenient")  # brainstate's Linear
def test_networks_agree_after_an_exchange_of_their_parameters():
    """Dense, LIF, Dense, LI with the same weights: the same spikes and gradients in each framework."""

    def network(host, first, second):
        layers = host.layers
        act = layers.SpikingActivation(bs.LogTailedRelu(CHANNEL["alpha"]), learnable="alpha")
        kernel = host.recurrent(jnp.asarray(KERNEL))
        lif = layers.LIF(F, decay=0.5, learnable=("decay", "threshold"), spike_fn=act, **kernel)
        li = layers.LI(2, decay=0.5, learnable="decay")
        return layers.SpikingSequential([first, lif, jnp.negative, second, li])

    xs, rngs = jnp.asarray(X, jnp.float32), nnx.Rngs(0)
    nets = {
        Nnx(): (nnx.Linear(F, F, rngs=rngs), nnx.Linear(F, 2, rngs=rngs)),
        Linen(): (linen.Dense(F), linen.Dense(2)),
        Brainstate(): (brainstate.nn.Linear(F, F), brainstate.nn.Linear(F, 2)),
    }
    nets = {host: network(host, *dense) for host, dense in nets.items()}
    params, results = None, []
    for host, net in nets.items():
        own = host.params(net, xs)
        if params is None:
            params = jax.tree.map(lambda p: jnp.round(p * 8) / 8 if p.ndim == 2 else p, own)
        net = host.with_params(net, transfer(params, own))
        (_, ys), grads, gx = host.grad(net, lambda carry, ys: jnp.mean(ys**2), xs)
        results.append((ys, transfer(grads, params), gx))
    assert np.abs(results[0][0]).max() > 0.1
    for ys, *gradients in results[1:]:
        np.testing.assert_array_equal(ys, results[0][0])
        assert_close(gradients, results[0][1:], GRADIENT)
