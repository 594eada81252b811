"""Flax NNX."""

from functools import partial

from flax import nnx

import brainsurr.nnx

from . import Host, Pure, carry_and_outputs


class Nnx(Host):
    """Flax NNX: a module holds its parameters."""

    name = "nnx"
    layers = brainsurr.nnx

    @staticmethod
    def dense(inputs, outputs, rngs, dtype=None):
        """Make a linear layer."""
        return nnx.Linear(inputs, outputs, dtype=dtype, rngs=rngs)

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
