"""The training step in brainsurr and in other libraries on jax."""

import functools
import math

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from .task import ALPHA, DECAY, LONG, THRESHOLD, Steps

TAU, SCALE = -1 / math.log(DECAY), 1 / (1 - DECAY)  # SCALE: for neurons that scale their input by (1 - decay)


def cross_entropy(logits, labels):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1).mean()


def loss_of(net):
    """Return the loss of a network, from its mean output over time and labels; for spikes, the loss is their mean."""
    return (lambda rates, labels: rates.mean()) if net.ends == "LIF" else cross_entropy


def flat(xs):
    """Flatten images, channels last."""
    return xs.reshape(*xs.shape[:-3], -1)


def mesh():
    """Return a mesh of all devices, among which a batch is split."""
    return jax.make_mesh((jax.device_count(),), ("batch",), (AxisType.Auto,))


def data(job, flat=False):
    """Return inputs ``[time, batch, features]``, or flat rows, and labels, split among the devices."""
    cut = functools.partial(NamedSharding, mesh())
    xs, part = job.xs(), cut(PartitionSpec(None, "batch"))
    if flat:
        xs, part = xs.reshape(-1, xs.shape[-1]), cut(PartitionSpec("batch"))
    return jax.device_put((xs, job.net.labels(job.batch)), (part, cut(PartitionSpec("batch"))))


def descent(outputs, params, job, rate=1.0, loss=None, flat=False):
    """Create `Steps` of gradient descent on a parameter tree; the loss gets the outputs of ``outputs(params, xs)``."""
    xs, labels = data(job, flat)
    params = jax.device_put(params, NamedSharding(mesh(), PartitionSpec()))
    loss = loss or loss_of(job.net)

    @jax.jit
    def only_loss(params, xs, labels):
        return loss(outputs(params, xs), labels)

    @jax.jit
    def train_step(params, xs, labels):
        value, grads = jax.value_and_grad(lambda params: loss(outputs(params, xs), labels))(params)
        return jax.tree.map(lambda p, g: p - rate * job.net.rate * g, params, grads), value

    def train():
        nonlocal params
        params, value = jax.block_until_ready(train_step(params, xs, labels))
        return float(value)

    train.program, train.arguments = train_step, (params, xs, labels)
    return Steps(train, lambda: float(only_loss(params, xs, labels)))


def stream(network, carry):
    """Create ``step(x)``, which runs one time step of the pure function ``network(carry, x)`` and waits for it."""
    compiled = jax.jit(network)

    def step(x):
        nonlocal carry
        carry, y = compiled(carry, x)
        return jax.block_until_ready(y)

    return step


def products():
    """Only the matrix products, ``[time * batch, features]``, forward and backward: a lower limit.

    The rows are flat before they are split among the devices: flattening ``[time, batch, features]`` afterwards would
    send them.
    """

    def multiplied(weights, ys):
        for w in weights:
            ys = ys @ w
        return ys

    def build(job):
        weights = list(map(jnp.asarray, job.net.weights()))
        return descent(multiplied, weights, job, loss=lambda ys, labels: jnp.mean(ys**2), flat=True)

    return build, None


def brainsurr():
    """`unroll` with the `remat` of the mode, or layer by layer; with sparse products if the mode says so."""
    from flax import nnx

    import brainsurr as bs
    from brainsurr.nnx import LI, LIF, SpikingSequential, unroll

    def network(net, events=None):
        layers, rngs, how = [], nnx.Rngs(0), {"use_bias": False}
        pooled = functools.partial(bs.max_pool, window_shape=(2, 2), strides=(2, 2))

        def after(w):
            return LIF(w.shape[-1], decay=DECAY, threshold=THRESHOLD, spike_fn=bs.Arctan(ALPHA))

        for w in net.kernels():
            conv = nnx.Conv(*w.shape[2:], (3, 3), **how, kernel_init=nnx.initializers.constant(w), rngs=rngs)
            layers += [conv, nnx.BatchNorm(w.shape[-1], rngs=rngs), after(w), pooled]
        layers += [flat] * bool(layers)
        for w in net.weights():
            layers += [nnx.Linear(*w.shape, **how, kernel_init=nnx.initializers.constant(w), rngs=rngs), after(w)]
        ends = {"LI": [LI(w.shape[1], decay=DECAY)], "LIF": layers[-1:], "": []}
        return SpikingSequential([*layers[:-1], *ends[net.ends]], events=events)

    def build(job):
        mode, _, events = job.mode.partition(", ")
        graphdef, params, statistics = nnx.split(network(job.net, events == "events" or None), nnx.Param, ...)

        def logits(params, xs):
            net = nnx.merge(graphdef, params, statistics, copy=True)  # state that batch normalisation updates
            carry = net.initialize_carry(xs.shape[1:])
            if mode == "layer by layer":
                return net(carry, xs)[1].mean(0)
            return unroll(net, carry, xs, remat=mode, reduce="mean")[1]

        return descent(logits, params, job)

    def live():
        net = network(LONG)
        graphdef, params = nnx.split(net)
        carry = net.initialize_carry((1, LONG.sizes[0]))
        return stream(lambda carry, x: nnx.merge(graphdef, params)(carry, x[None]), carry)

    return build, live


def spyx():
    """`spyx.nn.run`, a scan over time steps."""
    import spyx
    from flax import nnx

    def network(net):
        arctan = spyx.axn.custom(lambda x: ALPHA / 2 / (1 + (jnp.pi / 2 * ALPHA * x) ** 2))
        layers, rngs = [], nnx.Rngs(0)
        for w in net.weights():
            linear = nnx.Linear(*w.shape, use_bias=False, kernel_init=nnx.initializers.constant(w), rngs=rngs)
            layers += [linear, spyx.nn.LIF(w.shape[1:], beta=DECAY, threshold=THRESHOLD, activation=arctan, rngs=rngs)]
        if net.ends == "LI":
            layers[-1] = spyx.nn.LI(w.shape[1:], beta=DECAY, rngs=rngs)
        return spyx.nn.Sequential(*layers)

    def build(job):
        graphdef, params, decays = nnx.split(network(job.net), lambda path, _: path[-1] == "kernel", ...)
        return descent(lambda params, xs: spyx.nn.run(nnx.merge(graphdef, params, decays), xs)[0].mean(0), params, job)

    def live():
        net = network(LONG)
        graphdef, state = nnx.split(net)
        return stream(lambda carry, x: nnx.merge(graphdef, state)(x, carry)[::-1], net.initial_state(1))

    return build, live


def jaxpike():
    """`unroll`, layer by layer, and `unroll_checkpointed`, the same in chunks that are recomputed.

    By default, an iteration of its scans runs several time steps; with `scan_unroll=1`, it runs one.
    """
    import equinox as eqx
    import jaxpike

    def network(net):
        layers = []
        for w in net.weights():
            dense = jaxpike.Dense(*w.shape, use_bias=False, key=jax.random.key(0))
            dense = eqx.tree_at(lambda dense: dense.weight, dense, jnp.asarray(SCALE * w.T))
            layers += [dense, jaxpike.LIF(TAU, threshold=THRESHOLD, surrogate=jaxpike.ATan(ALPHA))]
        return jaxpike.Sequential(*layers[:-1], layers[-1] if net.ends == "LIF" else jaxpike.LeakyIntegrator(TAU))

    def build(job):
        name, _, one = job.mode.partition(", scan_unroll=")
        unroll = functools.partial(getattr(jaxpike, name), **({"scan_unroll": int(one)} if one else {}))
        net = network(job.net)
        params, fixed = eqx.partition(net, jax.tree.map(lambda leaf: eqx.is_array(leaf) and leaf.ndim == 2, net))
        return descent(lambda params, xs: unroll(eqx.combine(params, fixed), xs)[0].mean(0), params, job, SCALE**2)

    def live():
        net = network(LONG)
        return stream(lambda carry, x: net(carry, x), net.init_state((1, LONG.sizes[0])))

    return build, live


def sparx():
    """Flax Linen layers, each over all time steps; an iteration of its scan runs `unroll` steps."""
    import flax.linen as nn
    import sparx

    def network(net, unroll):
        class Net(nn.Module):
            @nn.compact
            def __call__(self, xs):
                neuron = {"threshold": THRESHOLD, "surrogate": sparx.surrogate.ATan(ALPHA)}
                lif = functools.partial(sparx.nn.LIF, tau=TAU, unroll=unroll, **neuron)
                for w in net.kernels():
                    xs = nn.Conv(w.shape[-1], (3, 3), use_bias=False, kernel_init=nn.initializers.constant(w))(xs)
                    xs = lif()(nn.BatchNorm(use_running_average=False)(xs))
                    xs = nn.max_pool(xs, (2, 2), (2, 2))
                xs, weights = flat(xs) if net.channels else xs, net.weights()
                for i, w in enumerate(weights):
                    xs = nn.Dense(w.shape[1], use_bias=False, kernel_init=nn.initializers.constant(w))(xs)
                    if i < len(weights) - 1 or net.ends == "LIF":
                        xs = lif()(xs)
                return sparx.nn.LI(tau=TAU, unroll=unroll)(xs) if net.ends == "LI" else xs

        return Net()

    def build(job):
        net = network(job.net, int(job.mode.removeprefix("unroll=")))
        state = dict(net.init(jax.random.key(0), jnp.zeros((1, job.batch, *job.net.features))))
        params = state.pop("params")

        def logits(params, xs):
            return net.apply({"params": params, **state}, xs, mutable=["batch_stats"])[0].mean(0)

        return descent(logits, params, job)

    def live():
        net, x = network(LONG, 1), jnp.zeros((1, 1, LONG.sizes[0]))
        params = net.init(jax.random.key(0), x)

        def step(state, x):
            ys, state = net.apply(params | state, x[None], mutable=["state"])
            return state, ys[0]

        return stream(step, net.apply(params, x, mutable=["state"])[1])

    return build, live


def brainpy():
    """brainpy.state: `for_loop` over time steps, and `checkpointed_for_loop`."""
    import brainpy
    import brainstate
    import braintools

    class Net(brainstate.nn.Module):
        """The task's network; R compensates for neurons that scale their input by (1 - decay)."""

        def __init__(self, net):
            super().__init__()
            neuron = {"R": SCALE, "tau": TAU, "V_th": THRESHOLD, "V_reset": 0.0, "V_rest": 0.0}
            neuron |= {"V_initializer": braintools.init.Constant(0.0), "spk_fun": braintools.surrogate.Arctan(ALPHA)}
            self.layers, side = [], net.side
            for w in net.kernels():
                shape, made = (side, side, w.shape[2]), (side, side, w.shape[3])
                self.layers += [
                    brainstate.nn.Conv2d(shape, w.shape[3], 3, w_init=jnp.asarray(w), b_init=None),
                    brainstate.nn.BatchNorm2d(made),
                    brainpy.state.LIF(made, **neuron),
                    brainstate.nn.MaxPool2d(2, 2, channel_axis=-1),
                ]
                side //= 2
            self.layers += [brainstate.nn.Flatten(start_axis=1)] * bool(net.channels)
            for w in net.weights():
                linear = brainstate.nn.Linear(*w.shape, w_init=jnp.asarray(w), b_init=None)
                self.layers += [linear, brainpy.state.LIF(w.shape[1], **neuron)]
            if net.ends == "LI":
                self.layers[-2:] = [brainpy.state.LeakyRateReadout(*w.shape, tau=TAU, w_init=jnp.asarray(w))]
            elif not net.ends:
                del self.layers[-1]

        def update(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    brainstate.environ.set(dt=1.0, fit=True)

    def build(job):
        net, loop = Net(job.net), getattr(brainstate.transform, job.mode)
        params = net.states(brainstate.ParamState)
        for param in params.values():
            param.value = jax.device_put(param.value, NamedSharding(mesh(), PartitionSpec()))
        xs, labels = data(job)

        def loss_of_all(xs, labels):
            brainstate.nn.init_all_states(net, batch_size=job.batch)
            return loss_of(job.net)(loop(net, xs).mean(0), labels)

        @brainstate.transform.jit
        def train_step(xs, labels):
            grads, loss = brainstate.transform.grad(lambda: loss_of_all(xs, labels), params, return_value=True)()
            for name, grad in grads.items():
                params[name].value = jax.tree.map(lambda p, g: p - job.net.rate * g, params[name].value, grad)
            return loss

        def train():
            loss = train_step(xs, labels)
            jax.block_until_ready([param.value for param in params.values()])
            return float(loss)

        forward = brainstate.transform.jit(loss_of_all)
        train.program, train.arguments = train_step, (xs, labels)
        return Steps(train, lambda: float(forward(xs, labels)))

    def live():
        net = Net(LONG)
        brainstate.nn.init_all_states(net, batch_size=1)
        step = brainstate.transform.jit(net)
        return lambda x: jax.block_until_ready(step(x))

    return build, live
