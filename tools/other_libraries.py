"""The surrogates and neurons of other libraries and their equivalents here, from ``other_libraries.toml``.

``python -m tools.other_libraries snntorch fast_sigmoid slope=25`` prints the surrogate to write. The same rows make the
tables of docs/coming-from-elsewhere.md, and tests run them alongside each library.
"""

import dataclasses
import functools
import inspect
import math
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

from brainsurr import Surrogate, surrogates


@dataclasses.dataclass(frozen=True)
class Row:
    """A surrogate, a neuron or a function of another library.

    Attributes:
      library: its import name.
      version: the version that we ran.
      there: the call in the other library, or the names of several neurons without a port.
      here: the equivalent here, as an expression in the parameters of the original.
      why_none: the reason why there is no equivalent, empty if there is one; ``{}`` stands for the nearest surrogate.
      note: errors in the original, and differences between the two.
      gradient: for a surrogate, the gradient that its code computes, even if its documentation says otherwise; for a
        neuron, how its gradient differs from that of the equivalent here.
      step: the documented time step of a neuron, as statements.
      inputs: an expression in ``xs``, the input of a neuron.
      unmet: the fields of the row to replace if the condition in a neuron's note is not met.
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
    inputs: str = "xs"
    unmet: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)
    at_0: float | str | None = None

    @property
    def name(self) -> str:
        """The name of the function or class."""
        return self.there.partition("(")[0]

    @property
    def names(self) -> list[str]:
        """The names in a row that lists several functions without a port."""
        return self.name.split(", ")

    @functools.cached_property
    def make(self) -> Callable[..., Surrogate]:
        """Return the surrogate here, from the parameters of the original or their defaults."""
        parameters = self.there.partition("(")[2].removesuffix(")")
        return eval(f"lambda {parameters}: {self.here}", vars(surrogates) | {"pi": math.pi})

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """The parameters of a surrogate by name, each with a ``default`` if it has one."""
        return inspect.signature(self.make).parameters


@functools.cache
def table() -> dict:
    """Return the contents of the table: a dictionary for each library, and the list ``argument``."""
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
    """Return the surrogate here that has the same gradient as one of another library, including its scale.

    The result reproduces the code of the original, even if its documentation says otherwise.
    ``equivalents(library)`` lists its errors, and whether it spikes at x = 0; every surrogate here does. The one
    exception is snnTorch's ``SFS``, which becomes the function of its paper, because the code cuts the wrong side.

    Args:
      library: snntorch, spikingjelly, norse, spyx, jaxpike, sparx, slax, jaxsnn or snnax.
      name: the function or class there.
      **parameters: parameters of the original, by their names there. The others have the original's defaults.

    Returns:
      A surrogate; a :class:`brainsurr.Scaled` one if the two differ in height.

    Raises:
      ValueError: The library or the name is unknown, or it is the name of a neuron.
      TypeError: The original has no such parameter, or a parameter without a default is missing.
      NotImplementedError: There is no equivalent. The message gives the reason and the nearest surrogate.

    Example:
      >>> from tools.other_libraries import equivalent
      >>> equivalent("snntorch", "fast_sigmoid", slope=10)
      InvSquareGrad(alpha=10)
      >>> equivalent("spikingjelly", "SuperSpike", alpha=2.0)
      Scaled(surrogate=InvSquareGrad(alpha=1.0), height=2.0, width=1.0)
      >>> equivalent("norse", "heaviside")  # doctest: +ELLIPSIS
      Traceback (most recent call last):
      NotImplementedError: norse.heaviside has no equivalent here: it has no gradient, ...
    """
    if (library.lower(), name) in [(row.library, each) for row in rows("neuron") for each in row.names]:
        where = "docs/coming-from-elsewhere.md says which layers here have its spikes, if any"
        raise ValueError(f"{library}.{name} is a neuron, not a surrogate: {where}")
    originals = {original.name: original for original in equivalents(library)}
    if name not in originals:
        raise ValueError(f"{library} has no surrogate {name!r}. There are: {', '.join(originals)}")
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
    """List the known surrogates of other libraries: the rows of docs/coming-from-elsewhere.md.

    Args:
      library: as for :func:`equivalent`; None for all libraries.

    Returns:
      A list with an entry for each function: ``library``, ``version`` (the one that we ran), ``name``, ``parameters``
      (with their defaults), ``gradient`` (as coded there), ``at_0`` (the spike at x = 0 there), ``note`` (errors, and
      differences from the equivalent) and ``why_none`` (empty if there is an equivalent).

    Raises:
      ValueError: The library is unknown.

    Example:
      >>> from tools.other_libraries import equivalents
      >>> (row,) = (row for row in equivalents("snnax") if "superspike" in row.name)
      >>> row.at_0, row.gradient
      (1, '1 / (1 + beta |x|)')
      >>> row.note  # doctest: +ELLIPSIS
      'The square is missing. Intended, and cited, is 1 / (1 + beta |x|)^2, ...
    """
    if library is None:
        return list(rows("surrogate"))
    found = [row for row in rows("surrogate") if row.library == library.lower()]
    if not found:
        if library.lower() in ("braintools", "brainsurr"):
            raise ValueError(f"the surrogates of {library} have the same names here, brainsurr.Sigmoid or sigmoid")
        known = dict.fromkeys(row.library for row in rows("surrogate"))
        raise ValueError(f"unknown library {library!r}. There are: {', '.join(known)}")
    return found


def main(library: str, name: str, *parameters: str):
    """Print the equivalent of another library's surrogate, with its parameters given as ``name=value``."""
    given = (each.partition("=") for each in parameters)
    print(f"brainsurr.{equivalent(library, name, **{key: float(value) for key, _, value in given})}")


if __name__ == "__main__":
    main(*sys.argv[1:])
