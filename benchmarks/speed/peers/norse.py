"""norse: `LIFBoxCell`, a LIF neuron without a synaptic current, in a Python loop; products over all time steps."""

import torch
from norse.torch import LIBoxCell, LIFBoxCell
from norse.torch.functional.leaky_integrator_box import LIBoxParameters
from norse.torch.functional.lif_box import LIFBoxParameters
from norse.torch.functional.reset import reset_subtract

from . import task

SCALE = 1 / (1 - task.DECAY)  # its neurons take (1 - decay) of their input


class Net(torch.nn.Module):
    """The task's network, layer by layer."""

    def __init__(self, weights):
        super().__init__()
        self.linears = torch.nn.ModuleList(torch.nn.Linear(*w.shape, bias=False) for w in weights)
        for linear, w in zip(self.linears, weights, strict=True):
            linear.weight.data = torch.from_numpy(SCALE * w.T)
        rate = torch.tensor(1 - task.DECAY)
        spike = {"v_th": torch.tensor(task.THRESHOLD), "alpha": torch.tensor(10.0), "reset_method": reset_subtract}
        lif = LIFBoxCell(LIFBoxParameters(tau_mem_inv=rate, method="super", **spike), dt=1.0)
        self.cells = [lif, lif, LIBoxCell(LIBoxParameters(tau_mem_inv=rate), dt=1.0)]

    def forward(self, xs):
        for linear, cell in zip(self.linears, self.cells, strict=True):
            state, outputs = None, []
            for x in linear(xs):
                x, state = cell(x, state)
                outputs.append(x)
            xs = torch.stack(outputs)
        return xs


def build(mode, batch, steps):
    net = Net(task.weights())
    optimizer = torch.optim.SGD(net.parameters(), SCALE**2 * task.NETWORK.rate)
    xs, labels = torch.from_numpy(task.inputs(batch, steps)), torch.from_numpy(task.labels(batch)).long()

    def step():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(xs).mean(0), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


if __name__ == "__main__":
    notes = [
        "takes (1 - decay) of its input: weights and learning rate are scaled to make up for it",
        "has no arctan surrogate: SuperSpike with alpha = 10 in its place, so its losses part after the first",
    ]
    task.main(build, ["layer by layer"], ["norse", "torch"], notes)
