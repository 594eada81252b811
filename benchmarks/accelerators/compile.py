"""The process that compiles: train steps of one library, for one accelerator; it prints what each does, as JSON."""

import importlib.metadata
import json
import sys
import time

import jax
from jax.extend.core import jaxpr_as_fun
from jax.sharding import SingleDeviceSharding

from ..speed.libraries import OURS, PEERS
from ..speed.peers import on_jax, task
from . import targets
from .program import costs

NETWORKS = {  # of this library alone: what its hidden layers are
    "usual": "LIF",
    "recurrent": "recurrent LIF",
    "adaptive": "ALIF",
    "trained": "LIF with trained decay and surrogate width",
    "convolution": "convolutions with LIF and pooling, 28 x 28, T = 10",
}


def ours(network, mode, steps):
    """Make a train step of this library, and its arguments."""
    from flax import nnx

    import brainsurr as bs
    from brainsurr.nnx import ALIF, LI, LIF, SpikingSequential

    from ..speed.claims import convolution, events, train_step

    outputs = train_step.layer_by_layer if mode == "layer by layer" else train_step.blocks(mode)
    if network == "convolution":
        layers, shape, batch, steps = events.network("convolutions, pooled")
        step, params = convolution.train_step(SpikingSequential(layers), outputs)
        return step, (params, jax.ShapeDtypeStruct((steps, batch, *shape), "float32"), task.USUAL.labels(batch))
    rngs, layers, of = nnx.Rngs(0), [], {"spike_fn": bs.Arctan(task.ALPHA)}
    of |= {"recurrent": True, "rngs": rngs} if network == "recurrent" else {}
    of |= {"learnable": ["decay", "spike_fn.alpha"]} if network == "trained" else {}
    for w in task.USUAL.weights():
        linear = nnx.Linear(*w.shape, use_bias=False, kernel_init=nnx.initializers.constant(w), rngs=rngs)
        layers += [linear, (ALIF if network == "adaptive" else LIF)(w.shape[1], **of)]
    net = SpikingSequential([*layers[:-1], LI(task.USUAL.sizes[-1])])
    step, params = convolution.train_step(net, outputs)
    return step, (params, task.USUAL.inputs(task.Job("").batch, steps), task.USUAL.labels(task.Job("").batch))


def lowered(program, arguments, device):
    """Lower a train step for a device; of brainstate, the function that its jit made of one with states."""
    if hasattr(program, "stateful_fun"):
        program.stateful_fun.make_jaxpr(*arguments)
        closed = program.stateful_fun.get_jaxpr(*arguments)
        program, arguments = jaxpr_as_fun(closed), closed.in_avals
    there = SingleDeviceSharding(device)
    like = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=there), arguments)
    return jax.jit(program, out_shardings=there).trace(*like).lower()


def compiled(name, job, target):
    """Compile one train step, and return what it does."""
    network, mode, steps = job["network"], job["mode"], job["steps"]
    if name == OURS:
        program, arguments = ours(network, mode, steps)
    else:
        train, _ = getattr(on_jax, name)()[0](task.Job(mode, steps=steps))
        program, arguments = train.program, train.arguments
    traced = lowered(program, arguments, targets.device(target))
    start = time.perf_counter()
    done = traced.compile()
    took, memory, text = time.perf_counter() - start, done.memory_analysis(), done.as_text()
    least = memory.argument_size_in_bytes + memory.output_size_in_bytes
    held = {"temporaries": memory.temp_size_in_bytes, "least": least, "compile_seconds": took}
    return job | costs(text)._asdict() | held


def main():
    """Compile for the accelerator of the first argument the jobs of the library that the second names."""
    target, name, jobs = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    versions = {package: importlib.metadata.version(package) for package in PEERS[name].packages}
    rows = []
    for job in jobs:
        try:
            found = compiled(name, job, target)
        except ValueError as error:
            found = job | {"why": str(error)}
        rows.append({"target": target, "name": name, "versions": versions, **found})
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
