"""Derive the status of each layer from its measurements, and write sentences that suggest changes."""

import dataclasses
import math

from .._report import listed

NEARLY_ALL = 0.99  # minimum fraction of silent or dead neurons in such a layer, and of spikes in a saturated layer
MOST = 0.5  # fraction of dead neurons above which a layer is not fine
WORTH_SAYING = 0.1  # fraction of dead or silent neurons above which an otherwise fine layer gets a sentence
HARDLY = 0.1  # spread of the membrane, relative to its distance to the threshold, below which inputs hardly affect it
FAR_OFF = 10  # root mean square of x above which the weights are too large, if hardly any gradient passes
HARDLY_REACHED = 0.05  # fraction of the values at which a gradient arrives, below which hardly any gradient passes
LEAST_SLOPE = 1e-3  # minimum surrogate gradient with which training can change a weight
VANISHING = 1e-4  # gradient norm, relative to the norm at a later layer, below which the gradient vanishes


@dataclasses.dataclass(frozen=True)
class LayerReport:
    r"""Measurements of one layer over all steps and examples. A neuron is an entry of the last axis.

    Attributes:
      rate: fraction of values that are spikes.
      silent: fraction of neurons that never fire.
      dead: fraction of neurons that never fire and whose surrogate gradient is always 0.
      passing: fraction of membrane values with a nonzero surrogate gradient.
      arriving: fraction of spikes that receive a nonzero gradient of the loss.
      reached: fraction of membrane values that receive a nonzero gradient of the loss, with a surrogate gradient of at
        least 0.001.
      grad_norm: :math:`\lVert \partial L / \partial x \rVert_2`, where :math:`x` contains all membrane values. A
        membrane value is the argument of the spike function, the potential minus the threshold.
      membrane: mean of :math:`x`, over finite values.
      rms: root mean square of :math:`x`, :math:`\sqrt{\mathrm{mean}\,(x^2)}`, over finite values.
      nan: fraction of spikes that are NaN.
      trials: the value of ``passing`` after a change to the surrogate, keyed by a description of the change.
      status: ``"fine"``, ``"mostly dead"`` (more than half of the neurons are dead), ``"recoverable"`` (silent, but a
        gradient reaches the layer), ``"dead"`` (silent, and no gradient can reach the layer), ``"cut off"`` (no
        gradient of the loss arrives), ``"blocked"`` (the layer fires, but hardly any gradient passes, since the
        potentials are too far from the threshold), ``"saturated"``, ``"vanishing"`` or ``"not finite"``. If nothing was
        measured, all numbers are NaN and the status is ``"unused"``: the loss does not depend on the spikes, or the
        layer received no values.
    """

    rate: float = math.nan
    silent: float = math.nan
    dead: float = math.nan
    passing: float = math.nan
    arriving: float = math.nan
    reached: float = math.nan
    grad_norm: float = math.nan
    membrane: float = math.nan
    rms: float = math.nan
    nan: float = math.nan
    trials: dict[str, float] = dataclasses.field(default_factory=dict)
    status: str = "fine"

    @property
    def spread(self) -> float:
        r"""Standard deviation of :math:`x`, over finite values."""
        return math.sqrt(max(0.0, self.rms**2 - self.membrane**2))


def judge(layers: dict[str, LayerReport]) -> dict[str, LayerReport]:
    """Return the reports with their status. The layers must be in the order in which they are called."""
    judged: dict[str, LayerReport] = {}
    largest = 0.0
    for name, layer in reversed(layers.items()):
        status = _status(layer)
        if status == "fine":
            vanishes = layer.grad_norm < VANISHING * largest
            status = "vanishing" if vanishes else "mostly dead" if layer.dead > MOST else "fine"
        judged[name] = dataclasses.replace(layer, status=status)
        largest = max(largest, layer.grad_norm) if math.isfinite(layer.grad_norm) else largest
    return {name: judged[name] for name in layers}


def _status(layer: LayerReport) -> str:
    if math.isnan(layer.rate):
        return layer.status  # already set, since nothing was measured
    if layer.nan or not math.isfinite(layer.grad_norm):
        return "not finite"
    if layer.silent >= NEARLY_ALL:
        return "dead" if layer.dead >= NEARLY_ALL else "recoverable" if layer.reached else "cut off"
    if not layer.grad_norm:
        return "cut off" if layer.passing else "blocked"
    if layer.rms > FAR_OFF and layer.reached < HARDLY_REACHED * layer.arriving:
        return "blocked"
    return "saturated" if layer.rate >= NEARLY_ALL else "fine"


def sentences(layers: dict[str, LayerReport], loss: float, broken_names, outside, rows) -> tuple[str, ...]:
    """Describe the problem of each layer that is not fine, its cause, and what to change; shared problems come first.

    Args:
      layers: the reports with their status, by name.
      loss: the value of the loss.
      broken_names: the names of the parameters that are not finite.
      outside: the parameters outside their bounds, with their values.
      rows: the indices of the examples whose inputs are not finite.
    """
    texts = []
    poisoned = [name for name, layer in layers.items() if layer.nan > 0]
    broken = [name for name, layer in layers.items() if layer.status == "not finite"]
    if outside:
        how = "Set a value inside, and keep it there with brainsurr.optim.project"
        texts.append(f"Some parameters are outside their bounds, so the layer uses a bound: {listed(outside)}. {how}.")
    if broken_names:
        how = "A training step may be the cause: check the data, labels and learning rate, and restart"
        texts.append(f"Some parameters contain NaN or infinity: {listed(broken_names)}. {how}.")
    if rows:
        texts.append(f"The input batch contains NaN or infinity in rows {listed(map(str, rows))}: check the data.")
    # NaN starts in the first layer with NaN in the forward pass, in the loss, or in the first of the backward pass.
    if poisoned:
        texts.append(f"{poisoned[0]} is the first layer with NaN in its potential. Check its inputs and parameters.")
    elif not math.isfinite(loss):  # the mask may exclude the example that is not finite
        what = "a label outside the classes, 0 / 0 for an example without values, or the logarithm of 0"
        texts.append(f"The loss is {loss}, but no potential is NaN. Check the loss for {what}.")
    elif broken:
        how = "Check the loss, large recurrent weights, and reset_grad=True with reset='zero'"
        texts.append(f"{broken[-1]} is the last layer whose gradient is NaN or too large for its dtype. {how}.")
    for name in layers:
        texts += _sentences_about(name, layers)
    silent = {name: x.silent for name, x in layers.items() if NEARLY_ALL > x.silent >= WORTH_SAYING > x.dead}
    partly = [f"{name}: {fraction:.1%} of its neurons never fire on this batch." for name, fraction in silent.items()]
    return (*(texts or ["Every layer in the table fires, and a gradient reaches it."]), *partly)


def _sentences_about(name: str, layers: dict[str, LayerReport]) -> list[str]:
    """Return a sentence about the status of a layer, unless it is fine, and sentences about other findings."""
    layer, names = layers[name], list(layers)
    before, after = names[: names.index(name)], names[names.index(name) + 1 :]
    silent_before = [other for other in before if layers[other].rate == 0]
    remedy = "scale up the weights before it (see brainsurr.initializers) or lower its threshold"
    suggestion = change = _change(layer)
    if is_far := layer.rms > FAR_OFF:
        remedy = "scale down its inputs or the weights before it, or restart with a lower learning rate, since "
        remedy += f"the root mean square of its membrane values is {layer.rms:.3g}"
        suggestion = f"{remedy}; or {change}"
        remedy += f"; or lower its threshold, if that is above {FAR_OFF}"
    if silent_before:
        remedy = f"first fix {silent_before[-1]}, which sends it no spikes"
    level = f"its potential is {abs(layer.membrane):.3g} {'below' if layer.membrane < 0 else 'above'} the threshold "
    level += f"on average, with a standard deviation of {layer.spread:.2g}"
    strongest = max(after, key=lambda other: layers[other].grad_norm, default=name)
    of_status = {
        "dead": f"{name} is dead: {layer.dead:.1%} of its neurons never fire, and their surrogate gradient is always 0 "
        f"({level}), so training can't change them. To fix this, {remedy}; or {change}.",
        "recoverable": f"{name} is silent but recoverable: {layer.silent:.1%} of its neurons never fire, but a "
        f"gradient reaches {layer.reached:.1%} of its membrane values ({level}). Keep training. To make it fire from "
        f"the start, {remedy}.",
        "cut off": f"{name} is cut off: {_explain_cut_off(layer, layers, after, suggestion)}.",
        "blocked": f"{name} is blocked: it fires, but a gradient reaches only {layer.reached:.1%} of its membrane "
        f"values. To fix this, {suggestion}.",
        "saturated": f"{name} is saturated: it fires at {layer.rate:.1%} of all steps ({level}), so its spikes carry "
        "little information. To fix this, scale down the weights before it or raise its threshold.",
        "vanishing": f"{name} has a vanishing gradient: its norm is {layer.grad_norm:.2g}, compared with "
        f"{layers[strongest].grad_norm:.2g} at {strongest}. Use wider surrogates or larger weights between the two.",
        "unused": f"{name} is unused: no gradient path leads from its spikes to the loss, or no value reached it. Look "
        "for a stop_gradient, an unused output, an empty batch, a branch not taken, or a cached or compiled loss_fn.",
    }
    said = [of_status[layer.status]] if layer.status in of_status else []
    if not (before or is_far) and layer.silent >= NEARLY_ALL and layer.spread < HARDLY * -layer.membrane:
        how = "If the input varies little, scale it to a standard deviation of 1."
        said.append(f"{name} hardly responds to its input. {how}")
    if layer.status != "dead" and layer.dead >= WORTH_SAYING:
        why = "they never fire, and their surrogate gradient is always 0"
        said.append(f"{name}: {layer.dead:.1%} of its neurons are dead: {why}. To fix this, {suggestion}.")
    return said


def _explain_cut_off(layer, layers, after, suggestion) -> str:
    if layer.arriving:
        return f"a gradient arrives only where its surrogate gradient is below {LEAST_SLOPE}. To fix this, {suggestion}"
    for other in after:
        if layers[other].arriving and not layers[other].reached:
            return f"no gradient gets through {other}, which is {layers[other].status}. Fix {other} first"
    how = "Look for weights of 0, a stop_gradient, or a step without a surrogate after it"
    return f"no gradient of the loss arrives at its spikes, although no later layer blocks it. {how}"


def _change(layer: LayerReport) -> str:
    """Suggest the first change to the surrogate that opens half of the values where no gradient passes now."""
    for change, passing in layer.trials.items():
        if passing - layer.passing >= (1 - layer.passing) / 2:
            return f"{change}, and a gradient passes at {passing:.1%} of its membrane values"
    return "use a surrogate that has a gradient so far away, such as LogTailedRelu(0.1)"
