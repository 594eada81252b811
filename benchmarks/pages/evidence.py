"""The parts of docs/evidence.md, and that of the README about it."""

import numpy as np

from brainsurr.nnx import LIF

from ..lib.report import wrapped
from ..lib.results import RESULTS, committed
from ..robustness.reports import precision
from ..studies import learn_alpha
from ..studies.reports import advice, family
from ..studies.reports.outcomes import TIE, Outcomes, default, regrets, unfinished
from ..studies.shapes import SHAPES, Call


def settings_list(outcomes: Outcomes) -> str:
    """Describe the settings; name those of the plan that are not finished, and shapes that took no part."""
    listed = "; ".join(f"*{name}*: {outcome.about}" for name, outcome in outcomes.items())
    text = f"Settings. {listed}. Ten seeds each, by [the plan](studies.md#how)."
    missing = unfinished(outcomes)
    if missing:
        text += f" These settings of the plan have not been finished: {', '.join(missing)}."
    newcomers = [f"`{shape}`" for shape in SHAPES if shape not in next(iter(outcomes.values())).tuned]
    if newcomers:
        text += f" Not compared yet: {', '.join(newcomers)}."
    gone = sorted({f"`{shape}`" for outcome in outcomes.values() for shape in outcome.gone})
    if gone:
        text += f" No longer in the family, and left out: {', '.join(gone)}."
    return wrapped(text)


def half_precision() -> str:
    """Write the line about half precision from its own study."""
    study = committed("precision")
    return (
        f"- *Half precision* (`{study['settings']['surrogate']}`, digits): {precision.line(study)[-1]}; "
        "[the study](withstands.md#half-precision)."
    )


def in_short(outcomes: Outcomes) -> list[str]:
    """Write one line for each question that is asked most."""
    lines = [*advice.special_cases(outcomes), half_precision()]
    ends = learn_alpha.load(RESULTS / "learn_alpha").values()
    good, plain = (sum(end.within(rule) for end in ends) for rule in (learn_alpha.DECAYED, learn_alpha.PLAIN))
    lines.append(
        f"- *Trained alpha*: better than the best fixed one in {sum(end.better for end in ends)} of {len(ends)} tasks; "
        f"as good, within half a point, in {good} with a decay towards 0, and in {plain} without: "
        "[the study](studies.md#learning-alpha)."
    )
    return [wrapped(line, indent="  ") for line in lines]


def parts(outcomes: Outcomes) -> dict[str, str]:
    """Write the parts of docs/evidence.md."""
    return {
        "advice": "\n\n".join(map(wrapped, advice.advice(outcomes))),
        "calls": family.single_table(outcomes),
        "short": "\n".join(in_short(outcomes)),
        "settings": settings_list(outcomes),
        "sure": "\n\n".join(map(wrapped, advice.how_sure(outcomes))),
    }


def readme(outcomes: Outcomes) -> str:
    """Write the README's part: what to type, and the table of calls, in five rows."""
    best, calls = default(outcomes), regrets(outcomes)
    gaps = calls[str(best)]
    what = "the layers' default" if is_of_the_layers(best) else f"`{family.written(str(best))}`"
    why = ""
    if any(max(of.values()) < max(gaps.values()) for of in calls.values()):
        why = f" Of those within {TIE:g} points of the smallest, it has the smallest mean."
    text = (
        f"Take {what}: in each of {len(outcomes)} settings, a task and a network, it is at most "
        f"{max(gaps.values()):.1f} points of accuracy behind the best of {len(calls)} surrogates with fixed "
        f"parameters. *worst* and *mean* are these distances, *worst in* where.{why}"
    )
    return f"{wrapped(text)}\n\n{family.single_table(outcomes, 5, short=True)}"


def is_of_the_layers(call: Call) -> bool:
    """Check whether the layers have this surrogate where none is given, to the three digits that a page prints."""
    x = np.linspace(-3.03, 3.01, 606, dtype=np.float32)
    theirs, ours = LIF(1).spike_fn.surrogate.surrogate_grad(x), call.surrogate.surrogate_grad(x)
    return bool(np.abs(theirs - ours).max() < 0.005)
