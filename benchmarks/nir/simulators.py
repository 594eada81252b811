"""Simulators of Loihi that read no files, given its integers: ``python simulators.py TOOL integers.npz spikes.npy``.

It runs where the tool is installed, without brainsurr. The file holds ``xs``, ``[time, batch, features]``, and of each
layer i the weights ``w{i}``, ``[outputs, inputs]``, the threshold ``vth{i}``, and what decays in 4096ths, ``dv{i}`` of
the potential and ``du{i}`` of the current. In both, spikes come a step later with each layer.
"""

import sys

import numpy as np


def sanafe(xs, layers):
    """Run a sample in SANA-FE's model of Loihi, each layer on a core."""
    import sanafe

    chip, net = sanafe.load_loihi(), sanafe.Network()
    groups = [net.create_neuron_group("inputs", xs.shape[1], soma_hw_name="loihi_inputs")]
    late = [False] * len(layers)
    for i, train in enumerate(xs.T):
        spikes = {"spikes": [*map(bool, train), *late]}
        groups[0][i].set_attributes(soma_hw_name=f"loihi_inputs[{i}]", model_attributes=spikes)
    for i, (w, vth, du, dv) in enumerate(layers):
        how = {"threshold": vth, "leak_decay": 1 - dv / 4096, "input_decay": 1 - du / 4096, "reset_mode": "hard"}
        how |= {"force_update": True}
        groups.append(net.create_neuron_group(f"{i}", len(w), how, soma_hw_name="loihi_lif", log_spikes=True))
        groups[-2].connect_neurons_dense(groups[-1], {"weight": w.T.ravel().tolist()})
    for tile, group in zip(chip.tiles, groups, strict=False):
        for neuron in group:
            neuron.map_to_core(tile.cores[0])
    simulator = sanafe.SpikingChip(chip)
    simulator.load(net)
    spikes = np.zeros((len(xs) + len(layers), len(w)))
    found = simulator.sim(len(spikes), "simple", processing_threads=1, spike_trace=True)
    for t, fired in enumerate(found["spike_trace"]):
        spikes[t, [neuron.neuron_offset for neuron in fired if neuron.group_name == f"{i}"]] = 1
    return spikes[len(layers) :]


def nengo_loihi(xs, layers):
    """Run a sample in nengo-loihi's emulator, whose own rounding our integers replace."""
    from nengo_loihi.block import Axon, LoihiBlock, Synapse
    from nengo_loihi.builder import Model
    from nengo_loihi.builder.discretize import discretize_model
    from nengo_loihi.emulator import EmulatorInterface
    from nengo_loihi.inputs import SpikeInput
    from nengo_loihi.probe import LoihiProbe

    model, last, blocks = Model(), SpikeInput(xs.shape[1]), []
    for t, fired in enumerate(xs):
        last.add_spikes(t + 1, np.flatnonzero(fired), permanent=True)
    model.add_input(last)
    for w, *_ in layers:
        block, synapse, axon = LoihiBlock(len(w)), Synapse(w.shape[1]), Axon(w.shape[1])
        block.compartment.configure_relu()
        synapse.set_weights(w.T)
        block.add_synapse(synapse)
        axon.target = synapse
        if blocks:
            axon.set_compartment_axon_map(np.arange(w.shape[1]))
        last.add_axon(axon)
        model.add_block(block)
        last, blocks = block, [*blocks, block]
    probe = LoihiProbe(target=last, key="spiked")
    model.add_probe(probe)
    discretize_model(model)
    for block, (w, vth, du, dv) in zip(blocks, layers, strict=True):
        compartment = block.compartment
        compartment.vth[:], compartment.decay_u[:], compartment.decay_v[:] = 64 * vth, du - 1, dv
        compartment.vmin, compartment.vmax, compartment.refract_delay[:] = 1 - 2**23, 2**23 - 1, 1
        for row, column in zip(block.synapses[0].weights, w.T, strict=True):
            row[:] = 64 * column[None]
    with EmulatorInterface(model) as emulator:
        emulator.run_steps(len(xs) + len(layers))
        return np.asarray(emulator.collect_probe_output(probe) > 0, float)[len(layers) :]


if __name__ == "__main__":
    tool, path, out = sys.argv[1:]
    given = np.load(path)
    layers = [tuple(given[f"{name}{i}"] for name in ("w", "vth", "du", "dv")) for i in range(len(given.files) // 4)]
    layers = [(w.astype(float), *map(int, others)) for w, *others in layers]
    run = {"sanafe": sanafe, "nengo-loihi": nengo_loihi}[tool]
    np.save(out, np.stack([run(xs, layers) for xs in given["xs"].swapaxes(0, 1)], 1))
