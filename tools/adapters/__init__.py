"""One interface to the frameworks, a module for each, for tests and benchmarks that do the same in each."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

import jax


class Pure(NamedTuple):
    """A network as a pure function of its parameters, for jax to place, differentiate and compile.

    Attributes:
      params: the tree of its parameters.
      start: ``start(input_shape)`` returns the first carry.
      run: ``run(params, carry, xs, **options)`` returns ``(carry, ys)``; with options it uses `unroll`.
      bounds: for ``brainsurr.optim.project``.
    """

    params: Any
    start: Callable
    run: Callable
    bounds: Any


def leaf_name(path) -> str:
    """Return the name of a parameter: the last key that is neither `val` nor `value`."""
    keys = [getattr(k, "key", getattr(k, "name", getattr(k, "idx", None))) for k in path]
    flat = [str(key) for k in keys for key in (k if isinstance(k, tuple) else (k,))]
    return [key for key in flat if key not in ("val", "value")][-1]


def by_name(tree) -> dict:
    """Return the leaves of a tree of parameters by name."""
    return {leaf_name(path): value for path, value in jax.tree_util.tree_leaves_with_path(tree)}


def carry_and_outputs(layer, carry, xs):
    """Call a layer; the carry of one without a state is None."""
    return layer(carry, xs) if hasattr(layer, "initialize_carry") else (None, layer(xs))


class Host:
    """What the frameworks share whose layers take a carry."""

    name: ClassVar[str]
    layers: ClassVar[ModuleType]
    pure: ClassVar[Callable[..., Pure]]  # makes pure functions of a network, for inputs of a shape

    @staticmethod
    def recurrent(kernel, rngs=None):
        """Return the options of a recurrent LIF layer."""
        return {"recurrent": True, "recurrent_kernel_init": lambda *_: kernel}

    @staticmethod
    def kernel(weights):
        """Return the weights ``[inputs, outputs]`` of a linear layer as it holds them, or these as the first."""
        return weights

    @staticmethod
    def start(layer, input_shape):
        """Return the first carry of a layer."""
        return layer.initialize_carry(input_shape) if hasattr(layer, "initialize_carry") else None

    @classmethod
    def call(cls, layer, input_shape, carry, xs):
        """Return the carry and the outputs of a layer, from its own first carry if None is given."""
        return layer(cls.start(layer, input_shape) if carry is None else carry, xs)

    def params(self, layer, xs):
        """Return the parameters of a layer."""
        return self.pure(layer, xs.shape[1:]).params

    def bounds(self, layer, xs):
        """Return the intervals of its bounded parameters."""
        return self.pure(layer, xs.shape[1:]).bounds

    def grad(self, layer, loss, xs):
        """Return ``(carry, ys)``, and the framework's gradients of ``loss(carry, ys)`` in its parameters and in xs."""
        run = self.pure(layer, xs.shape[1:]).run

        def f(params, xs):
            out = run(params, self.start(layer, xs.shape[1:]), xs)
            return loss(*out), out

        (grads, gx), out = jax.jit(jax.grad(f, (0, 1), has_aux=True))(self.params(layer, xs), xs)
        return out, grads, gx
