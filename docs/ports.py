"""The neurons of other libraries as layers here: the table that the page shows and the tests run."""

from typing import NamedTuple


class Port(NamedTuple):
    """A neuron elsewhere, and the layers here that have its spikes at every step.

    Attributes:
      library: where it is.
      original: how it is made there; its parameters have their own names, and what is not named has its default.
      here: the layers, of those names and ``n``, the number of neurons.
      remark: what to know, the gradient included where it is not the same for the same surrogate.
    """

    library: str
    original: str
    here: str
    remark: str = ""


# Title and the version that was run.
LIBRARIES = {
    "snntorch": ("snnTorch", "1.0.0"),
    "spikingjelly": ("SpikingJelly", "2.0.0"),
    "norse": ("norse", "1.1.0"),
    "spyx": ("spyx", "1.0.0"),
    "jaxpike": ("jaxpike", "0.1.4"),
    "brainpy": ("brainpy.state", "2.9.0"),
}

PORTS = [
    Port(
        "snntorch",
        "Leaky(beta)",
        "LIF(n, decay=beta, reset_delay=True, reset_grad=False)",
        "It resets one step late, by default. `learn_beta` and `learn_threshold` are "
        '`learnable=("decay", "threshold")`, and `mem` is the carry. `RLeaky` is `recurrent=True`, with the bias of '
        "its recurrent weights in the layer before.",
    ),
    Port(
        "snntorch",
        "Leaky(beta, reset_delay=False)",
        "LIF(n, decay=beta)",
        "No port beyond: where a potential stays at its threshold or above after the reset, there the threshold is "
        "taken off before the next spike is decided, and given back if there is none.",
    ),
    Port(
        "snntorch",
        'Leaky(beta, reset_mechanism="zero")',
        'LIF(n, decay=beta, reset="zero")',
        "With either `reset_delay`: it resets before it adds the next input. The formula in its documentation, which "
        "loses that input, is `reset_delay=True` here.",
    ),
    Port("snntorch", 'Leaky(beta, reset_mechanism="none")', 'LIF(n, decay=beta, reset="none")'),
    Port(
        "snntorch",
        "Synaptic(alpha, beta)",
        "[LI(n, decay=alpha), LIF(n, decay=beta, reset_delay=True, reset_grad=False)]",
        "A synaptic current is `LI` before `LIF`.",
    ),
    Port(
        "snntorch",
        'Synaptic(alpha, beta, reset_mechanism="zero")',
        '[LI(n, decay=alpha), LIF(n, decay=beta, reset="zero", reset_delay=True)]',
    ),
    Port(
        "spikingjelly",
        "LIFNode(tau)",
        'LIF(n, decay=1 - 1 / tau, decay_input=True, reset="zero", reset_grad=True)',
        "`reset_grad=False` for `detach_reset=True`. A `v_reset` other than 0 is where its leak tends to as well: "
        "`threshold=v_threshold - v_reset`, with potentials counted from `v_reset`.",
    ),
    Port(
        "spikingjelly",
        "LIFNode(tau, decay_input=False)",
        'LIF(n, decay=1 - 1 / tau, reset="zero", reset_grad=True)',
    ),
    Port("spikingjelly", "LIFNode(tau, v_reset=None)", "LIF(n, decay=1 - 1 / tau, decay_input=True)"),
    Port("spikingjelly", "IFNode()", 'LIF(n, decay=1.0, reset="zero", reset_grad=True)'),
    Port(
        "norse",
        "LIFBoxCell(LIFBoxParameters(tau_mem_inv), dt)",
        'LIF(n, decay=1 - dt * tau_mem_inv, decay_input=True, reset="zero", reset_grad=True)',
        '`reset="subtract"` for `reset_method=reset_subtract`.',
    ),
    Port(
        "norse",
        "LIFCell(LIFParameters(tau_syn_inv, tau_mem_inv), dt)",
        "[LI(n, decay=1 - dt * tau_syn_inv), "
        'LIF(n, decay=1 - dt * tau_mem_inv, decay_input=True, reset="zero", reset_grad=True)]',
        "And its layer over time, `norse.torch.LIF`.",
    ),
    Port(
        "spyx",
        "LIF((n,), beta)",
        "[LIF(n, decay=beta, reset_delay=True), Delay(n, 1)]",
        "It gives the spike of the potential before the input; without `Delay` the same spikes come one step earlier. "
        "`RLIF` is `recurrent=True`.",
    ),
    Port(
        "spyx",
        "CuBaLIF((n,), alpha, beta)",
        "[LI(n, decay=alpha), LIF(n, decay=beta), Delay(n, 1)]",
    ),
    Port(
        "spyx",
        "ALIF((n,), beta, gamma)",
        "[ALIF(n, decay=beta, reset_delay=True, adaptation_decay=gamma, spike_adaptation=1.0), Delay(n, 1)]",
    ),
    Port("spyx", "LI((n,), beta)", "LI(n, decay=beta)"),
    Port("jaxpike", "LIF(tau, dt=dt)", "LIF(n, decay=exp(-dt / tau), decay_input=True)"),
    Port(
        "jaxpike",
        'LIF(tau, dt=dt, reset="zero")',
        'LIF(n, decay=exp(-dt / tau), decay_input=True, reset="zero", reset_grad=True)',
    ),
    Port(
        "jaxpike",
        "ALIF(tau, tau_a, beta=beta, dt=dt)",
        "ALIF(n, decay=exp(-dt / tau), decay_input=True, adaptation_decay=exp(-dt / tau_a), "
        "spike_adaptation=beta / (1 - exp(-dt / tau_a)))",
    ),
    Port("jaxpike", "LeakyIntegrator(tau, dt=dt)", "LI(n, decay=exp(-dt / tau), decay_input=True)"),
    Port(
        "brainpy",
        "LIF(n, tau=tau)",
        "LIF(n, decay=exp(-dt / tau), decay_input=True)",
        "Potentials and `R * x` in mV, without their unit. Its surrogate gets what is above threshold over the "
        "threshold: but for a threshold of 1 the gradient is that of a surrogate so scaled.",
    ),
    Port(
        "brainpy",
        'LIF(n, tau=tau, spk_reset="hard")',
        'LIF(n, decay=exp(-dt / tau), decay_input=True, reset="zero")',
        "No `reset_grad` has its gradient, which is, through the reset, 1 less v times that of the spike.",
    ),
    Port(
        "brainpy",
        'ALIF(n, tau=tau, tau_a=tau_a, beta=beta, spk_reset="hard")',
        'ALIF(n, decay=exp(-dt / tau), decay_input=True, reset="zero", adaptation_decay=exp(-dt / tau_a), '
        "spike_adaptation=beta / (exp(dt / tau_a) - 1))",
        "Nor here.",
    ),
]

# Of these libraries, the neurons nearest to a layer here for which there is none, and why.
NO_PORTS = [
    (
        "norse",
        "LIFRecurrentCell",
        "its spikes come back into the synaptic current, not into the potential",
    ),
    ("brainpy", 'ALIF, spk_reset="soft"', "it subtracts the threshold without its adaptation"),
    ("jaxpike", "Izhikevich", "its potential follows a quadratic equation"),
]

ABOUT_NETWORKS = """\
`xs` is `[time, batch, 16]` in all four. A weight of torch is `[out, in]`, and of flax `[in, out]`. The state comes from
`initialize_carry`, and time is the first axis of an array in the place of a loop.
"""

# For a library the same network there and here, each a function `run(xs)`.
NETWORKS = {
    "snntorch": (
        """\
import snntorch
import torch

fc1, fc2 = torch.nn.Linear(16, 32), torch.nn.Linear(32, 4)
lif1, lif2 = snntorch.Leaky(beta=0.9), snntorch.Leaky(beta=0.9, learn_beta=True)


def run(xs):
    mem1, mem2, spikes = lif1.reset_mem(), lif2.reset_mem(), []
    for x in xs:
        spk1, mem1 = lif1(fc1(x), mem1)
        spk2, mem2 = lif2(fc2(spk1), mem2)
        spikes.append(spk2)
    return torch.stack(spikes)
""",
        """\
import brainsurr as bs
from brainsurr.nnx import LIF, SpikingSequential
from flax import nnx

rngs = nnx.Rngs(0)
leaky = {"decay": 0.9, "reset_delay": True, "reset_grad": False, "spike_fn": bs.equivalent("snntorch", "atan")}
fc1, fc2 = nnx.Linear(16, 32, rngs=rngs), nnx.Linear(32, 4, rngs=rngs)
net = SpikingSequential([fc1, LIF(32, **leaky), fc2, LIF(4, **leaky, learnable="decay")])


def run(xs):
    carry, spikes = net(net.initialize_carry(xs.shape[1:]), xs)
    return spikes
""",
    ),
    "spyx": (
        """\
import spyx
from flax import nnx

rngs = nnx.Rngs(0)
fc1, fc2 = nnx.Linear(16, 32, rngs=rngs), nnx.Linear(32, 4, rngs=rngs)
lif = spyx.nn.LIF((32,), beta=0.9, activation=spyx.axn.superspike(25), rngs=rngs)
net = spyx.nn.Sequential(fc1, lif, fc2, spyx.nn.LI((4,), beta=0.8, rngs=rngs))


def run(xs):
    potentials, state = spyx.nn.run(net, xs)
    return potentials
""",
        """\
import brainsurr as bs
from brainsurr.nnx import LI, LIF, Delay, SpikingSequential
from flax import nnx

rngs = nnx.Rngs(0)
fc1, fc2 = nnx.Linear(16, 32, rngs=rngs), nnx.Linear(32, 4, rngs=rngs)
superspike = bs.equivalent("spyx", "superspike", k=25)
lif = LIF(32, decay=0.9, reset_delay=True, learnable="decay", spike_fn=superspike)
net = SpikingSequential([fc1, lif, Delay(32, 1), fc2, LI(4, decay=0.8, learnable="decay")])


def run(xs):
    carry, potentials = net(net.initialize_carry(xs.shape[1:]), xs)
    return potentials
""",
    ),
}
