"""SpikingJelly: multi-step layers over all time steps, and the same checkpointed in chunks of 10 steps."""

import torch
from spikingjelly.activation_based import functional, layer, memopt, neuron, surrogate

from . import task

SCALE = 1 / (1 - task.DECAY)  # its leaky integrator takes (1 - decay) of its input


def network(weights, checkpoint, steps):
    """Make the task's network, with the mean of its output over time."""
    tau, blocks = SCALE, []
    for w in weights[:-1]:
        spike = {"v_threshold": task.THRESHOLD, "surrogate_function": surrogate.ATan(task.ALPHA)}
        neurons = neuron.LIFNode(tau, decay_input=False, v_reset=None, step_mode="m", **spike)
        block = torch.nn.Sequential(linear(w), neurons)
        blocks.append(memopt.checkpoint_module(block, chunks=-(-steps // 10)) if checkpoint else block)
    return torch.nn.Sequential(*blocks, linear(SCALE * weights[-1]), neuron.NonSpikingLIFNode(tau, "mean-mem"))


def linear(w):
    """Make a matrix product that starts from ``w``, ``[inputs, outputs]``."""
    module = layer.Linear(*w.shape, bias=False, step_mode="m")
    module.weight.data = torch.from_numpy(w.T.copy())
    return module


def build(mode, batch, steps):
    net = network(task.weights(), mode == "checkpointed", steps)
    *hidden, last = net.parameters()
    groups = [{"params": hidden}, {"params": [last], "lr": SCALE**2 * task.NETWORK.rate}]
    optimizer = torch.optim.SGD(groups, task.NETWORK.rate)
    xs, labels = torch.from_numpy(task.inputs(batch, steps)), torch.from_numpy(task.labels(batch)).long()

    def step():
        functional.reset_net(net)
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(xs), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


if __name__ == "__main__":
    notes = ["its leaky integrator takes (1 - decay) of its input: its weights and learning rate are scaled for it"]
    task.main(build, ["multi-step", "checkpointed"], ["spikingjelly", "torch"], notes)
