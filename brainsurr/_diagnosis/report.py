"""Derive from the measurements of a layer its status, and a sentence that suggests a change."""

import dataclasses
import math

from .._report import listed

NEARLY_ALL = 0.99  # fraction of neurons in a silent or dead layer, and of steps in a saturated layer
MOST = 0.5  # fraction of dead neurons above which a layer is not fine
WORTH_SAYING = 0.1  # fraction of dead or silent neurons above which an otherwise fine layer gets a sentence
HARDLY = 0.1  # spread of the membrane, relative to its distance to the threshold, if inputs hardly vary
FAR_OFF = 10  # root mean square of x above which weights are too large, if hardly any gradient passes
HARDLY_REACHED = 0.05  # fraction of the values at which a gradient arrives
LEAST_SLOPE = 1e-3  # surrogate gradient above which a weight can change
VANISHING = 1e-4  # gradient norm, relative to that of a later layer


@dataclasses.dataclass(frozen=True)
class LayerReport:
    r"""Measurements of one layer over all steps and examples. A neuron is an entry of the last axis.

    Attributes:
      rate: fraction of values that are a spike.
      silent: fraction of neurons that never fire.
      dead: fraction of neurons that never fire and whose surrogate gradient is always 0.
      passing: fraction of membrane values with a nonzero surrogate gradient.
      arriving: fraction of spikes that receive a nonzero gradient of the loss.
      reached: fraction of membrane values that receive a nonzero gradient of the loss, with a surrogate gradient of at
        least 0.001.
      grad_norm: :math:`\lVert \partial L / \partial x \rVert_2`, with :math:`x` all arguments of the spike function,
        potential minus threshold.
      membrane: mean of :math:`x`, over finite values.
      rms: root mean square of :math:`x`, :math:`\sqrt{\mathrm{mean}\,(x^2)}`, over finite values.
      nan: fraction of spikes that are NaN.
      trials: the value of ``passing`` after a change of one surrogate parameter, by a description of the change.
      status: ``"fine"``, ``"mostly dead"`` (more than half of its neurons are dead), ``"recoverable"`` (silent, but a
        gradient reaches it), ``"dead"`` (silent, and no gradient can reach it), ``"cut off"`` (no gradient of the loss
        arrives), ``"blocked"`` (it fires, but passes no gradient, or is so far from the threshold that it passes hardly
        any), ``"saturated"``, ``"vanishing"`` or ``"not finite"``. If nothing was measured, all numbers are NaN and the
        status is ``"unused"``: the loss does not depend on its spikes, or it received no values.
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
    """Return the reports with their status. The layers are in the order in which they are called."""
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
        return layer.status  # set before, since nothing was measured
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
    """Describe the problem of each layer that is not fine, its cause, and what to change; common problems come first.

    Args:
      layers: the reports with their status, by name.
      loss: the value of the loss.
      broken_names: the names of the parameters that are not finite.
      outside: parameters that are not within their bounds, with their values.
      rows: the examples of the batch whose inputs are not finite.
    """
    texts = []
    poisoned = [name for name, layer in layers.items() if layer.nan > 0]
    broken = [name for name, layer in layers.items() if layer.status == "not finite"]
    if outside:
        how = "set a value inside, and keep it there with brainsurr.optim.project"
        texts.append(f"Stored outside of the bounds, so that the layer uses an edge: {listed(outside)}; {how}.")
    if broken_names:
        how = "look at the data, the labels and the learning rate, and start from new parameters"
        texts.append(f"The parameters are NaN or infinite: {listed(broken_names)}. A step made them so: {how}.")
    if rows:
        bad = listed(map(str, rows))
        texts.append(f"The inputs have NaN or infinity in rows {bad} of the batch: look at the data.")
    # NaN comes from the first layer with NaN in the forward pass, or the loss, or the first in the backward pass.
    if poisoned:
        texts.append(f"{poisoned[0]} is the first layer with NaN in its membrane. Look at what goes into it.")
    elif not math.isfinite(loss):  # the mask may exclude the example that is not finite
        what = "a label outside of the classes, 0 / 0 for an example without values, the logarithm of 0"
        texts.append(f"The loss is {loss}, and the membranes are finite. Look at the loss: {what}.")
    elif broken:
        how = "Look at the loss, at large recurrent weights, and at reset_grad=True with reset='zero'"
        texts.append(f"{broken[-1]} is the last layer whose gradient is NaN or overflows its dtype. {how}.")
    for name in layers:
        texts += _sentences_about(name, layers)
    partly = [
        f"{name}: {layer.silent:.1%} of its neurons never fire on this batch."
        for name, layer in layers.items()
        if NEARLY_ALL > layer.silent >= WORTH_SAYING > layer.dead
    ]
    return (*(texts or ["Every layer of the table fires, and a gradient reaches it."]), *partly)


def _sentences_about(name: str, layers: dict[str, LayerReport]) -> list[str]:
    """Return a sentence about the status of a layer, unless it is fine, and about other findings."""
    layer, names = layers[name], list(layers)
    before, after = names[: names.index(name)], names[names.index(name) + 1 :]
    silent_before = [other for other in before if layers[other].rate == 0]
    remedy = "scale up the weights before it (brainsurr.initializers) or lower its threshold"
    if silent_before:
        remedy = f"fix {silent_before[-1]}, which sends it no spike"
    never = f"{layer.silent:.1%} of its neurons never fire"
    level = f"its membrane is {layer.membrane:.3g} from the threshold on average, with a spread of {layer.spread:.2g}"
    suggestion = _suggest(layer)
    strongest = max(after, key=lambda other: layers[other].grad_norm, default=name)
    of_status = {
        "dead": f"{name} is dead: {never}, and no gradient passes where none fires ({level}), so training can't change "
        f"it. Remedy: {remedy}; or {suggestion}.",
        "recoverable": f"{name} is silent but recoverable: {never}, but a gradient reaches {layer.reached:.1%} of its "
        f"membrane values ({level}). Remedy: train it, or {remedy}.",
        "cut off": f"{name} is cut off: {_explain_cut_off(layer, layers, after, suggestion)}.",
        "blocked": f"{name} fires but lets hardly any gradient through: {layer.reached:.1%} of its membrane values get "
        f"one. Remedy: {suggestion}; or change the weights before it so that its membrane comes nearer.",
        "saturated": f"{name} is saturated: it fires at {layer.rate:.1%} of all steps ({level}), so its spikes carry "
        "little information. Remedy: scale down the weights before it or raise its threshold.",
        "vanishing": f"{name}: the gradient vanishes on the way to it, norm {layer.grad_norm:.2g} against "
        f"{layers[strongest].grad_norm:.2g} at {strongest}. Remedy: wider surrogates or larger weights between them.",
        "unused": f"{name}: the loss has no derivative in its spikes, or no value reached it. Look for a stop_gradient,"
        " an unused output, an empty batch, a branch that was not taken, or a loss_fn that is cached or compiled.",
    }
    said = [of_status[layer.status]] if layer.status in of_status else []
    if not before and layer.silent >= NEARLY_ALL and layer.spread < HARDLY * -layer.membrane:
        said.append(f"{name}: its input hardly varies ({level}). Remedy: scale the inputs to a deviation of 1.")
    if layer.status != "dead" and layer.dead >= WORTH_SAYING:
        said.append(
            f"{name}: {layer.dead:.1%} of its neurons are dead, they never fire and pass no gradient. Remedy: "
            f"{suggestion}."
        )
    return said


def _explain_cut_off(layer, layers, after, suggestion) -> str:
    if layer.arriving:
        return f"a gradient arrives, but only at neurons that let none through; {suggestion}"
    for other in after:
        if layers[other].arriving and not layers[other].reached:
            return f"no gradient gets through {other}, which is {layers[other].status}; fix that first"
    how = "look for weights of 0, a stop_gradient, or a step without a surrogate after it"
    return f"no gradient of the loss arrives at its spikes, though no later layer stops it; {how}"


def _suggest(layer: LayerReport) -> str:
    """Suggest smaller weights for a layer far from its threshold, and a surrogate that passes a gradient.

    The suggested change is the first that passes a gradient at half of the values that currently don't pass one.
    """
    texts = []
    if layer.rms > FAR_OFF:
        texts.append(
            "scale down its inputs or the weights before it, or start again at a lower learning rate: its membrane is "
            f"{layer.rms:.3g} from the threshold (root mean square)"
        )
    for change, passing in layer.trials.items():
        if passing - layer.passing >= (1 - layer.passing) / 2:
            texts.append(f"{change}, and a gradient passes at {passing:.1%} of its membrane values")
            break
    return "; or ".join(texts) or "give it a surrogate that reaches that far, such as LogTailedRelu(0.1)"
