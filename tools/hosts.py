"""The three frameworks behind one interface, for the tests and the benchmarks that ask the same of each."""

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
    """A network as a function of its parameters, which jax alone can place, differentiate and compile.

    Attributes:
      params: the tree of its parameters.
      start: ``(input_shape) -> carry``.
      run: ``(params, carry, xs, **options) -> (carry, ys)``, by `unroll` if there are options.
      bounds: for ``brainsurr.optim.project``.
    """

    params: Any
    start: Callable
    run: Callable
    bounds: Any


def leaf_name(path) -> str:
    """The name of a parameter: the last key that is neither `val` nor `value`."""
    keys = [getattr(k, "key", getattr(k, "name", getattr(k, "idx", None))) for k in path]
    flat = [str(key) for k in keys for key in (k if isinstance(k, tuple) else (k,))]
    return [key for key in flat if key not in ("val", "value")][-1]


def by_name(tree) -> dict:
    """The leaves of a tree of parameters by their names."""
    return {leaf_name(path): value for path, value in jax.tree_util.tree_leaves_with_path(tree)}


class Nnx:
    """Flax NNX: a module holds its parameters."""

    name = "nnx"
    layers = brainsurr.nnx
    constant = staticmethod(nnx.initializers.constant)
    dtypes = (jnp.float32, "float32", np.float32)  # of which a parameter can be

    @staticmethod
    def dense(inputs, outputs, rngs):
        """A linear layer."""
        return nnx.Linear(inputs, outputs, rngs=rngs)

    @staticmethod
    def recurrent(kernel, rngs=None):
        """The options of a LIF layer that feeds back on itself."""
        return {"recurrent": True, "recurrent_kernel_init": lambda *_: kernel, "rngs": rngs or nnx.Rngs(0)}

    @staticmethod
    def call(layer, input_shape, carry, xs):
        """The carry and the outputs of a layer, from its own first carry if None is given."""
        start = layer.initialize_carry(input_shape)
        return layer(start if carry is None else carry, xs)

    @staticmethod
    def pure(net, input_shape) -> Pure:
        """A network as a function of its parameters."""
        graphdef, params, rest = nnx.split(net, nnx.Param, ...)

        def run(params, carry, xs, **options):
            net = nnx.merge(graphdef, params, rest)
            return brainsurr.nnx.unroll(net, carry, xs, **options) if options else net(carry, xs)

        return Pure(params, net.initialize_carry, run, brainsurr.nnx.bounds(net))

    def params(self, layer, xs):
        """The parameters of a layer."""
        return nnx.state(layer, nnx.Param)

    def bounds(self, layer, xs):
        """The intervals of its bounded parameters."""
        return self.layers.bounds(layer)

    def with_params(self, layer, params):
        """A layer with other parameters."""
        nnx.update(layer, params)
        return layer

    def grad(self, layer, loss, xs):
        """``(carry, ys)``, and the gradients of ``loss(carry, ys)`` by parameter and by xs, as the host takes them."""
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
        """Of zeros and of shapes: no number depends on it. Not made on import, which would start jax's devices."""
        return jax.random.key(0)

    def __init__(self):
        self.now = None

    @staticmethod
    def dense(inputs, outputs, rngs=None):
        """A linear layer."""
        return linen.Dense(outputs)

    @staticmethod
    def recurrent(kernel, rngs=None):
        """The options of a LIF layer that feeds back on itself."""
        return {"recurrent": True, "recurrent_kernel_init": lambda *_: kernel}

    @classmethod
    def call(cls, layer, input_shape, carry, xs):
        """The carry and the outputs of a layer, from its own first carry if None is given."""
        start = layer.initialize_carry(cls.key(), input_shape)
        return layer.init_with_output(cls.key(), start if carry is None else carry, xs)[0]

    @classmethod
    def pure(cls, net, input_shape) -> Pure:
        """A network as a function of its parameters."""

        def start(input_shape):
            return net.initialize_carry(cls.key(), input_shape)

        def run(params, carry, xs, **options):
            bound = net.bind({"params": params})
            return brainsurr.linen.unroll(bound, carry, xs, **options) if options else bound(carry, xs)

        example = start(input_shape), jnp.zeros((1, *input_shape))
        return Pure(net.init(cls.key(), *example)["params"], start, run, brainsurr.linen.bounds(net, *example))

    def _args(self, layer, xs):
        if not hasattr(layer, "initialize_carry"):
            return (xs,)
        return layer.initialize_carry(self.key(), xs.shape[1:]), xs

    def params(self, layer, xs):
        """The parameters of a layer."""
        return layer.init(self.key(), *self._args(layer, xs)).get("params", {}) if self.now is None else self.now

    def bounds(self, layer, xs):
        """The intervals of its bounded parameters."""
        return self.layers.bounds(layer, *self._args(layer, xs))

    def with_params(self, layer, params):
        """A layer with other parameters."""
        self.now = params
        return layer

    def grad(self, layer, loss, xs):
        """``(carry, ys)``, and the gradients of ``loss(carry, ys)`` by parameter and by xs, as the host takes them."""

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
        """A linear layer."""
        return brainstate.nn.Linear(inputs, outputs)

    @staticmethod
    def recurrent(kernel, rngs=None):
        """The options of a LIF layer that feeds back on itself."""
        return {"recurrent": True, "recurrent_kernel_init": lambda *_: kernel}

    @staticmethod
    def call(layer, batch_size, xs):
        """The carry and the outputs of a layer, from its own first carry."""
        layer.init_state(batch_size)
        ys = layer(xs)
        v = layer.v.value if hasattr(layer, "v") else None
        return ((v, layer.s.value) if hasattr(layer, "s") else v), ys

    @staticmethod
    def pure(net, input_shape) -> Pure:
        """A network as a function of its parameters; its carry is a list of the values of its states."""
        graphdef, states = graph.treefy_split(net)

        def fresh(params, batch_size):
            # A new network each time: a state can't be written by a transformation of jax that it is older than.
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
        """The parameters of a layer."""
        return layer.states(brainstate.ParamState).to_dict_values()

    def bounds(self, layer, xs):
        """The intervals of its bounded parameters."""
        return self.layers.bounds(layer)

    def with_params(self, layer, params):
        """A layer with other parameters."""
        layer.states(brainstate.ParamState).assign_dict_values(params)
        return layer

    def grad(self, layer, loss, xs):
        """``(carry, ys)``, and the gradients of ``loss(carry, ys)`` by parameter and by xs, as the host takes them."""
        brainstate.nn.init_all_states(layer, xs.shape[1])

        def f(xs):
            ys = layer(xs)
            carry = {path[-1]: state.value for path, state in layer.states(brainstate.HiddenState).items()}
            carry = (carry["v"], carry["s"]) if "s" in carry else carry.get("v")
            return loss(carry, ys), (carry, ys)

        states = layer.states(brainstate.ParamState)
        if not states:
            gx, out = brainstate.transform.jit(brainstate.transform.grad(f, argnums=0, has_aux=True))(xs)
            return out, {}, gx
        grad = brainstate.transform.grad(f, states, argnums=0, has_aux=True)
        (grads, gx), out = brainstate.transform.jit(grad)(xs)
        return out, grads, gx


HOSTS = [Nnx, Linen, Brainstate]
