"""Mistakes that would otherwise be silently wrong raise an error that names the argument."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from close import assert_close
from flax import linen, nnx
from surrogate_table import FAMILY

import brainsurr as bs
from brainsurr import cpu, encoders, initializers, neurons, optim
from tools.frameworks import HOSTS, Brainstate

LIF, XS = neurons.LIF, jnp.ones((5, 2, 4))
KEY, NAN = jax.random.key(0), float("nan")


def neuron(state, xs=XS, kind=LIF()):
    return kind(state, xs)


def step(kind, state, x=XS[0]):
    return kind.step(state, x)


def weights(kind, rate=0.1, shape=(4, 2), **options):
    return initializers.fluctuation_driven(kind, rate, **options)(KEY, shape)


def in_bfloat16(kind):
    return kind.initial_state(XS[0].astype(jnp.bfloat16))


MISTAKES = [
    (lambda: bs.spike("a", bs.Arctan()), "x"),
    (lambda: bs.spike(1j, bs.Arctan()), "x"),
    (lambda: bs.spike(jnp.ones(3), abs), "surrogate"),
    (lambda: bs.spike(jnp.ones(3), bs.Arctan), "surrogate"),
    (lambda: bs.spike(jnp.ones(3), bs.Arctan(np.ones(7, np.float32))), "alpha"),
    (lambda: bs.spike(jnp.ones((2, 2)), bs.Arctan(np.ones((1, 2, 2), np.float32))), "alpha"),
    (lambda: bs.Arctan(True), "alpha"),
    (lambda: bs.Arctan(1j), "alpha"),
    (lambda: bs.Arctan(2.0, origin=1), "origin"),
    (lambda: bs.Arctan(2.0).scaled(width=NAN), "width"),
    (lambda: bs.Arctan(2.0).scaled(width=0.0), "width"),
    (lambda: bs.Arctan(2.0).scaled(width=np.array([1.0, np.inf])), "width"),
    (lambda: bs.Arctan(2.0).scaled(height=np.zeros(0)), "height"),
    (lambda: bs.Arctan(2.0) * True, "operand"),
    (lambda: bs.Scaled(0.5, bs.Arctan(2.0)), "surrogate"),
    (lambda: bs.Arctan(2.0).replace(beta=1.0), "beta"),
    (lambda: setattr(bs.Arctan(2.0), "orgin", True), "orgin"),
    (lambda: LIF(decay=np.full(3, -0.5)), "decay"),
    (lambda: LIF(threshold=NAN), "threshold"),
    (lambda: LIF(decay=0.99999)(jnp.zeros((2, 4), jnp.bfloat16), XS.astype(jnp.bfloat16)), "decay"),
    (lambda: LIF(reset="soft"), "reset"),
    (lambda: LIF(reset="none", reset_delay=True), "reset"),
    (lambda: LIF(refractory=-1), "refractory"),
    (lambda: LIF(refractory=2.0), "refractory"),
    (lambda: in_bfloat16(LIF(refractory=257)), "refractory"),
    (lambda: in_bfloat16(neurons.LearnableDelay(longest=400)), "longest"),
    (lambda: in_bfloat16(neurons.ILIF(levels=400)), "levels"),
    (lambda: in_bfloat16(neurons.RF(damping=0.001)), "damping"),
    (lambda: in_bfloat16(neurons.BRF(frequency=0.01, damping=0.1)), "frequency"),
    (lambda: in_bfloat16(neurons.BHRF(damping=0.1, refractory_decay=0.999)), "refractory_decay"),
    (lambda: in_bfloat16(neurons.BRF(damping=0.0)), "damping"),
    (lambda: LIF(spike_fn="arctan"), "spike_fn"),
    (lambda: LIF(reset="none", reset_grad=False), "reset"),
    (lambda: neurons.ALIF(adapts="soft"), "adapts"),
    (lambda: neurons.ALIF(adapts="input", reset_adapted=False), "reset_adapted"),
    (lambda: neurons.ALIF(reset="zero", reset_adapted=False), "reset_adapted"),
    (lambda: neurons.LearnableDelay(longest=8, delay=7.0).replace(longest=4), "delay"),
    (lambda: neurons.LearnableDelay(delay=0.5, width=0.001), "width"),
    (lambda: bs.nnx.LearnableDelay(1, longest=4, delay=5.0, learnable="delay", bounds=None), "delay"),
    (lambda: bs.nnx.LearnableDelay(1, learnable="width", bounds={"width": (0.0, 1.0)}), "width"),
    (lambda: neuron(jnp.zeros((2, 4)), jnp.swapaxes(XS, 0, 1)), "swapaxes"),
    (lambda: neuron(jnp.zeros(()), 1.0), "xs"),
    (lambda: step(LIF(), XS[0, 0]), "carry"),
    (lambda: step(LIF(), XS[:, 0]), "carry"),
    (lambda: step(LIF(), (XS[0], XS[0])), "carry"),
    (lambda: step(LIF(decay=jnp.zeros(2)), XS[0]), "decay"),
    (lambda: step(neurons.ALIF(), {"v": XS[0], "s": XS[0]}), "carry"),
    (lambda: step(neurons.Delay([1, 2]), XS[0], XS[0, 0]), "steps"),
    (lambda: step(neurons.Delay(3), XS[0]), "carry"),
    (lambda: step(neurons.Delay(2), XS[0], jnp.ones(())), "time"),
    (lambda: step(neurons.Recurrent(LIF(), jnp.eye(4)), (XS, XS)), "carry"),
    (lambda: neurons.Recurrent(LIF(), jnp.ones((4, 3))), "kernel"),
    (lambda: neurons.Recurrent(bs.Arctan(), jnp.ones((4, 4))), "neuron"),
    (lambda: bs.unroll(lambda c, x: (c, x), None, XS, remat="all"), "remat"),
    (lambda: bs.unroll(lambda c, x: (c, x), None, XS, reduce="sum"), "reduce"),
    (lambda: bs.unroll(lambda c, x: (c, x), None, XS, block_size=0), "block_size"),
    (lambda: bs.unroll(lambda c, x: (c, x[:-1]), None, XS), "block"),
    (lambda: bs.unroll(lambda c, x: x[:2], None, XS), "block"),
    (
        lambda: neuron(jnp.zeros((2, 1, 4)), kind=neurons.SlidingPSN([0.5, 1.0], spike_fn=lambda u: u[..., :1])),
        "spike_fn",
    ),
    (lambda: bs.unroll(lambda c, x: (c, x), None, XS.tolist()), "leading axes"),
    (lambda: bs.unroll(lambda c, x: (c, x), None, XS[:0], reduce="mean"), "reduce"),
    (lambda: bs.target_platform("cuda"), "name"),
    (lambda: encoders.rate(jnp.full(3, 1.5), 4, key=KEY), "x"),
    (lambda: encoders.rate(jnp.arange(3), 4, key=KEY), "x"),
    (lambda: encoders.rate(jnp.full(3, 0.5), 0, key=KEY), "steps"),
    (lambda: encoders.latency(jnp.full(3, 0.5), True), "steps"),
    (lambda: encoders.population(jnp.full(3, 0.5), 0), "count"),
    (lambda: encoders.latency(jnp.full(3, -0.5), 4), "x"),
    (lambda: encoders.latency(jnp.full(3, 0.5), 4, tau=0.0), "tau"),
    (lambda: encoders.latency(jnp.full(3, 0.5), 4, threshold=1.0), "threshold"),
    (lambda: encoders.population(jnp.full(3, NAN), 4), "x"),
    (lambda: encoders.delta(jnp.array([0.0, NAN])), "xs"),
    (lambda: encoders.delta(jnp.zeros(3), dtype=jnp.uint8), "dtype"),
    (lambda: encoders.delta(jnp.zeros(3), -1.0), "threshold"),
    (lambda: weights(LIF(), rate=0.0), "rate"),
    (lambda: weights(LIF(), xi=0), "xi"),
    (lambda: weights(LIF(), steps=0), "steps"),
    (lambda: weights([]), "neuron"),
    (lambda: weights(bs.nnx.LIF(4)), "lif.neuron"),
    (lambda: weights(LIF(threshold=-1.0)), "silent at rest"),
    (lambda: weights(LIF(1.0, decay_input=True), steps=9), "input"),
    (lambda: weights(neurons.RF(0.9), steps=2000), "neuron"),
    (lambda: weights(LIF(np.full(3, 0.5))), "shape"),
    (lambda: weights(LIF(), shape=(4,)), "1-dimensional"),
    (lambda: cpu.use_all_cores(batch=2.0), "batch"),
    (lambda: cpu.split(np.zeros(8), axis=1), "rank"),
    (lambda: cpu.split(np.zeros(8), axis=-1), "axis"),
    (lambda: bs.nnx.SpikingActivation(bs.Sigmoid(4.0), random=True), "rngs"),
    (lambda: bs.nnx.LIF(4, recurrent=True), "rngs"),
    (lambda: bs.nnx.LIF(4, recurrent=True, rngs=KEY), "rngs"),
    (lambda: bs.nnx.SpikingSequential(None), "iterable"),
    (lambda: nnx.RNN(bs.nnx.LIF(4))(XS), "LIFCell"),
    (lambda: linen.RNN(bs.linen.LIF(4)).init(KEY, XS), "LIFCell"),
    (lambda: bs.equinox.LIF(4, recurrent=True), "recurrent=True"),
    (lambda: bs.linen.LIF(4)(XS[0], XS), r"layer\.apply"),
    (lambda: bs.brainstate.LI(4)(XS), "init_state"),
    (lambda: bs.brainstate.LIF(4).reset_state(2), "init_state"),
    (lambda: optim.project({"alpha": (1.0, 0.0)}), "low < high"),
    (lambda: encoders.delta(jnp.zeros(3), off="no"), "off"),
    (lambda: bs.operations(lambda x: x @ jnp.ones((4, 2)), XS, examples=-2), "examples"),
    (lambda: neurons.Recurrent(LIF(), jnp.ones((3, 3)))((XS[0], XS[0]), XS), "kernel"),
    (lambda: optim.project({"alpha": "ab"}), "bounds"),
]


@pytest.mark.parametrize(("call", "word"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_raises_an_error_that_names_it(call, word):
    with pytest.raises((TypeError, ValueError, AttributeError), match=word):
        call()


IN_LAYERS = [
    ({"decay": 1.5}, "decay"),
    ({"decay": np.full(3, 0.5)}, "decay"),
    ({"decay": 0.99999, "param_dtype": jnp.bfloat16, "learnable": ()}, "decay"),
    ({"param_dtype": jnp.int32, "learnable": "decay"}, "param_dtype"),
    ({"learnable": "tau"}, "tau"),
    ({"learnable": "spike_fn.beta"}, "beta"),
    ({"learnable": 3}, "learnable"),
    ({"bounds": {"decay": (0.0, 1.0)}}, "bounds"),
    ({"learnable": "decay", "bounds": {"decay": (1.0, 0.0)}}, "bounds"),
    ({"learnable": "decay", "bounds": {"decay": (0.0, 0.5)}}, "outside"),
    ({"learnable": "decay", "bounds": (0.0, 1.0)}, "bounds"),
    ({"self_connections": False}, "recurrent"),
    ({"recurrent": "no"}, "recurrent"),
    ({"spike_fn": bs.Arctan}, "spike_fn"),
]


@pytest.mark.parametrize("host", HOSTS, ids=[host.name for host in HOSTS])
def test_a_mistake_in_a_layer_raises_an_error_that_names_it(host):
    for options, word in IN_LAYERS:
        with pytest.raises((TypeError, ValueError), match=word):
            host.layers.LIF(4, **options)
    for features in (0, 4.0, None):
        with pytest.raises(ValueError, match="features"):
            host.layers.LIF(features)
    adapter, layers = host(), [host.layers.LIF(4), host.layers.LI(4)]
    for flag in ("return_spikes", "mixes_examples", "events"):
        with pytest.raises(TypeError, match=flag):
            host.layers.SpikingSequential(layers, **{flag: "no"})
    with pytest.raises(TypeError, match="Sigmoid"):
        host.layers.SpikingSequential([bs.Sigmoid])
    for features, options in ((3, {}), (1, {}), (4, host.recurrent(jnp.ones((4, 1))))):
        with pytest.raises(ValueError, match=r"expected an input|kernel"):
            adapter.call(host.layers.LIF(features, **options), (2, 4), None, XS)
    net = host.layers.SpikingSequential(layers)
    if host is not Brainstate:
        call = functools.partial(net.apply, {}) if host.name == "linen" else net
        for carry in ((jnp.zeros((2, 4)),), jnp.zeros((2, 4))):
            with pytest.raises(ValueError, match="the carry of initialize_carry"):
                call(carry, XS)


PARAMETERS = [(e, name) for e in FAMILY for name in e.settings[0] if name not in e.static and e.function]


@pytest.mark.parametrize(("entry", "name"), PARAMETERS, ids=lambda p: getattr(getattr(p, "make", p), "__name__", p))
def test_an_odd_parameter_is_refused_or_obeys_the_formula(entry, name):
    x = np.array([-2.0, -0.75, -0.25, 0.25, 0.75, 2.0], np.float32)
    above = entry.make(**entry.settings[0])._lower_limits.get(name, -np.inf)
    # A negative steepness: the table has |alpha x| for it, the class alpha |x|. They are the same from 0 on.
    least = 0 if entry.make is bs.SoftSign else -np.inf
    for value in (-1.75, -0.625, 0.0, 0.375, 1e3):
        setting = entry.settings[0] | {name: value}
        if value <= above:
            with pytest.raises(ValueError, match=name):
                entry.make(**setting)
        elif value >= least:
            with np.errstate(all="ignore"):
                expected = np.broadcast_to(entry.dg(x.astype(np.float64), **setting), x.shape)
            slope = np.asarray(entry.make(**setting).surrogate_grad(x))
            assert_close(slope, expected, 32)
