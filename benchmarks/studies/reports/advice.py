"""The comparison of the family in sentences: what to type, when it fails or does not matter, and how sure that is."""

import numpy as np

from .family import LEARNT, grid_by_alpha, written
from .outcomes import FOCUS, TIE, Outcomes, behind, default, in_draws, not_trained_to_the_end, regrets


def advice(outcomes: Outcomes) -> list[str]:
    """Write three sentences: what to type, when it fails, when it does not matter."""
    fixed, best = regrets(outcomes), default(outcomes)
    gaps = fixed[str(best)]
    worst = max(gaps, key=lambda name: gaps[name])
    where = outcomes[worst]
    rival = max(where.single, key=lambda call: where.single[call].mean)
    median = {name: np.median(list(behind(outcome.tuned).values())) for name, outcome in outcomes.items()}
    apart = [name for name, gap in median.items() if gap > 1]
    sentences = [
        f"**What to type.** `{written(str(best))}`: of {len(fixed)} calls tried without tuning, it is never more than "
        f"{gaps[worst]:.1f} points behind the best of them in any of {len(outcomes)} settings, and "
        f"{np.mean(list(gaps.values())):.1f} on average.",
        f"**When it fails.** It is furthest behind in *{where.about}*: {where.single[str(best)].mean:.1f}%, where "
        f"`{written(rival)}` has {where.single[rival].mean:.1f}%. {_not_replaced(outcomes, str(best))}",
        f"**When it does not matter.** In {len(outcomes) - len(apart)} of {len(outcomes)} settings, half of the "
        f"{len(where.tuned)} shapes are within a point of the best once width and rate are tuned. The others: "
        f"{', '.join(f'*{outcomes[name].about}*' for name in apart) or 'none'}.",
    ]
    worst_of = {call: max(of.values()) for call, of in fixed.items()}
    equal = [call for call in worst_of if call != str(best) and worst_of[call] <= min(worst_of.values()) + TIE]
    if equal:
        named = ", ".join(f"`{written(call)}` {worst_of[call]:.1f}" for call in sorted(equal, key=worst_of.get))
        why = (
            "of these it is the one that this package is built around"
            if best.shape == FOCUS
            else "of these it has the smallest mean"
        )
        sentences[0] += f" As good: {named}. The plan treats calls within {TIE:g} points as equal, and {why}."
    return sentences


def _not_replaced(outcomes, best: str) -> str:
    """Write what a call without tuning still needs: the gain of the weights and the learning rate of the setting."""
    varied: dict[str, dict[str, dict[float, float]]] = {"weights": {}, "rate": {}}
    for name, outcome in outcomes.items():
        varied["weights"][name] = {gain: value for (call, gain), value in outcome.pilots.items() if call == best}
        varied["rate"][name] = {factor: value for (call, factor), value in outcome.grid.items() if call == best}
    parts = []
    for what, by_setting in varied.items():
        name = max(by_setting, key=lambda name: np.ptp(list(by_setting[name].values()) or [0.0]))
        if values := sorted(by_setting[name].items()):
            accuracies = " / ".join(f"{accuracy:.0f}" for _, accuracy in values)
            factors = " / ".join(f"{factor:.2g}" for factor, _ in values)
            parts.append(f"in *{outcomes[name].about}* it has {accuracies}% with the {what} times {factors}")
    text = "The gain of the weights and the learning rate were chosen for each setting beforehand"
    if not parts:
        return f"{text}."
    return f"{text}, and no surrogate replaces them: {'; '.join(parts)} (validation, one seed)."


def how_sure(outcomes: Outcomes) -> str:
    """Write how often the rule chooses the recommended call, and on which unfinished training the choice depends."""
    best, chosen = default(outcomes), in_draws(outcomes)[1]
    others = sorted((call for call in chosen if call != str(best)), key=chosen.get, reverse=True)[:2]
    text = (
        "The recommended call was chosen by the same accuracies that the tables show. In bootstrap draws of the seeds "
        f"the rule chooses it in {chosen[str(best)]:.0%}, and "
        f"{', '.join(f'`{written(call)}` in {chosen[call]:.0%}' for call in others)}."
    )
    for name, outcome in not_trained_to_the_end(outcomes).items():
        losses = [entry.loss for entry in outcome.tuned.values()]
        rest = default({other: o for other, o in outcomes.items() if other != name})
        text += (
            f" In *{outcome.about}* training does not come to its end: the losses of the last epoch are "
            f"{min(losses):.1f} to {max(losses):.1f}. That column shows how fast networks learn, too. Without it the "
            f"rule chooses {'the same call' if rest == best else f'`{written(str(rest))}`'}."
        )
    return text


def special_cases(outcomes: Outcomes) -> list[str]:
    """Write a line each for deep networks, small weights and recurrent ones, as far as their settings are there."""
    lines = []
    deep = [name for name in outcomes if name.startswith("depth-") and name != "depth-2"]
    for name in deep[-1:]:
        lines.append(f"- *Deep* ({outcomes[name].about}): {_in_short(outcomes, name)}.")
    if "randman-0.03" in outcomes:
        dead = ", ".join(
            f"{alpha:g}: {sum(v < LEARNT for v in of)} of {len(of)}"
            for alpha, of in grid_by_alpha(outcomes["randman-0.03"]).items()
        )
        lines.append(
            f"- *Small weights* ({outcomes['randman-0.03'].about}): {_in_short(outcomes, 'randman-0.03')}. Networks "
            f"that learnt nothing, over widths and rates, by the alpha of {FOCUS}: {dead}."
        )
    for name in ("speech", "vowels"):
        if name in outcomes:
            best = ", ".join(f"{a:g}: {max(of):.1f}%" for a, of in grid_by_alpha(outcomes[name]).items())
            lines.append(
                f"- *Recurrent* ({outcomes[name].about}): {_in_short(outcomes, name)}. Validation of {FOCUS} by alpha, "
                f"at its best width and rate: {best}."
            )
    return lines


def _in_short(outcomes, name):
    """Write the best shape tuned, LogTailedRelu tuned, and the recommended call as it is."""
    outcome, best = outcomes[name], str(default(outcomes))
    first = max(outcome.tuned, key=lambda shape: outcome.tuned[shape].mean)
    tuned = [first] + [FOCUS] * (first != FOCUS)
    parts = [f"`{outcome.tuned[shape].call}` {outcome.tuned[shape].mean:.1f}%" for shape in tuned]
    return f"tuned {', '.join(parts)}; untuned `{written(best)}` {outcome.single[best].mean:.1f}%"
