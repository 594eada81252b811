"""What is answered to wrong names and calls: unknown arguments, without a carry, of a framework that is missing."""

import contextlib
import difflib
import functools
import inspect
from collections.abc import Iterator

ELSEWHERE = "; what other libraries have is in docs/coming-from-elsewhere.md"


# What others call otherwise, and doesn't spell alike.
HERE = {"beta": "decay", "tau": "decay=exp(-dt / tau)", "surrogate": "spike_fn", "surrogate_function": "spike_fn"}


def _meant(name: str, names: list[str]) -> list[str]:
    here = HERE.get(name, "")
    return [here] if here.partition("=")[0] in names else difflib.get_close_matches(name, names, 1)


def answer_names(cls: type):
    """Make a constructor answer arguments that it does not have, such as those of other libraries."""
    init, signature = cls.__init__, _signature(cls.__init__)  # type: ignore[misc]

    @functools.wraps(init)
    def __init__(self, *args, **kwargs):
        try:
            signature.bind(self, *args, **kwargs)
        except TypeError as error:
            owner, (_, *names) = type(self).__name__, signature.parameters
            has, unknown = f"it has {', '.join(names)}", [name for name in kwargs if name not in names]
            if not unknown:
                hint = f": pass one list, {owner}([a, b])" if names[0] == "layers" else ""
                raise TypeError(f"{owner}: {error}; {has}{hint}") from None
            near = dict.fromkeys(match for name in unknown for match in _meant(name, names))
            meant = f"did you mean {' and '.join(near)}? " if near else ""
            raise TypeError(f"{owner} has no argument {' and '.join(unknown)}: {meant}{has}{ELSEWHERE}") from None
        init(self, *args, **kwargs)

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    cls.__init__ = __init__  # type: ignore[misc]


class AnswersWrongCalls:
    """Answer unknown arguments, and calls without a carry, with a hint. Must be the first base of a layer."""

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):  # its own, or the one that flax.linen has just written
            answer_names(cls)
        if "__call__" in vars(cls):
            cls.__call__ = _given_carry(cls.__call__)  # type: ignore[method-assign]


def _of_cells(self):
    """Tell those who give a layer over time to ``nn.RNN``, which asks for this name."""
    kind = type(self).__name__
    raise TypeError(f"{kind} runs over time by itself, time first: expected a cell, write {kind}Cell(...) in its place")


of_cells = property(_of_cells)


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
    """Return the signature of a constructor, with linen's ``parent`` and ``name`` keyword-only."""
    signature, by_name = inspect.signature(init), inspect.Parameter.KEYWORD_ONLY
    each = [p.replace(kind=by_name) if p.name in ("parent", "name") else p for p in signature.parameters.values()]
    return signature.replace(parameters=sorted(each, key=lambda parameter: parameter.kind))


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
        message = f'{error}; install it, in a clone of brainsurr: pip install ".[{extra}]"'
        raise ModuleNotFoundError(message, name=error.name, path=error.path) from error
