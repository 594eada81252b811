"""Layers for Equinox: the numbers of NNX, leaves that train and arrays that nothing moves, files, reports."""

import pickle

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from neuron_table import CASES, KERNEL, B, F, X

import brainsurr as bs
from brainsurr.equinox import LI, LIF, SpikingSequential, bounds, check_gradients, diagnose, unroll
from brainsurr.neurons import Neuron
from brainsurr.optim import project

pytestmark = pytest.mark.usefixtures("lenient")  # optax.adamw
KEY = jax.random.key(0)
XS = jnp.asarray(X, jnp.float32)
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def made(home, case, make="layer", **recurrent):
    """A layer of a case with all of it trained that can be."""
    options = {"learnable": case.learnable, "bounds": None} if case.learnable else {}
    options |= {"recurrent": True} | recurrent if case.recurrent else {}
    return getattr(home, make)(case.kind)(F, **case.setting, **options)


def of_equinox(case, make="layer"):
    return made(bs.equinox, case, make, recurrent_kernel=jnp.asarray(KERNEL, jnp.float32))


def of_nnx(case, make="layer"):
    init = {"recurrent_kernel_init": lambda *_: jnp.asarray(KERNEL, jnp.float32), "rngs": nnx.Rngs(0)}
    return made(bs.nnx, case, make, **init)


def summed(layer, xs):
    carry, ys = layer(layer.initialize_carry((B, F)), xs)
    return jnp.sum(ys.astype(jnp.float32) * jnp.arange(1.0, 1 + ys.size).reshape(ys.shape)), (carry, ys)


@every_case
@pytest.mark.parametrize("make", ["layer", "cell"])
def test_carry_outputs_and_gradients_are_those_of_nnx(case, make):
    """To the bit, of each trained parameter at the path of its field."""
    xs = XS if make == "layer" else XS[0]
    ours, theirs = of_equinox(case, make), of_nnx(case, make)
    grads, out = eqx.filter_jit(eqx.filter_grad(summed, has_aux=True))(ours, xs)
    expected, wanted = nnx.jit(nnx.grad(summed, has_aux=True))(theirs, xs)
    jax.tree.map(np.testing.assert_array_equal, out, wanted)
    paths = [*case.learnable, *["recurrent_kernel"] * case.recurrent]
    assert len(jax.tree.leaves(eqx.filter(ours, eqx.is_inexact_array))) == len(paths)
    for path in paths:
        one, other = grads, nnx.to_pure_dict(expected)
        for name in path.split("."):
            one, other = getattr(one, name), other[name]
        np.testing.assert_array_equal(one, other)


@every_case
def test_a_neuron_is_what_it_was_made_of(case):
    layer = of_equinox(case)
    assert layer.neuron == of_nnx(case).neuron
    assert isinstance(layer.neuron, Neuron)
    assert pickle.loads(pickle.dumps(type(layer))) is type(layer)


def network(**options):
    first, last = (eqx.nn.Linear(*size, key=KEY) for size in ((F, 6), (6, 2)))
    how = {"threshold": np.linspace(0.5, 1, 6, dtype=np.float32), "recurrent": True, "key": KEY}
    how |= {"spike_fn": bs.LeakyRelu(0.25, jnp.full(6, 1.0)), "learnable": ("decay", "spike_fn.alpha")}
    return SpikingSequential([first, LIF(6, **how), last, LI(2, decay=jnp.full(2, 0.5))], **options)


def loss(net, xs=XS, **how):
    carry = net.initialize_carry((B, F))
    _, ys = unroll(net, carry, xs, **how) if how else net(carry, xs)
    return jnp.mean(ys**2)


def test_a_network_gives_what_that_of_nnx_gives():
    net = network()
    twin = bs.nnx.SpikingSequential(
        [
            nnx.Linear(F, 6, rngs=nnx.Rngs(0)),
            made_twin(net.layers[1]),
            nnx.Linear(6, 2, rngs=nnx.Rngs(0)),
            bs.nnx.LI(2, decay=jnp.full(2, 0.5)),
        ]
    )
    for i in (0, 2):
        twin.layers[i].kernel[...], twin.layers[i].bias[...] = net.layers[i].weight.T, net.layers[i].bias
    how = {"block_size": 2, "remat": "full"}
    value, grads = eqx.filter_jit(eqx.filter_value_and_grad(loss))(net, **how)

    def of_twin(net):
        return jnp.mean(bs.nnx.unroll(net, net.initialize_carry((B, F)), XS, **how)[1] ** 2)

    wanted, expected = nnx.jit(nnx.value_and_grad(of_twin))(twin)
    np.testing.assert_allclose(value, wanted, rtol=1e-6)
    for name in ("decay", "recurrent_kernel"):
        left, right = getattr(grads.layers[1], name), expected.layers[1][name][...]
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(loss(net, **how), loss(net), rtol=1e-6)
    assert net.initialize_carry((B, F), key=KEY)[0] is None


def made_twin(lif):
    how = {
        "threshold": lif.threshold.array,
        "recurrent": True,
        "rngs": nnx.Rngs(0),
        "learnable": ("decay", "spike_fn.alpha"),
    }
    how |= {"recurrent_kernel_init": lambda *_: lif.recurrent_kernel}
    return bs.nnx.LIF(6, spike_fn=bs.LeakyRelu(0.25, jnp.full(6, 1.0)), **how)


def test_what_is_fixed_is_moved_by_nothing():
    """Not by weight decay, nor where filter_jit has made jax arrays of what it returns."""
    net = eqx.filter_jit(lambda net: net)(network())
    tx = optax.adamw(0.1, weight_decay=0.5)
    params = eqx.filter(net, eqx.is_inexact_array)
    updates, _ = tx.update(eqx.filter_grad(loss)(net), tx.init(params), params)
    after = eqx.apply_updates(net, updates)
    _, lif, _, li = after.layers
    assert lif.neuron.neuron.decay != net.layers[1].neuron.neuron.decay
    np.testing.assert_array_equal(lif.neuron.neuron.threshold, np.linspace(0.5, 1, 6, dtype=np.float32))
    np.testing.assert_array_equal(lif.neuron.neuron.spike_fn.beta, np.ones(6))
    np.testing.assert_array_equal(li.neuron.decay, [0.5, 0.5])
    assert not jax.tree.leaves(eqx.filter(li, eqx.is_inexact_array))


def test_a_value_outside_its_bounds_is_not_used_and_is_projected():
    lif = LIF(F, learnable=("decay", "spike_fn.alpha"), spike_fn=bs.LogTailedRelu(0.1), bounds={"decay": (0.2, 0.95)})
    intervals = bounds(SpikingSequential([lif])).layers[0]
    assert (intervals.decay, intervals.spike_fn.alpha) == ((0.2, 0.95), (0.0, 1.0))
    assert intervals.threshold is None
    outside = eqx.tree_at(lambda lif: (lif.decay, lif.spike_fn.alpha), lif, (jnp.array(2.0), jnp.array(-1.0)))
    assert (outside.neuron.decay, outside.neuron.spike_fn.alpha) == (np.float32(0.95), 0.0)
    params = eqx.filter(outside, eqx.is_inexact_array)
    tx = project(bounds(lif))
    updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
    np.testing.assert_allclose(eqx.apply_updates(outside, updates).decay, 0.95, rtol=1e-6)
    with pytest.raises(ValueError, match=r"LIF: decay = 2.0 is outside \[0.0, 1.0\]"):
        LIF(F, decay=2.0, learnable="decay")


def test_a_network_is_saved_and_read(tmp_path):
    net = eqx.tree_at(lambda net: net.layers[1].decay, network(), jnp.array(0.5))
    eqx.tree_serialise_leaves(tmp_path / "net.eqx", net)
    read = eqx.tree_deserialise_leaves(tmp_path / "net.eqx", network())
    assert eqx.tree_equal(read, net)
    assert not eqx.tree_equal(read, network())


def test_an_ensemble_is_mapped():
    keys = jax.random.split(KEY, 3)
    lifs = eqx.filter_vmap(lambda key: LIF(F, recurrent=True, key=key))(keys)
    ys = eqx.filter_vmap(lambda lif: lif(lif.initialize_carry((B, F)), XS)[1], in_axes=eqx.if_array(0))(lifs)
    alone = LIF(F, recurrent=True, key=keys[1])
    np.testing.assert_array_equal(ys[1], alone(alone.initialize_carry((B, F)), XS)[1])


def test_reports_name_layers_by_their_paths():
    net = network()
    report = diagnose(net, loss)
    assert [*report] == ["layers.1"]
    assert report["layers.1"].rate > 0
    quiet = SpikingSequential([bs.LogTailedRelu(0.1), LIF(F, threshold=99.0, spike_fn=bs.LogTailedRelu())])
    jitted = diagnose(quiet, lambda net: eqx.filter_jit(loss)(net))
    assert (jitted["layers.1"].status, {*jitted}) == ("dead", {"layers.0", "layers.1"})
    assert check_gradients(net, loss).fine


def test_spikes_are_drawn_with_a_key():
    lif = LIF(F, spike_fn=bs.Sigmoid(4.0))
    start = lif.initialize_carry((B, F))
    drawn, wanted = lif(start, XS, key=KEY)[1], lif.neuron(start, XS, key=KEY)[1]
    np.testing.assert_array_equal(drawn, wanted)
    assert (drawn != lif(start, XS)[1]).any()
    with pytest.raises(ValueError, match="LIF: recurrent=True draws weights"):
        LIF(F, recurrent=True)
    with pytest.raises(ValueError, match="recurrent_kernel is of recurrent weights"):
        LIF(F, recurrent_kernel=jnp.eye(F))


def test_a_function_that_mixes_examples_is_refused():
    with pytest.raises(ValueError, match="mixes"):
        loss(SpikingSequential([lambda xs: xs - xs.mean(1, keepdims=True), LIF(F)]))
    assert loss(SpikingSequential([lambda xs: xs - xs.mean(1, keepdims=True), LIF(F)], mixes_examples=True)) >= 0


def test_products_follow_events():
    spikes, linear = jnp.asarray(X > 1, jnp.float32), eqx.nn.Linear(F, 6, key=KEY)
    np.testing.assert_allclose(loss(network(events=True), spikes), loss(network(), spikes), rtol=1e-5)
    nets = [SpikingSequential([linear, LI(6)], events=events) for events in (True, False, None)]
    followed, dense, usual = (str(jax.make_jaxpr(lambda xs, net=net: loss(net, xs))(spikes)) for net in nets)
    assert followed != dense == usual


def test_a_module_gets_one_example_and_one_step():
    norm = eqx.nn.LayerNorm(F)
    net = SpikingSequential([norm, eqx.nn.MLP(F, 3, 5, 1, key=KEY), LI(3, decay=0.0)])
    _, ys = net(net.initialize_carry((B, F)), XS)
    np.testing.assert_allclose(ys[2, 1], net.layers[1](norm(XS[2, 1])), rtol=1e-5)
