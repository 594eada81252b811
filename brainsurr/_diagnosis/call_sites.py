"""Uses of a layer, by the line that calls it. A call that continues from the state of a use belongs to that use."""

import contextlib
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple

import jax
import numpy as np

from .._context import setting
from .._hooks import overriding
from .._report import user_line
from .._time.sequential import named
from ..neurons._neuron import run, take_one_step
from .mask import counting_run

_place: ContextVar[str] = ContextVar("place", default="")  # the call site of the running neurons
_layers: ContextVar[str] = ContextVar("layers", default="")  # the positions of these neurons in networks


class Use(NamedTuple):
    """A use of a spike function: its name, its call site, and its number of neurons."""

    name: str
    place: str
    neurons: int

    def __str__(self):
        return f"{self.name} ({self.place + ', ' * bool(self.place)}{self.neurons} neurons)"

    @classmethod
    def here(cls, name: str, x: Any, shared: bool) -> "Use":
        """Return the current use. If ``shared``, layers may share the surrogate, so its place is the current line."""
        return cls(name, _here() if shared else _place.get(), np.shape(x)[-1] if np.ndim(x) else 1)


def _here() -> str:
    return user_line() + _layers.get()


def tracking_call_sites() -> contextlib.AbstractContextManager[None]:
    """Distinguish the uses of each layer until the block ends."""
    states: dict[int, tuple[Any, str]] = {}  # states and their call sites by id; storing a state keeps its id valid

    def at_its_place(call: Callable, state):
        if _place.get():  # inside another neuron
            return call()
        before = {id(leaf) for leaf in jax.tree.leaves(state)}
        place = next((states[key][1] for key in before if key in states), None) or _here()
        with setting(_place, place):
            after, ys = call()
        states.update({id(leaf): (leaf, place) for leaf in jax.tree.leaves(after) if id(leaf) not in before})
        return after, ys

    @contextlib.contextmanager
    def at_index(named, index, *args):
        with setting(_layers, f"{_layers.get()}, layer {index}"), named(index, *args):
            yield

    return overriding(
        {
            named: at_index,
            run: lambda of, neuron, state, *args: at_its_place(lambda: counting_run(of, neuron, state, *args), state),
            take_one_step: lambda of, step, neuron, state, x, **key: at_its_place(
                lambda: of(step, neuron, state, x, **key), state
            ),
        }
    )
