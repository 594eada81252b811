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
    """A spike function under observation: ``watch(function)`` is called instead of ``function``."""

    function: Any
    watch: Callable = dataclasses.field(metadata={"static": True})

    def __call__(self, x):
        return self.watch(self.function)(x)


def spike_fields(kind: type) -> tuple[str, ...]:
    """Return the fields of a neuron class that hold a spike function: a surrogate, or another function."""
    return tuple([field.name for field in dataclasses.fields(kind) if isinstance(field.default, Surrogate)])


def spike_functions(neuron) -> dict[str, Any]:
    """Return the spike functions of a neuron by field, without those of inner neurons."""
    fields = spike_fields(type(neuron))
    return {
        name: value
        for name, value in vars(neuron).items()
        if isinstance(value, Surrogate | Drawn | Watched) or name in fields
    }


def all_spike_functions(neuron) -> list[Any]:
    """Return the spike functions of a neuron and of its inner neurons."""
    functions = spike_functions(neuron)
    inner = [value for name, value in vars(neuron).items() if isinstance(value, Value) and name not in functions]
    return [*functions.values(), *[f for one in inner for f in all_spike_functions(one)]]


def with_spike_functions(replace: Callable[[str, Any], Any], neuron):
    """Return a neuron with ``replace(field, function)`` instead of each of its spike functions."""
    changed = {name: replace(name, value) for name, value in spike_functions(neuron).items()}
    for name, value in vars(neuron).items():
        if isinstance(value, Value) and name not in changed:
            changed[name] = with_spike_functions(replace, value)
    return neuron._with(**changed)


def drawn(neuron, key):
    """Return a neuron that draws random spikes: the first surrogate uses the key, each other one a key of its own."""
    owner, n = type(neuron).__name__, len(all_spike_functions(neuron))
    keys = iter([key, *(jax.random.fold_in(key, i) for i in range(1, n))])

    def draw(name, f):
        if isinstance(f, Watched):
            return dataclasses.replace(f, function=draw(name, f.function))
        if not isinstance(f, Surrogate):
            raise TypeError(f"{owner}: expected {name} to be a surrogate, whose spikes a key draws, got {f!r}")
        check_distribution(f"{owner}: {name}", f)
        return Drawn(f, next(keys))

    return with_spike_functions(draw, neuron)


def draw_each(neuron, steps: int) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    """Return the keys of all steps of a neuron with random spikes, and a function that sets the keys of one step."""
    leaves, structure = jax.tree.flatten(neuron, is_leaf=lambda node: isinstance(node, Drawn))
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Drawn)]

    def with_keys(keys):
        step = list(leaves)
        for i, key in zip(places, keys, strict=True):
            step[i] = dataclasses.replace(leaves[i], key=key)
        return jax.tree.unflatten(structure, step)

    return [jax.random.split(leaves[i].key, steps) for i in places], with_keys
