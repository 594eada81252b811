"""Convert bound Flax Linen layers to arrays and back, for NIR."""

from flax import linen as nn

from .. import linen as package
from .._nir.chain import expect
from .._nir.layers import batch_norm, flax_affine, flax_options

MODULE = nn.Module


def arrays_of(layer):
    """Return a linear layer, a convolution or a BatchNorm as arrays; any other layer unchanged."""
    expect(not isinstance(layer, nn.Module) or layer.scope is not None, "a bound module, net.bind(variables)")
    kind, variables = type(layer), nn.unbox(layer.unbind()[1]) if isinstance(layer, nn.Module) else {}
    params = variables.get("params", {})
    if kind is nn.Dense or (kind is nn.Conv and layer.mask is None and layer.input_dilation in (None, 1)):
        return flax_affine(layer, params["kernel"], params.get("bias"))
    if kind is nn.BatchNorm:
        values = {**variables["batch_stats"], **params}
        held = [values.get(name) for name in ("mean", "var", "scale", "bias")]
        return batch_norm(layer, held, layer.use_running_average, layer.axis == -1)
    return layer


def make_affine(affine, shape):
    """Return a linear layer or a convolution for inputs of this shape."""
    return (nn.Conv if affine.kernel.ndim > 2 else nn.Dense)(affine.kernel.shape[-1], **flax_options(affine))


def make_neurons(kind, shape, options):
    """Return a layer of neurons."""
    return kind(shape[-1], **options)


def network(layers, weights, flags):
    """Return the network of layers and its variables."""
    params = {f"layers_{index}": named for index, named in enumerate(weights) if named}
    return package.SpikingSequential(layers, **flags), {"params": params}
