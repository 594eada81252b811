"""The rules for alpha that `learn_alpha` compares.

A rule makes the threshold function of a LIF layer, LogTailedRelu with an alpha that begins at ``start``, and changes
that alpha during training.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

import brainsurr as bs
from brainsurr.nnx import SpikingActivation, bounds
from brainsurr.optim import follow, project

from ..lib.training import cross_entropy, last_layers, neurons, partitioned

BOUNDS = (0.0, 1.0)  # the default of LogTailedRelu
DECAY = 50.0  # of the decayed rules: Adam's step is at most about 1, so alpha can't stay above 1 / 50
INNER = 0.2  # length of the unrolled step of the hypergradient


class Rule(NamedTuple):
    """A rule for alpha.

    Args:
      spike_fn: ``spike_fn(start, features)`` makes the threshold function of a layer.
      optimizer: ``optimizer(start, rate, steps)`` makes the optimiser of its parameters; None trains none.
      adapt: ``adapt(net, inputs, labels, start, setting)`` changes the network before each step.
    """

    spike_fn: Callable
    optimizer: Callable | None = None
    adapt: Callable | None = None


class Mapped(nnx.Module):
    """A surrogate whose alpha is the logistic function of a free parameter: never 0, never 1."""

    def __init__(self, start, shape=()):
        self.alpha_logit = nnx.Param(jnp.full(shape, jax.scipy.special.logit(start)))

    @property
    def surrogate(self):
        return bs.LogTailedRelu(jax.nn.sigmoid(self.alpha_logit[...]))

    def __call__(self, x):
        return self.surrogate(x)


class Alpha(nnx.Variable):
    """An alpha that is not trained by the loss's gradient."""


class OnlyBackward(nnx.Module):
    """A surrogate whose alpha changes g' alone: the spike has no derivative in alpha, as the hypergradient needs."""

    def __init__(self, start):
        self.alpha = Alpha(jnp.asarray(start))

    @property
    def surrogate(self):
        return bs.LogTailedRelu(self.alpha[...])

    def __call__(self, x):
        return _step(x, self.alpha[...])


@jax.custom_jvp
def _step(x, alpha):
    return bs.log_tailed_relu(x, jax.lax.stop_gradient(alpha))


@_step.defjvp
def _step_rule(primals, tangents):
    x, alpha = primals
    return _step(x, alpha), bs.LogTailedRelu(alpha).surrogate_grad(x) * tangents[0]


def hypergradient(net, inputs, labels, start, setting):
    """Step alpha down the loss of half a batch, after an unrolled, normalised step of the weights on the other half."""
    graphdef, params, alphas, rest = nnx.split(net, nnx.Param, Alpha, ...)
    halves = [(inputs[i::2], labels[i::2]) for i in range(2)]

    def loss_fn(params, alphas, half):
        return cross_entropy(setting.outputs(nnx.merge(graphdef, params, alphas, rest), half[0], None), half[1])

    def after_a_step(shift):
        moved = jax.tree.map(lambda alpha: alpha + shift, alphas)
        grads = jax.grad(loss_fn)(params, moved, halves[0])
        length = jnp.sqrt(sum(jnp.vdot(g, g) for g in jax.tree.leaves(grads))) + 1e-12
        stepped = jax.tree.map(lambda p, g: p - INNER * g / length, params, grads)
        return loss_fn(stepped, alphas, halves[1])

    _, slope = jax.jvp(after_a_step, (0.0,), (1.0,))  # forward over reverse: right in scan on every jax
    nnx.update(net, jax.tree.map(lambda alpha: jnp.clip(alpha - setting.rate * jnp.sign(slope), *BOUNDS), alphas))


def only_silent(net, inputs, labels, start, setting):
    """Set alpha to ``start`` for the channels that fire for no example of the batch, and to 0 for the others."""
    for layer, spikes in zip(neurons(net), last_layers(net, setting.show(inputs))[1], strict=True):
        layer.spike_fn.alpha[...] = jnp.where(spikes.sum((0, 1)) == 0, start, 0.0)


def trained(start, features, per_channel=False, **how):
    """Make an activation that trains one alpha, or one per channel."""
    shape = (features,) if per_channel else ()
    return SpikingActivation(bs.LogTailedRelu(jnp.full(shape, start)), learnable="alpha", **how)


def adam(start, rate, steps, decay=0.0):
    """Make Adam, with a decay towards 0 if given."""
    return optax.adamw(rate, weight_decay=decay)


def linear(start, rate, steps):
    """Schedule alpha from the start to 0 over the first half of training."""
    return follow(optax.linear_schedule(start, 0.0, steps // 2))


def three_steps(start, rate, steps):
    """Schedule alpha at the start for three steps, then at 0."""
    return follow(lambda count: jnp.where(count < 3, start, 0.0))


RULES = {
    "fixed": Rule(lambda start, features: SpikingActivation(bs.LogTailedRelu(start))),
    "linear to 0": Rule(trained, linear),
    "3 steps, then 0": Rule(trained, three_steps),
    "only silent channels": Rule(
        lambda start, features: SpikingActivation(bs.LogTailedRelu(jnp.full(features, start))), adapt=only_silent
    ),
    "learned, projected": Rule(trained, adam),
    "learned, sigmoid map": Rule(lambda start, features: Mapped(start), adam),
    "learned, unbounded": Rule(partial(trained, bounds=None), adam),
    "learned, projected, decayed": Rule(trained, partial(adam, decay=DECAY)),
    "per channel, projected": Rule(partial(trained, per_channel=True), adam),
    "per channel, sigmoid map": Rule(lambda start, features: Mapped(start, (features,)), adam),
    "per channel, unbounded": Rule(partial(trained, per_channel=True, bounds=None), adam),
    "per channel, projected, decayed": Rule(partial(trained, per_channel=True), partial(adam, decay=DECAY)),
    "hypergradient": Rule(lambda start, features: OnlyBackward(start), adapt=hypergradient),
}


def optimizer(net, rule, start, rate, steps):
    """Combine Adam for the weights, the rule's optimiser for alpha, and the bounds of the network."""
    of_alpha = rule.optimizer(start, rate, steps) if rule.optimizer else optax.set_to_zero()
    return optax.chain(partitioned("alpha", of_alpha, optax.adam(rate)), project(bounds(net)))
