"""Load a NIR file for Speck or Xylo in sinabs or rockpool, and return its integers and the spikes of its simulator.

``python -m benchmarks.nir.chips READER net.nir xs.npy out.npz [LOWEST]`` needs only the tool, not brainsurr.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types

import nir
import numpy as np


class _Module(types.ModuleType):
    """A module in which every name exists: a class if it begins with a capital letter, otherwise a module."""

    __path__: list = []  # noqa: RUF012

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {}) if name[0].isupper() else importlib.import_module(f"{self.__name__}.{name}")


class StandIn(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds samna and samnagui, which talk to the chips: the tools import them, but nothing here calls them."""

    def find_spec(self, name, path, target=None):
        is_samna = name.partition(".")[0] in ("samna", "samnagui")
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if is_samna else None

    def create_module(self, spec):
        return _Module(spec.name)

    def exec_module(self, module):
        pass


def speck(path, xs, lowest: float = -20.0) -> dict[str, np.ndarray]:
    """Return the integers of each layer that sinabs sends to Speck, and the spikes of its network with these integers.

    Args:
      path: the file.
      xs: ``[time, batch, channels, height, width]``.
      lowest: the lower limit of potentials, in thresholds.
    """
    import sinabs.nir
    import torch
    from sinabs.backend.dynapcnn import DynapcnnNetwork

    there = sinabs.nir.from_nir(nir.read(path), batch_size=xs.shape[1])
    for layer in there.modules():
        if getattr(layer, "spike_fn", None):
            threshold = layer.spike_threshold.max()
            layer.spike_threshold = torch.nn.Parameter(threshold, requires_grad=False)
            layer.min_v_mem = torch.nn.Parameter(lowest * threshold, requires_grad=False)
    chip = DynapcnnNetwork(there, input_shape=xs.shape[2:], discretize=True)
    found = {}
    for i, layer in enumerate(chip.dynapcnn_layers.values()):
        found[f"weights {i}"] = np.moveaxis(layer.conv_layer.weight.detach().numpy(), (0, 1), (-1, -2))
        if layer.conv_layer.bias is not None:
            found[f"bias {i}"] = layer.conv_layer.bias.detach().numpy()
        found[f"threshold {i}"] = layer.spk_layer.spike_threshold.detach().numpy()
        found[f"lowest {i}"] = layer.spk_layer.min_v_mem.detach().numpy()
    samples = np.moveaxis(xs, 0, 1)
    with torch.no_grad():
        outputs = chip(torch.tensor(samples.reshape(-1, *xs.shape[2:])))
    outputs = outputs[0] if isinstance(outputs, list | tuple) else outputs
    return found | {"spikes": np.moveaxis(outputs.numpy().reshape(*samples.shape[:2], -1), 0, 1)}


def rockpool(path, xs) -> dict[str, np.ndarray]:
    """Return the integers that rockpool sends to Xylo, and the spikes of XyloSim, which come one step later per layer.

    Args:
      path: the file.
      xs: ``[time, batch, features]``, spikes.
    """
    from rockpool.devices.xylo.syns61201 import XyloSim, mapper
    from rockpool.nn.modules.torch.nir import from_nir
    from rockpool.transform.quantize_methods import global_quantize

    graph = from_nir(nir.read(path)).as_graph()
    most = {"max_hidden_neurons": 10**6, "max_output_neurons": 10**6}
    made = mapper(graph, weight_dtype="float", threshold_dtype="float", dash_dtype="float", **most)
    made.update(global_quantize(**made))
    found = {name: np.asarray(value) for name, value in made.items() if name.startswith(("weights", "thresh", "dash"))}
    del made["mapped_graph"]
    chip, outputs = XyloSim.from_specification(**made), []
    for sample in np.moveaxis(xs, 1, 0):
        chip.reset_state()
        outputs.append(chip.evolve(sample)[0])
    return found | {"spikes": np.stack(outputs, 1)}


def main(reader: str, path: str, xs: str, out: str, *lowest: str):
    """Write the integers and spikes of a tool for a file and inputs."""
    sys.meta_path.insert(0, StandIn())
    np.savez(out, **{"speck": speck, "rockpool": rockpool}[reader](path, np.load(xs), *map(float, lowest)))


if __name__ == "__main__":
    main(*sys.argv[1:])
