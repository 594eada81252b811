"""What the numbers of a layer mean, in a word and a sentence, and what to change."""

import dataclasses
import math

NEARLY_ALL = 0.99  # neurons that make a layer silent or dead, steps that make it saturated
WORTH_SAYING = 0.1  # dead neurons of a layer that is otherwise fine
VANISHING = 1e-4  # gradient norm, relative to that of a later layer


@dataclasses.dataclass(frozen=True)
class LayerReport:
    r"""What was measured at the spikes of a layer, over all steps and examples; a neuron is an entry of the last axis.

    Attributes:
      rate: share of values that are a spike.
      silent: share of neurons that never fire.
      dead: share of neurons that never fire and at which the surrogate's gradient is always 0.
      passing: share of membrane values at which the surrogate's gradient is not 0.
      arriving: share of spikes that get a gradient of the loss other than 0.
      reached: share of membrane values that get one.
      grad_norm: :math:`\lVert \partial L / \partial x \rVert_2`, with :math:`x` all arguments of the spike function:
        potential minus threshold.
      membrane: mean of :math:`x`, where it is finite.
      nan: share of spikes that are NaN.
      trials: what ``passing`` would be with one parameter of the surrogate changed, by the change in words.
      status: ``"fine"``, ``"recoverable"`` (silent, and a gradient reaches it), ``"dead"`` (silent, and none can),
        ``"cut off"`` (none comes from above), ``"blocked"`` (fires, and lets none through), ``"saturated"``,
        ``"vanishing"``, ``"not finite"``; and where nothing was measured and all numbers are NaN, ``"unused"`` (no
        gradient can come) or ``"not run"`` (no value came).
    """

    rate: float = math.nan
    silent: float = math.nan
    dead: float = math.nan
    passing: float = math.nan
    arriving: float = math.nan
    reached: float = math.nan
    grad_norm: float = math.nan
    membrane: float = math.nan
    nan: float = math.nan
    trials: dict[str, float] = dataclasses.field(default_factory=dict)
    status: str = "fine"


def judge(layers: dict[str, LayerReport]) -> dict[str, LayerReport]:
    """The same reports with their status; the layers are in the order in which they are called."""
    judged: dict[str, LayerReport] = {}
    largest = 0.0
    for name, layer in reversed(layers.items()):
        status = _status(layer)
        if status == "fine" and layer.grad_norm < VANISHING * largest:
            status = "vanishing"
        judged[name] = dataclasses.replace(layer, status=status)
        largest = max(largest, layer.grad_norm) if math.isfinite(layer.grad_norm) else largest
    return {name: judged[name] for name in layers}


def _status(layer: LayerReport) -> str:
    if math.isnan(layer.rate):
        return layer.status  # which is not told by numbers
    if layer.nan or not math.isfinite(layer.grad_norm):
        return "not finite"
    if layer.silent >= NEARLY_ALL:
        return "dead" if layer.dead >= NEARLY_ALL else "recoverable" if layer.reached else "cut off"
    if not layer.reached:
        return "cut off" if layer.passing else "blocked"
    return "saturated" if layer.rate >= NEARLY_ALL else "fine"


def sentences(layers: dict[str, LayerReport]) -> tuple[str, ...]:
    """What is wrong with each layer that is not fine, who is to blame, and what to change."""
    said, names = _not_finite(layers), list(layers)
    for i, (name, layer) in enumerate(layers.items()):
        sentence = _sentence(name, layer, layers, names[:i], names[i + 1 :])
        said += [sentence] if sentence else []
        if layer.status != "dead" and layer.dead >= WORTH_SAYING:
            said.append(
                f"{name}: {layer.dead:.1%} of its neurons are dead, they never fire and pass no gradient. "
                f"{_capital(_open(layer))}."
            )
    return tuple(said) or ("Every layer fires, and a gradient reaches it.",)


def _sentence(name, layer, layers, before, after) -> str | None:
    mute = [other for other in before if layers[other].rate == 0]
    wake = f"mend {mute[-1]}, which sends it no spike" if mute else "scale up its weights or lower its threshold"
    fires = "no neuron ever fires" if layer.rate == 0 else f"{layer.silent:.1%} of its neurons never fire"
    side = "below" if layer.membrane < 0 else "above"
    level = f"its membrane is {abs(layer.membrane):.3g} {side} threshold on average"
    match layer.status:
        case "dead":
            return (
                f"{name} is dead: {fires}, and where none fires no gradient passes ({level}), so training can't change "
                f"it. {_capital(wake)}; or {_open(layer)}."
            )
        case "recoverable":
            return (
                f"{name} is silent but recoverable: {fires}, but a gradient reaches {layer.reached:.1%} of its "
                f"membrane values ({level}). {_capital(wake) if mute else f'Train it, or {wake}'}."
            )
        case "cut off":
            how = "fires" if layer.silent < NEARLY_ALL else f"is silent ({fires}; {level})"
            return f"{name} {how} and is cut off: {_culprit(layer, layers, after)}."
        case "blocked":
            return (
                f"{name} fires but lets no gradient through: that of its surrogate is 0 at every membrane value. "
                f"{_capital(_open(layer))}; or change its weights or threshold so that its membrane comes nearer."
            )
        case "saturated":
            return (
                f"{name} is saturated: it fires at {layer.rate:.1%} of all steps ({level}), and says next to nothing. "
                "Scale down its weights or raise its threshold."
            )
        case "vanishing":
            most = max(after, key=lambda other: layers[other].grad_norm)
            return (
                f"{name}: the gradient vanishes on the way to it, norm {layer.grad_norm:.2g} against "
                f"{layers[most].grad_norm:.2g} at {most}. Between them, use a surrogate with more gradient where the "
                "membranes are (a larger alpha, a wider one, 2 * f), or larger weights."
            )
        case "unused":
            return (
                f"{name}: the loss does not depend on its spikes in any way that can be differentiated, so nothing was "
                "measured. Look for a stop_gradient, or an output that is not used."
            )
        case "not run":
            return (
                f"{name}: no value reached it, so nothing was measured. Its batch or its time axis is empty, or it is "
                "in a branch that was not taken."
            )
    return None


def _culprit(layer, layers, after) -> str:
    if layer.arriving:
        return f"a gradient arrives, but only at neurons that let none through; {_open(layer)}"
    for other in after:
        if layers[other].arriving and not layers[other].reached:
            return f"no gradient gets through {other}, which is {layers[other].status}; mend that first"
    return (
        "no gradient of the loss arrives at its spikes, though no later layer stops it; look for weights of 0, a "
        "stop_gradient, or a step without a surrogate after it"
    )


def _not_finite(layers) -> list[str]:
    """Where NaN comes from: the first layer on the way up, or the first on the way down."""
    poisoned = [name for name, layer in layers.items() if layer.nan > 0]
    if poisoned:
        return [
            f"{poisoned[0]} is the first layer with NaN in its membrane ({layers[poisoned[0]].nan:.1%} of the values). "
            "Look at what goes into it: inputs, weights after too large a step."
        ]
    broken = [name for name, layer in layers.items() if layer.status == "not finite"]
    if broken:
        return [
            f"{broken[-1]} is the last layer whose gradient is NaN or too large for its dtype, though its membrane is "
            "finite. Look at the loss, at large recurrent weights, and at reset_grad=True with reset='zero'."
        ]
    return []


def _open(layer: LayerReport) -> str:
    """The first change of the surrogate that opens half of what it has closed, as measured."""
    for change, passing in layer.trials.items():
        if passing - layer.passing >= (1 - layer.passing) / 2:
            return f"{change}, and a gradient passes at {passing:.1%} of its membrane values"
    return "give it a surrogate that reaches that far, such as LogTailedRelu(0.1)"


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
