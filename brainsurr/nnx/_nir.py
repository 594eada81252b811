"""Convert Flax NNX layers to arrays and back, for NIR."""

from flax import nnx

from .. import nnx as package
from .._nir.layers import batch_norm, flax_affine, flax_options

MODULE = nnx.Module


def arrays_of(layer):
    """Return a linear layer, a convolution or a BatchNorm as arrays; any other layer unchanged."""
    kind = type(layer)
    if kind is nnx.BatchNorm:
        held = [v if v is None else v[...] for v in (layer.mean, layer.var, layer.scale, layer.bias)]
        return batch_norm(layer, held, layer.use_running_average, layer.axis == -1)
    if kind is nnx.Linear or (kind is nnx.Conv and layer.mask is None and layer.input_dilation in (None, 1)):
        return flax_affine(layer, layer.kernel[...], None if layer.bias is None else layer.bias[...])
    return layer


def make_affine(affine, shape):
    """Return a linear layer or a convolution for inputs of this shape."""
    kind = nnx.Conv if affine.kernel.ndim > 2 else nnx.Linear
    return kind(shape[-1], affine.kernel.shape[-1], **flax_options(affine), rngs=nnx.Rngs(0))


def make_neurons(kind, shape, options):
    """Return a layer of neurons."""
    rngs = {"rngs": nnx.Rngs(0)} if "recurrent" in options else {}
    return kind(shape[-1], **options, **rngs)


def network(layers, weights, flags):
    """Return the network of layers with their weights."""
    for layer, named in zip(layers, weights, strict=True):
        for name, value in named.items():
            getattr(layer, name)[...] = value
    return package.SpikingSequential(layers, **flags)
