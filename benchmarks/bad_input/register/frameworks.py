"""The three frameworks as the register calls them: how each names arguments and gives a state, a network, a loss."""

from typing import Any, ClassVar

import brainstate
import jax
from flax import nnx

import brainsurr.neurons
from tools import hosts

from . import Argument, Given, Shaped, flag, good, one_of, wrong_type


def standard(*_):
    """Stand for the function of a network that ``Framework.function`` returns."""
    raise AssertionError("stands for a function of the framework")


class Framework:
    """What Flax NNX does, and the others where they don't say otherwise.

    Attributes:
      surrogate: the argument of an activation for its surrogate.
      net: that of `diagnose` and `check_gradients` for the network.
      model: that of `bounds`.
      state: those of a call that give the state.
      batch: which of these gives the batch.
      sizes: what can't be the size of a layer, besides what can't be a number of neurons.
      of_neurons: what else a layer of neurons takes.
      of_random_spikes: what else random spikes take.
      no_net: what `unroll` can't take for a network.
    """

    layers: Any
    surrogate, net, model = "surrogate", "net", "model"
    state, batch = ("input_shape", "carry"), "input_shape"
    sizes: ClassVar[list[Given]] = []
    of_neurons: ClassVar[dict[str, Argument]] = {}
    of_random_spikes: ClassVar[dict[str, Argument]] = {}
    no_net = wrong_type()

    @classmethod
    def state_arguments(cls, carry: Argument) -> dict[str, Argument]:
        """Return the arguments that give the state of a layer."""
        sizes = [(), (4,), (2, 4), ("a", 3), (-1, 3), (2.0, 3), (None, 3), 3]
        bad = wrong_type() + one_of("wrong size", *sizes, refused=True) + one_of("wrong size", (5, 3))
        return {"input_shape": Argument(good(Shaped(lambda shape: shape[1:])), bad), "carry": carry}

    @classmethod
    def first_value(cls, initialiser):
        """Return the number that an initialiser gives a neuron."""
        return initialiser(jax.random.key(0), (1,))

    @classmethod
    def outputs(cls, layer, xs):
        """Return the outputs of a layer without a state."""
        return layer(xs)

    @classmethod
    def unroll(cls, net, xs, input_shape, carry, **how):
        """Return the carry and the outputs of `unroll`."""
        if carry is None and isinstance(net, cls.layers.LI):
            carry = net.initialize_carry(input_shape)
        return cls.layers.unroll(net, carry, xs, **how)

    @classmethod
    def bounds_of(cls, model):
        """Return what `bounds` finds."""
        return cls.layers.bounds(model)

    @classmethod
    def nets(cls, make, xs, no_parameters: list[Given]) -> Argument:
        """Return the network as an argument, given what makes it, and what can't be its parameters."""
        return Argument(good(Shaped(lambda _: make())), wrong_type())

    @classmethod
    def function(cls, net, make, xs, of_outputs):
        """Return the function of a network that `diagnose` and its like take: ``of_outputs`` of its outputs."""

        def function(net):
            start = (net.initialize_carry(xs.shape[1:]),) if hasattr(net, "initialize_carry") else ()
            return of_outputs(net(*start, xs))

        return function


class Nnx(Framework, hosts.Nnx):
    """Random numbers come from an ``nnx.Rngs``."""

    _rngs = good(Shaped(lambda _: nnx.Rngs(0)))
    of_neurons: ClassVar = {"rngs": Argument(_rngs, wrong_type("None"))}
    of_random_spikes: ClassVar = {
        "rngs": Argument(_rngs, wrong_type() + one_of("no keys", 0, jax.random.key(0), refused=True))
    }


class Linen(Framework, hosts.Linen):
    """Parameters are given to a module, which is bound to them."""

    surrogate, net, model = "surrogate_init", "variables", "module"
    of_random_spikes: ClassVar = {"deterministic": flag()}

    @classmethod
    def outputs(cls, layer, xs):
        return layer.init_with_output(cls.key(), xs)[0]

    @classmethod
    def unroll(cls, net, xs, input_shape, carry, **how):
        if not isinstance(net, cls.layers.LI):
            return cls.layers.unroll(net, carry, xs, **how)
        start = net.initialize_carry(cls.key(), input_shape) if carry is None else carry
        return cls.layers.unroll(net.bind({}), start, xs, **how)

    @classmethod
    def bounds_of(cls, model):
        return cls.layers.bounds(model, 0.0)

    @classmethod
    def nets(cls, make, xs, no_parameters):
        layer = make()
        variables = good(layer.init(cls.key(), *cls._args(layer, xs)))
        return Argument(variables, no_parameters or variables)

    @classmethod
    def function(cls, net, make, xs, of_outputs):
        layer = make()
        return lambda variables: of_outputs(layer.apply(variables, *cls._args(layer, xs)))


class Brainstate(Framework, hosts.Brainstate):
    """A module holds its state, and a loss takes no argument."""

    state = ("batch_size",)
    batch = "batch_size"
    sizes = one_of("wrong size", (-1, 3), (2.0, 3), (True, 3), ("a", 3), (2, 0), (), refused=True)
    no_net = wrong_type("function")

    @classmethod
    def state_arguments(cls, carry):
        sizes = one_of("wrong size", -1, 2.0, True, (2.0,), ("a",), 7, refused=True)
        return {"batch_size": Argument(good(Shaped(lambda shape: shape[1:-1] or None)), wrong_type("None") + sizes)}

    @classmethod
    def first_value(cls, initialiser):
        return initialiser((1,))

    @classmethod
    def unroll(cls, net, xs, batch_size, **how):
        if not isinstance(net, cls.layers.LI):
            return cls.layers.unroll(net, xs, **how)
        net.init_state(batch_size)
        ys = cls.layers.unroll(net, xs, **how)
        return net.v.value, ys

    @classmethod
    def nets(cls, make, xs, no_parameters):
        def with_state(_):
            net = make()
            brainstate.nn.init_all_states(net, xs.shape[1])
            return net

        return Argument(good(Shaped(with_state)), wrong_type())

    @classmethod
    def function(cls, net, make, xs, of_outputs):
        return lambda: of_outputs(net(xs))


class Plain:
    """No framework: a neuron by itself, which is given the state before the first step."""

    layers, state = brainsurr.neurons, ("carry",)

    @classmethod
    def state_arguments(cls, carry):
        """Return the arguments that give the state of a neuron."""
        return {"carry": Argument(carry.good[1:], carry.bad + one_of("wrong type", None, refused=True))}

    @staticmethod
    def call(neuron, carry, xs):
        """Run a neuron over time."""
        return neuron(carry, xs)


FRAMEWORKS = (Nnx, Linen, Brainstate)
