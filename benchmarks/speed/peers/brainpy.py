"""brainpy.state: `for_loop` over time steps, and `checkpointed_for_loop`."""

import math

import brainpy
import brainstate
import braintools
import jax
import jax.numpy as jnp
import optax

from . import task


class Net(brainstate.nn.Module):
    """The task's network; R makes up for the neurons' taking (1 - decay) of their input."""

    def __init__(self, weights):
        super().__init__()
        tau, zeros = -1 / math.log(task.DECAY), braintools.init.Constant(0.0)
        neuron = {"R": 1 / (1 - task.DECAY), "tau": tau, "V_th": task.THRESHOLD, "V_reset": 0.0, "V_rest": 0.0}
        arctan = braintools.surrogate.Arctan(task.ALPHA)
        self.layers = []
        for w in weights[:-1]:
            self.layers += [
                brainstate.nn.Linear(*w.shape, w_init=jnp.asarray(w), b_init=None),
                brainpy.state.LIF(w.shape[1], **neuron, V_initializer=zeros, spk_fun=arctan),
            ]
        w = weights[-1]
        self.layers.append(brainpy.state.LeakyRateReadout(*w.shape, tau=tau, w_init=jnp.asarray(w)))

    def update(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def build(mode, batch, steps):
    brainstate.environ.set(dt=1.0)
    net, loop = Net(task.weights()), getattr(brainstate.transform, mode)
    params = net.states(brainstate.ParamState)
    xs, labels = jax.device_put(task.inputs(batch, steps)), jnp.asarray(task.labels(batch))

    @brainstate.transform.jit
    def train_step(xs, labels):
        brainstate.nn.init_all_states(net, batch_size=batch)

        def loss_fn():
            logits = loop(net, xs).mean(0)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        grads, loss = brainstate.transform.grad(loss_fn, params, return_value=True)()
        for name, grad in grads.items():
            params[name].value = jax.tree.map(lambda p, g: p - task.NETWORK.rate * g, params[name].value, grad)
        return loss

    def step():
        loss = train_step(xs, labels)
        jax.block_until_ready([param.value for param in params.values()])
        return float(loss)

    return step


def live():
    brainstate.environ.set(dt=1.0)
    net = Net(task.weights())
    brainstate.nn.init_all_states(net, batch_size=1)
    step = brainstate.transform.jit(net)
    return lambda x: jax.block_until_ready(step(x))


if __name__ == "__main__":
    task.main(build, ["for_loop", "checkpointed_for_loop"], ["brainpy", "brainstate", "jax"], live=live)
