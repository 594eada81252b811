"""brainstate."""

import brainstate
import jax
from brainstate import graph

import brainsurr.brainstate

from . import Host, Pure


class Linear(brainstate.nn.Linear):
    """A linear layer computed in ``dtype``; brainstate's returns the promoted dtype of its parameters and input."""

    def __init__(self, inputs, outputs, dtype):
        super().__init__(inputs, outputs)
        self.dtype = dtype

    def update(self, x):
        """Return ``x @ weight + bias``."""
        weight, bias = (self.weight.value[name].astype(self.dtype) for name in ("weight", "bias"))
        return x.astype(self.dtype) @ weight + bias


class Brainstate(Host):
    """brainstate: a module holds its parameters and its carry."""

    name = "brainstate"
    layers = brainsurr.brainstate

    @staticmethod
    def dense(inputs, outputs, rngs=None, dtype=None):
        """Make a linear layer."""
        with brainstate.random.seed_context(jax.random.key(0) if rngs is None else rngs.params()):
            return Linear(inputs, outputs, dtype) if dtype else brainstate.nn.Linear(inputs, outputs)

    @classmethod
    def call(cls, layer, input_shape, carry, xs):
        """Return the carry and the outputs of a layer, from its own first carry."""
        layer.init_state(input_shape[:-1] or None)
        ys = layer(xs)
        return cls._carry(layer), ys

    @staticmethod
    def _carry(layer):
        """Return the state of a layer as the other frameworks hold it."""
        return layer._state(layer.neuron) if hasattr(layer, "_neuron_class") else None

    @staticmethod
    def pure(net, input_shape) -> Pure:
        """Make a pure function of a network; its carry is a list of the values of its states."""
        graphdef, states = graph.treefy_split(net)

        def fresh(params, batch_size):
            # A new network each time: inside a jax transformation, only states made there can be written.
            net = graph.treefy_merge(graphdef, states)
            net.states(brainstate.ParamState).assign_dict_values(params)
            net.init_state(batch_size)
            return net, list(net.states(brainstate.HiddenState).values())

        def start(input_shape):
            return [state.value for state in fresh(params, input_shape[0])[1]]

        def run(params, carry, xs, **options):
            net, hidden = fresh(params, xs.shape[1])
            for state, value in zip(hidden, carry, strict=True):
                state.value = value
            ys = brainsurr.brainstate.unroll(net, xs, **options) if options else net(xs)
            return [state.value for state in hidden], ys

        params = net.states(brainstate.ParamState).to_dict_values()
        return Pure(params, start, run, brainsurr.brainstate.bounds(net))

    def with_params(self, layer, params):
        """Return a layer with other parameters."""
        layer.states(brainstate.ParamState).assign_dict_values(params)
        return layer

    def grad(self, layer, loss, xs):
        """Return ``(carry, ys)``, and the framework's gradients of ``loss(carry, ys)`` in its parameters and in xs."""
        brainstate.nn.init_all_states(layer, xs.shape[1])

        def f(xs):
            ys = layer(xs)
            carry = self._carry(layer)
            return loss(carry, ys), (carry, ys)

        states = layer.states(brainstate.ParamState)
        if not states:
            gx, out = brainstate.transform.jit(brainstate.transform.grad(f, argnums=0, has_aux=True))(xs)
            return out, {}, gx
        grad = brainstate.transform.grad(f, states, argnums=0, has_aux=True)
        (grads, gx), out = brainstate.transform.jit(grad)(xs)
        return out, grads, gx
