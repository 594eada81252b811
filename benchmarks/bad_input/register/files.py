"""Calls of what goes to files and back: NIR."""

import math

import brainstate
import flax
import nir
import numpy as np

import brainsurr as bs

from . import Argument, Call, choice, flag, good, one_of, wrong_type


def calls():
    """Yield a call for each of these names."""
    yield to_nir()
    yield from_nir()


STEPS = Argument(
    good(0.5, 1.0),
    wrong_type()
    + one_of("not a positive number", 0, 0.0, -1.0, math.nan, math.inf, True, np.ones(2), 1j, refused=True)
    + one_of("numpy number", np.float64(0.5)),
)


def graph(**changes):
    """Make a graph of two neurons that keep half of their potential at dt=1, and none at dt=2, by Euler."""
    two = {"tau": np.full(2, 2.0), "r": np.ones(2), "v_leak": np.zeros(2), "v_threshold": np.ones(2)}
    return nir.NIRGraph.from_list(nir.LIF(**two | changes), type_check=False)


def to_nir():
    """Convert a network to NIR."""
    net = bs.nnx.SpikingSequential([bs.nnx.LIF(2, decay=0.5, reset="zero")])
    layers = [
        lambda xs: xs + 1,
        bs.nnx.ALIF(2),
        bs.nnx.LIF(2, decay=0.5, spike_fn=abs),
        flax.nnx.LayerNorm(2, rngs=flax.nnx.Rngs(0)),
    ]
    nets = [bs.nnx.SpikingSequential([layer]) for layer in layers]
    nets += [bs.nnx.LIF(2), bs.nnx.SpikingSequential, flax.nnx.Linear(2, 2, rngs=flax.nnx.Rngs(0))]
    nets += [bs.linen.SpikingSequential([flax.linen.Dense(2)]), brainstate.nn.Linear(2, 2), "net.nir"]
    shapes = one_of(
        "wrong shape", (), (0,), (-1,), (2.5,), (True,), ("a",), (2, math.nan), np.ones((2, 2)), 2, refused=True
    )
    arguments = {
        "net": Argument(good(net), wrong_type() + one_of("not such a network", *nets, refused=True)),
        "input_shape": Argument(good((2,), [2]), wrong_type("list") + shapes),
        "dt": STEPS,
        "method": choice("euler", "exp"),
        "r": choice("1", "tau/dt"),
        "lossy": flag(),
    }

    def judge(answer, given):
        node, dt = answer.nodes["lif_0"], float(given["dt"])
        tau = 2 * dt if given["method"] == "euler" else dt / math.log(2)
        r = 1.0 if given["r"] == "1" else tau / dt
        expected = [np.full(2, tau), np.full(2, r), np.full(2, r / 2)]
        right = np.allclose([node.tau, node.r, node.v_threshold], expected, rtol=1e-12)
        return None if right else f"the neurons are {node}, expected tau, r and threshold {expected}"

    words = {"net": ("layer", "module"), "input_shape": ("shape",)}
    return Call("brainsurr.nir.to_nir", arguments, bs.nir.to_nir, judge, words)


def from_nir():
    """Return the call of `from_nir`."""
    others = [
        graph(**{name: value})
        for name in ("tau", "r", "v_threshold")
        for value in (np.full(2, np.nan), np.array(["a"] * 2))
    ]
    others += [graph(tau=np.zeros(2)), graph(r=-np.ones(2)), graph(v_reset=np.ones(2)), graph(tau=np.full(2, 1j))]
    others += [
        nir.NIRGraph.from_list(nir.Scale(np.ones(2))),
        nir.LIF(*[np.ones(2)] * 4),
        nir.NIRGraph({}, [], type_check=False),
    ]
    texts = one_of("no file", "no/such/file.nir", "", __file__, refused=True)
    arguments = {
        "graph": Argument(good(graph()), wrong_type() + one_of("not such a graph", *others, refused=True) + texts),
        "host": choice("nnx", "linen", "brainstate", like="flax"),
        "dt": STEPS,
        "method": choice("euler", "exp"),
        "r": choice(None, "1", "tau/dt"),
        "reset": choice(None, "subtract", "zero", "none"),
        "reset_delay": Argument(flag().good + good(None), [g for g in flag().bad if g.value is not None]),
        "spike_fn": Argument(
            good(None, bs.Arctan()),
            wrong_type("None", "function"),
        ),
    }

    def judge(answer, given):
        net = answer[0] if given["host"] == "linen" else answer
        layer, dt = net.layers[0], float(given["dt"])
        decay = 1 - dt / 2 if given["method"] == "euler" else math.exp(-dt / 2)
        expected = np.array([decay, 1.0])
        actual = np.array([layer.decay, layer.threshold])
        right = np.allclose(actual, expected, rtol=1e-6) and layer.reset == (given["reset"] or "zero")
        right = right and layer.decay_input == (given["r"] != "tau/dt")
        return None if right else f"the neurons are {layer}, expected decay and threshold {expected}"

    words = {"graph": ("node", "file", "Input"), "spike_fn": ("surrogate",), "dt": ("tau",)}
    return Call("brainsurr.nir.from_nir", arguments, bs.nir.from_nir, judge, words)
