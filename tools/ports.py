"""Run the neurons of other libraries alongside their equivalents here: ``python -m tools.ports [library ...]``.

This runs each row of tools/other_libraries.toml whose library is installed. It writes the number of spikes that differ,
and the difference of the gradient, to benchmarks/results/ports/result.json, and keeps the results of other libraries.
tools/coming_from_elsewhere.py reads that file; tests/neurons/test_ports.py runs the same rows on less data.
"""

import dataclasses
import functools
import importlib.metadata
import importlib.util
import json
import math
import pkgutil
import platform
import re
import sys
import types
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
TORCH = ("snntorch", "spikingjelly", "norse", "sinabs", "rockpool", "lava")
VALUES: dict[str, dict[str, float]] = {
    "snntorch": {"beta": 0.9, "alpha": 0.75},
    "spikingjelly": {"tau": 5.0, "c_decay": 0.75, "v_decay": 0.9},
    "norse": {"tau_mem_inv": 100.0, "tau_syn_inv": 200.0, "tau_adapt_inv": 50.0, "dt": 1e-3},
    "spyx": {"beta": 0.9, "alpha": 0.75, "gamma": 0.95, "rate": 0.1, "omega": 0.6},
    "jaxpike": {"tau": 6.0, "tau_a": 20.0, "beta": 1.8, "dt": 1.0},
    "sparx": {"tau": 6.0, "tau_a": 20.0, "tau_s": 4.0, "beta": 0.5},
    "brainpy": {"tau": 6.0, "tau_a": 20.0, "tau_ref": 2.5, "beta": 0.3, "dt": 1.0},
    "sinabs": {"tau_mem": 6.0, "tau_syn": 4.0, "tau_adapt": 20.0},
    "rockpool": {"tau_mem": 6e-3, "tau_syn": 4e-3, "tau_ahp": 20e-3, "w_ahp": -0.3, "dt": 1e-3},
    "lava": {"current_decay": 0.25, "voltage_decay": 0.125},
}
MATHS = {name: getattr(math, name) for name in ("exp", "log", "ceil", "cos", "sin")}


class Data(NamedTuple):
    """The data that both neurons get.

    Attributes:
      xs: inputs ``[time, batch, n]``.
      weight: the weight of each output in the loss whose gradient is compared.
      kernel: recurrent weights, from the first axis to the second.
    """

    xs: np.ndarray
    weight: np.ndarray
    kernel: np.ndarray


def drawn(rng: np.random.Generator, steps: int, batch: int, n: int) -> Data:
    """Draw inputs that are mostly positive, and weights of both signs."""
    xs = rng.uniform(-0.4, 1.0, (steps, batch, n)).astype(np.float32)
    weight = rng.normal(size=xs.shape).astype(np.float32)
    return Data(xs, weight, (n**-0.5 * rng.normal(size=(n, n))).astype(np.float32))


def key(row: Row) -> str:
    """Return the name of a row."""
    return f"{row.library}.{row.there}"


def ports() -> dict[str, Row]:
    """Return the rows with an equivalent that gives the same spikes, by name."""
    return {key(row): row for row in rows("neuron") if row.here}


def inputs(row: Row, data: Data) -> np.ndarray:
    """Return inputs, scaled so that the neuron of a row fires sometimes but not always."""
    xs = eval(row.inputs, {"xs": data.xs}) * np.float32(6 if "decay_input=True" in row.here else 1)
    return xs * np.float32(0.3) if "LI(" in row.here or "Synaptic(" in row.here else xs


def unmet(row: Row) -> Row | None:
    """Return the variant of a row for the case that its condition is not met, or None if it has no condition."""
    return dataclasses.replace(row, **row.unmet) if row.unmet else None


@functools.cache
def modules(library: str) -> list[types.ModuleType]:
    """Import the modules that contain the neurons of a library, including their packages and submodules."""
    found = []
    for name in table()[library]["neurons"]:
        parts = name.split(".")
        found += [importlib.import_module(".".join(parts[: i + 1])) for i in range(len(parts))]
        inside = pkgutil.walk_packages(getattr(found[-1], "__path__", ()), f"{name}.")
        found += [importlib.import_module(each.name) for each in inside if ".test" not in each.name]
    return found


# Here ----------------------------------------------------------------------------------------------------------------


def network(row: Row, data: Data, layers: Any = brainsurr.nnx, spike_fn: Any = None) -> Any:
    """Return a network of a framework with the layers that a row names."""

    def maker(make):
        def layer(*args, **options):
            if spike_fn is not None and spike_fields(make._neuron_class) and "spike_fn" not in options:
                options["spike_fn"] = spike_fn
            if options.get("recurrent"):
                options["recurrent_kernel_init"] = lambda *_: jnp.asarray(data.kernel)
                options |= {"rngs": nnx.Rngs(0)} if layers is brainsurr.nnx else {}
            return make(*args, **options)

        return layer

    names = {name: maker(make) for name, make in vars(layers).items() if hasattr(make, "_neuron_class")}
    names |= {"n": data.xs.shape[-1], "float32": np.float32, "f": spike_fn or bs.Sigmoid(4.0)} | MATHS
    names |= {"stop_gradient": jax.lax.stop_gradient, "maximum": jnp.maximum, "floor": jnp.floor} | VALUES[row.library]
    net = eval(row.here, names)
    return layers.SpikingSequential(net if isinstance(net, list) else [net])


def with_gradient_here(net: Any, xs: Any, weight: np.ndarray) -> tuple[jax.Array, jax.Array]:
    """Return the outputs over time, and the gradient of ``sum(weight * outputs)`` with respect to the inputs."""
    carry = net.initialize_carry(xs.shape[1:])
    return outputs_and_gradient("brainsurr", jax.jit(lambda xs: net(carry, xs)[1]), xs, weight)


# There ---------------------------------------------------------------------------------------------------------------


def surrogate(row: Row) -> tuple[dict[str, Any], Any]:
    """Return the arguments that set a neuron's surrogate there, and the same surrogate here; None for its own one."""
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
    if library == "sinabs":
        return {}, 2 * bs.PiecewiseExp(2.0)
    if library == "rockpool":
        return {}, _from_half
    if library == "lava":
        return {"tau_grad": 0.01, "scale_grad": 10}, bs.PiecewiseExp(1.0)
    name = "spk_fun" if library == "brainpy" else "surrogate"
    return {name: bs.Arctan(2.0)}, bs.Arctan(2.0)


def _from_half(x):
    """Fire like rockpool, with a gradient of 1 for potentials above half of the threshold."""
    slope = jax.nn.relu(x + 0.5)
    return (x >= 0).astype(x.dtype) + (slope - jax.lax.stop_gradient(slope))


def made(row: Row, n: int) -> Any:
    """Create the neuron that a row names, and give each class in it the surrogate."""
    library, values = row.library, dict(VALUES[row.library])
    if library == "norse":
        torch = importlib.import_module("torch")
        values |= {name: torch.as_tensor(value) for name, value in values.items() if name != "dt"}
        values["reset_subtract"] = importlib.import_module("norse.torch.functional.reset").reset_subtract
    if library in ("sinabs", "rockpool"):
        torch = importlib.import_module("torch")
        values |= {"torch": torch, "Linear": torch.nn.Linear}
    if library == "brainpy":
        values |= {name: value * u.ms for name, value in values.items() if name.startswith("tau")}
        values |= {"beta": values["beta"] * u.mV}

    def maker(cls):
        taken = getattr(cls.__init__, "__code__", None)
        more = {k: v for k, v in surrogate(row)[0].items() if taken and k in taken.co_varnames}
        return lambda *args, **options: cls(*args, **more | options)

    scope: dict[str, Any] = {}
    for module in modules(library):
        scope = vars(module) | scope  # names that the package exports take precedence
    scope |= {"n": n} | values
    names = {name: maker(scope[name]) for name in re.findall(r"(?<!\.)\b[A-Z]\w+(?=\()", row.there)}
    if library == "lava":  # all classes of this module have the same name
        names = {"cuba": types.SimpleNamespace(Neuron=maker(scope["cuba"].Neuron))}
    neuron = eval(row.there, scope | names)
    if row.name in ("StochasticAssociativeLIF", "SPSN"):
        neuron.beta[...] = jnp.full(n, values["beta"])
    elif row.name in ("LeakyParallel", "LILinearCell"):
        weight = neuron.rnn.weight_ih_l0 if row.name == "LeakyParallel" else neuron.input_weights
        weight.data = importlib.import_module("torch").eye(n)
    return neuron


def set_weights(library: str, neuron: Any, kernel: np.ndarray):
    """Set the recurrent weights of a neuron."""
    if library == "spyx":
        neuron.recurrent_w[...] = jnp.asarray(kernel)
        return
    torch = importlib.import_module("torch")
    weight = torch.tensor(kernel.T)
    if library == "sinabs":
        neuron.rec_connect.weight.data = weight
    elif library == "rockpool":
        neuron.w_rec.data = weight.T
    elif library == "snntorch":
        neuron.recurrent.weight.data, neuron.recurrent.bias.data = weight, torch.zeros(len(weight))
    else:  # norse removes self-connections when it creates the neuron
        neuron.recurrent_weights.data, neuron.input_weights.data = weight.fill_diagonal_(0), torch.eye(len(weight))


def _step_of_snntorch(neuron, state, x):
    y, *state = neuron(x, *(state or ()))
    return ((y, *state) if hasattr(neuron, "recurrent") else state), y


STEPS: dict[str, Callable] = {  # ``(neuron, state, x) -> (state, output)``; in torch, the first state is None
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
    """Return a function that runs a single-step neuron over time."""
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
    """Return the outputs of a library's function, and the gradient of ``sum(weight * outputs)`` in the inputs."""
    if library in TORCH:
        torch = importlib.import_module("torch")
        xs = torch.tensor(xs, requires_grad=True)
        ys = run(xs)
        (ys * torch.tensor(weight)).sum().backward()
        return ys.detach().numpy(), xs.grad.numpy()
    ys, pull = jax.vjp(run, jnp.asarray(xs))
    return ys, pull(jnp.asarray(weight))[0]


LAYERS: dict[str, Callable] = {  # ``(neuron, xs) -> outputs`` over time, by library or row
    "snntorch.StateLeaky": lambda neuron, xs: neuron(xs)[0],
    "snntorch.LeakyParallel": lambda neuron, xs: neuron(xs),
    "norse.LIF": lambda neuron, xs: neuron(xs)[0],
    "spyx.StochasticAssociativeLIF": lambda neuron, xs: neuron(jax.random.key(0), xs.swapaxes(0, 1))[1].swapaxes(0, 1),
    "spikingjelly.NonSpikingLIFNode": lambda neuron, xs: importlib.import_module("torch").stack(neuron(xs)),
    "sparx.SlidingPSN": lambda neuron, xs: neuron.init_with_output(jax.random.key(0), xs)[0],
    "sinabs": lambda neuron, xs: neuron(xs.swapaxes(0, 1)).swapaxes(0, 1),
    "rockpool": lambda neuron, xs: neuron(xs.swapaxes(0, 1))[0].swapaxes(0, 1),
    "lava": lambda neuron, xs: neuron(xs.permute(1, 2, 0)).permute(2, 0, 1),
}
LAYERS["spyx.SPSN"] = LAYERS["spyx.StochasticAssociativeLIF"]
LAYERS["spikingjelly.NonSpikingIFNode"] = LAYERS["spikingjelly.NonSpikingLIFNode"]


def of_library(row: Row, data: Data, xs: Any) -> tuple[Any, Any]:
    """Return the outputs and the gradient of the neuron in the other library."""
    neuron, kernel = made(row, xs.shape[-1]), data.kernel if "recurrent=True" in row.here else None
    library = "jax" if row.name.endswith("Jax") else row.library
    if kernel is not None and library != "sparx":
        factor = re.match(r"\[lambda x: (.*?) \* x,", row.here)  # the factor on everything that enters a current here
        set_weights(library, neuron, kernel / np.float32(eval(factor[1], MATHS | VALUES[library]) if factor else 1))
    run = over_time(library, neuron)
    if layer := LAYERS.get(f"{row.library}.{row.name}", LAYERS.get(row.library)):
        run = functools.partial(layer, neuron)
    elif library == "sparx":
        variables = {} if kernel is None else {"params": {"recurrent": jnp.asarray(kernel)}}
        run = functools.partial(neuron.apply, variables)
    return outputs_and_gradient(library, run, xs, data.weight)


# Both ----------------------------------------------------------------------------------------------------------------


class Difference(NamedTuple):
    """The differences between a neuron there and its equivalent here.

    Attributes:
      version: the version of the library.
      outputs: the number of outputs.
      rate: the mean of the outputs there.
      differ: the number of outputs that differ; non-spiking outputs differ if by more than 1e-5 of the largest.
      gradient: the largest difference in the gradient with respect to the inputs, relative to its largest entry.
      unmet: the number of outputs that differ if the row's condition is not met.
    """

    version: str
    outputs: int
    rate: float
    differ: int
    gradient: float
    unmet: int | None


def both(row: Row, data: Data) -> list[np.ndarray]:
    """Return the outputs and gradients of the other library, and of brainsurr."""
    xs = inputs(row, data)
    net = network(row, data, spike_fn=surrogate(row)[1])
    return [np.asarray(part) for part in (*of_library(row, data, xs), *with_gradient_here(net, xs, data.weight))]


def difference(row: Row, data: Data) -> Difference:
    """Run a row in both libraries and return the differences."""
    ys, gradient, here, gx = both(row, data)
    spikes = np.all(ys == np.rint(ys))
    differ = here != ys if spikes else np.abs(here - ys) > 1e-5 * np.abs(ys).max()
    other = unmet(row)
    others = None if other is None else int(np.sum(np.not_equal(*both(other, data)[::2])))
    version = importlib.metadata.version(table()[row.library].get("package", row.library))
    error = float(np.abs(gx - gradient).max() / np.abs(gradient).max())
    return Difference(version, ys.size, float(ys.mean()), int(differ.sum()), float(f"{error:.2g}"), others)


def main(libraries: list[str]):
    """Run the rows of some libraries, or of all installed ones, and keep the file's results of the others."""
    warnings.simplefilter("ignore")  # warnings of the libraries themselves
    RESULT.parent.mkdir(exist_ok=True)
    for name, row in ports().items():
        installed = importlib.util.find_spec(table()[row.library]["neurons"][0].partition(".")[0])
        if row.library in libraries or (installed and not libraries):
            found = difference(row, drawn(np.random.default_rng(0), 200, 2, 64))
            print(f"{found.differ:6} {found.gradient:8.1e} {found.rate:6.3f}  {name}")
            known = json.loads(RESULT.read_text())["rows"] if RESULT.exists() else {}
            known[name] = found._asdict() | {"python": platform.python_version(), "jax": jax.__version__}
            known = {name: known[name] for name in ports() if name in known}
            RESULT.write_text(json.dumps({"rows": known}, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
