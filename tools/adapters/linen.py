"""Flax Linen."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen

import brainsurr.linen

from . import Host, Pure, carry_and_outputs


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
    def dense(inputs, outputs, rngs=None, dtype=None):
        """Make a linear layer."""
        return linen.Dense(outputs, dtype=dtype)

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
