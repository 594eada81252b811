"""The same question to each framework: which layers are silent, and is the gradient right?"""

import brainstate
import jax
import jax.numpy as jnp
import numpy as np

KEY = jax.random.key(0)
XS = jnp.asarray(np.random.default_rng(0).uniform(0, 1, (6, 2, 3)), jnp.float32)


def diagnose(host, layer, loss, xs, unroll=None, mask=None):
    """The diagnosis of loss(ys), the same question to each framework."""
    run = host.layers.unroll
    if host.name == "nnx":

        def loss_fn(net):
            carry = net.initialize_carry(xs.shape[1:])
            return loss((run(net, carry, xs, **unroll) if unroll else net(carry, xs))[1])

        return host.layers.diagnose(layer, loss_fn, mask=mask)
    if host.name == "linen":
        carry = layer.initialize_carry(host.key(), xs.shape[1:])
        variables = {"params": host.params(layer, xs)}

        def loss_fn(variables):
            if unroll:
                return loss(run(layer.bind(variables), carry, xs, **unroll)[1])
            return loss(layer.apply(variables, carry, xs)[1])

        return host.layers.diagnose(variables, loss_fn, mask=mask)
    brainstate.nn.init_all_states(layer, xs.shape[1])
    return host.layers.diagnose(layer, lambda: loss(run(layer, xs, **unroll) if unroll else layer(xs)), mask=mask)


def checked(host, layers, xs=XS, run=None, loss=lambda ys: jnp.mean(ys**2)):
    """The report of a network of one host, and the network."""
    snn = host.layers
    net = snn.SpikingSequential(layers)
    run = run or (lambda net, *args: net(*args))
    if host.name == "brainstate":
        net.init_state(xs.shape[1])
        return snn.check_gradients(net, lambda: loss(run(net, xs))), net
    if host.name == "nnx":
        return snn.check_gradients(net, lambda net: loss(run(net, net.initialize_carry(xs.shape[1:]), xs)[1])), net
    carry = net.initialize_carry(KEY, xs.shape[1:])  # in float32, outside
    variables = net.init(KEY, carry, xs)
    return snn.check_gradients(variables, lambda v: loss(run(net.bind(v, rngs={"spikes": KEY}), carry, xs)[1])), net
