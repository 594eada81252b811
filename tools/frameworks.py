"""One interface to the three frameworks, for tests and benchmarks that do the same in each."""

from collections.abc import Callable
from typing import Any, NamedTuple

import brainstate
import jax
import jax.numpy as jnp
import numpy as np
from brainstate import graph
from flax import linen, nnx

import brainsurr.brainstate
import brainsurr.linen
import brainsurr.nnx


class Pure(NamedTuple):
    """A network as a pure function of its parameters, for jax to place, differentiate and compile.

    Attributes:
      params: the tree of its parameters.
      start: ``start(input_shape)`` returns the first carry.
      run: ``run(params, carry, xs, **options)`` returns ``(carry, ys)``; with options it uses `unroll`.
      bounds: for ``brainsurr.optim.project``.
    """

    params: Any
    start: Callable
    run: Callable
    bounds: Any


def leaf_name(path) -> str:
    """Return the name of a parameter: the last key that is neither `val` nor `value`."""
    keys = [getattr(k, "key", getattr(k, "name", getattr(k, "idx", None))) for k in path]
    flat = [str(key) for k in keys for key in (k if isinstance(k, tuple) else (k,))]
    return [key for key in flat if key not in ("val", "value")][-1]


def by_name(tree) -> dict:
    """Return the leaves of a tree of parameters by name."""
    return {leaf_name(path): value for path, value in jax.tree_util.tree_leaves_with_path(tree)}


class Nnx:
    """Flax NNX: a module holds its parameters."""

    name = "nnx"
    layers = brainsurr.nnx
    constant = staticmethod(nnx.initializers.constant)
    dtypes = (jnp.float32, "float32", np.float32)  # of which a parameter can be

    @staticmethod
    def dense(inputs, outputs, rngs):
        """Make a linear layer."""
        return nnx.Linear(inputs, outputs, rngs=rngs)

    @staticmethod
    def recurrent(kernel, rngs=None):
        """Return the options of a recurrent LIF layer."""
        return {"recurrent": True, "recurrent_kernel_init": lambda *_: kernel, "rngs": rngs or nnx.Rngs(0)}

    @staticmethod
    def call(layer, input_shape, carry, xs):
        """Return the carry and the outputs of a layer, from its own first carry if None is given."""
        start = layer.initialize_carry(input_shape)
        return layer(start if carry is None else carry, xs)

    @staticmethod
    def pure(net, input_shape) -> Pure:
        """Make a pure function of a network."""
        graphdef, params, rest = nnx.split(net, nnx.Param, ...)

        def run(params, carry, xs, **options):
            net = nnx.merge(graphdef, params, rest)
            return brainsurr.nnx.unroll(net, carry, xs, **options) if options else net(carry, xs)

        return Pure(params, net.initialize_carry, run, brainsurr.nnx.bounds(net))

    def params(self, layer, xs):
        """Return the parameters of a layer."""
        return nnx.state(layer, nnx.Param)

    def bounds(self, layer, xs):
        """Return the intervals of its bounded parameters."""
        return self.layers.bounds(layer)

    def with_params(self, layer, params):
        """Return a layer with other parameters."""
        nnx.update(layer, params)
        return layer

    def grad(self, layer, loss, xs):
        """Return ``(carry, ys)``, and the framework's gradients of ``loss(carry, ys)`` in its parameters and in xs."""
        graphdef, params, rest = nnx.split(layer, nnx.Param, ...)

        def f(params, xs):
            m = nnx.merge(graphdef, params, rest)
            if not hasattr(m, "initialize_carry"):
                out = None, m(xs)
            else:
                out = m(m.initialize_carry(xs.shape[1:]), xs)
            return loss(*out), out

        (grads, gx), out = jax.jit(jax.grad(f, (0, 1), has_aux=True))(params, xs)
        return out, grads, gx


class Linen:
    """Flax Linen: parameters are given to a module."""

    name = "linen"
    layers = brainsurr.linen
    constant = staticmethod(linen.initializers.constant)
    dtypes = Nnx.dtypes

    @staticmethod
    def key():
        """Make a key that no number depends on. Not a constant: on import it would start jax's devices."""
        return jax.random.key(0)

    def __init__(self):
        self.now = None

    @staticmethod
    def dense(inputs, outputs, rngs=None):
        """Make a linear layer."""
        return linen.Dense(outputs)

    @staticmethod
    def recurrent(kernel, rngs=None):
        """Return the options of a recurrent LIF layer."""
        return {"recurrent": True, "recurrent_kernel_init": lambda *_: kernel}

    @classmethod
    def call(cls, layer, input_shape, carry, xs):
        """Return the carry and the outputs of a layer, from its own first carry if None is given."""
        start = layer.initialize_carry(cls.key(), input_shape)
        return layer.init_with_output(cls.key(), start if carry is None else carry, xs)[0]

    @classmethod
    def pure(cls, net, input_shape) -> Pure:
        """Make a pure function of a network."""

        def start(input_shape):
            return net.initialize_carry(cls.key(), input_shape)

        def run(params, carry, xs, **options):
            bound = net.bind({"params": params})
            return brainsurr.linen.unroll(bound, carry, xs, **options) if options else bound(carry, xs)

        example = start(input_shape), jnp.zeros((1, *input_shape))
        params = net.init(cls.key(), *example).get("params", {})
        return Pure(params, start, run, brainsurr.linen.bounds(net, *example))

    @classmethod
    def _args(cls, layer, xs):
        if not hasattr(layer, "initialize_carry"):
            return (xs,)
        return layer.initialize_carry(cls.key(), xs.shape[1:]), xs

    def params(self, layer, xs):
        """Return the parameters of a layer."""
        return layer.init(self.key(), *self._args(layer, xs)).get("params", {}) if self.now is None else self.now

    def bounds(self, layer, xs):
        """Return the intervals of its bounded parameters."""
        return self.layers.bounds(layer, *self._args(layer, xs))

    def with_params(self, layer, params):
        """Return a layer with other parameters."""
        self.now = params
        return layer

    def grad(self, layer, loss, xs):
        """Return ``(carry, ys)``, and the framework's gradients of ``loss(carry, ys)`` in its parameters and in xs."""

        def f(params, xs):
            out = layer.apply({"params": params}, *self._args(layer, xs))
            out = out if hasattr(layer, "initialize_carry") else (None, out)
            return loss(*out), out

        (grads, gx), out = jax.jit(jax.grad(f, (0, 1), has_aux=True))(self.params(layer, xs), xs)
        return out, grads, gx


class Brainstate:
    """brainstate: a module holds its parameters and its carry."""

    name = "brainstate"
    layers = brainsurr.brainstate
    constant = staticmethod(brainstate.nn.init.Constant)
    dtypes = (jnp.float32, "float32", None)

    @staticmethod
    def dense(inputs, outputs, rngs=None):
        """Make a linear layer."""
        return brainstate.nn.Linear(inputs, outputs)

    @staticmethod
    def recurrent(kernel, rngs=None):
        """Return the options of a recurrent LIF layer."""
        return {"recurrent": True, "recurrent_kernel_init": lambda *_: kernel}

    @staticmethod
    def call(layer, batch_size, xs):
        """Return the carry and the outputs of a layer, from its own first carry."""
        layer.init_state(batch_size)
        ys = layer(xs)
        return Brainstate._carry(layer), ys

    @staticmethod
    def _carry(layer):
        """Return the state of a layer as the other frameworks hold it."""
        if hasattr(layer, "_neuron_class"):
            return layer._state(layer.neuron)
        state = {path[-1]: state.value for path, state in layer.states(brainstate.HiddenState).items()}
        carry = state.get("v", state.get("past"))
        carry = (carry, state["s"]) if "s" in state else carry
        return (carry, state["a"]) if "a" in state else carry

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

    def params(self, layer, xs):
        """Return the parameters of a layer."""
        return layer.states(brainstate.ParamState).to_dict_values()

    def bounds(self, layer, xs):
        """Return the intervals of its bounded parameters."""
        return self.layers.bounds(layer)

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


HOSTS = [Nnx, Linen, Brainstate]
