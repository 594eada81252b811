"""Report which bad inputs each call was given and whether it handled them, from the result file alone."""

from collections import Counter

from ..lib import results

COLUMNS = ("examples", "right", "clear", "failed")


def line(result):
    """Return what was tried and what came of it, for the summary."""
    sums = total(result["calls"])
    outcome = f"{sums['right']:,} right answers, {sums['clear']:,} clear errors, {sums['failed']:,} neither"
    return "bad input", f"{sums['examples']:,} examples of {len(result['calls'])} calls", outcome


def section(result, names=()):
    """Return the law, the counts by group of names and by kind of bad input, and every call.

    Args:
      result: of the run.
      names: what is public today; what of it was not called, and what was called and is gone, is said.
    """
    calls, settings = result["calls"], result["settings"]
    sums = total(calls)
    failures = [f"- `{name}`: {failure['what']}" for name, call in calls.items() for failure in call["failures"]]
    shown = "\n".join(failures) + "\n\n" if failures else ""
    called = dict.fromkeys(name.partition(" ")[0] for name in calls)
    for what, some, others in (("Not called", names, called), ("Removed since", called, names or called)):
        apart = ", ".join(f"`{name}`" for name in some if name not in others)
        shown += f"{what}: {apart}.\n\n" if apart else ""
    return f"""## Bad input

{len(calls)} calls, at least one for each public name but what `diagnose` and `check_gradients` return. Every bad value
of every argument is tried alone; then hypothesis {settings["hypothesis"]} draws, from seed {settings["seed"]}, up to
{settings["examples"]} mixtures of each call with one or two bad arguments. No example counts twice. Either the answer
is right according to a check in NumPy (shape, dtype, spikes 0 and 1, NaN exactly where NaN went in), or brainsurr
itself raises a `TypeError`, a `ValueError` or a `NotImplementedError` that names a bad argument and says what was
expected. Everything else is a failure: an error from inside jax or a framework, a warning, an unrequested cast, an
answer where none can be right. Integers, booleans and lists instead of floats are read as floats.

Of {sums["examples"]:,} examples {sums["right"]:,} had a right answer, {sums["clear"]:,} a clear error, and
{sums["failed"]:,} failed.

{shown}By group of names:

{by_group(calls)}

By kind of bad input; an example with two bad arguments counts for both:

{by_kind(calls)}

By call:

{results.table(["call", *COLUMNS], [[f"`{name}`", *counts(call)] for name, call in calls.items()])}
"""


def total(calls):
    """Return each count over all calls."""
    return {column: sum(call[column] for call in calls.values()) for column in COLUMNS}


def counts(call):
    """Return the numbers of a row."""
    return [f"{call[column]:,}" for column in COLUMNS]


def by_group(calls):
    """Return a row for each module, with the surrogates apart."""
    groups: dict[str, Counter] = {}
    for name, call in calls.items():
        groups.setdefault(group(name), Counter()).update({"calls": 1, **{column: call[column] for column in COLUMNS}})
    rows = [[name, sums["calls"], *counts(sums)] for name, sums in groups.items()]
    return results.table(["group", "calls", *COLUMNS], rows)


def group(name):
    """Return the module of a name; of `brainsurr` itself, what kind of name it is."""
    module, _, last = name.rpartition(".")
    if module != "brainsurr":
        return f"`{module}`"
    if last in ("unroll", "calibrate", "diagnose", "equivalent", "equivalents"):  # calibrate: in results of before
        return f"`{name}`"
    return "surrogates, classes" if last[0].isupper() else "surrogates, functions"


def by_kind(calls):
    """Return a row for each kind of bad input."""
    kinds: dict[str, Counter] = {}
    for call in calls.values():
        for kind, verdicts in call["kinds"].items():
            kinds.setdefault(kind, Counter()).update(verdicts)
    rows = [
        [kind, *counts({**dict.fromkeys(COLUMNS, 0), **sums, "examples": sums.total()})] for kind, sums in kinds.items()
    ]
    return results.table(["kind", *COLUMNS], sorted(rows))
