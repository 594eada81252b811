"""The names of other libraries, and what they are here: `equivalent`, and hints for error messages.

Everything is read from ``_other_libraries.toml``, on first use: `import brainsurr` stays small.
"""

import dataclasses
import difflib
import functools
import inspect
import math
from collections.abc import Callable, Mapping
from pathlib import Path

from . import surrogates
from ._checks import check_kind
from ._surrogate import Surrogate


@dataclasses.dataclass(frozen=True)
class Row:
    """A surrogate, a neuron or a function of another library.

    Attributes:
      library: its import name.
      version: the version that was run.
      there: as one calls it there.
      here: the same here, as an expression in the parameters of the original.
      why_none: why there is no such thing here, empty if there is; ``{}`` stands for the nearest surrogate.
      note: what is wrong in the original, and where the two differ.
      gradient: what the backward pass of a surrogate computes, whatever its documentation says.
      step: the step that is documented of a neuron, as statements.
      at_0: the spike at x = 0, ``"random"`` if it is drawn. Here it is always 1.
    """

    library: str
    version: str
    there: str
    here: str = ""
    why_none: str = ""
    note: str = ""
    gradient: str = ""
    step: str = ""
    at_0: float | str | None = None

    @property
    def name(self) -> str:
        """The name of the function or class."""
        return self.there.partition("(")[0]

    @functools.cached_property
    def make(self) -> Callable[..., Surrogate]:
        """Make the surrogate here, from the parameters of the original, with its defaults."""
        parameters = self.there.partition("(")[2].removesuffix(")")
        return eval(f"lambda {parameters}: {self.here}", vars(surrogates) | {"pi": math.pi})

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """The parameters of a surrogate by name, each with its ``default``."""
        return inspect.signature(self.make).parameters


@functools.cache
def table() -> dict:
    """Read the table: a dictionary for each library, and the list ``argument``."""
    import tomllib  # on first use, as it takes longer to import than this module

    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


@functools.cache
def rows(kind: str) -> tuple[Row, ...]:
    """Return the rows of a kind: ``surrogate``, ``neuron`` or ``function``."""
    libraries = {name: about for name, about in table().items() if name != "argument"}
    return tuple(
        Row(name, about["version"], **{"at_0": about.get("at_0")} | row)
        for name, about in libraries.items()
        for row in about.get(kind, [])
    )


def equivalent(library: str, name: str, **parameters) -> Surrogate:
    """Return the surrogate here that has the gradient of one in another library, scale included.

    What is reproduced is what the original does, also where its documentation says otherwise;
    ``equivalents(library)`` tells what is wrong in it, and whether it spikes at x = 0, as everything here does.
    One exception: snnTorch's ``SFS`` becomes the function of its paper, for the code cuts away the wrong side.

    Args:
      library: snntorch, spikingjelly, norse, spyx, jaxpike, sparx, slax, jaxsnn or snnax.
      name: of the function or class there.
      **parameters: those of the original, by their names there. What is left out has the original's default.

    Returns:
      A surrogate; a :class:`brainsurr.Scaled` one where the two differ in height.

    Raises:
      ValueError: the library or the name is unknown, or the name is that of a neuron.
      TypeError: the original has no such parameter, or no default for one that is left out; an argument is no string.
      NotImplementedError: there is no equivalent. The message says why, and what comes nearest.

    Example:
      >>> import brainsurr as bs
      >>> bs.equivalent("snntorch", "fast_sigmoid", slope=10)
      InvSquareGrad(alpha=10)
      >>> bs.equivalent("spikingjelly", "SuperSpike", alpha=2.0)
      Scaled(surrogate=InvSquareGrad(alpha=1.0), height=2.0, width=1.0)
      >>> bs.equivalent("norse", "heaviside")  # doctest: +ELLIPSIS
      Traceback (most recent call last):
      NotImplementedError: norse.heaviside has no equivalent here: it has no gradient, ...
    """
    for what, value in (("library", library), ("name", name)):
        check_kind(what, value, str)
    neurons = [row for row in rows("neuron") if (row.library, row.name) == (library.lower(), name)]
    if neurons:
        why = f"no layers here have its spikes, because {neurons[0].why_none}"
        if any(row.here for row in neurons):
            why = "docs/coming-from-elsewhere.md says which layers here have its spikes"
        raise ValueError(f"{library}.{name} is a neuron, not a surrogate: {why}")
    originals = {original.name: original for original in equivalents(library)}
    if name not in originals:
        raise ValueError(f"{library} has no surrogate {name!r}{_did_you_mean(name, originals)}")
    original = originals[name]
    try:
        inspect.signature(original.make).bind(**parameters)
    except TypeError as error:
        takes = ", ".join(map(str, original.parameters.values())) or "no parameters"
        raise TypeError(f"{library}.{name} takes {takes}: {error}") from None
    surrogate = original.make(**parameters)
    if original.why_none:
        raise NotImplementedError(f"{library}.{name} has no equivalent here: {original.why_none.format(surrogate)}")
    return surrogate


def equivalents(library: str | None = None) -> list:
    """List what is known of the surrogates of other libraries: the rows of docs/coming-from-elsewhere.md.

    Args:
      library: as for :func:`equivalent`; None for all of them.

    Returns:
      A list with an entry for each function: ``library``, ``version`` (that was run), ``name``, ``parameters`` (with
      their defaults), ``gradient`` (as coded there), ``at_0`` (the spike at x = 0 there), ``note`` (what is wrong in
      it, where the two differ) and ``why_none`` (empty if there is an equivalent).

    Raises:
      ValueError: the library is unknown.

    Example:
      >>> import brainsurr as bs
      >>> (row,) = (row for row in bs.equivalents("snnax") if "superspike" in row.name)
      >>> row.at_0, row.gradient
      (1, '1 / (1 + beta |x|)')
      >>> row.note  # doctest: +ELLIPSIS
      'The square is missing. Intended, and cited, is 1 / (1 + beta |x|)^2, ...
    """
    if library is None:
        return list(rows("surrogate"))
    check_kind("library", library, str)
    found = [row for row in rows("surrogate") if row.library == library.lower()]
    if not found:
        if library.lower() in ("braintools", "brainsurr"):
            raise ValueError(
                f"the surrogates of {library} have the same names here: brainsurr.Sigmoid, brainsurr.sigmoid"
            )
        known = dict.fromkeys(row.library for row in rows("surrogate"))
        raise ValueError(f"unknown library {library!r}{_did_you_mean(library, known)}")
    return found


LAYERS = "ALIF ALIFCell Delay LI LIF LIFCell SpikingActivation SpikingSequential bounds"


def where_else(name: str) -> str:
    """Say what to write in place of ``brainsurr.name``: a layer, a surrogate of another library; "" of neither."""
    if name in LAYERS.split():
        return f": it is in brainsurr.nnx, brainsurr.linen and brainsurr.brainstate, from brainsurr.nnx import {name}"
    libraries = [row.library for row in rows("surrogate") if row.name == name]
    return f": write brainsurr.equivalent({libraries[0]!r}, {name!r})" if libraries else ""


def answer_names(cls: type[Surrogate]):
    """Make the constructor of a surrogate answer parameters that it does not have, such as those of other libraries."""
    init = cls.__init__

    @functools.wraps(init)
    def __init__(self, *args, **kwargs):
        try:
            init(self, *args, **kwargs)
        except TypeError:
            _, *names = inspect.signature(init).parameters
            for name in kwargs:
                if name not in names:
                    known, hint = ", ".join(names), _calls_with(cls, name)
                    raise TypeError(f"{cls.__name__} has no parameter {name}, only {known}{hint}") from None
            raise

    cls.__init__ = __init__  # type: ignore[method-assign]


def _calls_with(cls: type[Surrogate], parameter: str) -> str:
    """Return which surrogates of other libraries have a parameter and are one of a class, for an error."""
    calls = []
    for row in rows("surrogate"):
        f = row.make(**{name: 1 for name, p in row.parameters.items() if p.default is p.empty})
        if parameter in row.parameters and not row.why_none and cls in (type(f), type(getattr(f, "surrogate", None))):
            calls.append(f"equivalent({row.library!r}, {row.name!r}, {parameter}=...)")
    return f"; for that of another library, brainsurr.{' or brainsurr.'.join(calls)}" if calls else ""


def argument_hints(names: list[str], unknown: str) -> list[str]:
    """Return what to write in place of an argument of a neuron elsewhere, in a layer that takes ``names``."""
    hints = []
    for row in table()["argument"]:
        ours = [name for name in row["here"].split() if name in names]
        if ours and unknown in row["there"].split():
            hints.append(row["note"].replace("{}", ours[0]))
    if not hints and "decay" in names and "threshold" not in names and unknown in _arguments_of_spikes():
        return ["it never fires, and has no threshold, surrogate or reset; LIF has"]
    return hints


def _arguments_of_spikes() -> set[str]:
    """Return the arguments of spiking neurons, here and in any other library: LI has none of them."""
    ours = {"threshold", "spike_fn", "reset", "reset_grad"}
    named = (row["there"].split() for row in table()["argument"] if ours & set(row["here"].split()))
    return ours.union(*named)


def _did_you_mean(word: str, known) -> str:
    lower = {name.lower(): name for name in known}
    close = [lower[match] for match in difflib.get_close_matches(word.lower(), lower, n=2)]
    guess = f", did you mean {' or '.join(map(repr, close))}?" if close else "."
    return f"{guess} There are: {', '.join(known)}"
