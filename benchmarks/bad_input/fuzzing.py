"""Fuzz a call with invalid arguments and classify the outcome.

Each bad value of each argument is tried alone; then hypothesis mixes one or two bad arguments with good ones. An answer
is right if the judge of the call, which computes in NumPy, accepts it. An error is clear if brainsurr itself raises it
(not jax, flax or Python inside of it), as a TypeError, a ValueError or a NotImplementedError, and its message names a
bad argument and says what was expected.
"""

import importlib
import re
import traceback
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import hypothesis
import jax
from hypothesis import strategies as st

import brainsurr

from .register import Call, Given, Shaped, Tracer, files, layers, modules, pictures, surrogates, tools

# Words by which a message says what was expected.
EXPECTS = re.compile(
    r"expected|outside \[|does not broadcast|not a parameter of|not learnable|in the (source|target)|undefined"
    r"|There are: |have the same names|must use what it is called with"
)
PACKAGE = str(Path(brainsurr.__file__).parent)
CLEAR = (TypeError, ValueError, NotImplementedError)
MODULES = ("", ".neurons", ".nnx", ".linen", ".brainstate", ".optim", ".interop", ".nir", ".plot")
# What `diagnose` and `check_gradients` return, and the base class of neurons; users don't construct these.
RECORDS = {"brainsurr.neurons.Neuron"} | {
    f"brainsurr.{name}" for name in ("Diagnosis", "GradientReport", "LayerReport", "ParameterGradient")
}
CALLS: dict[str, Call] = {
    call.name: call for register in (surrogates, layers, modules, tools, pictures, files) for call in register.calls()
}


def singles(call: Call) -> Iterator[dict[str, Given]]:
    """Yield only good values first, then each bad value alone among good ones."""
    fine = {name: a.good[0] for name, a in call.arguments.items()}
    yield fine
    for name, argument in call.arguments.items():
        yield from (fine | {name: bad} for bad in argument.bad)


@st.composite
def mixtures(draw, call: Call) -> dict[str, Given]:
    """Draw good values, with none, one or two of them replaced by bad ones."""
    names = sorted(call.arguments)
    spoilt = draw(st.none() | st.sampled_from(names)), draw(st.sampled_from(names))
    return {name: draw(st.sampled_from(a.bad if name in spoilt else a.good)) for name, a in call.arguments.items()}


def values_of(given: Mapping[str, Given]) -> dict[str, Any]:
    """Return what the call is made with."""
    shape = (given["time"].value, *given["batch"].value, 3) if "time" in given else (2, 3)
    return {
        name: g.value.make(shape) if isinstance(g.value, Shaped) else g.value
        for name, g in given.items()
        if name not in ("time", "batch")
    }


def outcome(call: Call, given: Mapping[str, Given]) -> str:
    """Return ``"right"``, ``"clear"``, or what is wrong with the answer or the error of a call."""
    values = values_of(given)
    traced = {name: value.like for name, value in values.items() if isinstance(value, Tracer)}
    spoilt = [name for name, g in given.items() if g.kind != "good"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            answer = within_a_trace(call.run, values, traced) if traced else call.run(**values)
    except Exception as error:
        return unclear(error, call, spoilt) or "clear"
    refused = [f"{name} ({given[name].kind})" for name in spoilt if given[name].refused]
    if refused:
        return f"accepted {', '.join(refused)}"
    return call.judge(answer, values) or "right"


def within_a_trace(run, values, traced):
    """Return the answer of a call, some of whose arguments are tracers."""
    answers: list[Any] = []
    jax.eval_shape(lambda traced: answers.append(run(**values | traced)), traced)
    return answers[0]


def unclear(error: Exception, call: Call, spoilt: list[str]) -> str | None:
    """Return what is not clear about an error, or None."""
    said = f"{type(error).__name__}: {error}"
    if not spoilt:
        return f"refused good input: {said}"
    where = traceback.extract_tb(error.__traceback__)[-1]
    if not where.filename.startswith(PACKAGE):
        return f"raised in {Path(where.filename).name}, {where.name}: {said}"
    if not isinstance(error, CLEAR):
        return f"not one of {', '.join(kind.__name__ for kind in CLEAR)}: {said}"
    words = [word for name in spoilt for word in (name, *call.words.get(name, ()))]
    if not any(re.search(rf"\b{word}\b", str(error)) for word in words):
        return f"names none of {', '.join(words)}: {said}"
    if not EXPECTS.search(str(error)):
        return f"does not say what was expected: {said}"
    return None


def fuzz(call: Call, examples: Iterable[Mapping[str, Given]], number: int, seed: int) -> dict[str, Any]:
    """Count how a call took some examples: counts of right answers and clear errors, of each kind, and failures.

    Args:
      call: the call.
      examples: such as `singles` of it.
      number: how many `mixtures` of it hypothesis draws besides.
      seed: of hypothesis.
    """
    tally: Counter[str] = Counter()
    kinds: dict[str, Counter[str]] = {}
    failures: dict[str, str] = {}

    tried = set()  # hypothesis draws some again

    def one(given):
        example = frozenset((name, id(g)) for name, g in given.items())
        if example in tried:
            return
        tried.add(example)
        what = outcome(call, given)
        verdict = what if what in ("right", "clear") else "failed"
        tally[verdict] += 1
        for kind in {g.kind for g in given.values()} - {"good"}:
            kinds.setdefault(kind, Counter())[verdict] += 1
        if verdict == "failed":
            values = {name: g.value for name, g in given.items()} | values_of(given)
            shown = {name: values[name] for name, g in given.items() if g.kind != "good"}
            failures.setdefault(one_line(what), one_line(f"{shown}"))

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=number,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(mixtures(call))
    def mixture(given):
        one(given)

    filtering = jax.config.jax_traceback_filtering
    jax.config.update("jax_traceback_filtering", "off")  # or the frames in which jax raises would not be seen
    try:
        for given in examples:
            one(given)
        if number:
            mixture()
    finally:
        jax.config.update("jax_traceback_filtering", filtering)
    return {
        "examples": tally.total(),
        **{verdict: tally[verdict] for verdict in ("right", "clear", "failed")},
        "kinds": {kind: dict(kinds[kind]) for kind in sorted(kinds)},
        "failures": [{"what": what, "arguments": shown} for what, shown in failures.items()],
    }


def one_line(text: str) -> str:
    """Shorten a text to its beginning, without its line breaks."""
    return " ".join(text.split())[:300]


def public_names() -> list[str]:
    """List what can be called: the names in the ``__all__`` of every public module, without records."""
    modules = [importlib.import_module(f"brainsurr{module}") for module in MODULES]
    names = [f"{module.__name__}.{name}" for module in modules for name in module.__all__]
    return [name for name in names if name not in RECORDS]
