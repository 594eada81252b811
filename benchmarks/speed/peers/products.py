"""The lower bound: only the three matrix products, `[time * batch, features]`, forward and backward, and jax alone."""

import jax
import jax.numpy as jnp

from . import task


def build(mode, batch, steps):
    params, xs = [jnp.asarray(w) for w in task.weights()], jax.device_put(task.inputs(batch, steps))

    @jax.jit
    def train_step(params, xs):
        def loss_fn(params):
            ys = xs.reshape(-1, xs.shape[-1])
            for w in params:
                ys = ys @ w
            return jnp.mean(ys**2)

        loss, grads = jax.value_and_grad(loss_fn)(params)
        return jax.tree.map(lambda p, g: p - task.NETWORK.rate * g, params, grads), loss

    def step():
        nonlocal params
        params, loss = jax.block_until_ready(train_step(params, xs))
        return float(loss)

    return step


if __name__ == "__main__":
    task.main(build, ["all steps at once"], ["jax"], ["no neurons: a floor, not a network"])
