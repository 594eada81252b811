"""Parameters are trained in the same way in each framework: names, bounds, edges, starts."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import first_quick, label

import brainsurr as bs
from brainsurr.optim import follow, project
from tools.frameworks import HOSTS, OF_VARIABLES, by_name, leaf_name

BELOW, ABOVE = jnp.full((3, 2, 4), -1.0), jnp.full((3, 2, 4), 1.5)


@pytest.fixture(params=OF_VARIABLES, ids=label)
def host(request):
    return request.param()


def intervals(host, layer):
    tree, is_leaf = host.bounds(layer, BELOW), lambda node: node is None or isinstance(node, tuple)
    pairs = {leaf_name(path): pair for path, pair in jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_leaf)}
    return {name: pairs[name] for name in by_name(host.params(layer, BELOW))}


def test_bounds_are_the_surrogates_the_users_or_none(host):
    act, f = host.layers.SpikingActivation, bs.LeakyRelu(0.1, 2.0)
    assert intervals(host, act(f)) == {}
    assert intervals(host, act(f, learnable="beta")) == {"beta": (0.0, 10.0)}
    both = ("alpha", "beta")
    assert intervals(host, act(f, learnable=both)) == {"alpha": (0.0, 1.0), "beta": (0.0, 10.0)}
    user = act(f, learnable=both, bounds={"alpha": [0, 0.5], "beta": None})
    assert intervals(host, user) == {"alpha": (0.0, 0.5), "beta": None}
    assert intervals(host, act(f, learnable=both, bounds=None)) == {"alpha": None, "beta": None}


class Mean(bs.Surrogate):
    """The mean of two surrogates, with an interval of its own for the first alpha."""

    bounds: ClassVar = {"first_alpha": (0.0, 0.25)}

    def __init__(self, first, second):
        self.first, self.second = first, second

    def surrogate_fun(self, x):
        return (self.first.surrogate_fun(x) + self.second.surrogate_fun(x)) / 2


def test_bounds_of_surrogates_inside_of_others(host):
    def bounds_of(f):
        layer = host.layers.SpikingActivation(f, learnable=tuple(f.named_parameters()[1]))
        return intervals(host, layer)

    f = Mean(bs.LogTailedRelu(0.125), bs.Arctan(2.0))
    own, scales = {"first_alpha": (0.0, 0.25), "second_alpha": (0.01, 100)}, {"height": (0, 100), "width": (0.01, 100)}
    assert bounds_of(f) == own
    scaled = {f"surrogate_{name}": interval for name, interval in own.items()} | scales
    assert bounds_of(f.scaled()) == scaled
    assert f.scaled().bounds == scaled
    each = {"surrogate_alpha": (0.01, 100), **scales}
    both = bounds_of(Mean(bs.Arctan(2.0).scaled(), bs.Arctan(3.0).scaled()))
    assert both == {f"{which}_{name}": each[name] for which in ("first", "second") for name in each}


@pytest.mark.parametrize("host", [host() for host in HOSTS], ids=label)
def test_bounds_of_neurons(host):
    lif, li = host.layers.LIF, host.layers.LI
    assert intervals(host, lif(4, learnable="decay")) == {"decay": (0.0, 1.0)}
    every = lif(
        4,
        learnable=("decay", "threshold", "spike_fn.alpha"),
        bounds={"threshold": (0.5, 2.0)},
        spike_fn=bs.LogTailedRelu(0.1),
        **host.recurrent(jnp.eye(4)),
    )
    expected = {"decay": (0.0, 1.0), "threshold": (0.5, 2.0), "alpha": (0.0, 1.0), "recurrent_kernel": None}
    assert intervals(host, every) == expected
    assert intervals(host, li(4, learnable="decay", bounds=None)) == {"decay": None}
    delays = {"longest": 4, "learnable": "delay"}
    for given, expected in ({}, (0.0, 4.0)), ({"delay": (0, 3)}, (0.0, 3.0)):
        assert intervals(host, host.layers.LearnableDelay(4, **delays, bounds=given)) == {"delay": expected}
    with pytest.raises(ValueError, match="bounds of delay"):
        host.layers.LearnableDelay(4, **delays, bounds={"delay": (0, 9)})


@pytest.mark.parametrize("per_channel", first_quick([True, False]))
def test_an_edge_is_reached_kept_and_left(host, per_channel):
    """Below threshold ds/dalpha = x = -1: maximising the spikes drives alpha down, minimising them up."""
    start = jnp.full(4, 0.25) if per_channel else 0.25
    layer = host.layers.SpikingActivation(bs.LogTailedRelu(start), learnable="alpha", bounds={"alpha": (0.0, 0.5)})
    params = host.params(layer, BELOW)
    tx = optax.chain(optax.sgd(0.03 if per_channel else 0.008), project(host.bounds(layer, BELOW)))
    seen = []
    for sign in [1] * 4 + [-1] * 6 + [1]:
        _, grads, _ = host.grad(layer, lambda _, ys, sign=sign: sign * ys.sum(), BELOW)
        updates, _ = tx.update(grads, tx.init(params), params)
        params = optax.apply_updates(params, updates)
        layer = host.with_params(layer, params)
        alpha = np.asarray(by_name(params)["alpha"])
        assert alpha.shape == jnp.shape(start)
        seen.append(float(alpha.ravel()[0]))
        assert (alpha == seen[-1]).all()
    assert all(0 <= a <= 0.5 for a in seen)
    assert seen[2:4] == [0.5, 0.5]  # reached and kept
    assert seen[4] < 0.5  # left at once
    assert seen[8:10] == [0.0, 0.0]  # 0 itself is reached
    assert seen[10] > 0


@pytest.mark.parametrize(("stored", "used"), [(-3.0, 0.0), (7.0, 1.0), (-3.0, -3.0)])
def test_a_value_outside_is_never_used_and_still_has_a_gradient(host, stored, used):
    """Without project the stored value may wander; the layer clips it if it has bounds, and passes the gradient."""
    bounds = {} if used in (0, 1) else None
    f = bs.LogTailedRelu(0.25, continuous=True)
    layer = host.layers.SpikingActivation(f, learnable="alpha", bounds=bounds)
    params = jax.tree.map(lambda p: jnp.full_like(p, stored), host.params(layer, BELOW))
    layer = host.with_params(layer, params)
    _, grads, gx = host.grad(layer, lambda _, ys: ys.sum(), BELOW)
    np.testing.assert_array_equal(gx, used)
    np.testing.assert_array_equal(by_name(grads)["alpha"], BELOW.sum())
    bound = layer.bind({"params": params}) if host.name == "linen" else layer
    assert bound.surrogate == f.replace(alpha=jnp.float32(used))


@pytest.mark.parametrize("start", first_quick([jnp.full(4, 0.25), 0.25]), ids=["per channel", "number"])
def test_height_and_width_have_bounds_and_follow_a_schedule(host, start):
    surrogate = bs.LogTailedRelu(0.5).scaled(height=start, width=start)
    layer = host.layers.SpikingActivation(surrogate, learnable=("height", "width"))
    assert intervals(host, layer) == {"height": (0.0, 100.0), "width": (0.01, 100.0)}
    params, tx = host.params(layer, ABOVE), follow(lambda n: 0.5 * n.astype(float))
    updates, _ = tx.update(params, tx.init(params), params)
    params = optax.apply_updates(params, updates)
    assert [np.shape(param) for param in by_name(params).values()] == [np.shape(start)] * 2
    _, _, gx = host.grad(host.with_params(layer, params), lambda _, ys: ys.sum(), ABOVE)
    np.testing.assert_array_equal(gx, np.full(ABOVE.shape, np.float32(0.5 * 0.5 / 1.5)))
