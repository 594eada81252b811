"""Libraries that call a surrogate as they call any function: a row each, and the same two tests of all.

With our activation a network has the gradient of the formula by plain autodiff, and without training alpha the same in
all else; the section of docs/other-libraries.md is run. `load` skips a library that is not to be had on this Python.
"""

import dataclasses

import brainstate
import braintools
import brainunit as u
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from pages import LIBRARIES, run_blocks
from peer import assert_same, inputs, load, log_tailed_relu, target

import brainsurr as bs


class Brainstate:
    """What brainpy and brainspikes share: networks of brainstate."""

    class ByHand(brainstate.nn.Module):
        def __init__(self):
            super().__init__()
            self.alpha = brainstate.nn.Param(jnp.array(0.1))

        def update(self, x):
            return log_tailed_relu(u.get_mantissa(x), self.alpha.value())

    def activation(self):
        return bs.brainstate.SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha")

    def gradients(self, spk_fun, **options):
        net = self.network(spk_fun, **options)
        return brainstate.transform.grad(lambda: self.loss(net), net.states(brainstate.ParamState))()

    def network(self, spk_fun, **options):
        """Linear layers around the neurons, from the same weights each time."""
        brainstate.random.seed(0)
        return self.Net(brainstate.nn.Linear(4, 16), self.neuron(spk_fun, **options), brainstate.nn.Linear(16, 2))


class Brainpy(Brainstate):
    """The neuron calls its spk_fun twice a step: with the last potential for the reset, with the new one to fire."""

    variants = ({"spk_reset": "soft"}, {"spk_reset": "hard"})

    class Net(brainstate.nn.Module):
        def __init__(self, first, neuron, last):
            super().__init__()
            self.first, self.neuron, self.last = first, neuron, last

        def update(self, x):
            return self.last(self.neuron(5 * self.first(x)))

    def __init__(self):
        self.lif = load("brainpy.state").LIF

    def neuron(self, spk_fun, **options):
        volts = {"V_th": 1.0, "V_reset": 0.0, "V_rest": 0.0, "V_initializer": braintools.init.Constant(0.0)}
        return self.lif(16, R=1.0, tau=5 * u.ms, spk_fun=spk_fun, **volts, **options)

    def loss(self, net):
        brainstate.nn.init_all_states(net, 8)
        with brainstate.environ.context(dt=1.0 * u.ms):
            return jnp.mean((brainstate.transform.for_loop(net, inputs()).mean(0) - target()) ** 2)

    def check_page(self, spikes, lif, **_):
        assert spikes.shape == (20, 16)
        assert list(jax.tree.leaves(lif.states(brainstate.ParamState).to_dict_values())) == [jnp.float32(0.02)]


class Brainspikes(Brainstate):
    """For one example: the neurons have no batch, and ask for the time step as they are made."""

    class Net(Brainpy.Net):
        def update(self, i, x):
            with brainstate.environ.context(t=i * u.ms):
                return self.last(self.neuron(2000.0 * self.first(x) * u.pA))

    def __init__(self):
        self.iaf = load("brainspike", "brainspikes").iaf_psc_delta

    def neuron(self, spk_fun):
        with brainstate.environ.context(dt=1.0 * u.ms):
            return self.iaf(16, spk_fun=spk_fun)

    def loss(self, net):
        with brainstate.environ.context(dt=1.0 * u.ms):
            brainstate.nn.init_all_states(net)
            ys = brainstate.transform.for_loop(net, jnp.arange(20), inputs()[:, 0])
        return jnp.mean((ys.mean(0) - target()[0]) ** 2)

    def check_page(self, spikes, **_):
        assert spikes.shape == (20, 16)


class Spyx:
    class ByHand(nnx.Module):
        def __init__(self):
            self.alpha = nnx.Param(jnp.array(0.1))

        def __call__(self, x):
            return log_tailed_relu(x, self.alpha[...])

    def __init__(self):
        self.nn = load("spyx").nn

    def activation(self):
        return bs.nnx.SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha")

    def network(self, activation):
        rngs = nnx.Rngs(0)
        return self.nn.Sequential(
            nnx.Linear(4, 16, rngs=rngs),
            self.nn.LIF((16,), beta=0.9, activation=activation, rngs=rngs),
            nnx.Linear(16, 2, rngs=rngs),
            self.nn.LI((2,), rngs=rngs),
        )

    def loss(self, net):
        return jnp.mean((self.nn.run(net, inputs())[0][-1] - target()) ** 2)

    def gradients(self, activation):
        return nnx.grad(self.loss)(self.network(activation))

    def check_page(self, ys, net, act, **_):
        assert jax.tree.map(jnp.shape, ys) == (20, 8, 2)
        assert net.layers[1].spike is act


class Slax:
    class ByHand(linen.Module):
        @linen.compact
        def __call__(self, x):
            return log_tailed_relu(x, self.param("alpha", lambda key: jnp.array(0.1)))

    def __init__(self):
        self.lif = load("slax").LIF

    def activation(self):
        return bs.linen.SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha")

    def network(self, spike_fn):
        neurons = linen.RNN(self.lif(spike_fn=spike_fn), time_major=True)
        net = linen.Sequential([linen.Dense(16), neurons, linen.Dense(2)])
        return net, net.init(jax.random.key(3), inputs())["params"]

    def loss(self, params, net):
        return jnp.mean((net.apply({"params": params}, inputs()).mean(0) - target()) ** 2)

    def gradients(self, spike_fn):
        net, params = self.network(spike_fn)
        return jax.grad(self.loss)(params, net)

    def check_page(self, ys, params, **_):
        assert ys.shape == (20, 8, 2)
        assert [float(alpha) for alpha in jax.tree.leaves(params["layers_1"])] == [np.float32(0.02)]


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class ByHand:
    alpha: jax.Array = dataclasses.field(default_factory=lambda: jnp.array(0.1))

    def __call__(self, x):
        return log_tailed_relu(x, self.alpha)


class Jaxsnn:
    """It takes a function of jax; a surrogate is a pytree, so it may be differentiated as it is."""

    ByHand = ByHand

    def __init__(self):
        load("jaxsnn")
        self.modules = load("jaxsnn.discrete.modules")
        self.topology = load("jaxsnn.discrete.topology").Topology

    def activation(self):
        return bs.LogTailedRelu(jnp.array(0.1))

    def network(self, method):
        net, modules = self.topology(dt=1e-3), self.modules
        neurons = {"inp": modules.Input(4), "lif": modules.LIF(16, method=method), "li": modules.LI(2)}
        net.add({**neurons, "ih": modules.Linear(mean=0.3, std=0.7), "ho": modules.Linear(mean=0.0, std=0.7)})
        net.connect([("inp", "ih"), ("ih", "lif"), ("lif", "ho"), ("ho", "li")])
        return net.done()

    def start(self, method):
        return self.network(method)[0](jax.random.PRNGKey(0)), method

    def loss(self, params):
        weights, method = params
        xs = jax.random.bernoulli(jax.random.key(0), 0.5, (8, 40, 4)).astype(jnp.float32)  # [batch, time, features]
        _, ys = jax.vmap(self.network(method)[1], in_axes=(0, None))({"inp": xs}, weights)
        return jnp.mean((ys["li"][:, -1] - target()) ** 2)

    def gradients(self, method):
        return jax.grad(self.loss)(self.start(method))

    def check_page(self, gradients, **_):
        assert jnp.isfinite(gradients[1].alpha)
        assert gradients[1].alpha != 0


class Jaxpike:
    """It takes a tree of arrays, with one alpha or one for each channel."""

    ByHand = ByHand
    variants = ({"shape": ()}, {"shape": (16,)})

    def __init__(self):
        self.jaxpike = load("jaxpike")

    def activation(self):
        return bs.LogTailedRelu(jnp.array(0.1))

    def network(self, surrogate):
        first, second = jax.random.split(jax.random.key(2))
        return self.jaxpike.Sequential(
            self.jaxpike.Dense(4, 16, key=first, gain=3.0),
            self.jaxpike.LIF(5.0, surrogate=surrogate),
            self.jaxpike.Dense(16, 2, key=second),
            self.jaxpike.LeakyIntegrator(5.0),
        )

    def loss(self, net):
        ys, _ = self.jaxpike.unroll(net, 2 * inputs(), scan_unroll=1)
        return jnp.mean((ys[-1] - target()) ** 2)

    def gradients(self, surrogate, shape):
        each = jax.tree.map(lambda alpha: jnp.full(shape, alpha), surrogate)
        return load("equinox").filter_grad(self.loss)(self.network(each))

    def check_page(self, net, **_):
        assert 0 <= net.layers[1].surrogate.alpha <= 1
        assert net.layers[1].surrogate.alpha != np.float32(0.02)


ROWS = {
    "brainpy.state": Brainpy,
    "brainspikes": Brainspikes,
    "jaxpike": Jaxpike,
    "jaxsnn": Jaxsnn,
    "slax": Slax,
    "spyx": Spyx,
}


@pytest.fixture(params=ROWS)
def library(request):
    return ROWS[request.param]()


def by_path(gradients, without="nothing"):
    """The leaves of a tree by their paths, but for those that have a word in it."""
    leaves = jax.tree_util.tree_leaves_with_path(gradients)
    return {name: leaf for path, leaf in leaves if without not in (name := jax.tree_util.keystr(path))}


def test_gradient_is_the_formula(library):
    for how in getattr(library, "variants", ({},)):
        ours = library.gradients(library.activation(), **how)
        assert_same(by_path(ours), by_path(library.gradients(library.ByHand(), **how)))
        fixed = library.gradients(bs.LogTailedRelu(0.1), **how)
        assert_same(by_path(fixed, without="alpha"), by_path(ours, without="alpha"))
        assert len(by_path(ours)) == 1 + len(by_path(ours, without="alpha"))


def test_page(library, request):
    library.check_page(**run_blocks(LIBRARIES, request.node.callspec.params["library"]))


def test_eprop_of_jaxpike_takes_one_alpha_for_a_layer():
    """It maps over single numbers, where an alpha per channel has no place: that is an error, not a wrong gradient."""
    library = Jaxpike()

    def online(surrogate):
        net = library.network(surrogate)
        return library.jaxpike.eprop_grads(net, 2 * inputs(), lambda y: jnp.mean((y - target()) ** 2))[0]

    assert_same(online(library.activation()).layers[0], online(ByHand()).layers[0])
    with pytest.raises(ValueError, match="alpha of shape"):
        online(bs.LogTailedRelu(jnp.full(16, 0.1)))


def test_page_of_brainevent():
    """Which comes with brainpy, without the numba that its default on a CPU needs."""
    load("brainevent", "brainpy").config.set_backend("cpu", "jax_raw")
    scope = run_blocks(LIBRARIES, "brainevent")
    spikes, kernel = scope["spikes"], scope["kernel"]
    assert 0.1 < spikes.mean() < 0.9

    def gradient(f):
        return jax.grad(lambda *args: jnp.sum(f(*args) ** 2), (0, 1))(spikes, kernel)

    assert_same(scope["ys"], spikes @ kernel)
    assert_same(gradient(scope["product"]), gradient(jnp.matmul))
