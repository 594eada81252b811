"""Networks with sparse products have the spikes and gradients of dense networks, in each framework."""

import contextlib
import dataclasses
from functools import partial
from typing import Any

import brainstate
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from asked import ask
from cases import each_value_once, label
from close import assert_close
from flax import linen, nnx

import brainsurr as bs
from brainsurr import events
from brainsurr._gradients.program import equations
from brainsurr.neurons import Neuron
from tools.frameworks import HOSTS, OF_VARIABLES, Brainstate, Equinox, Linen, Nnx

pytestmark = pytest.mark.usefixtures("lenient")
every_host = pytest.mark.parametrize("host", OF_VARIABLES, ids=label)
T, BATCH = 6, 4
SPIKES = np.random.default_rng(0).integers(0, 2, (T, BATCH, 4, 4, 1)).astype(np.uint8)
RECTANGLE = bs.PiecewiseLeakyRelu(c=0.0, w=2.0)  # slopes of a quarter
RNGS = nnx.Rngs(0)


class OverTime(brainstate.nn.Module):
    """A module of one's own with a convolution, which in brainstate takes a batch alone."""

    def __init__(self, inside):
        super().__init__()
        self.inside = inside

    def update(self, xs):
        ys = self.inside(xs.reshape(-1, *xs.shape[2:]))
        return ys.reshape(*xs.shape[:2], *ys.shape[1:])


def convolution(host, **how):
    if host is Brainstate:
        return OverTime(brainstate.nn.Conv2d((4, 4, 1), 2, (3, 3), b_init=jnp.zeros))
    return linen.Conv(2, (3, 3), **how) if host is Linen else nnx.Conv(1, 2, (3, 3), rngs=RNGS, **how)


def flat(xs):
    return xs.reshape(*xs.shape[:2], -1)


def network(host, **options):
    """A convolution, a linear layer, recurrent neurons and a linear layer: four products."""
    lif = partial(host.layers.LIF, decay=0.5, spike_fn=RECTANGLE)
    back = lif(5, **host.recurrent(jnp.zeros((5, 5))))
    last = brainstate.nn.Linear(5, 3, w_mask=jnp.tri(5, 3)) if host is Brainstate else host.dense(5, 3, RNGS)
    layers = [convolution(host), flat, lif(32), host.dense(32, 5, RNGS), back, last]
    return host.layers.SpikingSequential(layers, **options)


def steps(host, net, xs, **options):
    """``step(params, xs) -> (loss, outputs), gradients``, and its arguments: small multiples of a power of two."""
    params, start, run, _ = host.pure(net, xs.shape[1:])
    carry, rng = start(xs.shape[1:]), np.random.default_rng(1)

    def loss(params, xs):
        ys = run(params, carry, xs, **options)[1]
        return sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(ys)) / 64, ys

    inputs = (0, 1) if jnp.issubdtype(xs.dtype, jnp.floating) else 0
    params = jax.tree.map(lambda p: jnp.asarray(rng.integers(-2, 4, p.shape) / 4, p.dtype), params)
    return jax.value_and_grad(loss, inputs, has_aux=True), (params, xs)


def assert_same(found, expected):
    """The outputs to the bit; gradients are sums over time, the batch and pixels, and of what comes from later."""
    jax.tree.map(np.testing.assert_array_equal, found[0], expected[0])
    assert_close(found[1], expected[1], T * BATCH * 16 + T * 32)


def count(f, *args, name="events_product"):
    return sum(each.primitive.name == name for each in equations(jax.make_jaxpr(lambda *args: f(*args))(*args).jaxpr))


@pytest.mark.parametrize(("host", "dtype"), each_value_once(OF_VARIABLES, ["float32", "uint8", "bool"]), ids=label)
def test_spikes_and_gradients_are_those_of_a_dense_network(host, dtype):
    xs = jnp.asarray(SPIKES, dtype)
    ours, dense = (steps(host, network(host, return_spikes=True, events=on), xs) for on in (True, None))
    assert (count(ours[0], *ours[1]), count(dense[0], *dense[1])) == (8, 0)  # each product, and its gradient
    compiled = jax.jit(ours[0]).lower(*ours[1]).compile()
    assert "brainsurr_product" in compiled.as_text()
    found = compiled(*ours[1])
    assert_same(found, jax.jit(dense[0])(*dense[1]))
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(found))


@dataclasses.dataclass
class Graded(Neuron):
    """A neuron of one's own, whose outputs are not 0 and 1."""

    spike_fn: Any = RECTANGLE

    def initial_state(self, x):
        return jnp.zeros_like(x)

    def step(self, state, x):
        v = 0.5 * state + x
        return v, 0.5 * self.spike_fn(v - 1)


class Own(nnx.Module):
    """A module of one's own."""

    def __init__(self, inside):
        self.inside = inside

    def __call__(self, xs):
        return self.inside(xs)


class OwnLinen(linen.Module):
    """A module of one's own that makes its layer when it is called."""

    kind: Any = linen.Dense

    @linen.compact
    def __call__(self, xs):
        return self.kind(3)(xs)


def other(lhs, rhs, numbers, **how):
    return jax.lax.dot_general(lhs, rhs, numbers, **how)


def linear(**how):
    return nnx.Linear(16, 3, rngs=RNGS, **how)


def nested(host, inside, on=None):
    return host.layers.SpikingSequential([inside], events=on)


def neurons(host, inside=bs.neurons.LIF):
    kernel = jnp.full((16, 16), 0.25)
    return host.layers.layer(inside)(16, **host.recurrent(kernel))


EVERYWHERE = {  # a layer of each framework, whose product follows with events=True
    "linear": lambda host: host.dense(16, 3, RNGS),
    "nested": lambda host: nested(host, host.dense(16, 3, RNGS)),
    "recurrent": neurons,
    "recurrent, of one's own": lambda host: neurons(host, Graded),
}
# A layer, and how many products of its network follow with events=True, None and False.
LAYERS = {
    **{f"{h.name} {k}": (h, partial(f, h), (1, 0, 0)) for h in HOSTS for k, f in EVERYWHERE.items()},
    "nnx own": (Nnx, lambda: Own(Own(linear())), (1, 0, 0)),
    "nnx nested, which does not": (Nnx, lambda: nested(Nnx, linear(), False), (0, 0, 0)),
    "nnx with ours": (Nnx, lambda: linear(dot_general=events.dot_general), (1, 1, 0)),
    "nnx with another": (Nnx, lambda: linear(dot_general=other), (0, 0, 0)),
    "linen own": (Linen, OwnLinen, (1, 0, 0)),
    "a network that says so": (Nnx, lambda: nested(Nnx, nnx.Linear(16, 3, rngs=nnx.Rngs(0)), True), (1, 1, 0)),
    "linen with ours": (Linen, lambda: linen.Dense(3, dot_general=events.dot_general), (1, 1, 0)),
    "brainstate sequence": (Brainstate, lambda: brainstate.nn.Sequential(brainstate.nn.Linear(16, 3)), (1, 0, 0)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_events_hold_at_any_depth(name):
    """None leaves each layer as it is; what a layer has of its own it keeps."""
    host, make, follow = LAYERS[name]
    xs, layer = jnp.asarray(flat(SPIKES), jnp.float32), make()
    found = []
    for on in (True, None, False):
        params, start, run, _ = host.pure(nested(host, layer, on), xs.shape[1:])
        found.append(count(run, params, start(xs.shape[1:]), xs))
    assert tuple(found) == follow


def functions(layer):
    """What the modules of a layer hold that can be called."""
    nodes = [layer]
    if isinstance(layer, brainstate.nn.Module):
        nodes = brainstate.graph.nodes(layer).values()
    elif isinstance(layer, nnx.Module):
        nodes = [node for _, node in nnx.iter_modules(layer)]
    return [{name: value for name, value in vars(node).items() if callable(value)} for node in nodes]


@pytest.mark.parametrize("fails", [False, True])
@every_host
def test_a_call_leaves_the_layers_as_they_are(host, fails):
    failing = []

    def last(xs):
        assert not failing, "on purpose"
        return xs

    both = {Nnx: nnx.Sequential, Linen: lambda *layers: linen.Sequential(layers), Brainstate: brainstate.nn.Sequential}
    layers = [convolution(host), flat, both[host](host.dense(32, 3, RNGS), last)]
    xs, net = jnp.asarray(SPIKES, jnp.float32), host.layers.SpikingSequential(layers, events=True)
    if host is Linen:
        net = net.bind({"params": host.pure(net, xs.shape[1:]).params})
    call = net if host is Brainstate else partial(net, (None,) * 3)
    before, failing[:] = list(map(functions, net.layers)), [True] * fails
    for program in (call, jax.jit(lambda xs: call(xs))):
        with pytest.raises(Exception, match=r"on purpose|failed to update") if fails else contextlib.nullcontext():
            program(xs)
        assert list(map(functions, net.layers)) == before


@pytest.mark.parametrize("name", ["update", "_conv_op"])
def test_a_function_of_a_layer_of_brainstate_stays(name):
    images = OverTime(brainstate.nn.Conv2d((4, 4, 1), 2, (3, 3)))
    layer, holds = (Brainstate().dense(16, 3, RNGS),) * 2 if name == "update" else (images, images.inside)
    xs, usual = jnp.asarray(flat(SPIKES) if name == "update" else SPIKES, jnp.float32), getattr(holds, name)
    setattr(holds, name, lambda *args: 2 * usual(*args))
    twice = [Brainstate.layers.SpikingSequential([layer], events=events)(xs) for events in (False, True)]
    assert twice[0].any()
    np.testing.assert_array_equal(twice[1], twice[0])


BYTES = [
    (host, kind)
    for host in HOSTS
    for kind in ("linear", "convolution")
    if (host, kind) not in ((Brainstate, "convolution"), (Equinox, "convolution"))
]


@pytest.mark.parametrize(("host", "kind"), BYTES, ids=label)
def test_spikes_in_bytes_stay_bytes_up_to_the_product(host, kind):
    spikes = jnp.asarray(SPIKES if kind == "convolution" else flat(SPIKES))
    layer = convolution(host, use_bias=False) if kind == "convolution" else host.dense(16, 3, RNGS)

    def floats(on, xs):
        """How often an array of floats as large as the inputs is used."""
        params, start, run, _ = host.pure(nested(host, layer, on), xs.shape[1:])
        program = jax.make_jaxpr(run)(params, start(xs.shape[1:]), xs)
        used = [v.aval for each in equations(program.jaxpr) for v in each.invars]
        return sum(a.size == xs.size and a.dtype == jnp.float32 for a in used)

    assert floats(True, spikes) == floats(True, spikes > 0) == 0 < floats(None, spikes)


class HalfSigmoid(bs.Sigmoid):
    def __call__(self, x, **how):
        return 0.5 * super().__call__(x, **how)


class HalfNnx(bs.nnx.LIF):
    def __call__(self, carry, xs):
        carry, spikes = super().__call__(carry, xs)
        return carry, 0.5 * spikes


SURE = {name: getattr(bs.nnx, name) for name in ("LIF", "ALIF", "Synaptic", "SlidingPSN", "RF", "BRF", "BHRF")}
OTHERS = {name: getattr(bs.nnx, name) for name in ("ILIF", "LI", "LearnableDelay")} | {
    "of one's own": bs.nnx.layer(Graded),
    "a subclass": HalfNnx,
    "a surrogate as a layer": lambda size: HalfSigmoid(),
    "a surrogate of a layer": partial(bs.nnx.LIF, spike_fn=HalfSigmoid()),
}


@pytest.mark.parametrize("kind", ["linear", "convolution"])
@pytest.mark.parametrize("name", [*SURE, *OTHERS])
def test_spikes_known_as_such_are_kept_as_a_byte_each(name, kind):
    after = nnx.Linear(7, 2, rngs=RNGS) if kind == "linear" else nnx.Conv(7, 2, (3,), rngs=RNGS)
    net = bs.nnx.SpikingSequential([(SURE | OTHERS)[name](7), after], events=True)
    xs = jnp.asarray(np.random.default_rng(0).normal(size=(T, BATCH, 5, 7)), jnp.float32)
    params, start, run, _ = Nnx.pure(net, xs.shape[1:])
    carry = start(xs.shape[1:])

    def kept(params):
        return jax.tree.leaves(jax.vjp(lambda params: run(params, carry, xs)[1], params)[1])

    kinds = [leaf.dtype for leaf in jax.eval_shape(kept, params) if leaf.size == xs.size]
    assert (jnp.int8 in kinds) == (name in SURE)


@pytest.mark.parametrize(("host", "remat"), each_value_once(OF_VARIABLES, ["dots", "full", "none"]), ids=label)
def test_unroll_keeps_what_is_computed_by_events(host, remat):
    """With remat="dots" a product is not computed again, and with "full" it is."""
    xs = jnp.asarray(SPIKES)
    whole, args = steps(host, network(host, events=True), xs)
    step, args = steps(host, network(host, events=True), xs, block_size=3, remat=remat)
    assert_same(jax.jit(step)(*args), jax.jit(whole)(*args))
    assert count(step, *args) == (11 if remat == "full" else 8)  # the output of the last one is not needed again


@pytest.mark.parametrize("question", ["diagnose", "check_gradients"])
def test_verdicts_are_those_of_a_dense_network(question):
    xs = jnp.asarray(flat(SPIKES), jnp.float32)

    def verdict(on):
        rngs = nnx.Rngs(0)
        layers = [Nnx.dense(16, 5, rngs), bs.nnx.LIF(5), Nnx.dense(5, 3, rngs), bs.nnx.LI(3)]
        report = ask(question, Nnx, bs.nnx.SpikingSequential(layers, events=on), lambda ys: jnp.mean(ys**2), xs)
        return {path: row.status for path, row in report.items()}

    assert verdict(True) == verdict(None)
