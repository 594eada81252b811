"""Read and write NIR files with other libraries, as the documentation of each shows.

``READERS[library](path, xs)`` returns the outputs of a file in that library. ``WRITERS`` creates a network there,
writes it and returns its outputs. ``xs`` is float32, [time, batch, features], or images with channels first. If a
library can't read or write a network, it raises its own error.
"""

import contextlib
import importlib.util
import io
import logging
import os
import re
import subprocess
import tempfile
from pathlib import Path

import nir
import numpy as np

ROOT = Path(__file__).parents[2]  # `lib` imports jax, which the environments of other libraries lack
T, B, N, H, OUT = 50, 4, 8, 32, 5
NORSE_DT = 1e-3  # its default
LAVA_DT = 1e-3


@contextlib.contextmanager
def quietly():
    """Suppress what the libraries print and log."""
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


def run_steps(net, xs, *, per_sample: bool = False):
    """Run a torch module step by step; it returns its output, alone (with hidden state) or with a state."""
    import torch

    def outputs(xs):
        state, ys = None, []
        for x in torch.tensor(xs):
            y = net(x) if state is None else net(x, state)
            y, state = y if isinstance(y, tuple) else (y, None)
            ys.append(y.detach().numpy())
        return np.stack(ys)

    return np.stack([outputs(xs[:, i]) for i in range(xs.shape[1])], 1) if per_sample else outputs(xs)


def channels_last(xs):
    """Move the channels of images to the last axis."""
    return np.moveaxis(xs, 2, -1) if xs.ndim > 3 else xs


def snntorch_reads(path, xs):
    """Run a file in snnTorch, with images one at a time, because its flatten also flattens the batch."""
    import snntorch.import_nir

    def make():
        return snntorch.import_nir.import_from_nir(nir.read(path))

    if xs.ndim == 3:
        return run_steps(make(), xs)
    return np.concatenate([run_steps(make(), xs[:, i : i + 1], per_sample=True) for i in range(xs.shape[1])], 1)


def norse_reads(path, xs):
    """Run a file in norse, with images one at a time, for the same reason."""
    import norse.torch

    return run_steps(norse.torch.from_nir(nir.read(path), dt=NORSE_DT), xs, per_sample=xs.ndim > 3)


def spyx_reads(path, xs):
    """Run a file in spyx, whose time step is 1."""
    import spyx.nir

    return np.asarray(spyx.nir.from_nir(nir.read(path), xs, dt=1)[1])


def jaxpike_reads(path, xs):
    """Run a file in jaxpike, whose time step is 1 ms, with channels last."""
    import jax
    from jaxpike import nir as jaxpike_nir

    net, xs = jaxpike_nir.load(path), channels_last(xs)
    return np.asarray(jax.lax.scan(lambda state, x: net(state, x), net.init_state(xs.shape[1:]), xs)[1])


def snntorch_writes(path, xs, *, cell: str = "Leaky", beta: float = 0.9, threshold: float = 0.7, **reset):
    """Write two layers of a cell, with one parameter per neuron, as the exporter needs them."""
    import snntorch
    import snntorch.export_nir
    import snntorch.utils
    import torch

    torch.manual_seed(0)

    def neurons(n):
        how = {"beta": torch.full((n,), beta), "threshold": torch.full((n,), threshold), "init_hidden": True}
        how |= {"alpha": torch.full((n,), 0.75)} if "Synaptic" in cell else {}
        how |= {"linear_features": n} if cell.startswith("R") else {}
        return getattr(snntorch, cell)(**how, **reset)

    net = torch.nn.Sequential(torch.nn.Linear(N, H), neurons(H), torch.nn.Linear(H, OUT), neurons(OUT))
    nir.write(path, snntorch.export_nir.export_to_nir(net, torch.tensor(xs[0, 0])))
    snntorch.utils.reset(net)
    return run_steps(net, xs)


def norse_writes(path, xs, *, cell: str = "LIFBoxCell"):
    """Write two layers of a cell with its default parameters, one per neuron, and change the file as in docs/nir.md."""
    import norse.torch
    import torch

    torch.manual_seed(0)
    make = getattr(norse.torch, cell)

    def layer(inputs, n):
        linear, default = torch.nn.Linear(inputs, n), make().p
        linear.weight.data *= 20  # the neurons multiply their input by 0.1, and their threshold is 1
        return linear, make(type(default)(*(torch.full((n,), v.item()) if torch.is_tensor(v) else v for v in default)))

    net = norse.torch.SequentialState(*layer(N, H), *layer(H, OUT))
    nir.write(path, norse.torch.to_nir(net, torch.tensor(xs[0, 0])))
    graph = nir.read(path)
    for node in graph.nodes.values():
        if isinstance(node, nir.CubaLIF):
            node.w_in = node.tau_syn / NORSE_DT**2
        if isinstance(node, nir.IF):
            node.r = node.r / NORSE_DT**2
    nir.write(path, graph)
    return run_steps(net, xs)


def spyx_writes(path, xs):
    """Write two LIF layers."""
    import jax
    import spyx
    import spyx.nir
    from flax import nnx

    rngs = nnx.Rngs(0)
    lif = [spyx.nn.LIF((n,), beta=0.9, threshold=0.7, rngs=rngs) for n in (H, OUT)]
    net = spyx.nn.Sequential(nnx.Linear(N, H, rngs=rngs), lif[0], nnx.Linear(H, OUT, rngs=rngs), lif[1])
    nir.write(path, spyx.nir.to_nir(net, {"input": np.array([N])}, {"output": np.array([OUT])}, dt=1))
    return np.asarray(jax.jit(lambda xs: spyx.nn.run(net, xs)[0])(xs))


def jaxpike_writes(path, xs):
    """Write two LIF layers that reset to zero."""
    import jax
    import jaxpike
    from jaxpike import nir as jaxpike_nir

    first, second = jax.random.split(jax.random.key(0))
    lif = [jaxpike.LIF(tau=9.5, threshold=0.07, reset="zero") for _ in range(2)]
    net = jaxpike.Sequential(jaxpike.Dense(N, H, key=first), lif[0], jaxpike.Dense(H, OUT, key=second), lif[1])
    jaxpike_nir.save(net, path, (1, N))
    return jaxpike_reads(path, xs)


def spikingjelly_reads(path, xs):
    """Run a file in SpikingJelly, whose time step is 0.1 ms."""
    from spikingjelly.activation_based.nir_exchange import import_from_nir

    return run_steps(import_from_nir(str(path)), xs)


def sinabs_reads(path, xs, *, single: bool = True):
    """Run a file in sinabs, limited to one spike per step as in docs/chips.md."""
    import sinabs.nir
    import torch
    from sinabs.activation import SingleSpike

    net = sinabs.nir.from_nir(nir.read(path), batch_size=xs.shape[1])
    for layer in net.modules():
        if single and getattr(layer, "spike_fn", None):
            layer.spike_fn, layer.min_v_mem = SingleSpike, None
    inputs = np.moveaxis(xs, 0, 1)
    ys = net(torch.tensor(inputs.reshape(-1, *xs.shape[2:])))
    ys = ys[0] if isinstance(ys, tuple) else ys
    return np.moveaxis(ys.detach().numpy().reshape(*inputs.shape[:2], *ys.shape[1:]), 0, 1)


def rockpool_reads(path, xs, *, single: bool = True):
    """Run a file in rockpool, limited to one spike per step as in docs/chips.md."""
    import torch
    from rockpool.nn.modules.torch.nir import from_nir

    net = from_nir(path)
    for layer in net.modules():
        if single and hasattr(layer, "max_spikes_per_dt"):
            layer.max_spikes_per_dt = torch.tensor(1.0)
    ys = net(torch.tensor(np.moveaxis(xs, 0, 1)))
    ys = ys[0] if isinstance(ys, tuple) else ys
    return np.moveaxis(ys.detach().numpy(), 0, 1)


def sparx_reads(path, xs):
    """Run a file in sparx."""
    import sparx.nir

    net, variables = sparx.nir.from_nir(nir.read(path), dt=1e-3)
    return np.asarray(net.apply(variables, channels_last(xs)))


def lava_reads(path, xs, *, bits: int | None = None):
    """Run a file in Lava with the code of docs/chips.md, in the Python that LAVA names, because Lava needs 3.10."""
    (lines,) = re.findall(r"```py\n([^`]*def run_in_lava[^`]*)```", (ROOT / "docs/chips.md").read_text())
    with tempfile.TemporaryDirectory() as folder:
        program = f"{lines}\nif __name__ == '__main__':\n    import sys\n    path, folder = sys.argv[1:]\n"
        program += f"    spikes = run_in_lava(path, np.load(f'{{folder}}/xs.npy'), {LAVA_DT}, {bits})\n"
        Path(folder, "run.py").write_text(f"{program}    np.save(f'{{folder}}/ys.npy', spikes)\n")
        np.save(f"{folder}/xs.npy", xs)
        subprocess.run([os.environ["LAVA"], f"{folder}/run.py", str(path), folder], check=True, capture_output=True)
        return np.load(f"{folder}/ys.npy")


def spikingjelly_writes(path, xs):
    """Write two LIFNode layers that reset to zero."""
    import torch
    from spikingjelly.activation_based import functional, layer, neuron
    from spikingjelly.activation_based.nir_exchange import export_to_nir

    torch.manual_seed(0)

    def neurons():
        return neuron.LIFNode(tau=10.0, decay_input=False, v_threshold=0.7, v_reset=0.0)

    net = torch.nn.Sequential(layer.Linear(N, H), neurons(), layer.Linear(H, OUT), neurons())
    nir.write(path, export_to_nir(net, torch.tensor(xs[0, :1]), dt=1e-4))
    functional.reset_net(net)
    return run_steps(net, xs)


def sparx_writes(path, xs):
    """Write two LIF layers that reset to zero."""
    import flax.linen as nn
    import jax
    import sparx.nir
    from sparx.nn import LIF

    net = nn.Sequential([nn.Dense(H), LIF(9.5, threshold=0.7, reset="zero"), nn.Dense(OUT), LIF(9.5, reset="zero")])
    variables = net.init(jax.random.key(0), xs)
    nir.write(path, sparx.nir.to_nir(net, variables, dt=1e-3))
    return np.asarray(net.apply(variables, xs))


def sinabs_writes(path, xs, *, cell: str = "LIF", single: bool = True, **how):
    """Write two layers of a cell, whose neurons fire once per step or, by default, multiple times."""
    import sinabs.layers
    import sinabs.nir
    import torch
    from sinabs.activation import SingleSpike

    torch.manual_seed(0)
    how |= {"spike_fn": SingleSpike} if single and cell != "ExpLeak" else {}

    def neurons(n):
        own = {} if cell == "IAF" else {"tau_mem": torch.full((n,), 9.5)}
        own |= {} if cell == "ExpLeak" else {"spike_threshold": torch.full((n,), 0.1 if cell == "LIF" else 0.7)}
        return getattr(sinabs.layers, f"{cell}Squeeze")(**own, **how, batch_size=xs.shape[1])

    net = torch.nn.Sequential(torch.nn.Linear(N, H), neurons(H), torch.nn.Linear(H, OUT), neurons(OUT))
    inputs = torch.tensor(np.moveaxis(xs, 0, 1).reshape(-1, N))
    nir.write(path, sinabs.nir.to_nir(net, inputs))
    for layer in net:
        if hasattr(layer, "reset_states"):
            layer.reset_states()
    return np.moveaxis(net(inputs).detach().numpy().reshape(xs.shape[1], len(xs), OUT), 0, 1)


def rockpool_writes(path, xs, *, change: bool = False):
    """Write two LIFTorch layers, which fire once per step, and change the thresholds in the file as in docs/nir.md."""
    import torch
    from rockpool.nn.combinators import Sequential
    from rockpool.nn.modules import LIFTorch, LinearTorch
    from rockpool.nn.modules.torch.nir import to_nir

    torch.manual_seed(0)
    how = {"tau_mem": 9.5e-3, "tau_syn": 4e-3, "max_spikes_per_dt": torch.tensor(1.0), "dt": 1e-3}
    layers = [LinearTorch((N, H)), LIFTorch(H, **how), LinearTorch((H, OUT)), LIFTorch(OUT, **how)]
    net = Sequential(*layers)
    graph = to_nir(net)
    for node in graph.nodes.values():
        if change and isinstance(node, nir.CubaLIF):
            node.v_threshold = node.v_threshold / np.exp(-1e-3 / node.tau_syn)
    nir.write(path, graph)
    return np.moveaxis(net(torch.tensor(np.moveaxis(xs, 0, 1)))[0].detach().numpy(), 0, 1)


def package(name: str) -> str:
    """Return the package that reads the files for a reader."""
    return {"speck": "sinabs"}.get(name, name)


def versions(python: str, *packages: str) -> dict[str, str]:
    """Return the version of each installed package and of Python."""
    code = "import platform, sys; from importlib.metadata import version; "
    code += "print(platform.python_version(), *map(version, sys.argv[1:]))"
    said = subprocess.run([python, "-c", code, *packages], check=True, capture_output=True, text=True).stdout
    return dict(zip(("python", *packages), said.split(), strict=True))


def installed(name: str) -> bool:
    """Return whether a library is installed; rockpool also needs torch for its neurons from a file."""
    if name == "lava":
        return "LAVA" in os.environ
    needed = [package(name), *(["torch"] if name == "rockpool" else [])]
    return all(importlib.util.find_spec(module) for module in needed)


READERS = {name.removesuffix("_reads"): f for name, f in globals().items() if name.endswith("_reads")}
WRITERS = {name.removesuffix("_writes"): f for name, f in globals().items() if name.endswith("_writes")}
