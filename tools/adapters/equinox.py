"""Equinox."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp

import brainsurr.equinox

from . import Host, Pure


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
