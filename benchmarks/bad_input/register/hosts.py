"""The three frameworks behind one door, as far as the calls of their layers differ."""

import brainstate
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as linen_
from flax import nnx as nnx_

import brainsurr.brainstate
import brainsurr.linen
import brainsurr.nnx

KEY = jax.random.key(0)


class Nnx:
    """How a layer of NNX is used."""

    layers = brainsurr.nnx
    constant = staticmethod(nnx_.initializers.constant)
    dtypes = (jnp.float32, "float32", np.float32)

    @staticmethod
    def run(layer, input_shape, carry, xs):
        """The carry and the outputs."""
        start = layer.initialize_carry(input_shape)
        return layer(start if carry is None else carry, xs)


class Linen(Nnx):
    """How a layer of Linen is used."""

    layers = brainsurr.linen
    constant = staticmethod(linen_.initializers.constant)

    @staticmethod
    def run(layer, input_shape, carry, xs):
        """The carry and the outputs."""
        start = layer.initialize_carry(KEY, input_shape)
        return layer.init_with_output(KEY, start if carry is None else carry, xs)[0]


class Brainstate(Nnx):
    """How a layer of brainstate is used."""

    layers = brainsurr.brainstate
    constant = staticmethod(brainstate.nn.init.Constant)
    dtypes = (jnp.float32, "float32", None)

    @staticmethod
    def run(layer, batch_size, xs):
        """The carry and the outputs."""
        layer.init_state(batch_size)
        ys = layer(xs)
        v = layer.v.value if hasattr(layer, "v") else None
        return ((v, layer.s.value) if hasattr(layer, "s") else v), ys


HOSTS = (Nnx, Linen, Brainstate)
