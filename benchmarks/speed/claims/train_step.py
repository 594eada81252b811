"""A train step against its matrix products alone, of `[time * batch, features]`: 700-256-256-20, T = 100."""

from unittest import mock

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from tqdm import tqdm

import brainsurr as bs
from brainsurr.nnx import LI, LIF, SpikingSequential, unroll

from ...lib import results, timing
from ...lib.report import wrapped
from ..peers import task
from . import Mark, compiled, megabytes, seconds

SIZES = (5, 10, 20, 50)  # steps a block, beside what `unroll` takes itself
PRODUCTS = "matrix products alone"
FLOOR = f"{PRODUCTS}, flat"
LAYERS, KEPT = "layer by layer", ", time and batch apart"
SMALLEST = """larger blocks need more memory, which the default keeps near the square root of the number of time steps:
its blocks have two square roots of it at most"""
WHY = """the neurons between the products: where a loop over time stores values, XLA on a CPU runs it on one thread, but
the products on all; and it first fills each array that a loop writes with zeros. In blocks, the products are smaller,
and take longer by themselves: *flat, blocks* in the table"""


def spiking(network):
    """Make Linear and LIF layers in turns, a leaky integrator behind, of a `task.Network`."""
    layers, rngs = [], nnx.Rngs(0)
    for w in task.weights(network):
        i, o = w.shape
        kernel_init = nnx.initializers.constant(w)
        linear = nnx.Linear(i, o, use_bias=False, kernel_init=kernel_init, rngs=rngs)
        layers += [linear, LIF(o, spike_fn=bs.Arctan(task.ALPHA))]
    return SpikingSequential([*layers[:-1], LI(network.sizes[-1])])


def train_step(net, logits):
    """Make a step of gradient descent on the weights of a network, ``logits(net, xs)`` of which are its output."""
    graphdef, params = nnx.split(net)

    def step(params, xs, labels):
        def loss_fn(params):
            ys = logits(nnx.merge(graphdef, params), xs)
            return optax.softmax_cross_entropy_with_integer_labels(ys, labels).mean()

        loss, grads = jax.value_and_grad(loss_fn)(params)
        return jax.tree.map(lambda p, g: p - task.NETWORK.rate * g, params, grads), loss

    return step, params


def products(block_size, flat=False):
    """Make a step of gradient descent through the products alone, in blocks of time; flat, ``[time x batch, ...]``."""

    def step(weights, xs, labels):
        def loss_fn(weights):
            def multiply(carry, xs):
                ys = xs.reshape(-1, xs.shape[-1]) if flat else xs
                for w in weights:
                    ys = ys @ w
                return carry, ys.reshape(*xs.shape[:-1], -1)

            return jnp.mean(bs.unroll(multiply, (), xs, block_size=block_size)[1] ** 2)

        loss, grads = jax.value_and_grad(loss_fn)(weights)
        return jax.tree.map(lambda p, g: p - task.NETWORK.rate * g, weights, grads), loss

    return step


def layer_by_layer(net, xs):
    return net(net.initialize_carry(xs.shape[1:]), xs)[1].mean(0)


def blocks(remat, block_size=None):
    """Return the mean of the output over time, in blocks."""

    def logits(net, xs):
        carry = net.initialize_carry(xs.shape[1:])
        return unroll(net, carry, xs, block_size=block_size, remat=remat, reduce="mean")[1]

    return logits


def measure(quick):
    network, steps, batches, rounds = task.NETWORK, task.STEPS, (256, 32), 15
    if quick:
        network, steps, batches, rounds = task.Network((70, 32, 32, 10)), 20, (8,), 2
    net, sizes, runs = spiking(network), network.sizes, []
    ways = {LAYERS: layer_by_layer} | {_name(remat): blocks(remat) for remat in ("none", "dots", "full")}
    kept = {f"{name}{KEPT}": ways[name] for name in (LAYERS, _name("dots"))}
    ways |= {_name("dots", size): blocks("dots", size) for size in SIZES} | kept
    with tqdm(total=len(batches) * (3 + len(ways)) * (1 + rounds), desc="train-step") as bar:
        for batch in batches:
            xs = jax.device_put(task.inputs(batch, steps, sizes[0]))
            labels = jnp.asarray(task.labels(batch, sizes[-1]))
            weights = [jnp.asarray(w) for w in task.weights(network)]
            programs = {
                FLOOR: compiled(products(steps, flat=True), weights, xs, labels),
                PRODUCTS: compiled(products(steps), weights, xs, labels),
                f"{FLOOR}, blocks": compiled(products(None, flat=True), weights, xs, labels),
            }
            bar.update(len(programs))
            for name, logits in ways.items():
                step, params = train_step(net, logits)
                with mock.patch.object(jax, "device_count", lambda n=8 if name in kept else 1: n):  # as on a mesh
                    programs[name] = compiled(step, params, xs, labels)
                bar.update()
            times = timing.interleaved({name: p.call for name, p in programs.items()}, rounds, each=bar.update)
            runs += [{"batch": batch, "name": name, "time": times[name], **p.costs} for name, p in programs.items()]
    shapes = [w.shape for w in task.weights(network)]
    forward = [i * o for i, o in shapes]
    once = 2 * sum(forward) + sum(forward[1:])  # no gradient of the input
    # `full` computes all forward products but the last again, for the derivative of the spikes and of the weights.
    multiplications = {"full": (once + sum(forward[:-1])) / once}
    return {"network": "-".join(map(str, sizes)), "steps": steps, "multiplications": multiplications, "runs": runs}


def _name(remat, size=None):
    return f"blocks, {remat}" if size is None else f"blocks of {size}, {remat}"


def _times(result):
    return {(run["batch"], run["name"]): run["time"] for run in result["runs"]}


def marks(result):
    times = _times(result)
    large, *small = dict.fromkeys(run["batch"] for run in result["runs"])

    def over_floor(what, limit, name, batch):
        what = f"train step, {what} / its flat products alone, batch {batch}"
        return Mark.of(what, limit, times.get((batch, name)), times.get((batch, FLOOR)), WHY)

    def fastest(batch, ways):
        return min(ways, key=lambda name: times[batch, name]["median"])

    dots, modes = _name("dots"), [LAYERS, *map(_name, ("none", "dots", "full"))]
    all_marks = [over_floor(LAYERS, 1.25, LAYERS, large), over_floor(dots, 1.3, dots, large)]
    for batch in small:
        best = fastest(batch, [*modes, *(_name("dots", size) for size in SIZES)])
        all_marks.append(over_floor(f"best mode ({best})", 1.35, best, batch))
    for batch in (large, *small):
        best = fastest(batch, [_name("dots", size) for size in SIZES])
        among = ", ".join(map(str, SIZES))
        what = f"train step, blocks of the default size / {best}, the fastest of {among}, batch {batch}"
        all_marks.append(Mark.of(what, 1.1, times[batch, dots], times[batch, best], SMALLEST))
    return all_marks


def report(result):
    times, rows = _times(result), []
    for run in result["runs"]:
        batch, time = run["batch"], run["time"]["median"] / times[run["batch"], FLOOR]["median"]
        costs = megabytes(run["temporaries"]), f"{run['compile_seconds']:.1f} s"
        rows.append((f"{run['name']}, batch {batch}", seconds(run["time"]), f"{time:.2f}", *costs))
    header = (f"{result['network']}, T = {result['steps']}", "train step", "/ flat products", "temporaries", "compile")
    more = result["multiplications"]["full"]
    kept = f"*{KEPT[2:]}*: a `Linear` gets `[time, batch, features]`, as on several devices."
    why = f"`full` computes forward products twice: {more:.2f} times as many multiplications as the products alone."
    return f"{results.table(header, rows)}\n\n{wrapped(f'{kept} {why}')}"
