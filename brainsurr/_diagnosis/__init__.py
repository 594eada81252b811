"""`diagnose`: measure in one forward and backward pass which layers are silent and which receive gradients."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from .._arrays import as_float, as_real, as_scalar
from .._bounds import SCALES, ScaledInterval, edges
from .._context import setting
from .._hooks import overriding
from .._kernel import spike_of
from .._modules import NeuronModule, SurrogateModule
from .._report import Report, as_text, framework_of, listed, named_leaves, user_line
from .._surrogate import Surrogate
from .._time.sequential import apply_layers
from ..neurons import Neuron, Recurrent
from ..neurons._spikes import Watched, spike_fields, with_spike_functions
from .call_sites import Use, tracking_call_sites
from .mask import aside, following_time
from .probe import SMALL, marking_rows, measure
from .report import LayerReport, judge, sentences


@dataclasses.dataclass(frozen=True)
class Diagnosis(Report[LayerReport]):
    """Measurements of every spiking layer of a network; ``print`` shows them as a table.

    A mapping from the name of a layer to its :class:`LayerReport`. ``json.dumps(dataclasses.asdict(report))`` saves
    everything.

    Attributes:
      loss: the value of the loss.
      layers: the reports by name, in the order in which the layers were called.
      sentences: descriptions of the problems, each with what to change.
    """

    _measured: ClassVar[str] = "layers"

    loss: float
    layers: dict[str, LayerReport]
    sentences: tuple[str, ...]

    def __str__(self) -> str:
        shares = ("rate", "silent", "dead", "passing", "reached")
        rows = [["layer", *shares, "rms", "grad norm", "status"]]
        for name, layer in self.layers.items():
            cells = [f"{getattr(layer, share):.1%}" for share in shares]
            cells += ["--" if math.isnan(layer.rms) else f"{layer.rms:.3g}", f"{layer.grad_norm:.3g}"]
            rows.append([name, *(["--"] * len(cells) if layer.status == "unused" else cells), layer.status])
        return as_text(rows, self.sentences)


def diagnose(
    spike_fns: Mapping[str, Callable], loss_fn: Callable[[dict[str, Callable]], Any], *, mask: Any = None
) -> Diagnosis:
    r"""Find silent layers, whether a gradient can reach them, and what to change.

    Use this for networks of plain functions. Given a module, it calls the ``diagnose`` of ``brainsurr.nnx``,
    ``brainsurr.brainstate`` or ``brainsurr.equinox``, which finds the layers. For Flax Linen, call
    ``brainsurr.linen.diagnose``. The loss is traced once without its gradient, and computed once with it. It may use
    jit, scan, vmap, remat and any dtype.

    Args:
      spike_fns: the spike function of each layer, by a name of your choice: a surrogate, any elementwise function with
        a derivative, or a neuron of ``brainsurr.neurons``, whose surrogates are then measured. You can also pass a Flax
        NNX, brainstate or Equinox module, as to the ``diagnose`` of its framework.
      loss_fn: the training loss on one batch, ``loss_fn(spike_fns) -> scalar``. It must use the functions and neurons
        that it is called with. They have the same values and derivatives as yours, and also take measurements.
      mask: a boolean array ``[time, batch]``: True for values that are counted, False for padding. If None, all values
        are counted. Neurons over time apply the mask step by step, also in ``unroll``.

    Returns:
      A :class:`Diagnosis`: print it, or read ``report["name"].rate``.

    Raises:
      TypeError: the arguments are in the wrong order, or the loss is not a scalar.
      ValueError: no spike function was used, none received a value that the loss depends on, or layers of different
        sizes share a function.

    Example:
      >>> import jax, jax.numpy as jnp, brainsurr as bs
      >>> f = bs.LogTailedRelu()
      >>> def loss_fn(spike_fns):
      ...     first = spike_fns["first"](jnp.array([[-0.5, 0.5], [-2.0, 3.0]]))
      ...     return jnp.sum(spike_fns["second"](first - 2))
      >>> print(bs.diagnose({"first": f, "second": f}, loss_fn))
      layer    rate  silent    dead  passing  reached   rms  grad norm  status
      first   50.0%   50.0%   50.0%    50.0%     0.0%  1.84          0  cut off
      second   0.0%  100.0%  100.0%     0.0%     0.0%  1.58          0  dead
      <BLANKLINE>
      first is cut off: no gradient gets through second, which is dead. Fix second first.
      first: 50.0% of its neurons are dead: they never fire, and their surrogate gradient is
        always 0. To fix this, raise alpha of its LogTailedRelu from 0 to 0.1, and a gradient
        passes at 100.0% of its membrane values.
      second is dead: 100.0% of its neurons never fire, and their surrogate gradient is always
        0 (its potential is 1.5 below the threshold on average, with a standard deviation of
        0.5), so training can't change them. To fix this, scale up the weights before it (see
        brainsurr.initializers) or lower its threshold; or raise alpha of its LogTailedRelu
        from 0 to 0.1, and a gradient passes at 100.0% of its membrane values.
    """
    if framework := framework_of(spike_fns):
        return framework.diagnose(spike_fns, loss_fn, mask=mask)
    if not isinstance(spike_fns, Mapping):
        instead = "for a Flax Linen module, use brainsurr.linen.diagnose"
        raise TypeError(f"expected spike functions by name, {{'a': f}}, got {type(spike_fns).__name__}: {instead}")
    for name, f in spike_fns.items():
        if not isinstance(f, Surrogate | Neuron) and not jax.tree_util.all_leaves([f]):
            expected = f"spike_fns[{name!r}]: expected a surrogate, a function or a neuron of brainsurr.neurons"
            raise TypeError(f"{expected}, got a module, {type(f).__name__}: pass its surrogate")

    def watched(watch, name, f):
        kind = type(f.neuron if isinstance(f, Recurrent) else f)
        if issubclass(kind, Neuron):
            return with_spike_functions(watching(watch, name, kind), f)
        return partial(watch, name, False, f)  # one row, whatever line calls it

    def loss(watch):
        return loss_fn({name: watched(watch, name, f) for name, f in spike_fns.items()})

    return examine(loss, mask, dict(spike_fns), names=spike_fns)


def watching(watch: Callable, name: str, kind: type[Neuron] | None = None) -> Callable[[str, Any], Watched]:
    """Return a function that replaces each spike function of a layer, given the name of its field.

    The report has one row for a layer, under its name, and a row ``name.field`` for each additional surrogate. If a
    layer is used several times, each use gets its own row, see :class:`Use`. A surrogate outside of a layer may be
    shared, so it gets a row for each line that uses it.

    Args:
      watch: the function that `examine` passes.
      name: the name of the layer.
      kind: the class of the layer's neuron; None for a surrogate outside of a layer.
    """
    first = "" if kind is None else next(iter(spike_fields(kind)), "")

    def replace(field, f):
        return Watched(f, partial(watch, name if field == first else f"{name}.{field}", kind is None))

    return replace


def examine(
    loss,
    mask,
    parameters: Any,
    intervals: Mapping[str, Any] = MappingProxyType({}),
    transform: Any = jax,
    names: Iterable[str] = (),
) -> Diagnosis:
    """Diagnose ``loss(watch)``, which calls ``watch(name, shared, spike_fn, x)`` instead of each ``spike_fn(x)``.

    Args:
      loss: ``loss(watch)`` returns a scalar. It is called twice.
      mask: the ``mask`` argument of `diagnose`.
      parameters: a tree of the parameters that the loss uses.
      intervals: the bounds of each parameter by name, or None if it is unbounded. ``loss`` may fill the dictionary.
      transform: the module with the framework's ``make_jaxpr``, ``jit`` and ``grad``.
      names: the names of layers that should be called.
    """
    unseen = dict[str, None]()

    def scalar(see):
        def watch(name, shared, f, x, **key):
            if aside.get():
                return f(x, **key)
            with setting(aside, True):
                x = as_float(x)
                return see(Use.here(name, x, shared), f, x, **key)

        def entered(apply_layers, net, carry, xs, *rest, **more):
            if isinstance(xs, jax.Array | np.ndarray) and not aside.get():
                xs = marking_rows(see, jnp.asarray(xs))
            return apply_layers(net, carry, xs, *rest, **more)

        with overriding({spike_of: notice, apply_layers: entered}), tracking_call_sites():
            return as_scalar(loss(watch), "loss_fn")

    def notice(spike_of, x, surrogate, key):
        if not (aside.get() or surrogate.origin):
            unseen[f"{type(surrogate).__name__} in {user_line()}"] = None
        return spike_of(x, surrogate, key)

    if mask is not None:
        mask = as_real(mask, "mask")
        if mask.ndim < 2 or not (mask.any() and jnp.all((mask == 0) | (mask == 1))):
            got = f"{mask.dtype}{list(mask.shape)} with a mean of {mask.mean():.3g}"
            raise ValueError(f"expected mask [time, batch] to contain only true or false, and some true, got {got}")
    with following_time(None if mask is None else mask == 1):
        value, sums, broken = measure(scalar, transform)
    called = [use.name for use in sums]
    rows = {str(use) if called.count(use.name) > 1 else use.name: _report(of_use) for use, of_use in sums.items()}
    layers = judge(rows)
    said = (
        *sentences(layers, value, not_finite(parameters), outside(parameters, intervals), broken),
        *[f"{name} was not called: use spike_fns[{name!r}] in loss_fn." for name in names if name not in called],
    )
    if unseen:
        said += (_UNSEEN.format(", ".join(unseen)),)
    if all(layer.status == "unused" for layer in layers.values()):
        why = said[-1] if unseen else "look for a stop_gradient, an unused output or an empty batch"
        raise ValueError(f"expected a loss that depends on the spikes of {listed(layers)}: {why}")
    return Diagnosis(value, layers, said)


def not_finite(tree: Any) -> list[str]:
    """Return the names of the arrays in a tree that contain NaN or infinity."""
    leaves = named_leaves(tree).items()
    inexact = {name: x for name, x in leaves if jnp.issubdtype(getattr(x, "dtype", bool), jnp.inexact)}
    return [name for name, leaf in inexact.items() if not bool(jnp.isfinite(leaf).all())]


def outside(tree: Any, intervals: Mapping[str, Any]) -> list[str]:
    """Return the name of each array in a tree that is outside its bounds, with one value outside.

    Arrays and bounds may be stored on another scale. Both are reported as values.
    """
    texts = []
    for name, leaf in named_leaves(tree).items():
        if (interval := intervals.get(name.removeprefix("params."))) is not None:  # the name of Linen's collection
            (low, high), stored = edges(interval, leaf.dtype), np.asarray(leaf)
            beyond = stored[(stored < low) | (stored > high)][:1].astype(float)
            if isinstance(interval, ScaledInterval):
                beyond = SCALES[interval.scale][1](beyond)
            texts += [f"{name} = {x:.3g}, bounds {list(getattr(interval, 'bounds', interval))}" for x in beyond]
    return texts


_UNSEEN = (
    "Not measured: {}, since a layer of your own calls the surrogate directly. Replace the surrogate f by "
    "SpikingActivation(f) from the package of your framework, or pass it to brainsurr.diagnose by name."
)


def observing(watch: Callable, path: tuple, node: Any) -> dict[str, Any]:
    """Return the attributes that make a module observe its spike functions; none if it is not a spiking layer.

    Args:
      watch: the function that `examine` passes.
      path: the path of the module.
      node: any module.
    """
    if not isinstance(node, NeuronModule | SurrogateModule):
        return {}
    return {"_watch": watching(watch, layer_name(path, node), getattr(node, "_neuron_class", None))}


def layer_name(path: tuple, layer: Any) -> str:
    """Return the path of a layer, such as ``layers.0``; its class name if the layer is the whole network."""
    return ".".join(map(str, path)) or type(layer).__name__


def _report(sums: dict[str, Any]) -> LayerReport:
    total = jax.tree.map(lambda per_neuron: float(per_neuron.sum()), sums)
    count, finite = total["zeros"] + total["rate"] + total["nan"], total["finite"] or math.nan
    if not count:  # the layer has no backward pass, or no values were counted
        return LayerReport(status="unused")
    never_fires = sums["rate"] == 0
    return LayerReport(
        silent=float(never_fires.mean()),
        dead=float((never_fires & (sums["passing"] == 0)).mean()),
        grad_norm=math.hypot(math.sqrt(total["grad_norm"]), SMALL * math.sqrt(total["small"])),
        membrane=total["membrane"] / finite,
        rms=math.sqrt(total["rms"] / finite),
        trials={change: passing / count for change, passing in total["trials"].items()},
        **{share: total[share] / count for share in ("rate", "passing", "arriving", "reached", "nan")},
    )
