"""Train one LIF network on many devices and in many processes: differences from one device, and data sent.

``python -m benchmarks.robustness.scale`` runs each number of devices and of processes on this machine, and writes
``runs/scale/result.json``. Without accelerators, it simulates devices on the CPU. ``--devices N`` makes one run, in
this process. ``--coordinator HOST:PORT --num-processes N --process-id I`` is one process of a run with several, as a
cluster starts it.
"""

import itertools
import os
import socket
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

from ..lib import FRAMEWORKS, results
from ..lib.study import arguments, positive
from . import mesh, networks
from .collectives import collectives
from .reports import scale as report

DEVICES = (1, 2, 4, 8)  # devices in one process
# For n devices: the mesh shape (batch, hidden), and the number of groups of examples with their own gradient.
LAYOUTS = {
    "batch": lambda n: ((n, 1), n),
    "hidden": lambda n: ((1, n), 1),
    "both": lambda n: ((n // 2, 2), n // 2),
    "batch, one gradient": lambda n: ((n, 1), 1),
}
SETTINGS = {
    "network": f"{networks.FEATURES}-{networks.WIDTH}-{networks.WIDTH}-{networks.CLASSES}",
    "width": networks.WIDTH,
    "classes": networks.CLASSES,
    "time_steps": networks.STEPS,
    "block_size": networks.BLOCK,
    "surrogate": f"LogTailedRelu({networks.ALPHA})",
    "examples": mesh.BATCH,
    "seeds": mesh.SEEDS,
    "train_steps": mesh.TRAIN_STEPS,
    "optimiser": f"adam {mesh.RATE:g}, alpha kept in its bounds",
    "tolerance": 1e-5,  # relative to the largest number of an array; chosen before the first run
}


def run_layouts(devices, quick):
    """Run every framework and possible layout on these devices, and compare with one device of the first process."""
    one, runs, layouts = {}, [], ["batch", "hidden"][: len(devices)]
    if not quick and len(devices) > 2:
        layouts.append("both")
    if not quick and len(devices) > 1 and jax.process_count() == 1:
        layouts.append("batch, one gradient")
    for framework, layout in itertools.product(FRAMEWORKS[:1] if quick else FRAMEWORKS, layouts):
        build = partial(networks.build, framework)
        if framework not in one and jax.process_index() == 0:
            one[framework], _, _ = mesh.train(build, mesh.make((1, 1), jax.local_devices()[:1]), 1)
        shape, groups = LAYOUTS[layout](len(devices))
        outcomes, text, shares = mesh.train(build, mesh.make(shape, devices), groups)
        if jax.process_index() == 0:
            run = {"framework": framework, "layout": layout, "devices": len(devices), "processes": jax.process_count()}
            run |= {"mesh": shape, "losses": [outcome["losses"] for outcome in outcomes]}
            run["difference"] = {part: differences(outcomes, one[framework], part) for part in outcomes[0]}
            run["collectives"] = [collective._asdict() for collective in collectives(text)]
            runs.append(run | shares)
    return runs


def differences(outcomes, reference, part):
    """Return the largest difference over seeds, relative to the largest number of its array; NaN if there is one."""
    ours, theirs = (jax.tree.leaves([outcome[part] for outcome in of]) for of in (outcomes, reference))
    pairs = [(np.asarray(x, float), np.asarray(y, float)) for x, y in zip(ours, theirs, strict=True)]
    return {"relative": np.max([np.abs(x - y).max() / np.abs(y).max() for x, y in pairs])}


def everything(quick):
    """Run each number of devices and of processes, each in new processes, and join the results."""
    query = [sys.executable, "-c", "import jax; print(jax.default_backend(), jax.device_count())"]
    backend, count = subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()
    one_process = [n for n in ((2,) if quick else DEVICES) if backend == "cpu" or n <= int(count)]
    groups = [(1, n) for n in one_process] + ([(2, 1)] if quick else [(2, 2), (4, 1)])
    common, runs = ["--quick"] * quick, []
    with tempfile.TemporaryDirectory() as out:
        for number, devices in tqdm(groups, desc="scale", unit="number of devices"):
            command = "-m", "benchmarks.robustness.scale", *common, f"--devices={devices}", f"--out={out}"
            for process in start(number, *command, env=os.environ, stdout=subprocess.DEVNULL):
                if process.wait():  # jax then ends the others
                    raise RuntimeError(f"{' '.join(process.args)} ended with {process.returncode}")
            result = results.read(Path(out) / "result.json")
            runs += result["runs"]
    return result | {"runs": runs}


def start(number, *command, env, **how):
    """Start several processes of a Python program on this machine, each with the options to find the others."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        many = f"--coordinator=localhost:{free.getsockname()[1]}", f"--num-processes={number}"
    if number > 1:  # they can't share an accelerator; programs that jax 0.12.1 reads from its cache hang
        env = env | {"JAX_PLATFORMS": "cpu", "JAX_ENABLE_COMPILATION_CACHE": "0"}
    command = [sys.executable, *command, *many]
    return [subprocess.Popen([*command, f"--process-id={i}"], env=env, **how) for i in range(number)]


def start_jax(args):
    """Start jax and return the devices of a run: all, or the given number per process, simulated on a CPU."""
    if args.devices:
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count={args.devices}"
    if args.coordinator:
        jax.distributed.initialize(args.coordinator, args.num_processes, args.process_id)
    return jax.devices() if jax.process_count() > 1 else jax.devices()[: args.devices]


def main(argv=None):
    """Run, write the result, and print it."""
    quick = "one framework, 2 devices and 2 processes"
    args, begin = arguments("robustness.scale", __doc__, argv, quick=quick, extend=add_options), time.perf_counter()
    if args.devices or args.coordinator:
        runs = run_layouts(start_jax(args), args.quick)
        result = {"study": "scale", "settings": SETTINGS, **results.environment(), "runs": runs}
    else:
        result = everything(args.quick)
    if jax.distributed.is_initialized() and jax.process_index():
        return
    result["seconds"] = time.perf_counter() - begin
    results.write(args.out / "result.json", result)
    print(report.table(results.read(args.out / "result.json")))


def add_options(parser):
    """Add the options for the number of devices, and for the processes of a run."""
    parser.add_argument("--devices", type=positive, metavar="N", help="run once, on N devices of each process")
    parser.add_argument("--coordinator", metavar="HOST:PORT", help="address at which process 0 listens")
    parser.add_argument("--num-processes", type=positive, metavar="N", help="number of processes of the run")
    parser.add_argument("--process-id", type=int, metavar="I", help="number of this process, from 0")


if __name__ == "__main__":
    main()
