"""What a layer answers to wrong arguments, such as those that other libraries have, and to a call without a carry."""

import difflib
import functools
import inspect
from typing import Any

from ._other_libraries import argument_hints


class AnswersWrongCalls:
    """Answer unknown arguments, and calls without a carry or a key, with a hint. Must be the first base of a layer."""

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):  # its own, or the one that flax.linen has just written
            cls.__init__ = _checked(cls.__init__)  # type: ignore[method-assign]
        if "__call__" in vars(cls):
            cls.__call__ = _given_carry(cls.__call__)  # type: ignore[method-assign]
        if "initialize_carry" in vars(cls):
            cls.initialize_carry = _given_key(cls.initialize_carry)  # type: ignore[attr-defined]


def _checked(init):
    signature = _signature(init)

    @functools.wraps(init)
    def __init__(self, *args, **kwargs):
        try:
            signature.bind(self, *args, **kwargs)
        except TypeError as error:
            answer = _answer(type(self).__name__, signature, args, kwargs)
            raise TypeError(answer or f"{type(self).__name__}: {error}") from None
        init(self, *args, **kwargs)

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    return __init__


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
            shape = f"{xs}.shape[1:]" if xs == "xs" else f"{xs}.shape"
            raise TypeError(
                f"{owner}: expected a carry and {xs}, got one argument. The carry is the state before the first step: "
                f"carry = layer.initialize_carry({key}{shape}), then carry, outputs = layer(carry, {xs})"
            )
        return call(self, *args, **kwargs)

    return __call__


def _given_key(initialize_carry):
    """Make ``initialize_carry(shape)`` of linen raise an error that says that it takes a key first."""
    if list(inspect.signature(initialize_carry).parameters)[1:2] != ["rng"]:
        return initialize_carry

    @functools.wraps(initialize_carry)
    def wrapped(self, *args, **kwargs):
        if len(args) == 1 and not kwargs:
            raise TypeError(
                f"{type(self).__name__}: initialize_carry takes a key first, as in flax's own cells: "
                "initialize_carry(jax.random.key(0), input_shape)"
            )
        return initialize_carry(self, *args, **kwargs)

    return wrapped


def _signature(init) -> inspect.Signature:
    """Return the signature of a constructor, with linen's ``parent`` and ``name`` last and keyword-only."""
    signature = inspect.signature(init)
    parameters = dict(signature.parameters)
    linen = [parameters.pop(name) for name in ("parent", "name") if name in parameters]
    by_name = [parameter.replace(kind=parameter.KEYWORD_ONLY) for parameter in linen]
    return signature.replace(parameters=[*parameters.values(), *by_name])


def _answer(owner: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Return hints for arguments that do not fit a signature, or an empty string if there are none."""
    _, *names = signature.parameters
    if len(args) > 1 and names[:1] == ["layers"]:
        return f"{owner}: expected layers to be a list, {owner}([a, b])"
    by_name = [name for name in names if signature.parameters[name].kind is inspect.Parameter.KEYWORD_ONLY]
    first = len(names) - len(by_name)
    if len(args) > first and by_name:
        name = "spike_fn" if "spike_fn" in by_name and callable(args[first]) else by_name[0]
        return f"{owner}: too many positional arguments: write {name}=..."

    def here(name):
        near = "".join(f"did you mean {other}? " for other in difflib.get_close_matches(name, names, 1))
        return ", or ".join(argument_hints(names, name)) or f"{near}it has {', '.join(names)}"

    return "\n".join(f"{owner} has no argument {name}: {here(name)}" for name in kwargs if name not in names)
