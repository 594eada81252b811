"""The table of neurons that the laws of `test_neurons.py` are tried on.

A newcomer enters here and is tested, in plain jax and in each framework; an exported class that is missing fails
`test_the_table_is_complete`. A step is written again from the formula of the class, in NumPy and not taken from the
package. Numbers are small multiples of powers of two: where a step has no product of states, no potential is rounded.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from close import bound

import brainsurr as bs
import brainsurr.nnx
from brainsurr import neurons
from brainsurr._layer import fields_of
from brainsurr.neurons import Neuron, Recurrent
from brainsurr.neurons._spikes import spike_fields

T, B, F = 6, 2, 4
rng = np.random.default_rng(0)
X = rng.integers(-6, 15, (T, B, F)) / 8
KERNEL = rng.integers(-4, 5, (F, F)) / 8

# The classes that brainsurr.neurons exports, and the names that they have in each framework, as a layer or a cell.
EXPORTED = [kind for kind in map(vars(neurons).get, neurons.__all__) if kind not in (Neuron, Recurrent)]
NAMES = {name: layer._neuron_class for name, layer in vars(bs.nnx).items() if hasattr(layer, "_neuron_class")}
NAMES = {name: kind for name, kind in NAMES.items() if name in bs.nnx.__all__}


@dataclasses.dataclass
class Entry:
    """One neuron: how it is made, and what it does.

    Attributes:
      kind: its class.
      settings: of its fields, each a case: numbers, or one for each of 4 channels. The first has numbers alone.
      step: ``step(fire, state, x, **fields) -> (state, y)`` in float64, with a tuple for the state. ``fire(h)`` is 1
        where h is 0 or more.
      start: ``start(x, **fields)``, the state before the first step; None: zeros like ``x`` under each name of a state.
      rounded: how many operations of a step round, where there is a product of states; 0 if none does.
    """

    kind: type[Neuron]
    settings: list[dict[str, Any]]
    step: Callable
    start: Callable | None = None
    rounded: int = 0


class Loop(NamedTuple):
    """What a loop over time gives: the state after the last step, its arrays by name, and the outputs."""

    state: dict[str, np.ndarray]
    ys: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """An entry at one setting; ``recurrent`` feeds its spikes back through `KERNEL`."""

    name: str
    entry: Entry
    setting: dict[str, Any]
    recurrent: bool

    @property
    def kind(self) -> type[Neuron]:
        return self.entry.kind

    @property
    def fires(self) -> bool:
        return bool(spike_fields(self.kind))

    @functools.cached_property
    def neuron(self) -> Neuron:
        neuron = self.kind(**self.setting)
        return Recurrent(neuron, jnp.asarray(KERNEL, jnp.float32)) if self.recurrent else neuron

    @functools.cached_property
    def learnable(self) -> tuple[str, ...]:
        """The paths of all that can be trained."""
        fields = vars(self.kind(**self.setting)).items()
        surrogates = {name: f.named_parameters()[1] for name, f in fields if isinstance(f, bs.Surrogate)}
        numbers = [name for name, value in fields if isinstance(value, float | np.ndarray)]
        return (*numbers, *(f"{name}.{inner}" for name, names in surrogates.items() for inner in names))

    def layer(self, host, make="layer", trained=True, **options) -> Any:
        """A layer of a framework, or a cell; all that can be trained is."""
        options |= {"learnable": self.learnable, "bounds": None} if trained and self.learnable else {}
        options |= host().recurrent(jnp.asarray(KERNEL, jnp.float32)) if self.recurrent else {}
        return getattr(host.layers, make)(self.kind)(F, **self.setting, **options)

    @functools.cached_property
    def loop(self) -> Loop:
        neuron, distances = self.kind(**self.setting), [np.inf]
        fields = {field.name: getattr(neuron, field.name) for field in fields_of(self.kind)}
        fields |= {name: value.astype(float) for name, value in fields.items() if isinstance(value, np.ndarray)}

        def fire(h):
            distances.extend(np.abs(h[h != 0]))  # at 0, nothing was rounded
            return (h >= 0).astype(float)

        state = self.entry.start(X[0], **fields) if self.entry.start else (np.zeros((B, F)),) * len(neuron.states)
        s, ys = np.zeros((B, F)), []
        for x in X:
            state, s = self.entry.step(fire, state, x + s @ KERNEL if self.recurrent else x, **fields)
            ys.append(s)
        states, ys = dict(zip(neuron.states, state, strict=True)), np.stack(ys)
        if not self.entry.rounded:
            assert all((array == array.astype(np.float32)).all() for array in states.values()), "a potential is rounded"
        else:
            size = max(np.abs(array).max() for array in (X, *states.values()))
            assert min(distances) > bound(T * self.entry.rounded, size), "rounding could decide over a spike"
        return Loop(states | {"s": s} if self.recurrent else states, ys)


# Steps.


def li(fire, state, x, *, decay, decay_input):
    (v,) = state
    v = decay * v + (1 - decay if decay_input else 1) * x
    return (v,), v


def lif(
    fire, state, x, *, decay, decay_input, threshold, reset, reset_grad, reset_delay, refractory, fired_at=None, **_
):
    v, *others = state
    left = others.pop() if refractory else np.zeros(1)
    awake = (left == 0).astype(float)
    fired_at = threshold if fired_at is None else fired_at  # of an adaptive threshold, what it was
    (u,), _ = li(fire, (v,), x, decay=decay, decay_input=decay_input)
    u = awake * u + (1 - awake) * v
    s = r = others[0] if reset_delay else awake * fire(u - threshold)
    if not (reset != "zero" if reset_grad is None else reset_grad) and isinstance(r, jax.Array):
        r = jax.lax.stop_gradient(r)  # where jax differentiates the loop
    v = {"subtract": u - fired_at * r, "zero": u * (1 - r), "none": u}[reset]
    s = awake * fire(v - threshold) if reset_delay else s
    left = left - (1 - awake) + refractory * s
    return (v, *[s] * reset_delay, *[left] * bool(refractory)), s


def alif(
    fire, state, x, *, threshold, adapts, adaptation_decay, spike_adaptation, voltage_adaptation, reset_adapted, **rest
):
    def adapted(v, s):
        return adaptation_decay * a + (1 - adaptation_decay) * (spike_adaptation * s + voltage_adaptation * v)

    *inner, a = state
    now = adapted(*inner[:2]) if rest["reset_delay"] else a
    if adapts == "threshold":
        fired_at = threshold + a if reset_adapted else threshold
        inner, s = lif(fire, inner, x, threshold=threshold + now, fired_at=fired_at, **rest)
    else:
        inner, s = lif(fire, inner, x - now, threshold=threshold, **rest)
    return (*inner, now if rest["reset_delay"] else adapted(inner[0], s)), s


def synaptic(fire, state, x, *, current_decay, **lif_fields):
    *inner, i = state
    i = current_decay * i + x
    inner, s = lif(fire, inner, i, **lif_fields)
    return (*inner, i), s


def resonate(fire, state, x, *, frequency, damping, threshold, **_):
    z = (1 - damping + 1j * frequency) * (state[0] + 1j * state[1]) + x
    return (z.real, z.imag), fire(z.real - threshold)


def balanced(fire, state, x, *, frequency, damping, threshold, refractory_decay, spike_damping, **_):
    u, v, q = state
    z = (np.sqrt(1 - frequency**2) - damping - spike_damping * q + 1j * frequency) * (u + 1j * v) + x
    s = fire(z.real - threshold - q)
    return (z.real, z.imag, refractory_decay * q + s), s


def harmonic(fire, state, x, *, frequency, damping, threshold, refractory_decay, spike_damping, **_):
    """With a position in place of a potential, as in the code of the paper: v is frequency times it."""
    u, v, q = state
    position = v / frequency + u
    u = u + x - 2 * (frequency**2 / 2 + damping + spike_damping * q) * u - frequency**2 * position
    s = fire(u - threshold - q)
    return (u, frequency * position, refractory_decay * q + s), s


def integers(fire, state, x, *, decay, decay_input, threshold, levels, **_):
    (u,), _ = li(fire, state, x, decay=decay, decay_input=decay_input)
    s = sum(fire(u - threshold * (k + 0.5)) for k in range(levels))
    return (u - threshold * s,), s


def adex(
    fire, state, x, *, rate, sharpness, adaptation_rate, adaptation_coupling, adaptation_jump, reset_to, peak, **_
):
    v, w = state
    u = v + rate * (sharpness * np.exp((v - 1) / sharpness) - v - w + x)
    s = fire(u - peak)
    w = w + adaptation_rate * (adaptation_coupling * v - w) + adaptation_jump * s
    return (np.where(s > 0, reset_to, u), w), s


def izhikevich(fire, state, x, *, a, b, c, d, dt, **_):
    v, u = state
    p = v + dt * (0.04 * v**2 + 5 * v + 140 - u + x)
    s = fire((p - 30) / 100)
    return (np.where(s > 0, c, p), u + dt * a * (b * v - u) + d * s), s


def at_rest(x, *, b, **_):
    return np.full((B, F), -65.0), -65.0 * b * np.ones((B, F))


def sliding(fire, state, x, *, weights, threshold, **_):
    past = np.concatenate([*state, x[:, None]], axis=1)  # [batch, time, features]
    return (past[:, 1:],), fire(np.einsum("btc,t->bc", past, weights) - threshold)


def bell(fire, state, x, *, longest, delay, width):
    past = np.concatenate([*state, x[:, None]], axis=1)  # [batch, time, features]
    kernel = np.exp(-((np.arange(longest, -1, -1)[:, None] - delay) ** 2) / (2 * width**2)) * np.ones(F)
    return (past[:, 1:],), np.einsum("btc,tc->bc", past, kernel / kernel.sum(0))


def synapses(fire, state, x, *, longest, delay, width, kernel):
    past = np.concatenate([*state, x[:, None]], axis=1)  # [batch, time, features]
    bell = np.exp(-((np.arange(longest, -1, -1)[:, None, None] - delay) ** 2) / (2 * width**2)) * np.ones((F, F))
    return (past[:, 1:],), np.einsum("btc,tcd,cd->bd", past, bell / bell.sum(0), kernel)


def delay(fire, state, x, *, steps, state_dtype):
    past = np.concatenate([*state, x[:, None]], axis=1)  # [batch, time, features]
    y = np.stack([past[:, -1 - n, c] for c, n in enumerate(np.broadcast_to(steps, F))], axis=-1)
    return tuple(past[:, 1:] for _ in state), y


def nothing_yet(x, *, steps, state_dtype):
    return (np.zeros((B, np.max(steps), F)),)


def window(fire, state, x, *, length, state_dtype):
    inputs = np.concatenate([*state, x[:, None]], axis=1)  # [batch, length, features]
    return (inputs[:, 1:],), inputs.reshape(B, -1)


F0, F4 = bs.LogTailedRelu(0.25), bs.LogTailedRelu(np.array([0.0, 0.125, 0.5, 1.0], np.float32))
DECAY = np.array([0.5, 0.75, 0.25, 1.0], np.float32)
THRESHOLD = np.array([1.0, 0.75, 1.25, 0.5], np.float32)
ADAPTATION = {
    "adaptation_decay": np.array([0.5, 0.75, 0.0, 0.5], np.float32),
    "spike_adaptation": np.array([0.5, 1.0, 2.0, 0.25], np.float32),
    "voltage_adaptation": np.array([-1.0, 0.0, 0.0, 0.5], np.float32),
}
TURN = np.array([0.25, 0.5, 0.125, 0.75], np.float32)
RESTS = {"damping": 0.125, "threshold": THRESHOLD, "refractory_decay": DECAY, "spike_damping": 0.25}
BALANCED = [{"frequency": 0.5, "damping": 0.25, "spike_fn": F0}, {"frequency": TURN, "spike_fn": F4} | RESTS]
TABLE = [
    Entry(neurons.LI, [{"decay": 0.5}, {"decay": DECAY, "decay_input": True}], li),
    Entry(
        neurons.LIF,
        [
            {"decay": 0.5, "threshold": 0.75, "spike_fn": F0},
            {"decay": DECAY, "decay_input": True, "threshold": THRESHOLD, "spike_fn": F4, "reset": "zero"},
            {"decay": DECAY, "threshold": THRESHOLD, "spike_fn": F4, "refractory": 2},
        ],
        lif,
    ),
    Entry(
        neurons.Synaptic,
        [
            {"decay": 0.5, "threshold": 0.75, "spike_fn": F0, "current_decay": 0.5},
            {"decay": DECAY, "threshold": THRESHOLD, "spike_fn": F4, "reset_delay": True, "refractory": 1}
            | {"current_decay": np.array([0.5, 0.25, 1.0, 0.0], np.float32)},
        ],
        synaptic,
    ),
    Entry(
        neurons.ALIF,
        [
            {"decay": 0.5, "adaptation_decay": 0.5, "spike_adaptation": 0.5, "adapts": "input", "spike_fn": F0},
            {"decay": DECAY, "threshold": THRESHOLD, "spike_fn": F4, "reset_delay": True} | ADAPTATION,
            {"decay": 0.5, "spike_fn": F0, "refractory": 1} | ADAPTATION,
        ],
        alif,
    ),
    Entry(
        neurons.RF,
        [
            {"frequency": 0.5, "damping": 0.25, "spike_fn": F0},
            {"frequency": TURN, "damping": np.array([0.0, 0.125, 0.25, 0.5], np.float32), "spike_fn": F4},
        ],
        resonate,
        rounded=8,
    ),
    Entry(neurons.BRF, BALANCED, balanced, rounded=16),
    Entry(neurons.BHRF, BALANCED, harmonic, rounded=16),
    Entry(
        neurons.ILIF,
        [
            {"decay": 0.5, "threshold": 0.5, "levels": 2, "spike_fn": F0},
            {"decay": DECAY, "decay_input": True, "threshold": np.array([0.5, 0.25, 1.0, 0.125], np.float32)}
            | {"levels": 3, "spike_fn": F4},
        ],
        integers,
    ),
    Entry(
        neurons.AdEx,
        [
            {"rate": 0.5, "sharpness": 0.5, "peak": 1.25, "spike_fn": F0},
            {"rate": TURN, "sharpness": THRESHOLD, "adaptation_rate": DECAY, "adaptation_coupling": 0.5, "spike_fn": F4}
            | {"adaptation_jump": np.array([0.5, 0.0, 1.0, 0.25], np.float32), "reset_to": -0.25, "peak": 1.5},
        ],
        adex,
        rounded=32,
    ),
    Entry(  # with so large a b, it fires within a few steps
        neurons.Izhikevich,
        [
            {"b": 2.0, "spike_fn": F0},
            {
                "a": DECAY,
                "b": np.array([2.0, 3.0, 1.0, 2.5], np.float32),
                "c": -55.0,
                "d": 4.0,
                "dt": 0.25,
                "spike_fn": F4,
            },
        ],
        izhikevich,
        start=at_rest,
        rounded=64,
    ),
    Entry(
        neurons.SlidingPSN,
        [
            {"weights": (0.5, -0.25, 1.0), "threshold": 0.75, "spike_fn": F0},
            {"weights": np.array([0.5, 0.25, 0.0, 1.0], np.float32), "threshold": THRESHOLD, "spike_fn": F4},
        ],
        sliding,
        start=lambda x, *, weights, **_: (np.zeros((B, len(weights) - 1, F)),),
    ),
    Entry(
        neurons.LearnableDelay,
        [
            {"longest": 3, "delay": 1.25, "width": 0.5},
            {"longest": 3, "delay": np.array([0.0, 1.0, 2.75, 3.0], np.float32)}
            | {"width": np.array([0.5, 1.0, 2.0, 0.75], np.float32)},
        ],
        bell,
        start=lambda x, *, longest, **_: (np.zeros((B, longest, F)),),
        rounded=16,
    ),
    Entry(
        neurons.SynapticDelays,
        [
            {"longest": 3, "delay": 1.25, "kernel": KERNEL.astype(np.float32)},
            {"longest": 3, "delay": np.linspace(0, 3, F * F, dtype=np.float32).reshape(F, F)}
            | {"width": 0.75, "kernel": KERNEL.astype(np.float32)},
        ],
        synapses,
        start=lambda x, *, longest, **_: (np.zeros((B, longest, F)),),
        rounded=32,
    ),
    Entry(neurons.Delay, [{"steps": 2}, {"steps": (1, 3, 0, 2)}], delay, start=nothing_yet),
    Entry(neurons.Window, [{"length": 3}], window, start=lambda x, length, **_: (np.zeros((B, length - 1, F)),)),
]
CASES = [
    Case(f"{entry.kind.__name__}-{i}{'-recurrent' * recurrent}", entry, setting, recurrent)
    for entry in TABLE
    for i, setting in enumerate(entry.settings)
    for recurrent in (False, True)[: 1 + bool(spike_fields(entry.kind))]
]
