"""Compile training steps of one library for one accelerator in this process, and print their costs as JSON."""

import importlib.metadata
import json
import sys
import time

import jax
from jax.extend.core import jaxpr_as_fun
from jax.sharding import SingleDeviceSharding

import brainsurr as bs

from ..speed.libraries import OURS, PEERS
from ..speed.peers import on_jax, task
from . import targets
from .program import costs

BATCH = task.Job("").batch


def ours(network, mode, steps):
    """Return a training step of brainsurr and its arguments."""
    from flax import nnx

    from brainsurr.nnx import ALIF, SpikingSequential

    from ..speed.claims import events, train_step

    options = {
        "recurrent": {"recurrent": True, "rngs": nnx.Rngs(0)},
        "adaptive": {"kind": ALIF},
        "trained": {"learnable": ["decay", "spike_fn.alpha"]},
    }
    outputs = train_step.layer_by_layer if mode == "layer by layer" else train_step.blocks(mode)
    if network == "convolution":
        layers, shape, batch, steps = events.network("convolutions, pooled")
        net = SpikingSequential(layers)
    else:
        net, shape, batch = train_step.spiking(task.USUAL, **options.get(network, {})), task.USUAL.features, BATCH
    step, params = train_step.step_of(net, outputs)
    like = [jax.ShapeDtypeStruct(*each) for each in (((steps, batch, *shape), "float32"), ((batch,), "int32"))]
    return step, (params, *like)


def lowered(program, arguments, device):
    """Lower a training step for a device; for brainstate, lower the stateless function that its jit creates."""
    if hasattr(program, "stateful_fun"):
        program.stateful_fun.make_jaxpr(*arguments)
        closed = program.stateful_fun.get_jaxpr(*arguments)
        program, arguments = jaxpr_as_fun(closed), closed.in_avals
    there = SingleDeviceSharding(device)
    like = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=there), arguments)
    return jax.jit(program, out_shardings=there).trace(*like).lower()


def compiled(name, job, target):
    """Compile one training step, and return its costs."""
    network, mode, steps = job["network"], job["mode"], job["steps"]
    if name == OURS:
        program, arguments = ours(network, mode, steps)
    else:
        train, _ = getattr(on_jax, name)()[0](task.Job(mode, steps=steps))
        program, arguments = train.program, train.arguments
    with bs.target_platform("tpu" if target == targets.TPU else "gpu"):
        traced = lowered(program, arguments, targets.device(target))
    start = time.perf_counter()
    done = traced.compile()
    took, memory, text = time.perf_counter() - start, done.memory_analysis(), done.as_text()
    least = memory.argument_size_in_bytes + memory.output_size_in_bytes
    held = {"temporaries": memory.temp_size_in_bytes, "least": least, "compile_seconds": took}
    return job | costs(text)._asdict() | held


def main():
    """Compile the jobs of the library in the second argument, for the accelerator in the first argument."""
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
