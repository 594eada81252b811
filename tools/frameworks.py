"""One interface to the frameworks, for tests and benchmarks that do the same in each."""

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

import brainstate
import equinox as eqx
import jax
import jax.numpy as jnp
from brainstate import graph
from flax import linen, nnx

import brainsurr.brainstate
import brainsurr.equinox
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


def carry_and_outputs(layer, carry, xs):
    """Call a layer; the carry of one without a state is None."""
    return layer(carry, xs) if hasattr(layer, "initialize_carry") else (None, layer(xs))


class Host:
    """What the frameworks share whose layers take a carry."""

    name: ClassVar[str]
    layers: ClassVar[ModuleType]
    pure: ClassVar[Callable[..., Pure]]  # makes pure functions of a network, for inputs of a shape

    @staticmethod
    def recurrent(kernel, rngs=None):
        """Return the options of a recurrent LIF layer."""
        return {"recurrent": True, "recurrent_kernel_init": lambda *_: kernel}

    @staticmethod
    def kernel(weights):
        """Return the weights ``[inputs, outputs]`` of a linear layer as it holds them, or these as the first."""
        return weights

    @staticmethod
    def start(layer, input_shape):
        """Return the first carry of a layer."""
        return layer.initialize_carry(input_shape) if hasattr(layer, "initialize_carry") else None

    @classmethod
    def call(cls, layer, input_shape, carry, xs):
        """Return the carry and the outputs of a layer, from its own first carry if None is given."""
        return layer(cls.start(layer, input_shape) if carry is None else carry, xs)

    def params(self, layer, xs):
        """Return the parameters of a layer."""
        return self.pure(layer, xs.shape[1:]).params

    def bounds(self, layer, xs):
        """Return the intervals of its bounded parameters."""
        return self.pure(layer, xs.shape[1:]).bounds

    def grad(self, layer, loss, xs):
        """Return ``(carry, ys)``, and the framework's gradients of ``loss(carry, ys)`` in its parameters and in xs."""
        run = self.pure(layer, xs.shape[1:]).run

        def f(params, xs):
            out = run(params, self.start(layer, xs.shape[1:]), xs)
            return loss(*out), out

        (grads, gx), out = jax.jit(jax.grad(f, (0, 1), has_aux=True))(self.params(layer, xs), xs)
        return out, grads, gx


class Nnx(Host):
    """Flax NNX: a module holds its parameters."""

    name = "nnx"
    layers = brainsurr.nnx

    @staticmethod
    def dense(inputs, outputs, rngs):
        """Make a linear layer."""
        return nnx.Linear(inputs, outputs, rngs=rngs)

    @staticmethod
    def recurrent(kernel, rngs=None):
        """Return the options of a recurrent LIF layer."""
        return Host.recurrent(kernel) | {"rngs": rngs or nnx.Rngs(0)}

    @classmethod
    def pure(cls, net, input_shape) -> Pure:
        """Make a pure function of a network."""
        graphdef, params, rest = nnx.split(net, nnx.Param, ...)

        def run(params, carry, xs, **options):
            net = nnx.merge(graphdef, params, rest)
            return cls.layers.unroll(net, carry, xs, **options) if options else carry_and_outputs(net, carry, xs)

        return Pure(params, partial(cls.start, net), run, cls.layers.bounds(net))

    def with_params(self, layer, params):
        """Return a layer with other parameters."""
        nnx.update(layer, params)
        return layer


class Equinox(Host):
    """Equinox: a module is a tree of its parameters."""

    name = "equinox"
    layers = brainsurr.equinox

    @staticmethod
    def dense(inputs, outputs, rngs=None):
        """Make a linear layer."""
        linear = eqx.nn.Linear(inputs, outputs, key=jax.random.key(0) if rngs is None else rngs.params())
        return eqx.tree_at(lambda linear: linear.bias, linear, jnp.zeros(outputs))  # as the others start

    @staticmethod
    def kernel(weights):
        """Return the weights ``[inputs, outputs]`` of a linear layer as it holds them, or these as the first."""
        return weights.T

    @classmethod
    def pure(cls, net, input_shape) -> Pure:
        """Make a pure function of a network."""
        params, rest = eqx.partition(net, eqx.is_inexact_array)

        def run(params, carry, xs, **options):
            net = eqx.combine(params, rest)
            return cls.layers.unroll(net, carry, xs, **options) if options else net(carry, xs)

        return Pure(params, partial(cls.start, net), run, cls.layers.bounds(net))

    @staticmethod
    def recurrent(kernel, rngs=None):
        """Return the options of a recurrent LIF layer."""
        return {"recurrent": True, "recurrent_kernel": kernel}

    def with_params(self, layer, params):
        """Return a layer with other parameters."""
        return eqx.combine(params, layer)


class Linen(Host):
    """Flax Linen: parameters are given to a module."""

    name = "linen"
    layers = brainsurr.linen

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

    @classmethod
    def start(cls, layer, input_shape):
        """Return the first carry of a layer."""
        return layer.initialize_carry(cls.key(), input_shape) if hasattr(layer, "initialize_carry") else None

    @classmethod
    def call(cls, layer, input_shape, carry, xs):
        """Return the carry and the outputs of a layer, from its own first carry if None is given."""
        start = cls.start(layer, input_shape) if carry is None else carry
        return layer.init_with_output(cls.key(), start, xs)[0]

    @classmethod
    def pure(cls, net, input_shape) -> Pure:
        """Make a pure function of a network."""

        def run(params, carry, xs, **options):
            bound = net.bind({"params": params})
            return cls.layers.unroll(bound, carry, xs, **options) if options else carry_and_outputs(bound, carry, xs)

        example = cls.args(net, jnp.zeros((1, *input_shape)))
        params = net.init(cls.key(), *example).get("params", {})
        return Pure(params, partial(cls.start, net), run, cls.layers.bounds(net, *example))

    @classmethod
    def args(cls, layer, xs):
        """Return what a layer is called with."""
        return (cls.start(layer, xs.shape[1:]), xs) if hasattr(layer, "initialize_carry") else (xs,)

    def params(self, layer, xs):
        """Return the parameters of a layer."""
        return super().params(layer, xs) if self.now is None else self.now

    def with_params(self, layer, params):
        """Return a layer with other parameters."""
        self.now = params
        return layer


class Brainstate(Host):
    """brainstate: a module holds its parameters and its carry."""

    name = "brainstate"
    layers = brainsurr.brainstate

    @staticmethod
    def dense(inputs, outputs, rngs=None):
        """Make a linear layer."""
        return brainstate.nn.Linear(inputs, outputs)

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


HOSTS = [Nnx, Linen, Brainstate, Equinox]
# Modules of variables, which have `SpikingActivation`. Those of Equinox are trees, and a surrogate is one by itself.
OF_VARIABLES = HOSTS[:3]
