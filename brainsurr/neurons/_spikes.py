"""Replacements for the surrogates of a neuron: random spikes, and spikes that `diagnose` observes."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from .._checks import check_distribution
from .._kernel import spike
from .._surrogate import Surrogate
from .._value import Value


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Drawn:
    """A surrogate that draws random spikes with a key."""

    surrogate: Any
    key: Any

    def __call__(self, x):
        return spike(x, self.surrogate, key=self.key)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Watched:
    """A spike function under observation: ``watch(function, x)`` is called instead of ``function(x)``."""

    function: Any
    watch: Callable = dataclasses.field(metadata={"static": True})

    def __call__(self, x):
        return self.watch(self.function, x)


def spike_fields(kind: type) -> tuple[str, ...]:
    """Return the names of the fields of a neuron class whose default is a surrogate, its spike functions."""
    return tuple([field.name for field in dataclasses.fields(kind) if isinstance(field.default, Surrogate)])


def all_spike_functions(neuron) -> list[Any]:
    """Return the spike functions of a neuron and of its inner neurons."""
    functions: list[Any] = []
    with_spike_functions(lambda name, f: functions.append(f), neuron)
    return functions


def with_spike_functions(replace: Callable[[str, Any], Any], neuron):
    """Return a neuron with ``replace(field, function)`` instead of each of its spike functions."""
    fields, values = spike_fields(type(neuron)), vars(neuron).items()
    own = {n: value for n, value in values if n in fields or isinstance(value, Surrogate | Drawn | Watched)}
    changed = {name: replace(name, value) for name, value in own.items()}
    for name, value in values:
        if isinstance(value, Value) and name not in changed:
            changed[name] = with_spike_functions(replace, value)
    return neuron._with(**changed)


def drawn(neuron, key):
    """Return a neuron that draws random spikes: the first surrogate uses the key, the others keys derived from it."""
    owner, n = type(neuron).__name__, len(all_spike_functions(neuron))
    keys = iter([key, *(jax.random.fold_in(key, i) for i in range(1, n))])

    def draw(name, f):
        if isinstance(f, Watched):
            return dataclasses.replace(f, function=draw(name, f.function))
        if not isinstance(f, Surrogate):
            raise TypeError(f"{owner}: random spikes (key=...) need a surrogate as {name}, got {f!r}")
        check_distribution(f"{owner}: {name}", f)
        return Drawn(f, next(keys))

    return with_spike_functions(draw, neuron)


def draw_each(neuron, steps: int) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    """Return one key per step for each random surrogate, and a function that sets the keys of a step in the neuron."""
    structure: Any
    leaves, structure = jax.tree.flatten(neuron, is_leaf=_is_drawn)

    def with_keys(keys):
        rest = iter(keys)
        return structure.unflatten([Drawn(leaf.surrogate, next(rest)) if _is_drawn(leaf) else leaf for leaf in leaves])

    return [jax.random.split(leaf.key, steps) for leaf in leaves if _is_drawn(leaf)], with_keys


def _is_drawn(node) -> bool:
    return isinstance(node, Drawn)
