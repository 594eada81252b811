"""snnTorch: a Python loop over time steps, as in its tutorials."""

import snntorch
import torch

from . import task


class Net(torch.nn.Module):
    """The task's network, one time step a call."""

    def __init__(self, weights):
        super().__init__()
        self.linears = torch.nn.ModuleList(torch.nn.Linear(*w.shape, bias=False) for w in weights)
        for linear, w in zip(self.linears, weights, strict=True):
            linear.weight.data = torch.from_numpy(w.T.copy())
        spike = {"threshold": task.THRESHOLD, "spike_grad": snntorch.surrogate.atan(task.ALPHA)}
        self.neurons = torch.nn.ModuleList(snntorch.Leaky(task.DECAY, reset_delay=False, **spike) for _ in weights[1:])
        self.readout = snntorch.Leaky(task.DECAY, reset_mechanism="none")

    def forward(self, xs):
        potentials = [None for _ in self.linears]
        outputs = []
        for x in xs:
            for i, neuron in enumerate(self.neurons):
                x, potentials[i] = neuron(self.linears[i](x), potentials[i])
            _, potentials[-1] = self.readout(self.linears[-1](x), potentials[-1])
            outputs.append(potentials[-1])
        return torch.stack(outputs)


def build(mode, batch, steps):
    net = Net(task.weights())
    optimizer = torch.optim.SGD(net.parameters(), task.NETWORK.rate)
    xs, labels = torch.from_numpy(task.inputs(batch, steps)), torch.from_numpy(task.labels(batch)).long()

    def step():
        for neuron in (*net.neurons, net.readout):
            neuron.reset_mem()
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(xs).mean(0), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


if __name__ == "__main__":
    notes = ["a potential above threshold after a reset is reset again before the next spike, so its losses differ"]
    task.main(build, ["loop"], ["snntorch", "torch"], notes)
