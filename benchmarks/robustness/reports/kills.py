"""Kills: how often the training was killed, in which state, and whether the results have the same bits."""

from ...lib import results

COUNTS = ("kills", "in_write", "before_first_checkpoint", "resumptions", "runs_killed", "runs_killed_identical")


def table(result):
    """Make a table with a row per framework, and one for all."""
    rows = [
        [name, *map(outcome.get, COUNTS), results.yes(outcome["terminated"]["identical"])]
        for name, outcome in result["frameworks"].items()
    ]
    every = results.yes(all(outcome["terminated"]["identical"] for outcome in result["frameworks"].values()))
    rows.append(["all", *total(result).values(), every])
    header = ("", "kills", "in the middle of a write", "before the first checkpoint", "went on from a checkpoint")
    return results.table((*header, "runs", "of them identical", "identical after SIGTERM"), rows)


def total(result):
    """Sum the counts over all frameworks."""
    return {name: sum(outcome[name] for outcome in result["frameworks"].values()) for name in COUNTS}


def identical(result):
    """Return whether every run has the same result, also the two undisturbed ones."""
    return all(
        outcome["undisturbed_identical"]
        and outcome["terminated"]["identical"]
        and outcome["runs_killed"] == outcome["runs_killed_identical"]
        for outcome in result["frameworks"].values()
    )


def line(result):
    """Make the row of the summary."""
    counts = total(result)
    tried = f"{counts['kills']} times `kill -9`, {counts['in_write']} of them in the middle of a write"
    outcome = f"{counts['runs_killed_identical']} of {counts['runs_killed']} runs ended with the same bits"
    return "being killed", tried, outcome


def section(result):
    """Write the section of the page."""
    settings, counts = result["settings"], total(result)
    status = ", ".join(sorted({str(outcome["terminated"]["exit_status"]) for outcome in result["frameworks"].values()}))
    verdict = "is the same in all of them" if identical(result) else "is NOT the same in all of them"
    return f"""## Killed, and resumed

`python -m benchmarks.digits` trains {len(settings["networks"])} networks ({"; ".join(settings["networks"])}) for
{settings["epochs"]} epochs each, and saves after every epoch. `kill -9` ends it alternately at random times and as soon
as orbax's temporary folder appears; it is restarted with `--resume` and killed again, until it finishes.
{counts["kills"]} kills in {counts["runs_killed"]} runs; {counts["in_write"]} left a checkpoint half written. SIGTERM,
sent when the first checkpoint exists, makes it save and exit with status {status}.

The result (every accuracy, every loss, and the SHA-256 of each network's parameters, optimiser state and random states)
{verdict}, and in two undisturbed runs of each framework.

{table(result)}"""
