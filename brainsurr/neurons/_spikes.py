"""What is done to a neuron replaces the surrogates inside it: by random spikes, or by what watches them."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import jax

from .._checks import check_distribution, check_key, is_function
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


def is_drawn(node) -> bool:
    """Return whether it draws its spikes."""
    return isinstance(node, Drawn)


def spike_fields(kind: type) -> list[str]:
    """Return the fields of a class of neurons that hold a surrogate, or a function in the place of one."""
    return [field.name for field in dataclasses.fields(kind) if isinstance(field.default, Surrogate)]


def is_spike_function(neuron, name: str, value) -> bool:
    """Return whether a field holds a surrogate, or a function in the place of one."""
    return isinstance(value, Surrogate | Drawn | Watched) or (is_function(value) and name in spike_fields(type(neuron)))


def spike_functions(neuron) -> Iterator[Any]:
    """Yield the surrogates of a neuron, and the functions in the place of one, also of neurons inside it."""
    for name, value in vars(neuron).items():
        if is_spike_function(neuron, name, value):
            yield value
        elif isinstance(value, Value):
            yield from spike_functions(value)


def with_spike_functions(replace: Callable[[str, Any], Any], neuron):
    """Return a neuron with ``replace(name, function)`` for each of its spike functions, named after its field."""
    changed = {}
    for name, value in vars(neuron).items():
        if is_spike_function(neuron, name, value):
            changed[name] = replace(name, value)
        elif isinstance(value, Value):
            changed[name] = with_spike_functions(replace, value)
    return neuron._with(**changed)


def drawn(neuron, key):
    """Return a neuron that draws its spikes: the first surrogate with the key, the others with one each."""
    check_key("key", key)
    n = len(list(spike_functions(neuron)))
    keys = iter([key, *(jax.random.fold_in(key, i) for i in range(1, n))])

    def draw(name, f):
        if not isinstance(f, Surrogate):
            raise TypeError(
                f"{type(neuron).__name__}: expected {name} to be a surrogate, whose spikes a key draws, got {f!r}"
            )
        check_distribution(f"{type(neuron).__name__}: {name}", f)
        return Drawn(f, next(keys))

    return with_spike_functions(draw, neuron)


def draw_each(neuron, steps: int) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    """Return the keys of each step of a neuron that draws its spikes, and a function that puts those of one step in."""
    leaves, structure = jax.tree.flatten(neuron, is_leaf=is_drawn)
    places = [i for i, leaf in enumerate(leaves) if is_drawn(leaf)]

    def with_keys(keys):
        step = list(leaves)
        for i, key in zip(places, keys, strict=True):
            step[i] = dataclasses.replace(leaves[i], key=key)
        return jax.tree.unflatten(structure, step)

    return [jax.random.split(leaves[i].key, steps) for i in places], with_keys
