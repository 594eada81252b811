"""Calls of what is made of layers: a surrogate as one, several in a row, over long time, and what is found in them."""

import dataclasses
from functools import partial

import brainstate
import jax
import jax.numpy as jnp
import numpy as np

import brainsurr as bs
from brainsurr import neurons

from . import Argument, Call, Shaped, as_floats, choice, count, filled, flag, floats, good, one_of, wrong_type
from .frameworks import FRAMEWORKS, standard
from .layers import WORDS, F, floating, intervals, lif, loop, make_and_call, state_and_input
from .surrogates import PROBABILITY, SURROGATE, random_spikes, spikes


def calls():
    """Yield the calls for each framework."""
    for host in FRAMEWORKS:
        yield from (activation(host), sequential(host), unrolled(host), found_bounds(host), diagnosed(host))
        yield from (checked(host), random_activation(host))
        yield from made(host)


def made(host):
    """Return what makes the class of the layers of a neuron, and of its cells."""
    taken = dataclasses.make_dataclass("Named", [("features", float, 3.0)], bases=(neurons.LI,))
    no_class = one_of("no class of neurons", bs.Sigmoid, neurons.LIF(), neurons.Neuron, neurons.Recurrent, refused=True)
    kinds = wrong_type() + no_class + one_of("a name that is taken", taken, refused=True)
    for name, expected in (("layer", host.layers.LIF), ("cell", host.layers.LIFCell)):
        yield Call(
            f"{host.layers.__name__}.{name}",
            {"kind": Argument(good(neurons.LIF), kinds)},
            getattr(host.layers, name),
            lambda answer, given, expected=expected: None if answer is expected else f"{answer} is not {expected}",
            {"kind": ("class", "field")},
        )


def activation(host):
    """Return a surrogate as a layer."""
    names = one_of("unknown name", "gamma", [None], ("alpha", "gamma"), 3, refused=True)
    arguments = {
        host.surrogate: SURROGATE,
        "learnable": Argument(good((), "alpha", ["alpha"]), wrong_type() + names),
        "bounds": intervals("alpha"),
        "param_dtype": floating(host),
        "x": floats(),
    }

    def call(x, **options):
        return host.outputs(host.layers.SpikingActivation(**options), x)

    # "alpha" is a name, and so is what the wrong list and dictionary hold.
    arguments["learnable"] = Argument(arguments["learnable"].good, wrong_type("text", "list", "dictionary") + names)
    return Call(f"{host.layers.__name__}.SpikingActivation", arguments, call, spikes, WORDS)


def random_activation(host):
    """Return a surrogate as a layer whose spikes are drawn."""
    arguments = {
        host.surrogate: PROBABILITY,
        "random": Argument(good(True), flag().bad),
        "x": floats(),
        **host.of_random_spikes,
    }

    def call(x, **options):
        with brainstate.environ.context(fit=True):
            return host.outputs(host.layers.SpikingActivation(**options), x)

    def judge(answer, given):
        return spikes(answer, given) if given.get("deterministic") else random_spikes(answer, given)

    return Call(f"{host.layers.__name__}.SpikingActivation (random)", arguments, call, judge, WORDS)


def sequential(host):
    """Return a network that halves its input and integrates it."""

    def half(x):
        return 0.5 * x

    def layers(_):
        return [half, host.layers.LI(3, decay=0.5)]

    odd = [
        *one_of("not layers", 3, [None], [host.layers.LI], half, {"a": 1.0}, refused=True),
        *one_of("another answer", Shaped(lambda _: [lambda x: None, host.layers.LI(3)]), refused=True),
        *one_of("another answer", Shaped(lambda _: [lambda x: x[..., :1], host.layers.LI(3)]), refused=True),
    ]
    io = state_and_input(host, "LI", False)
    arguments = io | {"layers": Argument(good(Shaped(layers)), wrong_type() + odd), "return_spikes": flag()}
    arguments["batch"] = Argument(good((2,), (1,)), one_of("zero batch", (0,)))
    if "carry" in arguments:
        entries = one_of("wrong structure", (None,), (None, None, None), 3, {"a": None}, refused=True)
        arguments["carry"] = Argument(good(None), wrong_type("None") + entries)

    def judge(answer, given):
        xs = as_floats(given["xs"])
        given = given | {"xs": (np.float32(0.5) * xs).astype(xs.dtype), "carry": None, "decay": 0.5}
        given |= {"param_dtype": jnp.float32, "carry_init": host.constant(0.0)}
        carry, ys = answer
        if given["return_spikes"]:
            ys, fired = ys
            if fired:
                return f"spikes of layers that do not fire: {fired}"
        held = "carry" not in host.state  # by each layer
        return lif(host, "LI", (carry if held else carry[1], ys), given, stateless=held)

    call = partial(make_and_call, host, host.layers.SpikingSequential)
    return Call(f"{host.layers.__name__}.SpikingSequential", arguments, call, judge, WORDS | {"layers": LAYER})


LAYER = ("layer", "input_shape", "input", "inputs", "xs", "x", "carry", "steps")


def unrolled(host):
    """Return the call of `unroll` on a leaky integrator."""
    net = Argument(good(Shaped(lambda _: host.layers.LI(3, decay=0.5))), host.no_net)
    arguments = state_and_input(host, "LI", False) | blocks() | {"net": net}
    arguments[host.batch] = Argument(arguments[host.batch].good, arguments[host.batch].good)  # only makes the state

    def judge(answer, given):
        given = given | {"decay": 0.5, "param_dtype": jnp.float32, "carry_init": host.constant(0.0)}
        return lif(host, "LI", answer, given)

    words = WORDS | {"time": ("time", "xs", "steps")}
    return Call(f"{host.layers.__name__}.unroll", arguments, host.unroll, judge, words)


def blocks() -> dict[str, Argument]:
    """Return the arguments for blocks of time."""
    size = count(1, 3, np.int64(2))
    remat, reduce = choice("none", "dots", "full"), choice("mean", "max", "last")
    return {
        "block_size": Argument(size.good + good(None), [g for g in size.bad if g.value is not None]),
        "remat": Argument(remat.good, remat.bad + one_of("wrong type", None, refused=True)),
        "reduce": Argument(reduce.good + good(None, None), reduce.bad),
    }


def found_bounds(host):
    """Return the call of `bounds`."""

    def act(_):
        return host.layers.SpikingActivation(F, learnable="alpha")

    def judge(answer, given):
        intervals = jax.tree.leaves(answer, is_leaf=lambda node: isinstance(node, tuple))
        return None if intervals == [(0.0, 1.0)] else f"found {answer}"

    arguments = {host.model: Argument(good(Shaped(act)), wrong_type())}
    return Call(f"{host.layers.__name__}.bounds", arguments, lambda **given: host.bounds_of(*given.values()), judge)


def diagnosed(host):
    """Return the call of `diagnose`."""
    xs = jnp.asarray(filled((4, 2, 3)))

    def make():
        return host.layers.LIF(3, decay=0.5, spike_fn=F)

    odd = [lambda *_: None, lambda *_: "a", lambda *_: jnp.ones(2), lambda *_: 1j, lambda *_: jnp.int32(1)]
    losses = wrong_type("function", "class") + one_of("another answer", *odd, refused=True)

    def judge(answer, given):
        expected = loop(np.asarray(xs), [np.zeros((2, 3))], {"decay": 0.5, "threshold": 1.0, "reset": "subtract"})[
            1
        ].sum()
        return None if answer.loss == expected else f"the loss is {answer.loss}, expected {expected}"

    arguments = {host.net: host.nets(make, xs, []), "loss_fn": Argument(good(standard), losses)}
    call = partial(call_with_loss, host, host.layers.diagnose, make, xs)
    return Call(f"{host.layers.__name__}.diagnose", arguments, call, judge)


def checked(host):
    """Return the call of `check_gradients`."""
    xs = jnp.asarray(filled((4, 2, 3)))

    def make():
        return host.layers.SpikingActivation(bs.Sigmoid(2.0), learnable="alpha")

    odd = [lambda *_: None, lambda *_: "a", lambda *_: jnp.ones(2), lambda *_: 1j, lambda *_: jnp.nan]
    losses = wrong_type("function", "class") + one_of("another answer", *odd, refused=True)

    def judge(answer, given):
        expected = np.sum(1 / (1 + np.exp(-2 * np.asarray(xs, np.float64))))
        if not answer.fine or len(answer) != 1:
            return f"the report is {answer}"
        return None if np.isclose(answer.loss, expected, rtol=1e-12) else f"the loss is {answer.loss}, not {expected}"

    nets = host.nets(make, xs, one_of("no parameters", {}, {"n": 1}, refused=True))
    arguments = {host.net: nets, "loss_fn": Argument(good(standard), losses)}
    call = partial(call_with_loss, host, host.layers.check_gradients, make, xs)
    return Call(f"{host.layers.__name__}.check_gradients", arguments, call, judge, {host.net: ("parameters",)})


def call_with_loss(host, function, make, xs, loss_fn, **given):
    """Call a function of a network and a loss; the good loss is the sum of the outputs."""
    net = given[host.net]

    def total(outputs):
        return jnp.sum(jax.tree.leaves(outputs)[-1])

    return function(net, host.function(net, make, xs, total) if loss_fn is standard else loss_fn)
