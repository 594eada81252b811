"""How a row of `docs/ports.py` is run, and the neurons of other libraries as loops, from what these document.

Written in float64, apart from the package. The spikes can be compared where no potential comes so near to its threshold
that rounding could carry it across, which each loop tells; a spike at the threshold itself is no question then.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
from close import bound

import brainsurr.nnx
from docs.ports import PORTS

T, B, N = 40, 2, 4
VALUES = {
    "snntorch": {"beta": 0.9, "alpha": 0.75},
    "spikingjelly": {"tau": 5.0},
    "norse": {"tau_mem_inv": 100.0, "tau_syn_inv": 200.0, "dt": 1e-3},
    "spyx": {"beta": 0.9, "alpha": 0.75, "gamma": 0.95},
    "jaxpike": {"tau": 6.0, "tau_a": 20.0, "beta": 1.8, "dt": 1.0},
    "brainpy": {"tau": 6.0, "tau_a": 20.0, "beta": 0.3, "dt": 1.0},
}
KEYS = [f"{port.library}.{port.original}" for port in PORTS]
RNG = np.random.default_rng(5)  # the first with which every loop is far enough from each threshold
# Below the threshold, so that no potential is above it after a reset: there one port ends.
X = RNG.uniform(-0.4, 1.0, (T, B, N)).astype(np.float32)
WEIGHT = RNG.normal(size=(T, B, N)).astype(np.float32)


def row(key):
    return PORTS[KEYS.index(key)]


def inputs(key):
    """Inputs that make a neuron fire, but not always, whatever it does to them."""
    port = row(key)
    x = X * np.float32(6 if "decay_input=True" in port.here else 1)
    return x * np.float32(0.3) if port.here.startswith("[LI(") else x


def ours(key, layers=brainsurr.nnx, **more):
    """The layers of a row, as it says them, in a network of a framework; more goes to each layer that fires."""
    return network(row(key), layers, **more)


def network(port, layers=brainsurr.nnx, **more):
    """The same for a row that need not be in the table."""
    names = {name: getattr(layers, name) for name in ("LI", "Delay")}
    names |= {name: lambda *a, make=getattr(layers, name), **k: make(*a, **k | more) for name in ("LIF", "ALIF")}
    net = eval(port.here, names | {"exp": math.exp, "n": N} | VALUES[port.library])
    return layers.SpikingSequential(net if isinstance(net, list) else [net])


def spikes_and_gradient(net, xs):
    """Spikes over time, and the gradient of sum(WEIGHT * spikes) in the inputs."""

    @jax.jit
    def both(carry, xs):
        ys, pull = jax.vjp(lambda xs: net(carry, xs)[1], xs)
        return ys, pull(jnp.asarray(WEIGHT))[0]

    return both(net.initialize_carry((B, N)), jnp.asarray(xs))


def far_enough(distances, scale):
    """That no potential is as near to its threshold as some ten operations a step could round it."""
    assert np.min(distances) > bound(10 * T, scale), np.min(distances)


def loop(key, xs):
    """Outputs over time, and how far each potential was from its threshold."""
    step = STEPS[key](**VALUES[key.split(".")[0]])
    state, ys, near = {name: np.zeros((B, N)) for name in ("v", "i", "a")}, [], []
    for x in xs.astype(np.float64):
        y, distance = step(state, x)
        ys.append(y)
        near.append(distance)
    return np.stack(ys), np.abs(near), np.abs(xs).max() + np.abs(state["v"]).max() + np.abs(state["i"]).max()


def fires(distance):
    return (distance > 0).astype(float)


def snntorch(reset, delay=True, synaptic=False):
    """U[t+1] = beta U[t] + I[t+1] - R U_thr, with R the spike of U[t] (docs of snntorch.Leaky and Synaptic).

    With reset_delay=False the reset is taken at once, "subtract" and "zero"; Leaky's "zero", as coded, sets U[t] to 0.
    """

    def make(beta, alpha):
        def step(state, x):
            if synaptic:
                x = state["i"] = alpha * state["i"] + x
            r = fires(state["v"] - 1)  # of the potential before, which was reset already without a delay
            v = state["v"] * (1 - r) if reset == "zero" and not synaptic else state["v"]
            v = beta * v + x
            if reset == "subtract":
                v = v - r
            elif reset == "zero" and synaptic:
                v = v * (1 - r)
            s = fires(v - 1)
            state["v"] = v if delay else v - (s - r)
            return s, v - 1

        return step

    return make


def spikingjelly(reset, decay_input=True, leak=True):
    """H = V + (X - V) / tau, or V - V / tau + X; V = H (1 - S), or H - S (docs of LIFNode, IFNode: H = V + X)."""

    def make(tau):
        def step(state, x):
            v = state["v"]
            h = v + x if not leak else v + (x - v) / tau if decay_input else v - v / tau + x
            s = fires(h - 1)
            state["v"] = h * (1 - s) if reset == "zero" else h - s
            return s, h - 1

        return step

    return make


def norse(synaptic):
    """v' = (v_leak - v + i) / tau_mem, i' = -i / tau_syn, i += i_in, v = (1 - z) v (docs of lif_box, lif; Euler)."""

    def make(tau_mem_inv, tau_syn_inv, dt):
        def step(state, x):
            i = state["i"] + x if synaptic else x
            v = state["v"] + dt * tau_mem_inv * (i - state["v"])
            state["i"] = i - dt * tau_syn_inv * i if synaptic else state["i"]
            z = fires(v - 1)
            state["v"] = (1 - z) * v
            return z, v - 1

        return step

    return make


def spyx(kind):
    """The spike of V comes first, then V = beta V + x - s threshold; CuBaLIF: beta (V - s threshold) + I.

    ALIF: the threshold is 1 + T, and then T = gamma T + (1 - gamma) s.
    """

    def make(beta, alpha, gamma):
        def step(state, x):
            if kind == "LI":
                state["v"] = beta * state["v"] + x
                return state["v"], np.inf
            threshold = 1 + state["a"]
            s, distance = fires(state["v"] - threshold), state["v"] - threshold
            if kind == "ALIF":
                state["a"] = gamma * state["a"] + (1 - gamma) * s
            if kind == "CuBaLIF":
                state["i"] = alpha * state["i"] + x
                state["v"] = beta * (state["v"] - s) + state["i"]
            else:
                state["v"] = beta * state["v"] + x - s * threshold
            return s, distance

        return step

    return make


def jaxpike(reset="subtract", adapts=False, fires=fires):
    """v = alpha v + (1 - alpha) x, alpha = exp(-dt / tau); threshold + beta a, a = rho a + s (docs of LIF, ALIF)."""

    def make(tau, tau_a, beta, dt):
        alpha, rho = math.exp(-dt / tau), math.exp(-dt / tau_a)

        def step(state, x):
            v = alpha * state["v"] + (1 - alpha) * x
            if fires is None:
                state["v"] = v
                return v, np.inf
            threshold = 1 + beta * state["a"] if adapts else 1
            s = fires(v - threshold)
            state["v"] = v - threshold * s if reset == "subtract" else v * (1 - s)
            state["a"] = rho * state["a"] + s
            return s, v - threshold

        return step

    return make


def brainpy(reset, adapts=False):
    """tau dV/dt = -V + R I by exponential Euler, after the reset by the spike of the last V (docs of LIF, ALIF).

    ALIF: tau_a da/dt = -a after a = a + spike, threshold V_th + beta a.
    """

    def make(tau, tau_a, beta, dt):
        def step(state, x):
            s = fires(state["v"] - 1 - beta * state["a"] * adapts)
            v = state["v"] - (1 if reset == "soft" else state["v"]) * s
            state["v"] = math.exp(-dt / tau) * v + (1 - math.exp(-dt / tau)) * x
            state["a"] = math.exp(-dt / tau_a) * (state["a"] + s)
            distance = state["v"] - 1 - beta * state["a"] * adapts
            return fires(distance), distance

        return step

    return make


STEPS = dict(
    zip(
        KEYS,
        [
            snntorch("subtract"),
            snntorch("subtract", delay=False),
            snntorch("zero"),
            snntorch("none"),
            snntorch("subtract", synaptic=True),
            snntorch("zero", synaptic=True),
            spikingjelly("zero"),
            spikingjelly("zero", decay_input=False),
            spikingjelly("subtract"),
            spikingjelly("zero", leak=False),
            norse(synaptic=False),
            norse(synaptic=True),
            spyx("LIF"),
            spyx("CuBaLIF"),
            spyx("ALIF"),
            spyx("LI"),
            jaxpike(),
            jaxpike("zero"),
            jaxpike(adapts=True),
            jaxpike(fires=None),
            brainpy("soft"),
            brainpy("hard"),
            brainpy("hard", adapts=True),
        ],
        strict=True,
    )
)


# For `docs.ports.AROUND`: what the names in its rows stand for.
CLASSES = np.array([2, 0, 1, 2, 0])
TRACES = RNG.normal(size=(7, 5, 3)).astype(np.float32)
AROUND = {
    "x": np.array([0.1, 0.5, 0.9], np.float32),
    "num_steps": 20_000,
    "seq_length": 20_000,
    "f_max": 400.0,
    "dt": 1e-3,
    "smoothing": 0.3,
    "spikes": (TRACES > 0).astype(np.float32),
    "ys": TRACES,
    "y": CLASSES,
}


def around(port):
    """The expression of a row of `docs.ports.AROUND`, here."""
    names = {"jax": jax, "jnp": jnp, "optax": optax, "smooth_labels": optax.smooth_labels, "one_hot": jax.nn.one_hot}
    names |= {"key": jax.random.key(0), "cross_entropy": optax.softmax_cross_entropy_with_integer_labels}
    return eval(port.here, names | {n: jnp.asarray(v) if isinstance(v, np.ndarray) else v for n, v in AROUND.items()})


def log_softmax(z):
    z = np.asarray(z, np.float64)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def documented_around(port):
    """What the library documents of it: the mean of a loss, or the probability of each spike."""
    spikes, (examples,) = AROUND["spikes"], CLASSES.shape
    rows = np.arange(examples)
    name = port.original.partition("(")[0].rpartition(".")[2]
    if name == "integral_crossentropy":
        labels = 0.7 * np.eye(3)[CLASSES] + 0.3 / 3
        return -(labels * log_softmax(TRACES.sum(0, dtype=np.float64))).sum(-1).mean()
    return {
        "rate": AROUND["x"],
        "PoissonEncoder": AROUND["x"] * (0.4 if port.library == "norse" else 1),
        "ce_rate_loss": -np.mean([log_softmax(s)[rows, CLASSES] for s in spikes]),
        "ce_count_loss": -np.mean(log_softmax(spikes.sum(0))[rows, CLASSES]),
        "accuracy_rate": np.mean(spikes.sum(0).argmax(-1) == CLASSES),
    }[name]
