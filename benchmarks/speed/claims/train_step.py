"""Training step compared with its matrix products alone: 700-256-256-20, T = 100.

*Matrix products alone* has no neurons. If *flat*, it multiplies arrays `[time * batch, features]`; the third column
divides each time by this lower bound. *blocks, dots* is `unroll` with `remat="dots"`, and *blocks of 5* sets
`block_size=5`. *Time and batch apart* means that a `Linear` gets `[time, batch, features]`, as on several devices.
Temporary memory is allocated for intermediate arrays. Lower is better.
"""

from unittest import mock

import jax
import jax.numpy as jnp
from flax import nnx
from tqdm import tqdm

import brainsurr as bs
from brainsurr.nnx import LI, LIF, SpikingSequential, unroll

from ...lib.report import ratio_at_most, table
from ...lib.training import averaged as layer_by_layer
from ...lib.training import cross_entropy
from ..peers.task import ALPHA, STEPS, USUAL, Network
from . import compiled, megabytes, seconds, timed

SIZES = (5, 10, 20, 50)  # block sizes, besides the default of `unroll`
PRODUCTS = "matrix products alone"
FLOOR = f"{PRODUCTS}, flat"
LAYERS, KEPT = "layer by layer", ", time and batch apart"


def spiking(network, kind=LIF, **options):
    """Alternate Linear and LIF layers (or another kind), followed by a leaky integrator, for a `task.Network`."""
    layers, rngs = [], nnx.Rngs(0)
    for w in network.weights():
        linear = nnx.Linear(*w.shape, use_bias=False, kernel_init=nnx.initializers.constant(w), rngs=rngs)
        layers += [linear, kind(w.shape[1], spike_fn=bs.Arctan(ALPHA), **options)]
    return SpikingSequential([*layers[:-1], LI(network.sizes[-1])])


def descent(loss_fn, rate):
    """Create a step of gradient descent on the first argument of a loss."""

    def step(params, xs, labels):
        loss, grads = jax.value_and_grad(loss_fn)(params, xs, labels)
        return jax.tree.map(lambda p, g: p - rate * g, params, grads), loss

    return step


def data(network, batch, steps):
    """Return inputs and labels."""
    return jax.device_put(network.inputs(batch, steps)), jnp.asarray(network.labels(batch))


def train_step(network, logits):
    """Return a step on the weights of `spiking` layers, whose output is ``logits(net, xs)``, and the weights."""
    return step_of(spiking(network), logits, network.rate)


def step_of(net, logits, rate=0.01):
    """Return a step on the weights of any network, whose output is ``logits(net, xs)``, and the weights."""
    graphdef, params = nnx.split(net)

    def loss_fn(params, xs, labels):
        return cross_entropy(logits(nnx.merge(graphdef, params), xs), labels)

    return descent(loss_fn, rate), params


def products(rate, block_size, flat=False):
    """Create a step through the products alone, in blocks of time; ``flat`` merges time and batch."""

    def loss_fn(weights, xs, labels):
        def multiply(carry, xs):
            ys = xs.reshape(-1, xs.shape[-1]) if flat else xs
            for w in weights:
                ys = ys @ w
            return carry, ys.reshape(*xs.shape[:-1], -1)

        return jnp.mean(bs.unroll(multiply, (), xs, block_size=block_size)[1] ** 2)

    return descent(loss_fn, rate)


def blocks(remat, block_size=None):
    """Return the mean of the output over time, computed in blocks."""

    def logits(net, xs):
        carry = net.initialize_carry(xs.shape[1:])
        return unroll(net, carry, xs, block_size=block_size, remat=remat, reduce="mean")[1]

    return logits


def measure(quick):
    network, steps, batches, rounds = USUAL, STEPS, (256, 32), 15
    if quick:
        network, steps, batches, rounds = Network((70, 32, 32, 10)), 20, (8,), 2
    sizes, runs, rate = network.sizes, [], network.rate
    ways = {LAYERS: layer_by_layer} | {_name(remat): blocks(remat) for remat in ("none", "dots", "full")}
    kept = {f"{name}{KEPT}": ways[name] for name in (LAYERS, _name("dots"))}
    ways |= {_name("dots", size): blocks("dots", size) for size in SIZES} | kept
    for batch in tqdm(batches, desc="train-step"):
        given, weights, programs = data(network, batch, steps), list(map(jnp.asarray, network.weights())), {}
        for name, size, flat in ((FLOOR, steps, True), (PRODUCTS, steps, False), (f"{FLOOR}, blocks", None, True)):
            programs[name] = compiled(products(rate, size, flat), weights, *given)
        for name, logits in ways.items():
            step, params = train_step(network, logits)
            with mock.patch.object(jax, "device_count", lambda n=8 if name in kept else 1: n):  # as on a mesh
                programs[name] = compiled(step, params, *given)
        runs += timed(programs, rounds, batch=batch)
    return {"network": "-".join(map(str, sizes)), "steps": steps, "runs": runs}


def _name(remat, size=None):
    return f"blocks, {remat}" if size is None else f"blocks of {size}, {remat}"


def _times(result):
    return {(run["batch"], run["name"]): run["time"] for run in result["runs"]}


def claims(result):
    times = _times(result)
    large, *small = dict.fromkeys(run["batch"] for run in result["runs"])

    def over_floor(what, limit, name, batch):
        what = f"training step, {what} / matrix products alone, batch {batch}"
        return ratio_at_most(limit, what, times[batch, name], times[batch, FLOOR])

    def fastest(batch, ways):
        return min(ways, key=lambda name: times[batch, name]["median"])

    dots, modes = _name("dots"), [LAYERS, *map(_name, ("none", "dots", "full"))]
    made = [over_floor(LAYERS, 1.25, LAYERS, large), over_floor(dots, 1.3, dots, large)]
    for batch in small:
        best = fastest(batch, [*modes, *(_name("dots", size) for size in SIZES)])
        made.append(over_floor(f"best mode ({best})", 1.35, best, batch))
    for batch in (large, *small):
        best = fastest(batch, modes[1:])
        what = f"training step, {LAYERS} / best other mode ({best}), batch {batch}"
        made.append(ratio_at_most(1.05, what, times[batch, LAYERS], times[batch, best]))
    for batch in (large, *small):
        best = fastest(batch, [_name("dots", size) for size in SIZES])
        among = ", ".join(map(str, SIZES))
        what = f"training step, blocks of the default size / {best}, the best size of {among}, batch {batch}"
        made.append(ratio_at_most(1.1, what, times[batch, dots], times[batch, best]))
    return made


def report(result):
    times, rows = _times(result), []
    for run in result["runs"]:
        batch, time = run["batch"], run["time"]["median"] / times[run["batch"], FLOOR]["median"]
        costs = megabytes(run["temporaries"]), f"{run['compile_seconds']:.1f} s"
        rows.append((f"{run['name']}, batch {batch}", seconds(run["time"]), f"{time:.2f}", *costs))
    header = ("computation", "training step", "time / matrix products alone", "temporary memory", "compile time")
    return table(header, rows)
