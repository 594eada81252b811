"""Train on a mesh of devices with jax alone: place arrays, load examples per process, and run one step on any mesh.

The axes of a mesh are ``batch`` and ``hidden``. Its shape, from ``(n, 1)`` to ``(1, n)``, is the layout.
"""

from functools import partial

import jax
import numpy as np
import optax
from jax.experimental import multihost_utils
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from brainsurr.optim import project

from . import networks

BATCH, SEEDS, TRAIN_STEPS, RATE = 32, (0, 1, 2), 5, 3e-3


def make(shape, devices):
    """Create a mesh with a shape (devices for examples, devices for hidden units)."""
    return jax.make_mesh(shape, ("batch", "hidden"), axis_types=(AxisType.Auto,) * 2, devices=devices)


def sharding(mesh, x):
    """Shard an array along its last axis of hidden units; if it has none, copy it to every device."""
    axes = [axis for axis, length in enumerate(x.shape) if length == networks.WIDTH]
    return NamedSharding(mesh, P(*("hidden" if axis == axes[-1] else None for axis in range(x.ndim)) if axes else ()))


def place(mesh, tree):
    """Place a tree of parameters, or the state of their optimiser, on the devices of a mesh."""
    return jax.device_put(jax.device_get(tree), jax.tree.map(partial(sharding, mesh), tree))


def fetch(x):
    """Copy a whole array to every process."""
    if x.is_fully_addressable or x.is_fully_replicated:
        return np.asarray(x)
    return multihost_utils.process_allgather(x, tiled=True)


def example(seed, step, i):
    """Create spikes ``[time, features]`` and the label of one example; each class has a firing rate per channel."""
    rng = np.random.default_rng([seed, step, i])
    label = rng.integers(networks.CLASSES)
    rates = np.random.default_rng(label).random(networks.FEATURES)
    return (rng.random((networks.STEPS, networks.FEATURES)) < rates).astype(np.float32), label.astype(np.int32)


def load(mesh, seed, step):
    """Load a batch ``[time, batch, features]``, its labels, and the number of examples that this process created."""
    of_xs, of_labels = NamedSharding(mesh, P(None, "batch")), NamedSharding(mesh, P("batch"))
    mine = [index[0].indices(BATCH) for index in of_labels.addressable_devices_indices_map((BATCH,)).values()]
    rows = range(min(start for start, _, _ in mine), max(stop for _, stop, _ in mine))
    xs, labels = (np.stack(parts) for parts in zip(*(example(seed, step, i) for i in rows), strict=True))
    local = jax.make_array_from_process_local_data
    shape = (networks.STEPS, BATCH, networks.FEATURES)
    return local(of_xs, xs.swapaxes(0, 1), shape), local(of_labels, labels, (BATCH,)), len(rows)


def train_step(loss, tx, groups):
    """Create an optax training step that averages the gradients of ``groups`` of examples.

    With one group per device, each group is summed on one device, and the mean is the only sum over devices. The
    gradient of the whole batch at once has the same value, but then a scan over time whose body uses a parameter sums
    the gradient of that parameter over devices in each of its steps.
    """

    def step(params, opt_state, xs, labels):
        xs = xs.reshape(len(xs), groups, -1, xs.shape[-1])
        losses, grads = jax.vmap(jax.value_and_grad(loss), (None, 1, 0))(params, xs, labels.reshape(groups, -1))
        value, grads = jax.tree.map(lambda x: x.mean(0), (losses, grads))
        updates, opt_state = tx.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, value, grads

    return step


def train(build, mesh, groups):
    """Train a few steps from each seed.

    Returns:
      The outcomes of the seeds, the text of the compiled step, and the fractions per process and per device.
    """
    step, outcomes = None, []
    for seed in SEEDS:
        network = build(seed)
        tx = optax.chain(optax.adam(RATE), project(network.bounds))
        params, opt_state = place(mesh, network.params), place(mesh, tx.init(network.params))
        losses, gradients = [], None
        for i in range(TRAIN_STEPS):
            xs, labels, examples_made = load(mesh, seed, i)
            if step is None:
                placed = jax.tree.map(lambda x: x.sharding, (params, opt_state))
                out = (*placed, NamedSharding(mesh, P()), placed[0])
                jitted = jax.jit(train_step(network.loss, tx, groups), out_shardings=out)
                step = jitted.lower(params, opt_state, xs, labels).compile()
            params, opt_state, loss, grads = step(params, opt_state, xs, labels)
            losses.append(float(loss))
            gradients = grads if gradients is None else gradients
        fetched = jax.tree.map(fetch, {"gradients": gradients, "parameters": params})
        outcomes.append({"losses": losses} | fetched)
    held = sum(leaf.addressable_data(0).size for leaf in jax.tree.leaves(params))
    return outcomes, step.as_text(), {"examples_made": examples_made, "parameters_per_device": held}
