"""What is answered to wrong names and calls: of other libraries, without a carry, of a framework that is missing."""

import contextlib
import difflib
import functools
import inspect
from collections.abc import Callable, Iterator

from ._other_libraries import rows, table
from ._surrogate import Surrogate

LAYERS = "ALIF ALIFCell BHRF BRF Delay ILIF LI LIF LIFCell LearnableDelay RF SlidingPSN Synaptic Window "
LAYERS += "SpikingActivation SpikingSequential bounds"


def where_else(name: str) -> str:
    """Say what to write in place of ``brainsurr.name``: a layer, a surrogate of another library; "" of neither."""
    if name in LAYERS.split():
        return f": it is in brainsurr.nnx, brainsurr.linen and brainsurr.brainstate, from brainsurr.nnx import {name}"
    libraries = [row.library for row in rows("surrogate") if row.name == name]
    return f": write brainsurr.equivalent({libraries[0]!r}, {name!r})" if libraries else ""


def answer_names(cls: type, hints: Callable[[type, list[str], str], list[str]]):
    """Make a constructor answer arguments that it does not have, such as those of other libraries.

    Args:
      cls: the class.
      hints: from the class, the names of its arguments and an unknown one to what may be written in place of that.
    """
    init, signature = cls.__init__, _signature(cls.__init__)  # type: ignore[misc]

    @functools.wraps(init)
    def __init__(self, *args, **kwargs):
        try:
            signature.bind(self, *args, **kwargs)
        except TypeError as error:
            owner, (_, *names) = type(self).__name__, signature.parameters
            has, answers = f"it has {', '.join(names)}", []
            for name in (name for name in kwargs if name not in names):
                near = "".join(f"did you mean {other}? " for other in difflib.get_close_matches(name, names, 1))
                answer = ", or ".join(hints(cls, names, name)) or f"{near}{has}"
                answers.append(f"{owner} has no argument {name}: {answer}")
            raise TypeError("\n".join(answers) or f"{owner}: {error}; {has}") from None
        init(self, *args, **kwargs)

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    cls.__init__ = __init__  # type: ignore[misc]


def surrogate_hints(cls: type[Surrogate], names: list[str], unknown: str) -> list[str]:
    """Return the calls of other libraries' surrogates that have a parameter and are one of a class."""
    calls = []
    for row in rows("surrogate"):
        f = row.make(**{name: 1 for name, p in row.parameters.items() if p.default is p.empty})
        if unknown in row.parameters and not row.why_none and cls in (type(f), type(getattr(f, "surrogate", None))):
            calls.append(f"write brainsurr.equivalent({row.library!r}, {row.name!r}, {unknown}=...)")
    return calls


def layer_hints(cls: type, names: list[str], unknown: str) -> list[str]:
    """Return what to write in place of an argument of a neuron elsewhere, in a layer that takes ``names``."""
    hints = []
    for row in table()["argument"]:
        ours = [name for name in row["here"].split() if name in names]
        if ours and unknown in row["there"].split():
            hints.append(row["note"].replace("{}", ours[0]))
    return hints


class AnswersWrongCalls:
    """Answer unknown arguments, and calls without a carry, with a hint. Must be the first base of a layer."""

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):  # its own, or the one that flax.linen has just written
            answer_names(cls, layer_hints)
        if "__call__" in vars(cls):
            cls.__call__ = _given_carry(cls.__call__)  # type: ignore[method-assign]


def _given_carry(call):
    """Make ``layer(xs)`` raise an error that says where a carry comes from, if the layer takes ``(carry, xs)``."""
    _, *names = inspect.signature(call).parameters
    if names[:1] != ["carry"]:
        return call

    @functools.wraps(call)
    def __call__(self, *args, **kwargs):
        if len(args) + len(kwargs) == 1:
            owner, xs = type(self).__name__, names[1]
            first = next(iter(inspect.signature(self.initialize_carry).parameters))
            key = "key, " if first == "rng" else ""  # of linen
            raise TypeError(
                f"{owner}: expected a carry and {xs}, got one argument. The carry is the state before the first step: "
                f"carry = layer.initialize_carry({key}(batch, features)), then carry, outputs = layer(carry, {xs})"
            )
        return call(self, *args, **kwargs)

    return __call__


def _signature(init) -> inspect.Signature:
    """Return the signature of a constructor, with linen's ``parent`` and ``name`` last and keyword-only."""
    signature = inspect.signature(init)
    parameters = dict(signature.parameters)
    linen = [parameters.pop(name) for name in ("parent", "name") if name in parameters]
    by_name = [parameter.replace(kind=parameter.KEYWORD_ONLY) for parameter in linen]
    return signature.replace(parameters=[*parameters.values(), *by_name])


@contextlib.contextmanager
def needs(extra: str) -> Iterator[None]:
    """Wrap the imports of an optional dependency: if it is missing, raise an error with the command that installs it.

    Only the error of a missing package is changed. An installed one that fails to import shows its own error.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == __package__:  # a module of brainsurr, which no extra installs
            raise
        message = f'{error}; install it with: pip install "brainsurr[{extra}]"'
        raise ModuleNotFoundError(message, name=error.name, path=error.path) from error
