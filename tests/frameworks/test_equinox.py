"""What is particular to Equinox: leaves that train and arrays that nothing moves, files, ensembles, keys."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from neuron_table import B, F, X

import brainsurr as bs
from brainsurr import optim
from brainsurr.equinox import LI, LIF, SpikingSequential, bounds, diagnose, unroll
from brainsurr.optim import project

pytestmark = pytest.mark.usefixtures("lenient")  # optax.adamw
KEY = jax.random.key(0)
XS = jnp.asarray(X, jnp.float32)


def network(**options):
    first, last = (eqx.nn.Linear(*size, key=KEY) for size in ((F, 6), (6, 2)))
    how = {"threshold": np.linspace(0.5, 1, 6, dtype=np.float32), "recurrent": True, "key": KEY}
    how |= {"spike_fn": bs.LeakyRelu(0.25, jnp.full(6, 1.0)), "learnable": ("decay", "spike_fn.alpha")}
    return SpikingSequential([first, LIF(6, **how), last, LI(2, decay=jnp.full(2, 0.5))], **options)


def loss(net, xs=XS):
    return jnp.mean(net(net.initialize_carry((B, F)), xs)[1] ** 2)


def is_fixed(part):
    return hasattr(part, "bits")


def test_the_options_of_a_network_and_the_size_of_a_layer_are_no_leaves():
    leaves = jax.tree_util.tree_leaves_with_path(LIF(F, learnable="decay", recurrent=True, key=KEY))
    names = {path[0].name for path, _ in leaves}
    assert names.isdisjoint({"features", "keeps_spikes", "_intervals", "_template", "_fixed", "_watch"}), names
    assert not jax.tree.leaves(SpikingSequential([], return_spikes=True, mixes_examples=True, events=True))
    fixed = [part for part in jax.tree.leaves(network(), is_leaf=is_fixed) if is_fixed(part)]
    assert len(fixed) == len(jax.tree.leaves(fixed)) == 3


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


def test_a_value_outside_its_bounds_is_not_used():
    lif = LIF(F, learnable=("decay", "spike_fn.alpha"), spike_fn=bs.LogTailedRelu(0.1), bounds={"decay": (0.2, 0.95)})
    intervals = bounds(SpikingSequential([lif])).layers[0]
    assert (intervals.decay, intervals.spike_fn.alpha) == ((0.2, 0.95), (0.0, 1.0))
    assert intervals.threshold is None
    inside = LIF(F, spike_fn=bs.Arctan(2.0).scaled(), learnable="spike_fn.alpha")
    assert bounds(inside).spike_fn.surrogate.alpha == bs.Arctan.bounds["alpha"]
    outside = eqx.tree_at(lambda lif: (lif.decay, lif.spike_fn.alpha), lif, (jnp.array(2.0), jnp.array(-1.0)))
    assert (outside.neuron.decay, outside.neuron.spike_fn.alpha) == (np.float32(0.95), 0.0)


def test_a_network_is_saved_and_read(tmp_path):
    net = eqx.tree_at(lambda net: net.layers[1].decay, network(), jnp.array(0.5))
    eqx.tree_serialise_leaves(tmp_path / "net.eqx", net)
    read = eqx.tree_deserialise_leaves(tmp_path / "net.eqx", network())
    assert eqx.tree_equal(read, net)
    assert not eqx.tree_equal(read, network())


@pytest.mark.parametrize(
    ("saved", "wanted"), [("spike_fn.alpha", ()), ((), "spike_fn.alpha")], ids=["fixed", "trained"]
)
def test_what_the_page_says_of_a_value_that_one_side_trains(tmp_path, saved, wanted):
    """docs/saving.md: a number is a leaf either way, an array per channel is one of two kinds."""
    one, other = (LIF(F, spike_fn=bs.LogTailedRelu(a), learnable=its) for a, its in ((0.5, saved), (0.25, wanted)))
    eqx.tree_serialise_leaves(tmp_path / "net.eqx", one)
    assert eqx.tree_deserialise_leaves(tmp_path / "net.eqx", other).neuron.spike_fn.alpha == 0.5
    one, other = (LIF(F, spike_fn=bs.LogTailedRelu(jnp.ones(F)), learnable=its) for its in (saved, wanted))
    eqx.tree_serialise_leaves(tmp_path / "net.eqx", one)
    with pytest.raises(RuntimeError, match="alpha"):
        eqx.tree_deserialise_leaves(tmp_path / "net.eqx", other)


def test_an_ensemble_is_mapped():
    keys = jax.random.split(KEY, 3)
    lifs = eqx.filter_vmap(lambda key: LIF(F, recurrent=True, key=key))(keys)
    ys = eqx.filter_vmap(lambda lif: lif(lif.initialize_carry((B, F)), XS)[1], in_axes=eqx.if_array(0))(lifs)
    alone = LIF(F, recurrent=True, key=keys[1])
    np.testing.assert_array_equal(ys[1], alone(alone.initialize_carry((B, F)), XS)[1])


@pytest.mark.parametrize(("size", "shape"), [(2, (2,)), ("scalar", ())])
def test_a_linear_has_its_bias(size, shape):
    linear = eqx.nn.Linear(F, size, key=KEY)
    net = SpikingSequential([linear])
    ys = net(net.initialize_carry((B, F)), XS)[1]
    wanted = (XS @ linear.weight.T + linear.bias).reshape(*XS.shape[:2], *shape)
    np.testing.assert_allclose(ys, wanted, rtol=1e-5, atol=1e-6, strict=True)  # of F products
    assert abs(linear.bias).min() > 1e-3


def test_reports_name_layers_by_their_paths():
    quiet = SpikingSequential([bs.LogTailedRelu(0.1), LIF(F, threshold=99.0, spike_fn=bs.LogTailedRelu())])
    jitted = diagnose(quiet, lambda net: eqx.filter_jit(loss)(net))
    assert (jitted["layers.1"].status, {*jitted}) == ("dead", {"layers.0", "layers.1"})
    assert "_watch" not in vars(quiet.layers[1])


def test_spikes_are_drawn_with_a_key():
    lif = LIF(F, spike_fn=bs.Sigmoid(4.0))
    start = lif.initialize_carry((B, F))
    drawn, wanted = lif(start, XS, key=KEY)[1], lif.neuron(start, XS, key=KEY)[1]
    np.testing.assert_array_equal(drawn, wanted)
    assert (drawn != lif(start, XS)[1]).any()
    with pytest.raises(ValueError, match="recurrent=True"):
        LIF(F, recurrent_kernel=jnp.eye(F))


def test_a_network_gives_its_layers_keys():
    """A Dropout, in a network inside and in blocks, has a mask for each step of each example; neurons get no key."""
    xs, out = jnp.ones((40, 50, F)), eqx.nn.Dropout(0.5)
    net = SpikingSequential([SpikingSequential([LIF(F, decay=0.0, spike_fn=bs.LogTailedRelu()), out])])
    carry = net.initialize_carry((50, F))
    kept, again, other = (net(carry, xs, key=jax.random.key(seed))[1] for seed in (0, 0, 1))
    np.testing.assert_array_equal(jnp.unique(kept), [0.0, 2.0])
    np.testing.assert_array_equal(kept, again)
    for changed in (other, *(jnp.roll(kept, 1, axis) for axis in range(3))):
        assert abs(float((kept != changed).mean()) - 0.5) < 0.05
    in_blocks = unroll(net, carry, xs, block_size=10, key=KEY)[1]
    assert abs(float((in_blocks[:10] != in_blocks[10:20]).mean()) - 0.5) < 0.05
    alone = SpikingSequential([LIF(F)])
    np.testing.assert_array_equal(alone(carry[0][:1], xs, key=KEY)[1], alone(carry[0][:1], xs)[1])


def test_bounds_are_those_of_layers_and_of_neurons_beside_them():
    li, f, half = bs.neurons.LI, bs.LogTailedRelu, jnp.array(0.5)
    both = [LIF(F, learnable="decay"), li(half), f(half), li(0.5)]
    found = bounds(both)
    assert [found[0].decay, found[1].decay, found[2].alpha] == [(0.0, 1.0), li.bounds["decay"], (0.0, 1.0)]
    assert found[3].decay is None
    params = eqx.filter(both, eqx.is_inexact_array)
    far = jax.tree.map(lambda p: jnp.full_like(p, 9.0), params)
    updates, _ = project(found).update(far, (), params)
    after = eqx.apply_updates(both, updates)
    assert [float(value) for value in (after[0].decay, after[1].decay, after[2].alpha)] == [1.0, 1.0, 1.0]
    with pytest.raises(TypeError, match=r"got a layer, LIF: write brainsurr\.equinox\.bounds"):
        optim.bounds(both)


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


def test_a_fixed_array_is_no_number_for_others():
    """An average of all arrays, a cast of them, and another array in its place are errors, not other values."""
    lif, xs = LIF(2, decay=jnp.array([0.5, 0.9])), jnp.ones((3, 1, 2))
    carry = lif.initialize_carry((1, 2))
    arrays, rest = eqx.partition(lif, eqx.is_array)
    for changed in (jax.tree.map(lambda a: 0.5 * a + 0.5 * a, arrays), jax.tree.map(lambda a: a.astype("i4"), arrays)):
        with pytest.raises(TypeError, match=r"a fixed array became .* eqx.is_inexact_array"):
            eqx.combine(changed, rest)(carry, xs)
    placed = eqx.tree_at(lambda lif: lif.decay, lif, jnp.full(2, 0.7))
    with pytest.raises(TypeError, match=r"^LIF: decay is fixed: to train it, make a new layer"):
        placed(carry, xs)
