"""What is done to a neuron replaces the surrogates inside it: by random spikes, or by what watches them."""

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
    """A surrogate whose spikes are drawn with a key."""

    surrogate: Any
    key: Any

    def __call__(self, x):
        return spike(x, self.surrogate, key=self.key)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Watched:
    """A spike function that another one watches: ``watch(function)`` is called in its place."""

    function: Any
    watch: Callable = dataclasses.field(metadata={"static": True})

    def __call__(self, x):
        return self.watch(self.function)(x)


def spike_fields(kind: type) -> tuple[str, ...]:
    """Return the fields of a class of neurons that hold a surrogate, or a function in the place of one."""
    return tuple([field.name for field in dataclasses.fields(kind) if isinstance(field.default, Surrogate)])


def spike_functions(neuron) -> dict[str, Any]:
    """Return the surrogates of a neuron, and the functions in the place of one, by field; not of neurons inside it."""
    fields = spike_fields(type(neuron))
    return {
        name: value
        for name, value in vars(neuron).items()
        if isinstance(value, Surrogate | Drawn | Watched) or name in fields
    }


def all_spike_functions(neuron) -> list[Any]:
    """Return the spike functions of a neuron and of the neurons inside it."""
    functions = spike_functions(neuron)
    inner = [value for name, value in vars(neuron).items() if isinstance(value, Value) and name not in functions]
    return [*functions.values(), *[f for one in inner for f in all_spike_functions(one)]]


def with_spike_functions(replace: Callable[[str, Any], Any], neuron):
    """Return a neuron with ``replace(name, function)`` for each of its spike functions, named after its field."""
    changed = {name: replace(name, value) for name, value in spike_functions(neuron).items()}
    for name, value in vars(neuron).items():
        if isinstance(value, Value) and name not in changed:
            changed[name] = with_spike_functions(replace, value)
    return neuron._with(**changed)


def drawn(neuron, key):
    """Return a neuron that draws its spikes: the first surrogate with the key, the others with one each."""
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
    """Return the keys of each step of a neuron that draws its spikes, and a function that puts those of one step in."""
    leaves, structure = jax.tree.flatten(neuron, is_leaf=lambda node: isinstance(node, Drawn))
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Drawn)]

    def with_keys(keys):
        step = list(leaves)
        for i, key in zip(places, keys, strict=True):
            step[i] = dataclasses.replace(leaves[i], key=key)
        return jax.tree.unflatten(structure, step)

    return [jax.random.split(leaves[i].key, steps) for i in places], with_keys
