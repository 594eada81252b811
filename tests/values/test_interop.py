import math

import brainstate
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import each_value_once
from close import assert_close
from flax import nnx

import brainsurr as bs
from brainsurr.interop import transfer
from tools.frameworks import Brainstate, Linen, Nnx, by_name

XS = (jnp.arange(24.0) / 8 - 1.5).reshape(2, 3, 4)
F = bs.LogTailedRelu(jnp.array([0.0, 0.125, 0.25, 0.5]), continuous=True)


def nets():
    """The same network in each framework, weights drawn anew in each."""
    for host in (Nnx(), Linen(), Brainstate()):
        layers, rngs = host.layers, nnx.Rngs(0)
        act = layers.SpikingActivation(F, learnable="alpha")
        lif = layers.LIF(4, learnable="decay", spike_fn=act, **host.recurrent(jnp.eye(4)))
        last = layers.SpikingSequential([host.dense(4, 2, rngs), layers.LI(2)])
        net = layers.SpikingSequential([host.dense(4, 4, rngs), lif, last])
        yield host.params(net, XS)


@pytest.mark.parametrize(("here", "there"), each_value_once([0, 1, 2], [1, 2, 0]))
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


def test_the_dtype_and_the_rank_of_a_bias_are_the_targets():
    flax = {"layers_0": {"kernel": jnp.ones((3, 3, 1, 2)), "bias": jnp.array([1.0, 2.0])}}
    host = {("layers", 0, "weight"): {"weight": jnp.zeros((3, 3, 1, 2), jnp.bfloat16), "bias": jnp.zeros((1, 1, 2))}}
    moved = transfer(flax, host)["layers", 0, "weight"]
    assert moved["weight"].dtype == jnp.bfloat16
    np.testing.assert_array_equal(moved["bias"], [[[1, 2]]])
    np.testing.assert_array_equal(transfer({("layers", 0, "weight"): moved}, flax)["layers_0"]["bias"], [1, 2])


def test_what_does_not_fit_is_named():
    tree = {"layers_1": {"spike_fn": {"alpha": jnp.zeros(())}}}
    differ = r"\['layers.1.spike_fn.alpha'\] only in the source, \['layers.1.decay'\] only in"
    with pytest.raises(ValueError, match=differ):
        transfer(tree, {("layers", 1, "decay", "val"): jnp.zeros(())})
    with pytest.raises(ValueError, match=r"layers.1.spike_fn.alpha: shape \(\) in the source, \(4,\) in the target"):
        transfer(tree, {("layers", 1, "spike_fn", "alpha", "val"): jnp.zeros(4)})
    for shape, other in (((1, 8), (8, 1)), ((3, 1, 8), (3, 8, 1)), ((3, 3, 1, 8), (3, 3, 8, 1))):
        with pytest.raises(ValueError, match=r"a: shape \(.*\) in the source, \(.*\) in the target"):
            transfer({"a": jnp.zeros(shape)}, {"a": jnp.zeros(other)})
    with pytest.raises(ValueError, match="a: numbers in the source are too large for float16, the dtype in the target"):
        transfer({"a": jnp.full(2, 1e30)}, {"a": jnp.ones(2, jnp.float16)})


# The shape of the input, channels in and out, the kernel, and the number of groups.
CONVOLUTIONS = {
    "1d": ((7,), (3, 3), (4,), 1),
    "2d": ((6, 5), (2, 3), (3, 2), 1),
    "groups": ((6, 5), (4, 2), (3, 2), 2),  # the kernel looks like 2 to 2
    "3d": ((4, 3, 5), (2, 2), (2, 3, 1), 1),
}


def in_nnx(kind, sizes, kernel, xs, **options):
    """The parameters of a convolution in a list of layers, drawn anew, and its outputs as a function of them."""
    net = nnx.Module()
    net.layers = nnx.List([getattr(nnx, kind)(*sizes, kernel, rngs=nnx.Rngs(0), **options)])

    def run(params):
        nnx.update(net, params)
        return net.layers[0](xs)

    return jax.tree.map(lambda p: p + 0.125, nnx.state(net, nnx.Param)), run


def in_brainstate(kind, sizes, kernel, xs, groups):
    make = getattr(brainstate.nn, f"{kind}{xs.ndim - 2}d")
    net = brainstate.nn.Module()
    net.layers = [
        make((*xs.shape[1:-1], sizes[0]), sizes[1], kernel, groups=groups, b_init=brainstate.nn.init.Normal())
    ]
    states = net.states(brainstate.ParamState)

    def run(params):
        states.assign_dict_values(params)
        return net.layers[0](xs)

    return states.to_dict_values(), run


@pytest.mark.usefixtures("lenient")
@pytest.mark.parametrize(("case", "transpose"), each_value_once(list(CONVOLUTIONS), [None, False, True]))
def test_a_convolution_gives_the_same_outputs_elsewhere(case, transpose):
    shape, sizes, kernel, groups = CONVOLUTIONS[case]
    kind, options = "Conv", {"feature_group_count": groups}
    if transpose is not None:  # a transposed convolution
        kind, options = "ConvTranspose", {"transpose_kernel": transpose}
        sizes, groups = sizes if groups == 1 else (2, 2), 1
    xs = jax.random.normal(jax.random.key(1), (2, *shape, sizes[0]))
    here = in_nnx(kind, sizes, kernel, xs, padding="SAME", **options)
    there = in_brainstate(kind, sizes, kernel, xs, groups)
    transposed = "layers.0.kernel" if transpose is False else ()
    for (params, run), (like, run_there) in ((here, there), (there, here)):
        moved = transfer(params, like, transposed=transposed)
        # Of each output: a product and a sum for each weight.
        assert_close(run_there(moved), run(params), 2 * math.prod(kernel) * sizes[0])
        jax.tree.map(np.testing.assert_array_equal, transfer(moved, params, transposed=transposed), params)


@pytest.mark.parametrize("shape", [(3, 2, 2), (3, 3, 4, 4), (1, 2, 3, 3, 3)])
def test_a_kernel_that_may_be_transposed_is_refused(shape):
    flax, host = {"layers_0": {"kernel": jnp.ones(shape)}}, {("layers", 0, "weight"): {"weight": jnp.zeros(shape)}}
    for pair in ((flax, host), (host, flax)):
        with pytest.raises(ValueError, match=r"0.kernel of .* ConvTranspose .* transposed="):
            transfer(*pair)
        assert jax.tree.leaves(transfer(*pair, transposed=()))[0].shape == shape
    for tree in (flax, host):
        jax.tree.map(np.testing.assert_array_equal, transfer(tree, tree), tree)


def test_what_is_transposed_is_named_as_it_is_here():
    flax = {"layers_0": {"kernel": jnp.ones((3, 2, 4))}, "layers_1": {"kernel": jnp.ones((2, 2))}}
    host = {("layers", i, "weight"): {"weight": jnp.ones(shape)} for i, shape in enumerate([(3, 4, 2), (2, 2)])}
    with pytest.raises(ValueError, match=r"\(3, 2, 4\) in the source"):
        transfer(flax, host)
    for name in ("layers_0.kernel", "layers.0", "layers.1.kernel"):
        with pytest.raises(ValueError, match=rf"convolutions, of \['layers.0.kernel'\], got '{name}'"):
            transfer(flax, host, transposed=name)
    host["layers", 0, "weight"]["weight"] = jnp.ones((3, 2, 4))
    with pytest.raises(ValueError, match=r"0.kernel: shape \(3, 2, 4\) in the source, \(3, 2, 4\) in the target"):
        transfer(flax, host, transposed=["layers.0.kernel"])


def test_two_parameters_of_one_name_are_refused():
    twice, once = {"layers": {"0": {"a": 1.0}}, "layers_0": {"a": 2.0}}, {"layers_0": {"a": jnp.zeros(())}}
    both = r"\['layers'\]\['0'\]\['a'\] and \['layers_0'\]\['a'\] in the {} are both called layers.0.a"
    with pytest.raises(ValueError, match=both.format("source")):
        transfer(twice, once)
    with pytest.raises(ValueError, match=both.format("target")):
        transfer(once, twice)
