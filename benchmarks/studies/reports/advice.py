"""The comparison of the family in sentences: what to type, when it fails or does not matter, and how sure that is."""

import numpy as np

from .family import LEARNT, grid_by_alpha, written
from .outcomes import (
    FOCUS,
    LEARNING,
    TIE,
    Outcomes,
    behind,
    default,
    in_draws,
    not_trained_to_the_end,
    regrets,
    worst_in_draws,
)


def advice(outcomes: Outcomes) -> list[str]:
    """Write three sentences: what to type, when it fails, when it does not matter."""
    fixed, best = regrets(outcomes), default(outcomes)
    gaps = fixed[str(best)]
    worst = max(gaps, key=gaps.get)
    where = outcomes[worst]
    rival = max(where.single, key=lambda call: where.single[call].mean)
    median = {name: np.median(list(behind(outcome.tuned).values())) for name, outcome in outcomes.items()}
    apart = [name for name, gap in median.items() if gap > 1]
    sentences = [
        f"**What to type.** `{written(str(best))}`. In each of {len(outcomes)} settings it is at most "
        f"{gaps[worst]:.1f} points behind the best of {len(fixed)} untuned configurations, and "
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
        why = "is the one that this package is built around" if best.shape == FOCUS else "has the smallest mean"
        sentences[0] += f" As good: {named}. Within {TIE:g} points the plan calls them equal; of these it {why}."
    return sentences


def _not_replaced(outcomes, best: str) -> str:
    """Write what a call without tuning still needs: the gain of the weights and the learning rate of the setting."""
    gains, rates = ({name: {} for name in outcomes} for _ in range(2))
    for name, outcome in outcomes.items():
        for (_, gain), value in outcome.pilots.items():
            gains[name].setdefault(gain, []).append(value)
        rates[name] = {factor: [value] for (call, factor), value in outcome.grid.items() if call == best}
    parts = []
    for tried, text in (
        (gains, "the configurations that chose the gain have {}% on average with the weights times {}"),
        (rates, "this one has {}% with the rate times {}"),
    ):
        means = {name: {f: np.mean(of) for f, of in sorted(by.items())} for name, by in tried.items() if by}
        if means:
            name = max(means, key=lambda name: np.ptp(list(means[name].values())))
            accuracies = " / ".join(f"{accuracy:.0f}" for accuracy in means[name].values())
            factors = " / ".join(f"{factor:.2g}" for factor in means[name])
            parts.append(f"in *{outcomes[name].about}* {text.format(accuracies, factors)}")
    text = "Other configurations chose the gain of the weights for each setting; the learning rate is that of its data"
    return f"{text}; no surrogate replaces them: {'; '.join(parts)} (validation, one seed)." if parts else f"{text}."


def how_sure(outcomes: Outcomes) -> list[str]:
    """Write how the choice could have come out otherwise: other seeds, other settings, training that has not ended."""
    best, fixed = default(outcomes), regrets(outcomes)
    worst = {call: max(of.values()) for call, of in fixed.items()}
    following = min((call for call in worst if call != str(best)), key=worst.get)
    chosen = in_draws(outcomes)[1]
    others = sorted((call for call in chosen if call != str(best)), key=chosen.get, reverse=True)[:2]
    low, median, high = np.percentile(worst_in_draws(outcomes, str(best)), [5, 50, 95])
    paragraphs = [
        "The configuration was chosen by the accuracies shown here, so its worst case is better here than it will be "
        f"elsewhere: in bootstrap resamples of the seeds its median is {median:.1f} points (5 to 95%: {low:.1f} to "
        f"{high:.1f}). The margin is small: its worst case is {worst[str(best)]:.2f} points, and that of "
        f"`{written(following)}`, the nearest, {worst[following]:.2f}. In these the rule chooses the recommended "
        f"configuration in {chosen[str(best)]:.0%}, "
        f"{' and '.join(f'`{written(call)}` in {chosen[call]:.0%}' for call in others)}."
    ]
    without = {name: default({n: o for n, o in outcomes.items() if n != name}) for name in outcomes}
    changed = {name: call for name, call in without.items() if call != best}
    text = f"With one setting left out the rule chooses the same in {len(without) - len(changed)} of {len(without)}"
    paragraphs[0] += f" {text}{''.join(f'; without *{n}* `{written(str(c))}`' for n, c in changed.items())}."
    if unfinished := not_trained_to_the_end(outcomes):
        counts = ", ".join(f"{len(calls)} in *{name}*" for name, calls in unfinished.items())
        paragraphs.append(
            f"Not all training comes to its end. Of {len(fixed)} configurations, those with a training loss above "
            f"{LEARNING:g} are {counts}. There the numbers also show how fast a configuration learns."
        )
    return paragraphs


def special_cases(outcomes: Outcomes) -> list[str]:
    """Write a line each for deep networks, small weights and recurrent ones, as far as their settings are there."""
    lines = []
    deep = [name for name in outcomes if name.startswith("depth-") and name != "depth-2"]
    for name in deep[-1:]:
        lines.append(f"- *Deep* ({outcomes[name].about}): {_in_short(outcomes, name)}.")
    if "randman-0.03" in outcomes:
        lines.append(f"- *Small weights* ({outcomes['randman-0.03'].about}): {_in_short(outcomes, 'randman-0.03')}.")
        if by_alpha := grid_by_alpha(outcomes["randman-0.03"]):
            dead = ", ".join(f"{a:g}: {sum(v < LEARNT for v in of)} of {len(of)}" for a, of in by_alpha.items())
            lines[-1] += f" Networks that learnt nothing, over widths and rates, by the alpha of {FOCUS}: {dead}."
    for name in ("speech", "vowels"):
        if name in outcomes:
            lines.append(f"- *Recurrent* ({outcomes[name].about}): {_in_short(outcomes, name)}.")
            if by_alpha := grid_by_alpha(outcomes[name]):
                best = ", ".join(f"{alpha:g}: {max(of):.1f}%" for alpha, of in by_alpha.items())
                lines[-1] += f" Validation of {FOCUS} by alpha, at its best width and rate: {best}."
    return lines


def _in_short(outcomes, name):
    """Write the best shape tuned, LogTailedRelu tuned, and the recommended call as it is."""
    outcome, best = outcomes[name], str(default(outcomes))
    first = max(outcome.tuned, key=lambda shape: outcome.tuned[shape].mean)
    tuned = [shape for shape in dict.fromkeys([first, FOCUS]) if shape in outcome.tuned]
    parts = [f"`{outcome.tuned[shape].call}` {outcome.tuned[shape].mean:.1f}%" for shape in tuned]
    return f"tuned {', '.join(parts)}; untuned `{written(best)}` {outcome.single[best].mean:.1f}%"
