"""A BatchNorm of evaluation in a file of NIR: part of the weights before it."""

import brainstate
import jax
import jax.numpy as jnp
import nir
import numpy as np
import pytest
import test_nir
from cases import HALF, each_value_once, first_quick
from close import assert_close
from flax import linen, nnx
from test_nir import HOSTS, B, Make, bound, inputs, layers_of, outputs_of, sequential, written

import brainsurr as bs
from brainsurr._nir.targets import TARGETS
from brainsurr.nir import from_nir, to_nir

pytestmark = pytest.mark.usefixtures("lenient")  # flax's Linear, brainstate's Linear
SIZES = {"flat": (6,), "image": (4, 4, 2)}
PRODUCTS = nir.Linear | nir.Affine | nir.Conv2d
RNG = np.random.default_rng(5)
RANGES = {"mean": (-0.5, 0.5), "var": (0.2, 3.0), "scale": (-1.0, 2.0), "bias": (0.0, 0.6)}
DRAWN = {name: RNG.uniform(low, high, 8).astype(np.float32) for name, (low, high) in RANGES.items()}
HELD = [DRAWN, {name: DRAWN[name][:4] for name in ("mean", "var")}]  # the second has no scale and no bias


def evaluated(features, held=(), **how):
    """A BatchNorm of NNX that holds some values."""
    layer = nnx.BatchNorm(features, use_running_average=True, rngs=nnx.Rngs(0), **how)
    for name, value in dict(held).items():
        getattr(layer, name)[...] = jnp.asarray(value)
    return layer


def norm(host, held, space):
    """A BatchNorm of a framework that holds some values, which Flax Linen has in variables."""
    affine, features = "scale" in held, len(held["mean"])
    if host == "nnx":
        return evaluated(features, held, use_scale=affine, use_bias=affine)
    if host == "linen":
        return linen.BatchNorm(use_running_average=True, use_scale=affine, use_bias=affine)
    layer = (brainstate.nn.BatchNorm3d if space else brainstate.nn.BatchNorm1d)((B, *space, features), affine=affine)
    shaped = {name: jnp.reshape(value, layer.running_mean.value.shape) for name, value in held.items()}
    layer.running_mean.value, layer.running_var.value = shaped.pop("mean"), shaped.pop("var")
    if affine:
        layer.weight.value = shaped
    return layer


def normed(kind, host, held):
    """The graph of a product, and the network of a framework that has a BatchNorm behind it."""
    features, make = len(held["mean"]), Make()
    product = make.conv(2, features, (3, 3)) if kind == "image" else make.linear(6, features, bias="scale" in held)
    graph = to_nir(sequential(product), SIZES[kind], dt=1e-3)
    net = from_nir(graph, host, dt=1e-3)
    layers = [*layers_of(net), norm(host, held, SIZES[kind][:-1])]
    if host != "linen":
        return graph, getattr(bs, host).SpikingSequential(layers)
    params, stats = net[1]["params"] | {"layers_1": held}, {of: held[of] for of in ("mean", "var")}
    return graph, (bs.linen.SpikingSequential(layers), {"params": params, "batch_stats": {"layers_1": stats}})


@pytest.fixture(autouse=True)
def _in_evaluation():
    with brainstate.environ.context(fit=False):
        yield


@pytest.mark.parametrize(("kind", "host"), each_value_once([*SIZES], HOSTS))
@pytest.mark.parametrize("held", HELD, ids=lambda held: " ".join(held))
def test_it_joins_the_weights_before_it(kind, host, held):
    (graph, net), xs = normed(kind, host, held), inputs(SIZES[kind])
    after = written(net, SIZES[kind])
    (raw,), (folded,) = ([n for n in each.nodes.values() if isinstance(n, PRODUCTS)] for each in (graph, after))
    factor = held.get("scale", 1.0) / np.sqrt(held["var"].astype(float) + 1e-5)
    bias = (getattr(raw, "bias", 0.0) - held["mean"]) * factor + held.get("bias", 0.0)
    np.testing.assert_allclose(folded.weight, (raw.weight.T * factor).T, rtol=1e-6)
    np.testing.assert_allclose(folded.bias, bias, rtol=1e-6, atol=1e-6)
    assert folded.weight.dtype == folded.bias.dtype == np.float32
    assert_close(outputs_of(from_nir(after, host, dt=1e-3), xs), outputs_of(net, xs), 64)


@pytest.mark.parametrize("reader", first_quick(["norse", "snntorch", "spikingjelly", "jaxpike", "sparx"]))
def test_a_reader_sees_weights_alone(reader):
    """The file is that of a network with these weights and no BatchNorm."""
    make, how = Make(), {"dt": TARGETS[reader].dt or 1e-3, "reader": reader}
    net = sequential(make.linear(6, 8), evaluated(8, DRAWN), make.lif(8), make.linear(8, 8), evaluated(8, DRAWN))
    same = from_nir(to_nir(net, (6,), dt=how["dt"]), "nnx", dt=how["dt"])
    one, other = (list(to_nir(each, (6,), **how).to_dict()["nodes"].values()) for each in (net, same))
    np.testing.assert_equal(one, other)
    assert sum("weight" in node for node in one) == 2


@pytest.mark.parametrize("dtype", HALF)
def test_weights_in_16_bits_become_float32_twice_over(dtype):
    xs, dense = inputs((6,)), nnx.Linear(6, 8, param_dtype=dtype, rngs=nnx.Rngs(0))
    net = sequential(dense, evaluated(8, DRAWN), evaluated(8, DRAWN))
    back = from_nir(to_nir(net, (6,), dt=1e-3), "nnx", dt=1e-3)
    assert back.layers[0].kernel.dtype == back.layers[0].bias.dtype == jnp.float32
    assert_close(outputs_of(back, xs), outputs_of(net, xs), 16)


def test_in_brainstate_it_may_be_mapped_over_time():
    one, dense = brainstate.nn.BatchNorm0d((8,)), brainstate.nn.Linear(6, 8)
    one.running_mean.value, one.running_var.value = (jnp.asarray(DRAWN[name]) for name in ("mean", "var"))
    net, xs = bs.brainstate.SpikingSequential([dense, jax.vmap(one.update)]), inputs((6,))
    assert_close(outputs_of(from_nir(to_nir(net, (6,), dt=1e-3), "brainstate", dt=1e-3), xs), outputs_of(net, xs), 16)


UNTRACKED = {"track_running_stats": False, "affine": False}
REFUSED = [  # the layers, and what is said of the last one
    (lambda m: [nnx.BatchNorm(6, rngs=m.rngs)], "training"),
    (lambda m: [evaluated(6)], "a linear layer .* got input_shape"),
    (lambda m: [m.linear(6, 6), m.lif(6, recurrent=True), evaluated(6)], "a linear layer .* layer 1"),
    (lambda m: [m.linear(6, 8), evaluated(6)], "broadcast"),
    (lambda m: [m.linear(6, 6), evaluated(6, axis=2)], "last axis"),
    (lambda m: [m.linear(6, 6), evaluated(6, {"var": np.full(6, np.nan)})], "its kernel"),
    (lambda m: [m.linear(6, 6), evaluated(6, {"mean": np.full(6, 1e38), "scale": np.full(6, 1e9)})], "previous bias"),
    (lambda m: [m.linear(6, 6), evaluated(6, promote_dtype=lambda values, dtype: values)], "promote_dtype"),
    (lambda m: [brainstate.nn.Linear(6, 6), brainstate.nn.BatchNorm1d((B, 6), feature_axis=0)], "last axis"),
    (lambda m: [brainstate.nn.Linear(6, 6), brainstate.nn.BatchNorm1d((B, 6), **UNTRACKED)], "training"),
    (lambda m: bound([linen.Dense(6), linen.BatchNorm(use_running_average=False)], (6,)), "training"),
]


@pytest.mark.parametrize(("make", "said"), REFUSED)
def test_what_has_no_weights_to_join_is_refused(make, said):
    net = make(Make())
    if isinstance(net, list):
        package = bs.brainstate if isinstance(net[-1], brainstate.nn.Module) else bs.nnx
        net = package.SpikingSequential(net)
    with pytest.raises(ValueError, match=rf"^to_nir: layer {len(layers_of(net)) - 1}, BatchNorm\w*: .*{said}"):
        written(net, (6,))


def test_in_training_brainstate_refuses_it_too():
    _, net = normed("flat", "brainstate", DRAWN)
    with brainstate.environ.context(fit=True), pytest.raises(ValueError, match="got one in training"):
        to_nir(net, (6,), dt=1e-3)


def test_its_own_dtype_is_refused_or_told():
    net = sequential(Make().linear(6, 6), evaluated(6, dtype=jnp.bfloat16))
    test_nir.told(net, (6,), "layer 1, BatchNorm: its dtype=bfloat16")
    written(sequential(Make().linear(6, 6), evaluated(6, dtype=jnp.float32)), (6,))
