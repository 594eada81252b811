"""The same question to each framework: which layers are silent, or is the gradient right?"""

import functools
from pathlib import Path

import brainstate
import jax
import jax.numpy as jnp
import numpy as np

KEY = jax.random.key(0)
XS = jnp.asarray(np.random.default_rng(0).uniform(0, 1, (6, 2, 3)), jnp.float32)


def line_of(file, text):
    """The number of the first line of a file that starts with a text."""
    lines = Path(file).read_text().split("\n")
    return next(number for number, line in enumerate(lines, 1) if line.startswith(text))


def called(host, layer, shape, xs):
    """The state and the outputs of a layer from its own first state, for inputs of this shape at each step."""
    return host.call(layer, shape, None, xs)


def ask(question, host, net, loss, xs=XS, mask=None, stored=None, **blocks):
    """The report of `diagnose` or `check_gradients` on ``loss(ys)``, in blocks of time if `unroll` gets options.

    All parameters are set to ``stored`` first, if that is given.
    """
    answer = functools.partial(getattr(host.layers, question), **({} if mask is None else {"mask": mask}))

    def run(net, *args):
        return host.layers.unroll(net, *args, **blocks) if blocks else net(*args)

    def changed(tree):
        return tree if stored is None else jax.tree.map(lambda x: jnp.full_like(x, stored), tree)

    if stored is not None and host.name != "linen":
        net = host().with_params(net, changed(host().params(net, xs)))
    if host.name == "brainstate":
        brainstate.nn.init_all_states(net, xs.shape[1])
        return answer(net, lambda: loss(run(net, xs)))
    if host.name != "linen":
        return answer(net, lambda net: loss(run(net, host.start(net, xs.shape[1:]), xs)[1]))
    carry = net.initialize_carry(KEY, xs.shape[1:])  # in float32, outside
    variables = changed(net.init(KEY, carry, xs))
    return answer(variables, lambda v: loss(run(net.bind(v, rngs={"spikes": KEY}), carry, xs)[1]))
