"""Run the neurons of other libraries beside the layers here: ``python -m tools.ports [library ...]``.

It runs each row of tools/other_libraries.toml whose library is installed, and writes how many spikes differ, and
how far the gradient does, into benchmarks/results/ports/result.json, beside what is there of the other libraries.
tools/coming_from_elsewhere.py reads that file; tests/neurons/test_ports.py runs the same rows, smaller.
"""

import functools
import importlib.metadata
import importlib.util
import json
import math
import platform
import re
import sys
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import brainstate
import brainunit as u
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import brainsurr as bs
import brainsurr.nnx
from brainsurr.neurons._spikes import spike_fields

from .other_libraries import Row, rows, table
from .parts import ROOT

RESULT = ROOT / "benchmarks/results/ports/result.json"
TORCH = ("snntorch", "spikingjelly", "norse")
VALUES: dict[str, dict[str, float]] = {
    "snntorch": {"beta": 0.9, "alpha": 0.75},
    "spikingjelly": {"tau": 5.0, "c_decay": 0.75, "v_decay": 0.9},
    "norse": {"tau_mem_inv": 100.0, "tau_syn_inv": 200.0, "tau_adapt_inv": 50.0, "dt": 1e-3},
    "spyx": {"beta": 0.9, "alpha": 0.75, "gamma": 0.95},
    "jaxpike": {"tau": 6.0, "tau_a": 20.0, "beta": 1.8, "dt": 1.0},
    "sparx": {"tau": 6.0, "tau_a": 20.0, "tau_s": 4.0, "beta": 0.5},
    "brainpy": {"tau": 6.0, "tau_a": 20.0, "tau_ref": 2.5, "beta": 0.3, "dt": 1.0},
}


class Data(NamedTuple):
    """What both sides are given.

    Attributes:
      xs: inputs ``[time, batch, n]``.
      weight: of the outputs, in the loss whose gradient is compared.
      kernel: recurrent weights, from the first axis to the second.
    """

    xs: np.ndarray
    weight: np.ndarray
    kernel: np.ndarray


def drawn(rng: np.random.Generator, steps: int, batch: int, n: int) -> Data:
    """Draw inputs of one sign more than the other, and weights of both."""
    xs = rng.uniform(-0.4, 1.0, (steps, batch, n)).astype(np.float32)
    weight = rng.normal(size=xs.shape).astype(np.float32)
    return Data(xs, weight, (n**-0.5 * rng.normal(size=(n, n))).astype(np.float32))


def key(row: Row) -> str:
    """Return the name of a row."""
    return f"{row.library}.{row.there}"


def ports() -> dict[str, Row]:
    """Return the rows that have the same spikes here, by name."""
    return {key(row): row for row in rows("neuron") if row.here}


def inputs(row: Row, data: Data) -> np.ndarray:
    """Return inputs that make a neuron fire, but not always, whatever it does to them."""
    xs = data.xs * np.float32(6 if "decay_input=True" in row.here else 1)
    return xs * np.float32(0.3) if "LI(" in row.here or "Synaptic(" in row.here else xs


# Here ----------------------------------------------------------------------------------------------------------------


def network(row: Row, data: Data, layers: Any = brainsurr.nnx, spike_fn: Any = None) -> Any:
    """Make the layers of a row, as it says them, in a network of a framework."""

    def maker(make):
        def layer(*args, **options):
            if spike_fn is not None and spike_fields(make._neuron_class):
                options["spike_fn"] = spike_fn
            if options.get("recurrent"):
                options["recurrent_kernel_init"] = lambda *_: jnp.asarray(data.kernel)
                options |= {"rngs": nnx.Rngs(0)} if layers is brainsurr.nnx else {}
            return make(*args, **options)

        return layer

    names = {name: maker(make) for name, make in vars(layers).items() if hasattr(make, "_neuron_class")}
    names |= {"n": data.xs.shape[-1], "exp": math.exp, "log": math.log, "ceil": math.ceil} | VALUES[row.library]
    net = eval(row.here, names)
    return layers.SpikingSequential(net if isinstance(net, list) else [net])


def with_gradient_here(net: Any, xs: Any, weight: np.ndarray) -> tuple[jax.Array, jax.Array]:
    """Return outputs over time, and the gradient of ``sum(weight * outputs)`` in the inputs."""
    carry = net.initialize_carry(xs.shape[1:])
    return outputs_and_gradient("brainsurr", jax.jit(lambda xs: net(carry, xs)[1]), xs, weight)


# There ---------------------------------------------------------------------------------------------------------------


def surrogate(row: Row) -> tuple[dict[str, Any], Any]:
    """Return the arguments that give a neuron there its surrogate, and the same surrogate here; None for its own."""
    library = row.library
    if row.name == "ILIFNode":
        return {}, None
    if library == "snntorch":
        fast_sigmoid = importlib.import_module("snntorch.surrogate").fast_sigmoid(slope=4)
        return {"spike_grad": fast_sigmoid}, bs.InvSquareGrad(4.0)
    if library == "spikingjelly":
        sigmoid = importlib.import_module("spikingjelly.activation_based.surrogate").Sigmoid(alpha=4.0)
        return {"surrogate_function": sigmoid}, bs.Sigmoid(4.0)
    if library == "norse":
        return {}, bs.InvSquareGrad(1.0)
    if library == "spyx":
        superspike = importlib.import_module("spyx").axn.superspike(4)
        return {"activation": superspike, "rngs": nnx.Rngs(0)}, bs.InvSquareGrad(4.0)
    name = "spk_fun" if library == "brainpy" else "surrogate"
    return {name: bs.Arctan(2.0)}, bs.Arctan(2.0)


def made(row: Row, module: Any, n: int) -> Any:
    """Make the neuron that a row says, each class in it with the surrogate."""
    library, values = row.library, dict(VALUES[row.library])
    if library == "norse":
        torch = importlib.import_module("torch")
        values |= {name: torch.as_tensor(value) for name, value in values.items() if name != "dt"}
        values["reset_subtract"] = importlib.import_module("norse.torch.functional.reset").reset_subtract
    if library == "brainpy":
        values |= {name: value * u.ms for name, value in values.items() if name.startswith("tau")}
        values |= {"beta": values["beta"] * u.mV}

    def maker(cls):
        taken = getattr(cls.__init__, "__code__", None)
        more = {k: v for k, v in surrogate(row)[0].items() if taken and k in taken.co_varnames}
        return lambda *args, **options: cls(*args, **more | options)

    names = {name: maker(getattr(module, name)) for name in re.findall(r"\b[A-Z]\w+(?=\()", row.there)}
    return eval(row.there, vars(module) | names | {"n": n} | values)


def set_weights(library: str, neuron: Any, kernel: np.ndarray):
    """Give a recurrent neuron its weights."""
    if library == "spyx":
        neuron.recurrent_w[...] = jnp.asarray(kernel)
        return
    torch = importlib.import_module("torch")
    weight = torch.tensor(kernel.T)
    if library == "snntorch":
        neuron.recurrent.weight.data, neuron.recurrent.bias.data = weight, torch.zeros(len(weight))
    else:  # norse removes self-connections when it is made
        neuron.recurrent_weights.data, neuron.input_weights.data = weight.fill_diagonal_(0), torch.eye(len(weight))


def _step_of_snntorch(neuron, state, x):
    y, *state = neuron(x, *(state or ()))
    return ((y, *state) if hasattr(neuron, "recurrent") else state), y


STEPS: dict[str, Callable] = {  # ``(neuron, state, x) -> (state, output)``; in torch, a state is None at first
    "snntorch": _step_of_snntorch,
    "spikingjelly": lambda neuron, state, x: (None, neuron(x)),
    "norse": lambda neuron, state, x: neuron(x, state)[::-1],
    "spyx": lambda neuron, state, x: neuron(x, state)[::-1],
    "jaxpike": lambda neuron, state, x: neuron(state, x),
}
STARTS: dict[str, Callable] = {
    "spyx": lambda neuron, shape: neuron.initial_state(shape[0]),
    "jaxpike": lambda neuron, shape: neuron.init_state(shape),
}


def over_time(library: str, neuron: Any) -> Callable:
    """Return outputs over time of a neuron of one step, as a function of the inputs."""
    if library == "brainpy":
        return lambda xs: _steps_of_brainpy(neuron, xs)

    def run(xs):
        step = functools.partial(STEPS[library], neuron)
        if library in STARTS:
            return jax.lax.scan(step, STARTS[library](neuron, xs.shape[1:]), xs)[1]
        state, ys = None, []
        for x in xs:
            state, y = step(state, x)
            ys.append(y)
        return importlib.import_module("torch").stack(ys)

    return run


def _steps_of_brainpy(neuron, xs):
    neuron.init_state(xs.shape[1])
    dt = VALUES["brainpy"]["dt"] * u.ms

    def step(x, time):
        with brainstate.environ.context(dt=dt, t=time * dt):
            return neuron(x * u.mA)

    return brainstate.transform.for_loop(step, xs, jnp.arange(len(xs)))


def outputs_and_gradient(library: str, run: Callable, xs: Any, weight: np.ndarray) -> tuple[Any, Any]:
    """Return outputs of a function of a library, and the gradient of ``sum(weight * outputs)`` in the inputs."""
    if library in TORCH:
        torch = importlib.import_module("torch")
        xs = torch.tensor(xs, requires_grad=True)
        ys = run(xs)
        (ys * torch.tensor(weight)).sum().backward()
        return ys.detach().numpy(), xs.grad.numpy()
    ys, pull = jax.vjp(run, jnp.asarray(xs))
    return ys, pull(jnp.asarray(weight))[0]


def of_library(row: Row, module: Any, data: Data, xs: Any) -> tuple[Any, Any]:
    """Return outputs and gradient of a neuron there."""
    neuron, kernel = made(row, module, xs.shape[-1]), data.kernel if "recurrent=True" in row.here else None
    if kernel is not None and row.library != "sparx":
        set_weights(row.library, neuron, kernel)
    run = over_time(row.library, neuron)
    if f"{row.library}.{row.name}" in ("norse.LIF", "snntorch.StateLeaky"):  # layers over time
        run = lambda xs: neuron(xs)[0]  # noqa: E731
    elif row.name.startswith("NonSpiking"):
        run = lambda xs: importlib.import_module("torch").stack(neuron(xs))  # noqa: E731
    elif row.library == "sparx":
        variables = {} if kernel is None else {"params": {"recurrent": jnp.asarray(kernel)}}
        run = lambda xs: neuron.apply(variables, xs)  # noqa: E731
    return outputs_and_gradient(row.library, run, xs, data.weight)


# Both ----------------------------------------------------------------------------------------------------------------


class Difference(NamedTuple):
    """How a row differs.

    Attributes:
      version: of the library.
      outputs: how many there were.
      rate: the mean of those there.
      differ: how many are not the same; of outputs that are no spikes, by more than 1e-5 of the largest.
      gradient: the largest difference of the gradient in the inputs, relative to its largest entry.
    """

    version: str
    outputs: int
    rate: float
    differ: int
    gradient: float


def difference(row: Row, data: Data) -> Difference:
    """Run both sides of a row."""
    module, xs = importlib.import_module(table()[row.library]["neurons"]), inputs(row, data)
    ys, gradient = (np.asarray(part) for part in of_library(row, module, data, xs))
    net = network(row, data, spike_fn=surrogate(row)[1])
    here, gx = (np.asarray(part) for part in with_gradient_here(net, xs, data.weight))
    spikes = np.all((ys == 0) | (ys == 1))
    differ = here != ys if spikes else np.abs(here - ys) > 1e-5 * np.abs(ys).max()
    version = importlib.metadata.version(table()[row.library].get("package", row.library))
    error = float(np.abs(gx - gradient).max() / np.abs(gradient).max())
    return Difference(version, ys.size, float(ys.mean()), int(differ.sum()), float(f"{error:.2g}"))


def main(libraries: list[str]):
    """Run the rows of these libraries, or of all that are installed; keep what the file says of the others."""
    warnings.simplefilter("ignore")  # the libraries' own
    RESULT.parent.mkdir(exist_ok=True)
    for name, row in ports().items():
        installed = importlib.util.find_spec(table()[row.library]["neurons"].partition(".")[0])
        if row.library in libraries or (installed and not libraries):
            found = difference(row, drawn(np.random.default_rng(0), 200, 2, 64))
            print(f"{found.differ:6} {found.gradient:8.1e} {found.rate:6.3f}  {name}")
            known = json.loads(RESULT.read_text())["rows"] if RESULT.exists() else {}
            known[name] = found._asdict() | {"python": platform.python_version(), "jax": jax.__version__}
            known = {name: known[name] for name in ports() if name in known}
            RESULT.write_text(json.dumps({"rows": known}, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
