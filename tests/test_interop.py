import brainstate
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from hosts import Brainstate, Linen, Nnx, by_name

import brainsurr as bs
import brainsurr.brainstate
import brainsurr.linen
import brainsurr.nnx
from brainsurr.interop import register_layers, transfer

XS = jnp.linspace(-2, 2, 24).reshape(2, 3, 4)
F = bs.LogTailedRelu(jnp.array([0.0, 0.125, 0.25, 0.5]), continuous=True)


def nets():
    """The same network in each framework, weights drawn anew in each."""
    for host, dense in (
        (Nnx(), lambda n, m: nnx.Linear(n, m, rngs=nnx.Rngs(n))),
        (Linen(), lambda n, m: linen.Dense(m)),
        (Brainstate(), brainstate.nn.Linear),
    ):
        layers = host.layers
        act = layers.SpikingActivation(F, learnable="alpha")
        lif = layers.LIF(4, learnable="decay", spike_fn=act, **host.recurrent(jnp.eye(4)))
        net = layers.SpikingSequential([dense(4, 4), lif, layers.SpikingSequential([dense(4, 2), layers.LI(2)])])
        yield host.params(net, XS)


@pytest.mark.parametrize("there", [0, 1, 2])
@pytest.mark.parametrize("here", [0, 1, 2])
def test_round_trip(here, there):
    trees = list(nets())
    source, target = trees[here], trees[there]
    source = jax.tree.map(lambda p: p + 0.125, source)
    moved = transfer(source, target)
    assert jax.tree.structure(moved) == jax.tree.structure(target)
    back = transfer(moved, source)
    assert jax.tree.structure(back) == jax.tree.structure(source)
    for a, b in zip(jax.tree.leaves(back), jax.tree.leaves(source), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(by_name(moved)["alpha"], F.alpha + 0.125)


def test_the_dtype_is_the_targets_and_a_convolutions_bias_keeps_its_rank():
    flax = {"layers_0": {"kernel": jnp.ones((3, 3, 1, 2)), "bias": jnp.array([1.0, 2.0])}}
    host = {("layers", 0, "weight"): {"weight": jnp.zeros((3, 3, 1, 2), jnp.bfloat16), "bias": jnp.zeros((1, 1, 2))}}
    moved = transfer(flax, host)["layers", 0, "weight"]
    assert moved["weight"].dtype == jnp.bfloat16
    np.testing.assert_array_equal(moved["bias"], [[[1, 2]]])
    np.testing.assert_array_equal(transfer({("layers", 0, "weight"): moved}, flax)["layers_0"]["bias"], [1, 2])


def test_what_does_not_fit_is_named():
    tree = {"layers_1": {"spike_fn": {"alpha": jnp.zeros(())}}}
    with pytest.raises(
        ValueError, match=r"\['layers.1.spike_fn.alpha'\] only in the source, \['layers.1.decay'\] only in"
    ):
        transfer(tree, {("layers", 1, "decay", "val"): jnp.zeros(())})
    with pytest.raises(ValueError, match=r"layers.1.spike_fn.alpha: shape \(\) in the source, \(4,\) in the target"):
        transfer(tree, {("layers", 1, "spike_fn", "alpha", "val"): jnp.zeros(4)})
    for shape, other in (((1, 8), (8, 1)), ((3, 1, 8), (3, 8, 1)), ((3, 3, 1, 8), (3, 3, 8, 1))):
        with pytest.raises(ValueError, match=r"a: shape \(.*\) in the source, \(.*\) in the target"):
            transfer({"a": jnp.zeros(shape)}, {"a": jnp.zeros(other)})


@pytest.mark.parametrize("f", [bs.LogTailedRelu(0.125), F, bs.LeakyRelu(0.25, 2.0)], ids=["scalar", "channels", "two"])
@pytest.mark.parametrize(
    "options", [{}, {"learnable": "alpha", "bounds": {"alpha": (0.0, 0.5)}}, {"learnable": "alpha", "bounds": None}]
)
@pytest.mark.parametrize("framework", ["nnx", "linen"])
def test_brainstate_interop_keeps_an_activation(framework, f, options):
    register_layers(framework)
    act = brainsurr.brainstate.SpikingActivation(f, **options)
    if framework == "nnx":
        theirs = brainstate.interop.to_nnx(act)
        ys, back = theirs(XS), brainstate.interop.from_nnx(theirs)
        assert type(theirs) is brainsurr.nnx.SpikingActivation
    else:
        theirs, variables = brainstate.interop.to_linen(act)
        ys, back = theirs.apply(variables, XS), brainstate.interop.from_linen(theirs, variables)
        assert type(theirs) is brainsurr.linen.SpikingActivation
    np.testing.assert_array_equal(ys, act(XS))
    jax.tree.map(np.testing.assert_array_equal, back.surrogate, act.surrogate)
    assert brainsurr.brainstate.bounds(back) == brainsurr.brainstate.bounds(act)
    assert type(back) is brainsurr.brainstate.SpikingActivation


@pytest.mark.usefixtures("lenient")
def test_brainstate_interop_in_a_sequential():
    for framework in ("nnx", "linen"):
        register_layers(framework)
        assert "SpikingActivation" in brainstate.interop.supported_layers(framework)[framework]
    act = brainsurr.brainstate.SpikingActivation(F, learnable="alpha")
    net = brainstate.nn.Sequential(brainstate.nn.Linear(4, 4), act, brainstate.nn.Linear(4, 2))
    act.alpha.set_value(jnp.full(4, 0.375))
    there = brainstate.interop.to_nnx(net)
    np.testing.assert_array_equal(there.layers[1].alpha[...], 0.375)
    module, variables = brainstate.interop.to_linen(net)
    np.testing.assert_array_equal(variables["params"]["layers_1"]["alpha"], 0.375)
    for ys in (there(XS), module.apply(variables, XS), brainstate.interop.from_linen(module, variables)(XS)):
        np.testing.assert_allclose(ys, net(XS), rtol=1e-6)


def test_unknown_framework():
    with pytest.raises(ValueError, match="expected framework to be one of 'nnx', 'linen', got 'equinox'"):
        register_layers("equinox")
