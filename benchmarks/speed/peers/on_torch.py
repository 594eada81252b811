"""The libraries on torch; their single time steps are not timed."""

import torch

from .task import ALPHA, DECAY, THRESHOLD

SCALE = 1 / (1 - DECAY)  # makes up for neurons that take (1 - decay) of their input


def descent(logits, parameters, job, rate=1.0, reset=lambda: None):
    """Make ``step()`` of gradient descent for ``logits(xs)``; ``reset()`` comes before each."""
    optimizer = torch.optim.SGD(parameters, rate * job.net.rate)
    xs, labels = torch.from_numpy(job.xs()), torch.from_numpy(job.net.labels(job.batch)).long()

    def step():
        reset()
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(logits(xs), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def linear(w, module=torch.nn.Linear, **how):
    """Make a matrix product that starts from ``w``, ``[inputs, outputs]``."""
    made = module(*w.shape, bias=False, **how)
    made.weight.data = torch.from_numpy(w.T.copy())
    return made


def snntorch():
    """Loop over time steps in Python, as in its tutorials."""
    import snntorch

    def build(job):
        weights = job.net.weights()
        linears = torch.nn.ModuleList(map(linear, weights))
        spike = {"threshold": THRESHOLD, "spike_grad": snntorch.surrogate.atan(ALPHA), "reset_delay": False}
        neurons = [snntorch.Leaky(DECAY, **spike) for _ in weights[1:]]
        readout = snntorch.Leaky(DECAY, reset_mechanism="none")

        def logits(xs):
            potentials, outputs = [None for _ in linears], []
            for x in xs:
                for i, neuron in enumerate(neurons):
                    x, potentials[i] = neuron(linears[i](x), potentials[i])
                _, potentials[-1] = readout(linears[-1](x), potentials[-1])
                outputs.append(potentials[-1])
            return torch.stack(outputs).mean(0)

        def reset():
            for neuron in (*neurons, readout):
                neuron.reset_mem()

        return descent(logits, linears.parameters(), job, reset=reset)

    return build, None


def spikingjelly():
    """Multi-step layers over all time steps, and the same checkpointed in chunks of 10 steps."""
    from spikingjelly.activation_based import functional, layer, memopt, neuron, surrogate

    def build(job):
        *weights, last = job.net.weights()
        spike = {"v_threshold": THRESHOLD, "surrogate_function": surrogate.ATan(ALPHA), "v_reset": None}
        blocks = []
        for w in weights:
            neurons = neuron.LIFNode(SCALE, decay_input=False, step_mode="m", **spike)
            block = torch.nn.Sequential(linear(w, layer.Linear, step_mode="m"), neurons)
            chunks = -(-job.steps // 10)
            blocks.append(memopt.checkpoint_module(block, chunks=chunks) if job.mode == "checkpointed" else block)
        readout = linear(SCALE * last, layer.Linear, step_mode="m")
        net = torch.nn.Sequential(*blocks, readout, neuron.NonSpikingLIFNode(SCALE, "mean-mem"))
        *hidden, last = net.parameters()
        groups = [{"params": hidden}, {"params": [last], "lr": SCALE**2 * job.net.rate}]
        return descent(net, groups, job, reset=lambda: functional.reset_net(net))

    return build, None


def norse():
    """`LIFBoxCell`, a LIF neuron without a synaptic current, in a Python loop; products over all time steps."""
    from norse.torch import LIBoxCell, LIFBoxCell
    from norse.torch.functional.leaky_integrator_box import LIBoxParameters
    from norse.torch.functional.lif_box import LIFBoxParameters
    from norse.torch.functional.reset import reset_subtract

    def build(job):
        linears = torch.nn.ModuleList(linear(SCALE * w) for w in job.net.weights())
        rate = torch.tensor(1 - DECAY)
        spike = {"v_th": torch.tensor(THRESHOLD), "alpha": torch.tensor(10.0), "reset_method": reset_subtract}
        lif = LIFBoxCell(LIFBoxParameters(tau_mem_inv=rate, method="super", **spike), dt=1.0)
        cells = [*[lif] * (len(linears) - 1), LIBoxCell(LIBoxParameters(tau_mem_inv=rate), dt=1.0)]

        def logits(xs):
            for product, cell in zip(linears, cells, strict=True):
                state, outputs = None, []
                for x in product(xs):
                    x, state = cell(x, state)
                    outputs.append(x)
                xs = torch.stack(outputs)
            return xs.mean(0)

        return descent(logits, linears.parameters(), job, SCALE**2)

    return build, None
