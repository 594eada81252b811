"""Calls of what is made of layers: a surrogate as one, several in a row, over long time, and what is found in them."""

from functools import partial

import brainstate
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import brainsurr as bs
from tools.hosts import HOSTS, Brainstate, Linen, Nnx

from . import Argument, Call, Shaped, as_floats, choice, count, filled, flag, floats, good, one_of, wrong_type
from .layers import WORDS, F, floating, intervals, lif, loop, make_and_call, state_and_input
from .surrogates import PROBABILITY, SURROGATE, random_spikes, spikes

NOT_ABOVE_0 = (0, -1.0, float("nan"), float("inf"))
K = Argument(
    good(1.0, 0.5, 2),
    wrong_type("array")
    + one_of("not above 0", *NOT_ABOVE_0, refused=True)
    + one_of("not a number", True, 1j, np.ones(2), refused=True),
)


def calls():
    """Yield the calls for each framework."""
    for host in HOSTS:
        yield from (activation(host), sequential(host), unrolled(host), found_bounds(host), diagnosed(host))
        yield from (calibrated(host), checked(host), random_activation(host))


def activation(host):
    """Return a surrogate as a layer."""
    surrogate = "surrogate_init" if host is Linen else "surrogate"
    names = one_of("unknown name", "gamma", [None], ("alpha", "gamma"), 3, refused=True)
    arguments = {
        surrogate: SURROGATE,
        "learnable": Argument(good((), "alpha", ["alpha"]), wrong_type() + names),
        "bounds": intervals("alpha"),
        "param_dtype": floating(host),
        "x": floats(),
    }

    def call(x, **made):
        layer = host.layers.SpikingActivation(**made)
        return layer.init_with_output(Linen.key(), x)[0] if host is Linen else layer(x)

    # "alpha" is a name, and so is what the wrong list and dictionary hold.
    arguments["learnable"] = Argument(arguments["learnable"].good, wrong_type("text", "list", "dictionary") + names)
    return Call(f"{host.layers.__name__}.SpikingActivation", arguments, call, spikes, WORDS)


def random_activation(host):
    """Return a surrogate as a layer whose spikes are drawn."""
    arguments = {
        "surrogate_init" if host is Linen else "surrogate": PROBABILITY,
        "random": Argument(good(True), flag().bad),
        "x": floats(),
    }
    if host is Nnx:
        no_keys = one_of("no keys", 0, jax.random.key(0), refused=True)
        arguments["rngs"] = Argument(good(Shaped(lambda _: nnx.Rngs(0))), wrong_type() + no_keys)
    if host is Linen:
        arguments["deterministic"] = flag()

    def call(x, **made):
        layer = host.layers.SpikingActivation(**made)
        with brainstate.environ.context(fit=True):
            return layer.init_with_output(Linen.key(), x)[0] if host is Linen else layer(x)

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
        if host is Brainstate:
            return lif(host, "LI", (carry, ys), given, stateless=True)  # each layer holds its own state
        return lif(host, "LI", (carry[1], ys), given)

    call = partial(make_and_call, host, host.layers.SpikingSequential)
    return Call(f"{host.layers.__name__}.SpikingSequential", arguments, call, judge, WORDS | {"layers": LAYER})


LAYER = ("layer", "input_shape", "input", "inputs", "xs", "x", "carry", "steps")


def unrolled(host):
    """Return the call of `unroll` on a leaky integrator."""
    wrong = wrong_type("function") if host is Brainstate else wrong_type()
    net = Argument(good(Shaped(lambda _: host.layers.LI(3, decay=0.5))), wrong)
    arguments = state_and_input(host, "LI", False) | blocks() | {"net": net}
    size = "batch_size" if host is Brainstate else "input_shape"
    arguments[size] = Argument(arguments[size].good, arguments[size].good)  # used only to make the state

    def call(net, xs, input_shape=None, batch_size=None, carry=None, **how):
        if not isinstance(net, host.layers.LI):
            return host.layers.unroll(net, *(() if host is Brainstate else (carry,)), xs, **how)
        if host is Brainstate:
            net.init_state(batch_size)
            return host.layers.unroll(net, xs, **how), net.v.value
        if carry is None:
            carry = net.initialize_carry(*((Linen.key(),) if host is Linen else ()), input_shape)
        return host.layers.unroll(net.bind({}) if host is Linen else net, carry, xs, **how)

    def judge(answer, given):
        given = given | {"decay": 0.5, "param_dtype": jnp.float32, "carry_init": host.constant(0.0)}
        carry, ys = reversed(answer) if host is Brainstate else answer
        return lif(host, "LI", (carry, ys), given)

    return Call(f"{host.layers.__name__}.unroll", arguments, call, judge, WORDS | {"time": ("time", "xs", "steps")})


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
        found = jax.tree.leaves(answer, is_leaf=lambda node: isinstance(node, tuple))
        return None if found == [(0.0, 1.0)] else f"found {answer}"

    arguments = {"module" if host is Linen else "model": Argument(good(Shaped(act)), wrong_type())}
    call = (lambda module: host.layers.bounds(module, 0.0)) if host is Linen else host.layers.bounds
    return Call(f"{host.layers.__name__}.bounds", arguments, call, judge)


def calibrated(host):
    """Return the call of `calibrate`."""
    xs = jnp.asarray(filled((4, 2, 3)))

    def layer():
        act = host.layers.SpikingActivation(F.scaled(), learnable="width")
        return host.layers.LIF(3, decay=0.5, spike_fn=act)

    def net(_=None):
        made = layer()
        if host is Brainstate:
            made.init_state(2)
        return made

    def forward(net):
        return net(net.initialize_carry((2, 3)), xs)

    def call(net, forward_, k):
        if forward_ is forward and host is Brainstate:
            return host.layers.calibrate(net, lambda: net(xs), k=k)
        if forward_ is forward and host is Linen:
            carry = layer().initialize_carry(Linen.key(), (2, 3))
            return host.layers.calibrate(net, lambda variables: layer().apply(variables, carry, xs), k=k)[1]
        answer = host.layers.calibrate(net, forward_, k=k)
        return answer[1] if host is Linen else answer

    def judge(answer, given):
        v, squares = np.zeros((2, 3)), []
        for x in np.asarray(xs, np.float64):
            u = 0.5 * v + x
            squares.append((u - 1) ** 2)
            v = u - (u >= 1)
        expected, width = given["k"] * np.sqrt(np.mean(squares)), answer["LIF"].width
        return None if np.isclose(width, expected, rtol=1e-6) else f"the width is {width}, expected {expected}"

    name, bad = "variables" if host is Linen else "net", wrong_type("function", "class")
    params = {"params": {"spike_fn": {"width": jnp.ones(())}}}
    nets = Argument(good(params), good(params)) if host is Linen else Argument(good(Shaped(net)), wrong_type())
    forwards = Argument(good(forward), bad + one_of("another answer", lambda *_: None, lambda *_: 1.0, refused=True))
    renamed = (
        (lambda forward, variables, k: call(variables, forward, k))
        if host is Linen
        else (lambda forward, net, k: call(net, forward, k))
    )
    return Call(f"{host.layers.__name__}.calibrate", {name: nets, "forward": forwards, "k": K}, renamed, judge)


def diagnosed(host):
    """Return the call of `diagnose`."""
    xs = jnp.asarray(filled((4, 2, 3)))

    def net(_=None):
        layer = host.layers.LIF(3, decay=0.5, spike_fn=F)
        if host is Brainstate:
            layer.init_state(2)
        return layer

    def loss(net):
        return jnp.sum(net(net.initialize_carry((2, 3)), xs)[1])

    odd = [lambda *_: None, lambda *_: "a", lambda *_: jnp.ones(2), lambda *_: 1j, lambda *_: jnp.int32(1)]
    losses = wrong_type("function", "class") + one_of("another answer", *odd, refused=True)

    def call(net, loss_fn):
        if loss_fn is loss and host is Brainstate:
            return host.layers.diagnose(net, lambda: jnp.sum(net(xs)))
        if loss_fn is loss and host is Linen:
            layer = host.layers.LIF(3, decay=0.5, spike_fn=F)
            carry = layer.initialize_carry(Linen.key(), (2, 3))
            return host.layers.diagnose(net, lambda variables: jnp.sum(layer.apply(variables, carry, xs)[1]))
        return host.layers.diagnose(net, loss_fn)

    def judge(answer, given):
        expected = loop(np.asarray(xs), [np.zeros((2, 3))], {"decay": 0.5, "threshold": 1.0, "reset": "subtract"})[
            1
        ].sum()
        return None if answer.loss == expected else f"the loss is {answer.loss}, expected {expected}"

    name = "variables" if host is Linen else "net"
    nets = Argument(good({}), good({})) if host is Linen else Argument(good(Shaped(net)), wrong_type())
    renamed = (lambda loss_fn, variables: call(variables, loss_fn)) if host is Linen else call
    return Call(
        f"{host.layers.__name__}.diagnose", {name: nets, "loss_fn": Argument(good(loss), losses)}, renamed, judge
    )


def checked(host):
    """Return the call of `check_gradients`."""
    xs = jnp.asarray(filled((4, 2, 3)))

    def net(_=None):
        return host.layers.SpikingActivation(bs.Sigmoid(2.0), learnable="alpha")

    def loss(*args):
        raise AssertionError("stands for a loss of the host")

    odd = [lambda *_: None, lambda *_: "a", lambda *_: jnp.ones(2), lambda *_: 1j, lambda *_: jnp.nan]
    losses = wrong_type("function", "class") + one_of("another answer", *odd, refused=True)

    def call(net, loss_fn):
        losses = {
            Brainstate: lambda: jnp.sum(net(xs)),
            Linen: lambda variables: jnp.sum(made.apply(variables, xs)),
        }
        made = host.layers.SpikingActivation(bs.Sigmoid(2.0), learnable="alpha")
        return host.layers.check_gradients(
            net, losses.get(host, lambda net: jnp.sum(net(xs))) if loss_fn is loss else loss_fn
        )

    def judge(answer, given):
        expected = np.sum(1 / (1 + np.exp(-2 * np.asarray(xs, np.float64))))
        if not answer.fine or len(answer) != 1:
            return f"the report is {answer}"
        return None if np.isclose(answer.loss, expected, rtol=1e-12) else f"the loss is {answer.loss}, not {expected}"

    name = "variables" if host is Linen else "net"
    made = Argument(good({"params": {"alpha": np.float32(2.0)}}), one_of("no parameters", {}, {"n": 1}, refused=True))
    nets = made if host is Linen else Argument(good(Shaped(net)), wrong_type())
    renamed = (lambda loss_fn, variables: call(variables, loss_fn)) if host is Linen else call
    arguments = {name: nets, "loss_fn": Argument(good(loss), losses)}
    words = {name: ("parameters",)}
    return Call(f"{host.layers.__name__}.check_gradients", arguments, renamed, judge, words)
