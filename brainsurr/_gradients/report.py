"""The report of `check_gradients`: a row for each parameter, and sentences about parameters whose slopes differ."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import ClassVar, NamedTuple

from .._report import Report, as_text, listed

# A five-point difference in float64 is accurate to about ten digits, or fewer for a steep surrogate.
_RELATIVE = 1e-6
_NEXT_TO_NOTHING = 1e-9
FAR = 10  # ratio of slopes that counts as an exploding gradient


class Slope(NamedTuple):
    """The slope measured by finite differences.

    Attributes:
      slope: the slope at the step width where two widths agree best.
      error: the difference between these two widths, plus the uncertainty from rounding.
      knot: the largest difference between the right and left slopes that does not vanish as the width decreases.
    """

    slope: float
    error: float
    knot: float


class Derived(NamedTuple):
    """The slopes computed by derivative rules; None if a mode is not defined.

    Attributes:
      reverse: the slope in reverse mode.
      forward: the slope in forward mode.
      terms: the sum of the magnitudes of the terms that reverse mode adds up.
    """

    reverse: float | None
    forward: float | None
    terms: float

    @property
    def slope(self) -> float | None:
        """The slope in reverse mode, or in forward mode if reverse mode is not defined."""
        return self.forward if self.reverse is None else self.reverse


@dataclasses.dataclass(frozen=True)
class ParameterGradient:
    """The slope of the loss in one random direction of a parameter, measured and derived.

    Attributes:
      measured: the slope by finite differences.
      reverse: the slope in reverse mode; None if reverse mode is not defined.
      forward: the slope in forward mode; None if forward mode is not defined.
      differ: the larger deviation of the two modes from the measured slope, relative to the largest slope.
      status: ``"fine"``, ``"reset"`` (the slopes differ only because of a detached reset), ``"detached"`` (all paths to
        the loss are detached, so no gradient passes), ``"rounded"`` (a cast loses digits), ``"explodes"`` (the gradient
        grows over time until finite differences fail, and is right over fewer steps), ``"knot"`` (the slopes on the two
        sides differ or do not converge), ``"not finite"`` or ``"differs"``. If all slopes are 0, nothing is compared,
        and the status is ``"unused"`` (the loss does not depend on the parameter), ``"step"`` (the loss depends on it
        only through step functions) or ``"no slope"`` (the loss is flat).
    """

    measured: float
    reverse: float | None
    forward: float | None
    differ: float
    status: str


@dataclasses.dataclass(frozen=True)
class GradientReport(Report[ParameterGradient]):
    """The gradients of a network, compared with finite differences; ``print`` shows them as a table.

    A mapping from the name of a parameter to its :class:`ParameterGradient`.

    Attributes:
      loss: the loss of the smooth network.
      parameters: the slopes by parameter name.
      sentences: descriptions of where the slopes differ, each with the likely cause and what to change.
      steps: lines, as ``file:line``, that apply a step function to a value that depends on a parameter. A step function
        passes no gradient. A line is listed if its result is added to another value, multiplied by a value that it was
        not computed from, or summed before it is multiplied.
    """

    _measured: ClassVar[str] = "parameters"

    loss: float
    parameters: dict[str, ParameterGradient]
    sentences: tuple[str, ...]
    steps: tuple[str, ...] = ()

    @property
    def fine(self) -> bool:
        """True if the loss depends on a parameter, every such parameter is ``"fine"``, and there are no ``steps``."""
        states = {parameter.status for parameter in self.parameters.values()}
        return {"fine"} <= states <= {"fine", "unused"} and not self.steps

    def __str__(self) -> str:
        rows = [["parameter", "measured", "reverse", "forward", "differ", "status"]]
        for name, parameter in self.parameters.items():
            slopes = (parameter.measured, parameter.reverse, parameter.forward)
            shown = ["-" if slope is None else f"{slope:.6g}" for slope in slopes]
            rows.append([name, *shown, f"{parameter.differ:.0e}", parameter.status])
        return as_text(rows, self.sentences)


def judge(
    measured: Slope, derived: Derived, attached: Derived, loss: float, cast: bool, flat: str
) -> ParameterGradient:
    """Compare the measured slope with the slopes of reverse and forward mode.

    Args:
      measured: the slope by finite differences.
      derived: the slopes by derivative rules.
      attached: the derived slopes with each reset differentiated; equal to ``derived`` if no reset is detached.
      loss: the loss of the network.
      cast: whether a cast loses digits.
      flat: the status to return if all slopes are 0.
    """
    slopes = [slope for slope in (derived.reverse, derived.forward) if slope is not None]
    difference = max(abs(slope - measured.slope) for slope in slopes)
    largest = max(map(abs, [measured.slope, *slopes]))
    size = max(largest, derived.terms)
    agrees = difference <= _RELATIVE * largest + _NEXT_TO_NOTHING * size + measured.error
    unsure = measured.error > max(100 * _RELATIVE * size, _NEXT_TO_NOTHING * abs(loss))
    free = "" if attached is derived else judge(measured, attached, attached, loss, cast, "fine").status
    if not all(map(math.isfinite, slopes)):
        status = "not finite"
    elif agrees and not largest:
        status = flat
    elif agrees and not unsure:
        status = "fine"
    elif free == "fine":
        status = "reset" if any(slopes) else "detached"
    elif cast:
        status = "rounded"
    elif agrees or free == "knot" or measured.knot > _RELATIVE * size:
        status = "knot"
    else:
        status = "differs"
    differ = difference / largest if largest else 0.0
    return ParameterGradient(measured.slope, derived.reverse, derived.forward, differ, status)


def unsettled(reports: Mapping[str, ParameterGradient]) -> set[str]:
    """Return the names of the parameters whose gradient differs or could not be measured."""
    return {name for name, report in reports.items() if report.status in ("knot", "differs")}


def growth(pairs: Iterable[tuple[float | None, float | None]]) -> float:
    """Return the largest ratio of one slope to another, such as a derived to a measured slope."""
    return max((abs(one / other) if other else math.inf for one, other in pairs if one), default=0.0)


_SENTENCES = {
    "unused": "{names}: not compared, since no path leads to the loss. loss_fn must use its own argument.",
    "step": "{names}: not compared, since each path to the loss contains a step, such as x >= 0, rounding or "
    "stop_gradient, whose slope is 0. Replace a step spike function by a surrogate, such as brainsurr.Arctan(2.0).",
    "no slope": "{names}: not compared, since all slopes are 0. Run diagnose: an earlier layer may be silent, or later "
    "layers may pass no gradient. Otherwise, a spike function may be a step such as jnp.heaviside, or the loss flat.",
    "reset": "{names}: the slopes differ only because a reset is detached, by brainsurr.detached or reset='zero'. This "
    "changes the gradient by a factor of up to {far:.2g}. If it is large, remove detached or set reset_grad=True.",
    "detached": "{names}: no gradient passes, since brainsurr.detached blocks every path to the loss. Apply it only to "
    "the spike in the reset.",
    "rounded": "{names}: a cast loses digits, {casts}, so finite differences can't tell whether the gradient is right. "
    "Compute in the dtype of the parameters there, and check again.",
    "explodes": "{names}: the gradient explodes over {length} loop iterations (time steps or blocks of unroll), to "
    "{grown:.0e} times the measured slope. Over the first {most} iterations, all derivative rules are right; code that "
    "only later iterations use was not compared. Check over fewer steps.",
    "knot": "{names}: the slopes on the two sides differ or do not converge, so the gradient can't be compared. A "
    "value is at a kink of a function, a parameter is at a bound, or a surrogate is too steep for finite differences. "
    "Try other values, or fewer time steps: the gradient is {grown:.0e} times the measured slope.",
    "not finite": "{names}: the gradient is NaN or infinite, but the loss is finite. Look for a jnp.where around a "
    "function that is not defined everywhere, such as jnp.sqrt.",
    "differs": "{names}: the gradient differs from the slope of the loss. Either a derivative rule is wrong (a "
    "surrogate_grad that is not the derivative of its surrogate_fun, a custom_jvp or custom_vjp), a branch is detached "
    "(stop_gradient: {stops}), or a trainable value is outside its bounds (brainsurr.optim.project prevents this).",
}


def sentences(reports, casts: list, stops: list[str], stepped, grown: float, length: int, most: int) -> tuple[str, ...]:
    """Describe where the slopes differ, where no gradient passes, and what to change.

    Args:
      reports: the reports of the parameters by name.
      casts: the lines of casts that lose digits, and their dtypes.
      stops: the lines that stop a gradient.
      stepped: the lines with step functions.
      grown: the largest ratio of a gradient that can't be compared to its measured slope.
      length: the number of steps of the loop over time.
      most: the number of steps over which an exploding gradient is right; 0 if no gradient explodes.
    """
    facts = {"grown": grown, "length": length, "most": most, "stops": listed(stops) or "none found"}
    where = listed(f"{line or 'in brainsurr'} ({dtype})" for line, dtype in casts)
    said = []
    for status, text in _SENTENCES.items():
        if those := {name: report for name, report in reports.items() if report.status == status}:
            pairs = [(r.forward if r.reverse is None else r.reverse, r.measured) for r in those.values()]
            far = max(growth(pairs), growth((measured, slope) for slope, measured in pairs))
            said.append(text.format(names=listed(those), casts=where, far=far, **facts))
    if stepped:
        how = "Replace it by a surrogate, such as brainsurr.Arctan(2.0), or, if it is meant, wrap it in stop_gradient"
        said.append(f"No gradient passes the step in {listed(stepped)}, such as x >= 0, and its result is used. {how}.")
    for mode in ("reverse", "forward"):
        if any(getattr(report, mode) is None for report in reports.values()):
            said.append(f"{mode.capitalize()} mode is not defined for this loss: jax raises an error in this mode.")
    return tuple(said)
