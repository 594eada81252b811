"""Parameters, and activations, from one framework to another."""

import importlib
import re
from itertools import dropwhile
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp

from ._arrays import as_array
from ._checks import check_word
from ._extras import needs

__all__ = ["register_layers", "transfer"]


def transfer(source: Any, target: Any) -> Any:
    """The parameters of one network in the parameter tree of the same network in another framework.

    The layers of :mod:`brainsurr.nnx`, :mod:`brainsurr.linen` and :mod:`brainsurr.brainstate` name their parameters
    alike; so do, up to what is translated here, the dense and convolutional layers of their hosts.

    Args:
      source: a tree of parameters: ``nnx.state(model, nnx.Param)``, ``variables["params"]`` or
        ``model.states(brainstate.ParamState).to_dict_values()``.
      target: another one, which gives the structure, shapes and dtypes.

    Returns:
      A tree like ``target``, for ``nnx.update(model, tree)``, ``module.apply({"params": tree}, ...)`` or
      ``model.states(brainstate.ParamState).assign_dict_values(tree)``.

    Raises:
      TypeError: a parameter is not an array, or a floating one meets one that is not.
      ValueError: a parameter is in one tree alone, or its shape differs.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.interop import transfer
      >>> flax = {"layers_0": {"kernel": jnp.ones((1, 1)), "bias": jnp.zeros(1)}}
      >>> print(transfer(flax, {("layers", 0, "weight"): {"weight": jnp.zeros((1, 1)), "bias": jnp.ones(1)}}))
      {('layers', 0, 'weight'): {'bias': Array([0.], dtype=float32), 'weight': Array([[1.]], dtype=float32)}}
    """
    given = {_name(path): value for path, value in jax.tree_util.tree_leaves_with_path(source)}
    wanted = {_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(target)}
    if given.keys() != wanted:
        raise ValueError(
            f"the parameters differ: {sorted(given.keys() - wanted)} only in the source, "
            f"{sorted(wanted - given.keys())} only in the target"
        )

    def value(path, like):
        new = as_array(given[_name(path)], f"{_name(path)} in the source")
        if not hasattr(like, "dtype"):
            raise TypeError(f"expected {_name(path)} in the target to be an array, got {type(like).__name__}")
        floating = [jnp.issubdtype(dtype, jnp.floating) for dtype in (new.dtype, like.dtype)]
        if new.dtype != like.dtype and not all(floating):
            raise TypeError(f"{_name(path)}: dtype {new.dtype} in the source, {like.dtype} in the target")
        if _ending(new.shape) != _ending(like.shape):
            raise ValueError(f"{_name(path)}: shape {new.shape} in the source, {like.shape} in the target")
        return new.astype(like.dtype).reshape(like.shape)

    return jax.tree_util.tree_map_with_path(value, target)


def _ending(shape) -> tuple[int, ...]:
    """A shape without leading ones: brainstate keeps the bias of a convolution as (1, 1, channels)."""
    return tuple(dropwhile(lambda n: n == 1, shape))


def _name(path) -> str:
    """``layers.0.spike_fn.alpha``, whatever the framework calls it."""
    keys: list[str] = []
    for entry in path:
        key = getattr(entry, "key", getattr(entry, "name", getattr(entry, "idx", None)))
        keys += map(str, key if isinstance(key, tuple) else (key,))  # brainstate has whole paths as keys
    name = ".".join(keys)
    name = re.sub(r"(^|\.)layers_(\d+)", r"\1layers.\2", name)  # linen numbers the modules of a list
    name = re.sub(r"\.(val|value)$", "", name)  # brainstate's Param, flax's Variable
    return re.sub(r"(^|\.)weight\.(weight|bias)$", lambda m: m[1] + ("bias" if m[2] == "bias" else "kernel"), name)


def register_layers(framework: str) -> None:
    """Teach ``brainstate.interop`` to convert ``SpikingActivation`` to and from ``"nnx"`` or ``"linen"``.

    Afterwards ``brainstate.interop.from_nnx``, ``to_nnx``, ``from_linen`` and ``to_linen`` convert it as they do their
    own layers, alone or in a ``Sequential``: the surrogate as it is now, what is trained, and its bounds.

    Needs both frameworks, which are loaded here and not with this module.

    Example:
      >>> import brainstate, brainsurr as bs
      >>> from brainsurr.brainstate import SpikingActivation
      >>> from brainsurr.interop import register_layers
      >>> from flax import nnx
      >>> register_layers("nnx")
      >>> act = brainstate.interop.to_nnx(SpikingActivation(bs.LogTailedRelu(0.25), learnable="alpha"))
      >>> print(isinstance(act, nnx.Module), act.alpha[...])
      True 0.25
    """
    check_word("framework", framework, tuple(_CONVERSIONS))
    # Here, and not at the top: these load frameworks, and this module is also used for one of them alone.
    with needs("all"):
        from brainstate import interop

        ours = importlib.import_module("brainsurr.brainstate")
        theirs = importlib.import_module(f"brainsurr.{framework}")
    to_brainstate, from_brainstate = _CONVERSIONS[framework]
    interop.register_layer_mapping(
        interop.LayerMapping(
            bst_type=ours.SpikingActivation,
            framework=framework,
            foreign_type=theirs.SpikingActivation,
            to_bst=lambda act, context: ours.SpikingActivation(**to_brainstate(act, theirs)),
            to_foreign=lambda act, context: from_brainstate(_from_brainstate(act, ours), theirs),
        )
    )


def _from_brainstate(act, module) -> dict[str, Any]:
    intervals = {path[0]: interval for path, interval in module.bounds(act).items()}
    return {"surrogate": act.surrogate, "learnable": tuple(intervals), "bounds": intervals}


def _from_nnx(act, module) -> dict[str, Any]:
    intervals = dict(module.bounds(act))
    return {"surrogate": act.surrogate, "learnable": tuple(intervals), "bounds": intervals}


def _to_nnx(config, module):
    return module.SpikingActivation(**config)


# To brainstate.interop a linen layer is anything with `module` and `variables`.


def _from_linen(node, module) -> dict[str, Any]:
    act = node.module
    return {"surrogate": act.bind(node.variables).surrogate, "learnable": act.learnable, "bounds": act.bounds}


def _to_linen(config, module):
    surrogate = config.pop("surrogate")
    _, values = surrogate.named_parameters()
    params = {name: jnp.asarray(values[name]) for name in config["learnable"]}
    return SimpleNamespace(module=module.SpikingActivation(surrogate, **config), variables={"params": params})


_CONVERSIONS = {"nnx": (_from_nnx, _to_nnx), "linen": (_from_linen, _to_linen)}
