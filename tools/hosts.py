"""The three frameworks behind one door, for the tests that ask the same of each."""

import brainstate
import jax
from flax import linen, nnx

import brainsurr.brainstate
import brainsurr.linen
import brainsurr.nnx


def leaf_name(path) -> str:
    """The name of a parameter: the last key that is neither `val` nor `value`."""
    keys = [getattr(k, "key", getattr(k, "name", getattr(k, "idx", None))) for k in path]
    flat = [str(key) for k in keys for key in (k if isinstance(k, tuple) else (k,))]
    return [key for key in flat if key not in ("val", "value")][-1]


def by_name(tree) -> dict:
    return {leaf_name(path): value for path, value in jax.tree_util.tree_leaves_with_path(tree)}


class Nnx:
    name = "nnx"
    layers = brainsurr.nnx

    def recurrent(self, kernel):
        return {"recurrent": True, "recurrent_kernel_init": lambda *_: kernel, "rngs": nnx.Rngs(0)}

    def constant(self, value):
        return nnx.initializers.constant(value)

    def params(self, layer, xs):
        return nnx.state(layer, nnx.Param)

    def bounds(self, layer, xs):
        return self.layers.bounds(layer)

    def with_params(self, layer, params):
        """A layer with other parameters, and what `run` needs of it."""
        nnx.update(layer, params)
        return layer

    def grad(self, layer, loss, xs):
        """(carry, ys), the gradients of loss(carry, ys) by parameter, and that of xs."""
        graphdef, params, rest = nnx.split(layer, nnx.Param, ...)

        def f(params, xs):
            m = nnx.merge(graphdef, params, rest)
            if not hasattr(m, "initialize_carry"):
                out = None, m(xs)
            else:
                out = m(m.initialize_carry(xs.shape[1:]), xs)
            return loss(*out), out

        (grads, gx), out = jax.jit(jax.grad(f, (0, 1), has_aux=True))(params, xs)
        return out, grads, gx


class Linen:
    name = "linen"
    layers = brainsurr.linen
    key = jax.random.key(0)

    def __init__(self):
        self.now = None

    def recurrent(self, kernel):
        return {"recurrent": True, "recurrent_kernel_init": lambda *_: kernel}

    def constant(self, value):
        return linen.initializers.constant(value)

    def _args(self, layer, xs):
        if not hasattr(layer, "initialize_carry"):
            return (xs,)
        return layer.initialize_carry(self.key, xs.shape[1:]), xs

    def params(self, layer, xs):
        return layer.init(self.key, *self._args(layer, xs)).get("params", {}) if self.now is None else self.now

    def bounds(self, layer, xs):
        return self.layers.bounds(layer, *self._args(layer, xs))

    def with_params(self, layer, params):
        self.now = params
        return layer

    def grad(self, layer, loss, xs):
        def f(params, xs):
            out = layer.apply({"params": params}, *self._args(layer, xs))
            out = out if hasattr(layer, "initialize_carry") else (None, out)
            return loss(*out), out

        (grads, gx), out = jax.jit(jax.grad(f, (0, 1), has_aux=True))(self.params(layer, xs), xs)
        return out, grads, gx


class Brainstate:
    name = "brainstate"
    layers = brainsurr.brainstate

    def recurrent(self, kernel):
        return {"recurrent": True, "recurrent_kernel_init": lambda *_: kernel}

    def constant(self, value):
        return brainstate.nn.init.Constant(value)

    def params(self, layer, xs):
        return layer.states(brainstate.ParamState).to_dict_values()

    def bounds(self, layer, xs):
        return self.layers.bounds(layer)

    def with_params(self, layer, params):
        layer.states(brainstate.ParamState).assign_dict_values(params)
        return layer

    def grad(self, layer, loss, xs):
        brainstate.nn.init_all_states(layer, xs.shape[1])

        def f(xs):
            ys = layer(xs)
            carry = {path[-1]: state.value for path, state in layer.states(brainstate.HiddenState).items()}
            carry = (carry["v"], carry["s"]) if "s" in carry else carry.get("v")
            return loss(carry, ys), (carry, ys)

        states = layer.states(brainstate.ParamState)
        if not states:
            gx, out = brainstate.transform.jit(brainstate.transform.grad(f, argnums=0, has_aux=True))(xs)
            return out, {}, gx
        grad = brainstate.transform.grad(f, states, argnums=0, has_aux=True)
        (grads, gx), out = brainstate.transform.jit(grad)(xs)
        return out, grads, gx


HOSTS = [Nnx, Linen, Brainstate]
