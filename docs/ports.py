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
        "snnTorch's default: a spike resets the potential one step late. `learn_beta` and `learn_threshold` are "
        '`learnable=("decay", "threshold")`. `mem` is the carry, and `mem_rec` [the potential at each '
        "step](cookbook.md#potential-at-each-step). `RLeaky` is `recurrent=True`, with the bias of its recurrent "
        "weights in the layer before.",
    ),
    Port(
        "snntorch",
        "Leaky(beta, reset_delay=False)",
        "LIF(n, decay=beta)",
        "The spikes agree as long as no potential is at its threshold or above after a reset. At such a one, snnTorch "
        "subtracts the threshold before it decides on the next spike, and adds it back if there is none.",
    ),
    Port(
        "snntorch",
        'Leaky(beta, reset_mechanism="zero")',
        'LIF(n, decay=beta, reset="zero")',
        "Whatever its `reset_delay`, snnTorch resets before it adds the next input. The formula in its documentation, "
        "which loses that input, is `reset_delay=True` here.",
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
        "`reset_grad=False` for `detach_reset=True`. With a `v_reset` other than 0, the potential also leaks to it: "
        "give `threshold=v_threshold - v_reset`, and count potentials from `v_reset`.",
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
        "The same for its layer over time, `norse.torch.LIF`.",
    ),
    Port(
        "spyx",
        "LIF((n,), beta)",
        "[LIF(n, decay=beta, reset_delay=True), Delay(n, 1)]",
        "It returns the spike of the potential before the input; without `Delay` the same spikes come one step "
        "earlier. `RLIF` is `recurrent=True`.",
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
        "Potentials and `R * x` are in mV, without their unit. Its surrogate gets (V - V_th) / (V_th - V_reset): "
        "unless this denominator is 1, the gradient is that of a surrogate scaled in this way. If `V_rest` and "
        "`V_reset` are equal and not 0, count potentials from them: `threshold=V_th - V_rest`. If they differ, there "
        "is no port.",
    ),
    Port(
        "brainpy",
        'LIF(n, tau=tau, spk_reset="hard")',
        'LIF(n, decay=exp(-dt / tau), decay_input=True, reset="zero")',
        "Neither `reset_grad` gives its gradient, which is, through the reset, 1 minus v times the spike's.",
    ),
    Port(
        "brainpy",
        'ALIF(n, tau=tau, tau_a=tau_a, beta=beta, spk_reset="hard")',
        'ALIF(n, decay=exp(-dt / tau), decay_input=True, reset="zero", adaptation_decay=exp(-dt / tau_a), '
        "spike_adaptation=beta / (exp(dt / tau_a) - 1))",
        "Its gradient differs in the same way.",
    ),
]

# Of these libraries, the neurons nearest to a layer here for which there is none, and why.
NO_PORTS = [
    (
        "norse",
        "LIFRecurrentCell",
        "its spikes come back into the synaptic current, not into the potential",
    ),
    ("snntorch", "RSynaptic", "its spikes come back into the synaptic current, not into the potential"),
    ("snntorch", "Alpha", "its potential is made of two synaptic currents, and has no decay of its own"),
    ("snntorch", "Lapicque", "it was not compared"),
    ("brainpy", 'ALIF, spk_reset="soft"', "it subtracts the threshold without its adaptation"),
    ("jaxpike", "Izhikevich", "its potential follows a quadratic equation"),
]

# Functions around a network: outputs ``ys`` and ``spikes`` are [time, batch, classes], ``y`` is [batch].
AROUND = [
    Port("snntorch", "spikegen.rate(x, num_steps)", "jax.random.bernoulli(key, x, (num_steps, *x.shape))"),
    Port(
        "norse",
        "PoissonEncoder(seq_length, f_max, dt)(x)",
        "jax.random.bernoulli(key, dt * f_max * x, (seq_length, *x.shape))",
    ),
    Port("spikingjelly", "encoding.PoissonEncoder()(x)", "jax.random.bernoulli(key, x)", "One time step."),
    Port(
        "snntorch",
        "functional.ce_rate_loss()(spikes, y)",
        "cross_entropy(spikes, jnp.broadcast_to(y, spikes.shape[:-1])).mean()",
    ),
    Port("snntorch", "functional.ce_count_loss()(spikes, y)", "cross_entropy(spikes.sum(0), y).mean()"),
    Port("snntorch", "functional.accuracy_rate(spikes, y)", "(spikes.sum(0).argmax(-1) == y).mean()"),
    Port(
        "spyx",
        "fn.integral_crossentropy(smoothing, time_axis=0)(ys, y)",
        "optax.softmax_cross_entropy(ys.sum(0), smooth_labels(one_hot(y, ys.shape[-1]), smoothing)).mean()",
        "Its time axis is 1 by default.",
    ),
]

ABOUT_AROUND = """\
`key` is `jax.random.key(seed)`, `cross_entropy` is `optax.softmax_cross_entropy_with_integer_labels`, `smooth_labels`
is that of optax and `one_hot` that of `jax.nn`. `ys` and `spikes` are `[time, batch, classes]`, `y` holds the classes.
A new `initialize_carry` resets the state, like `utils.reset`, `init_leaky`, `reset_mem` and `reset_net`; for brainstate
see [when to call which](hosts/brainstate.md). For truncated backpropagation through time (`backprop.TBPTT`)
see [streaming](cookbook.md#streaming-one-step-at-a-time), for a rate penalty (`l1_rate_sparsity`, `silence_reg`) its
[page](rate-penalty.md).
"""

ABOUT_NETWORKS = """\
Each pair is the same network: with the same weights, both sides give the same outputs at every step, which
`make test-peers` checks against the libraries. `xs` is `[time, batch, 16]`. To port your own:

- Time is the first axis of an array, and you write no loop over it. The state that your loop carries along comes from
  `initialize_carry`, and is returned with the outputs.
- A weight of torch is `[out, in]`, a `kernel` of flax is `[in, out]`: transpose it.
- torch draws smaller weights at the start than flax. To draw them as torch does, give a `Linear` of flax
  `kernel_init=nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")`. With spike counts as the readout and a
  narrow surrogate, this can decide whether a network trains.
- `bs.equivalent(library, name, ...)` is the surrogate of that library, with its defaults. Any other will do as well.
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
leaky = {"decay": 0.9, "reset_delay": True, "reset_grad": False}
leaky["spike_fn"] = bs.equivalent("snntorch", "atan")
fc1, fc2 = nnx.Linear(16, 32, rngs=rngs), nnx.Linear(32, 4, rngs=rngs)
lif1, lif2 = LIF(32, **leaky), LIF(4, **leaky, learnable="decay")
net = SpikingSequential([fc1, lif1, fc2, lif2])


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
superspike = spyx.axn.superspike(25)
lif = spyx.nn.LIF((32,), beta=0.9, activation=superspike, rngs=rngs)
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
li = LI(4, decay=0.8, learnable="decay")
net = SpikingSequential([fc1, lif, Delay(32, 1), fc2, li])


def run(xs):
    carry, potentials = net(net.initialize_carry(xs.shape[1:]), xs)
    return potentials
""",
    ),
    "norse": (
        """\
import torch
from norse.torch import LICell, LIFCell, SequentialState

fc1, fc2 = torch.nn.Linear(16, 32), torch.nn.Linear(32, 4)
net = SequentialState(fc1, LIFCell(dt=1e-3), fc2, LICell(dt=1e-3))


def run(xs):
    state, potentials = None, []
    for x in xs:
        v, state = net(x, state)
        potentials.append(v)
    return torch.stack(potentials)
""",
        """\
import brainsurr as bs
from brainsurr.nnx import LI, LIF, SpikingSequential
from flax import nnx

rngs = nnx.Rngs(0)
synapse, membrane = {"decay": 0.8}, {"decay": 0.9, "decay_input": True}
zero = {"reset": "zero", "reset_grad": True}
superspike = bs.equivalent("norse", "super")
fc1, fc2 = nnx.Linear(16, 32, rngs=rngs), nnx.Linear(32, 4, rngs=rngs)
lif = [LI(32, **synapse), LIF(32, **membrane, **zero, spike_fn=superspike)]
li = [LI(4, **synapse), LI(4, **membrane)]
net = SpikingSequential([fc1, *lif, fc2, *li])


def run(xs):
    carry, potentials = net(net.initialize_carry(xs.shape[1:]), xs)
    return potentials
""",
    ),
    "spikingjelly": (
        """\
import torch
from spikingjelly.activation_based import functional, neuron, surrogate

fc1, fc2 = torch.nn.Linear(16, 32), torch.nn.Linear(32, 4)
lif1 = neuron.LIFNode(tau=2.0, surrogate_function=surrogate.ATan())
lif2 = neuron.LIFNode(tau=2.0, surrogate_function=surrogate.ATan())
net = torch.nn.Sequential(fc1, lif1, fc2, lif2)


def run(xs):
    functional.reset_net(net)
    return torch.stack([net(x) for x in xs])
""",
        """\
import brainsurr as bs
from brainsurr.nnx import LIF, SpikingSequential
from flax import nnx

rngs = nnx.Rngs(0)
node = {"decay": 0.5, "decay_input": True, "reset": "zero", "reset_grad": True}
node["spike_fn"] = bs.equivalent("spikingjelly", "ATan")
fc1, fc2 = nnx.Linear(16, 32, rngs=rngs), nnx.Linear(32, 4, rngs=rngs)
net = SpikingSequential([fc1, LIF(32, **node), fc2, LIF(4, **node)])


def run(xs):
    carry, spikes = net(net.initialize_carry(xs.shape[1:]), xs)
    return spikes
""",
    ),
    "brainpy": (
        """\
import brainpy
import brainstate
import braintools
import brainunit as u

brainstate.random.seed(0)
fc1, fc2 = brainstate.nn.Linear(16, 32), brainstate.nn.Linear(32, 4)
arctan = braintools.surrogate.Arctan(2.0)
lif = brainpy.state.LIF(32, tau=10 * u.ms, spk_fun=arctan)


def run(xs):
    lif.init_state(xs.shape[1])
    with brainstate.environ.context(dt=1 * u.ms):
        spikes = brainstate.transform.for_loop(lambda x: lif(fc1(x) * u.mA), xs)
    return fc2(spikes)
""",
        """\
from math import exp

import brainstate
import brainsurr as bs
from brainsurr.brainstate import LIF, SpikingSequential

brainstate.random.seed(0)
fc1, fc2 = brainstate.nn.Linear(16, 32), brainstate.nn.Linear(32, 4)
lif = LIF(32, decay=exp(-1 / 10), decay_input=True, spike_fn=bs.Arctan(2.0))
net = SpikingSequential([fc1, lif, fc2])


def run(xs):
    net.init_state(batch_size=xs.shape[1])
    return net(xs)
""",
    ),
}
