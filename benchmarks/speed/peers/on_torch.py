"""The training step in libraries on torch; their single time steps are not timed."""

import torch

from .task import ALPHA, DECAY, THRESHOLD, Steps

SCALE = 1 / (1 - DECAY)  # compensates for neurons that scale their input by (1 - decay)


def descent(outputs, parameters, job, rate=1.0, reset=lambda: None):
    """Create `Steps` of gradient descent; the loss gets the mean of ``outputs(xs)`` over time, after ``reset()``."""
    optimizer = torch.optim.SGD(parameters, rate * job.net.rate)
    xs, labels = torch.from_numpy(job.xs()), torch.from_numpy(job.net.labels(job.batch)).long()
    if job.net.channels:
        xs = xs.movedim(-1, 2).contiguous()  # channels first

    def loss():
        reset()
        ys = outputs(xs)
        return ys.mean() if job.net.ends == "LIF" else torch.nn.functional.cross_entropy(ys, labels)

    def train():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
        return value.item()

    return Steps(train, torch.no_grad()(lambda: loss().item()))


def stages(net, modules=torch.nn):
    """List the modules before and after the neurons of each layer: a product, and pooling or nothing.

    Args:
      net: a `task.Network`.
      modules: the module that has the layers.
    """
    made = []
    for w in net.kernels():
        conv = modules.Conv2d(*w.shape[2:], 3, padding=1, bias=False)
        conv.weight.data = torch.from_numpy(w.transpose(3, 2, 0, 1).copy())
        made.append((torch.nn.Sequential(conv, modules.BatchNorm2d(w.shape[3])), [modules.MaxPool2d(2)]))
    if made:
        made[-1][1].append(modules.Flatten())
    for w in net.weights(channels_first=True):
        linear = modules.Linear(*w.shape, bias=False)
        linear.weight.data = torch.from_numpy(w.T.copy())
        made.append((linear, []))
    return [(before, torch.nn.Sequential(*after)) for before, after in made]


def snntorch():
    """Loop over time steps in Python, as in its tutorials."""
    import snntorch

    def build(job):
        layers = stages(job.net)
        spike = {"threshold": THRESHOLD, "spike_grad": snntorch.surrogate.atan(ALPHA), "reset_delay": False}
        neurons = [snntorch.Leaky(DECAY, **spike) for _ in layers]
        if job.net.ends == "LI":
            neurons[-1] = snntorch.Leaky(DECAY, reset_mechanism="none")

        def outputs(xs):
            potentials, ys = [None for _ in layers], []
            for x in xs:
                for i, (before, after) in enumerate(layers):
                    x = before(x)
                    if i < len(layers) - 1 or job.net.ends:
                        x, potentials[i] = neurons[i](x, potentials[i])
                    x = after(x)
                ys.append(potentials[-1] if job.net.ends == "LI" else x)
            return torch.stack(ys).mean(0)

        def reset():
            for neuron in neurons:
                neuron.reset_mem()

        parameters = [p for before, _ in layers for p in before.parameters()]
        return descent(outputs, parameters, job, reset=reset)

    return build, None


def spikingjelly():
    """Multi-step layers over all time steps, and the same checkpointed in chunks of 10 steps."""
    from spikingjelly.activation_based import functional, layer, memopt, neuron, surrogate

    def build(job):
        layers, blocks = stages(job.net, layer), []
        spike = {"v_threshold": THRESHOLD, "surrogate_function": surrogate.ATan(ALPHA), "v_reset": None}
        for before, after in layers:
            blocks.append(torch.nn.Sequential(before, neuron.LIFNode(SCALE, decay_input=False, **spike), *after))
        if job.net.ends == "LI":  # its neurons scale their input by (1 - decay)
            layers[-1][0].weight.data *= SCALE
            blocks[-1][1] = neuron.NonSpikingLIFNode(SCALE, "mean-mem")
        elif not job.net.ends:
            del blocks[-1][1]
        net = torch.nn.Sequential(*blocks)
        functional.set_step_mode(net, "m")
        *hidden, last = net.parameters()
        rate = (SCALE**2 if job.net.ends == "LI" else 1) * job.net.rate
        groups = [{"params": hidden}, {"params": [last], "lr": rate}]
        if job.mode == "checkpointed":
            chunks = -(-job.steps // 10)
            hidden = [memopt.checkpoint_module(block, chunks=chunks) for block in net[:-1]]
            net = torch.nn.Sequential(*hidden, net[-1])

        def outputs(xs):
            return net(xs) if job.net.ends == "LI" else net(xs).mean(0)

        return descent(outputs, groups, job, reset=lambda: functional.reset_net(net))

    return build, None


def norse():
    """`LIFBoxCell`, a LIF neuron without a synaptic current, in a Python loop; products over all time steps."""
    from norse.torch import LIBoxCell, LIFBoxCell
    from norse.torch.functional.leaky_integrator_box import LIBoxParameters
    from norse.torch.functional.lif_box import LIFBoxParameters
    from norse.torch.functional.reset import reset_subtract

    def over_time(module, xs):
        return module(xs.flatten(0, 1)).unflatten(0, xs.shape[:2])

    def build(job):
        layers, rate = stages(job.net), torch.tensor(1 - DECAY)
        spike = {"v_th": torch.tensor(THRESHOLD), "alpha": torch.tensor(10.0), "reset_method": reset_subtract}
        lif = LIFBoxCell(LIFBoxParameters(tau_mem_inv=rate, method="super", **spike), dt=1.0)
        last = {"LI": LIBoxCell(LIBoxParameters(tau_mem_inv=rate), dt=1.0), "LIF": lif, "": None}[job.net.ends]
        cells = [*[lif] * (len(layers) - 1), last]
        parameters = [p for before, _ in layers for p in before.parameters()]
        kernels = [p for p in parameters if p.ndim == 4]  # a normalisation follows, so a scale has no effect
        unscaled = kernels if job.net.ends else [*kernels, parameters[-1]]
        scaled = [p for p in parameters if not any(p is other for other in unscaled)]
        for p in scaled:
            p.data *= SCALE
        groups = [{"params": scaled, "lr": SCALE**2 * job.net.rate}, {"params": unscaled}]

        def outputs(xs):
            for (before, after), cell in zip(layers, cells, strict=True):
                xs = over_time(before, xs)
                if cell is not None:
                    state, ys = None, []
                    for x in xs:
                        x, state = cell(x, state)
                        ys.append(x)
                    xs = torch.stack(ys)
                xs = over_time(after, xs)
            return xs.mean(0)

        return descent(outputs, groups, job)

    return build, None
