"""One list of laws, over the table of neurons in `neuron_table.py`: in plain jax, and in each framework.

Spikes and states are those of a loop in NumPy. Gradients are those of the plain neuron, a pytree that jax
differentiates, and these are checked by finite differences.
"""

import copy
import dataclasses
import functools
import inspect
import itertools
import pickle

import brainstate
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from asked import ask, called
from cases import label, programs
from close import assert_close, largest
from jax.sharding import AxisType, PartitionSpec
from neuron_table import CASES, EXPORTED, NAMES, TABLE, B, F, T, X

import brainsurr as bs
from brainsurr._layer import fields_of
from brainsurr.neurons import ALIF, LI, LIF, Delay, Recurrent, Window
from brainsurr.neurons._neuron import Unmatched
from brainsurr.neurons._spikes import spike_fields
from tools.frameworks import HOSTS, Brainstate, Linen, Nnx, Pure, by_name

pytestmark = [pytest.mark.numbers, pytest.mark.usefixtures("lenient")]  # brainstate's Orthogonal
XS = jnp.asarray(X, jnp.float32)
ON_YS = np.random.default_rng(1).integers(-4, 5, (T, B, F)) / 4
# In each step a sum over the neurons that feed back, and up to 16 operations of one; then sums over time and batch.
GRADIENT = T * (F + 16) + T * B


class Plain:
    """Plain jax, as a host whose layer is the neuron."""

    name = "jax"

    @staticmethod
    def pure(neuron, input_shape):
        def run(neuron, state, xs, **options):
            return bs.unroll(neuron, state, xs, **options) if options else neuron(state, xs)

        return Pure(neuron, lambda shape: neuron.initial_state(jnp.zeros(shape)), run, None)


# The last case of each neuron is its hardest. `make test` tries each law on these, the core in the hosts in turn, the
# others in plain jax if it is their turn and the law is not a costly one; `make test-all` tries the core in each host,
# but for a costly law, and the others in one; and `make test-exhaustive` all cases in each.
HARDEST = [[case for case in CASES if case.entry is entry][-1] for entry in TABLE]
CORE = [case for case in HARDEST if case.kind in (LI, LIF, ALIF, Delay)]


def law(*hosts, cases=CASES, costly=False):
    """Decorate a test of ``host`` and ``case``."""
    hardest = [case for case in HARDEST if case in cases]
    in_turn = zip(itertools.cycle(hosts), itertools.cycle(hardest))
    turn = set(itertools.islice(in_turn, max(len(hosts), len(hardest))))
    rows = []
    for host, case in itertools.product(hosts, cases):
        is_quick = (host, case) in turn and (case in CORE or (host is Plain and not costly))
        is_slow = (host, case) in turn or (case in CORE and not costly)
        marks = () if is_quick else pytest.mark.slow if is_slow else pytest.mark.exhaustive
        rows.append(pytest.param(host, case, marks=marks))
    return pytest.mark.parametrize(("host", "case"), rows, ids=label)


def pure(host, case) -> Pure:
    """The functions of a layer, or of a neuron by itself."""
    return host.pure(case.neuron if host is Plain else case.layer(host), (B, F))


def loss(carry, ys):
    """With a weight for each output and each entry of the state, whatever the order of its arrays."""
    parts = [
        (ys, np.resize(ON_YS, ys.shape)),
        *((leaf, np.resize([-1, 0, 1], leaf.shape)) for leaf in jax.tree.leaves(carry)),
    ]
    return sum(jnp.sum(a * jnp.asarray(b, a.dtype)) for a, b in parts if jnp.issubdtype(a.dtype, jnp.floating))


@functools.cache
def differentiated(case):
    """The state and the outputs of a neuron in plain jax; gradients of the loss, by name and in the input.

    As in a layer, the initial state is an input, although that of an `Izhikevich` depends on a parameter.
    """
    start = case.neuron.initial_state(XS[0])

    def run(neuron, xs):
        out = neuron(start, xs)
        return loss(*out), out

    (grads, gx), out = jax.jit(jax.grad(run, (0, 1), has_aux=True))(case.neuron, XS)
    return out, named(case, grads), gx


def named(case, grads):
    kernel = "recurrent_kernel" if isinstance(case.neuron, Recurrent) else "kernel"
    return {kernel if name == "kernel" else name: grad for name, grad in by_name(grads).items()}


def assert_same_gradients(case, grads, gx):
    _, expected, expected_gx = differentiated(case)
    assert grads.keys() == expected.keys()
    every = [expected_gx, *expected.values()]
    assert all(np.any(leaf != 0) for leaf in every), "each gradient is tried"
    assert_close([gx, *map(grads.get, expected)], every, GRADIENT, scale=largest(every))


def assert_outputs(case, ys, dtype=jnp.float32):
    """Those of the loop, to the bit but for what is rounded: a spike never is."""
    assert ys.dtype == dtype
    rounded = 0 if case.fires else T * case.entry.rounded + (dtype != jnp.float32)
    assert_close(ys, case.loop.ys, rounded, each=True)


def assert_state(case, state):
    leaves = jax.tree.leaves(state)
    for name, leaf in zip(case.neuron.states, leaves, strict=True):
        assert leaf.dtype in (jnp.float32, jnp.int32)
        assert_close(leaf, case.loop.state[name], T * case.entry.rounded, dtype=jnp.float32)


# The table ---------------------------------------------------------------------------------------------------------


def test_the_table_is_complete():
    assert {entry.kind for entry in TABLE} == set(EXPORTED)
    assert set(NAMES.values()) <= set(EXPORTED)
    for host in HOSTS:
        for name, kind in NAMES.items():
            assert getattr(host.layers, name) is getattr(host.layers, "cell" if "Cell" in name else "layer")(kind)


DEFAULTS = {"decay": 0.9, "decay_input": False, "threshold": 1.0, "reset": "subtract"}
DEFAULTS |= {"reset_grad": None, "reset_delay": False, "refractory": 0, "current_decay": 0.8, "adapts": "threshold"}
DEFAULTS |= {"adaptation_decay": 0.98, "spike_adaptation": 1.8, "voltage_adaptation": 0.0, "reset_adapted": True}
DEFAULTS |= {"frequency": 0.1, "damping": 0.01, "refractory_decay": 0.9, "spike_damping": 0.01, "levels": 4}
DEFAULTS |= {"weights": (0.125, 0.25, 0.5, 1.0), "longest": 16, "delay": 0.0, "width": 0.5, "steps": 1, "length": 2}
DEFAULTS |= {"state_dtype": jnp.float32, "self_connections": True, "events": False}
SPIKE_FNS = dict.fromkeys(("RF", "BRF", "BHRF", "SlidingPSN"), bs.Arctan(2.0))
SPIKE_FNS |= {"ILIF": bs.PiecewiseLeakyRelu(c=0.0, w=0.5)} | dict.fromkeys(("LIF", "ALIF", "Synaptic"), bs.Sigmoid(4.0))


@pytest.mark.parametrize("kind", [*EXPORTED, Recurrent])
def test_a_field_has_one_default_in_all_neurons(kind):
    """But for the surrogates."""
    defaults = {field.name: field.default for field in fields_of(kind) if field.name not in ("neuron", "kernel")}
    said = DEFAULTS | {"spike_fn": SPIKE_FNS.get(kind.__name__, defaults.get("spike_fn"))}
    assert defaults == {name: said.get(name, default) for name, default in defaults.items()}


# Numbers -----------------------------------------------------------------------------------------------------------


IN_HALF = [pytest.param(case, jnp.bfloat16, marks=() if case in HARDEST else pytest.mark.exhaustive) for case in CASES]


@pytest.mark.parametrize(("case", "dtype"), [*((case, jnp.float32) for case in CASES), *IN_HALF], ids=label)
def test_a_neuron_is_the_loop(case, dtype):
    """In half precision too, with a state of float32."""
    state, ys = case.neuron(case.neuron.initial_state(XS[0]), XS.astype(dtype))
    assert_outputs(case, ys, dtype)
    assert_state(case, state)


@law(*HOSTS)
def test_a_layer_is_the_neuron(host, case):
    (state, ys), grads, gx = host().grad(case.layer(host), loss, XS)
    assert_outputs(case, ys)
    assert_state(case, state)
    assert_same_gradients(case, by_name(grads), gx)


@law(*HOSTS)
def test_a_cell_step_by_step_is_the_neuron(host, case):
    """With inputs in half precision, and a state of float32."""
    cell, xs = case.layer(host, "cell"), XS.astype(jnp.bfloat16)
    if host is Brainstate:
        cell.init_state(B)
        ys = brainstate.transform.for_loop(cell, xs)
        state = host._carry(cell)
    else:
        start = cell.initialize_carry(*([host.key()] if host is Linen else []), (B, F))
        bound = cell.bind(cell.init(host.key(), start, xs[0])) if host is Linen else cell
        state, ys = jax.lax.scan(lambda state, x: bound(state, x), start, xs)
    assert_outputs(case, ys, jnp.bfloat16)
    assert_state(case, state)


@law(Plain, *HOSTS, cases=[case for case in CASES if not issubclass(case.kind, Unmatched)])
def test_the_state_has_its_own_dtype(host, case):
    if host is Plain:
        state, ys = case.neuron(case.neuron.initial_state(XS[0].astype(jnp.float16)), XS)
    else:
        state, ys = called(host, case.layer(host, param_dtype=jnp.float16), (B, F), XS)
    assert ys.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} <= {jnp.dtype(jnp.float16), jnp.dtype(jnp.int32)}


def in_blocks(run):
    """Gradients in parameters, state and input, and outputs, of a network run in blocks of time."""

    def value(params, carry, xs):
        carry, ys = run(params, carry, xs, block_size=4, remat="full")
        return loss(carry, ys), ys

    return jax.jit(jax.grad(value, (0, 1, 2), has_aux=True))


@law(Plain, *HOSTS, costly=True)
def test_in_blocks_of_time(host, case):
    params, start, run, _ = pure(host, case)

    (grads, _, gx), ys = in_blocks(run)(params, start((B, F)), XS)
    assert_outputs(case, ys)
    assert_same_gradients(case, named(case, grads), gx)


@law(Plain, *HOSTS)
def test_in_a_stream_that_is_cut_anywhere(host, case):
    params, start, run, _ = pure(host, case)
    middle, before = run(params, start((B, F)), XS[:3])
    after, rest = run(params, middle, XS[3:], block_size=2)
    assert_outputs(case, jnp.concatenate([before, rest]))
    names = sorted(case.neuron.states) if host is Brainstate else case.neuron.states
    for name, leaf in zip(names, jax.tree.leaves(after), strict=True):
        assert_close(leaf, case.loop.state[name], T * case.entry.rounded, dtype=jnp.float32)


@law(Plain, *HOSTS)
def test_over_examples_one_by_one(host, case):
    params, start, run, _ = pure(host, case)
    carry = start((1, F))
    ys = jax.vmap(lambda xs: run(params, carry, xs)[1], 1, 1)(XS[:, :, None])
    assert_outputs(case, ys[:, :, 0])


@pytest.mark.slow
@pytest.mark.skipif(jax.__version_info__ < (0, 9), reason="jax < 0.9 can't place the gradient of recurrent weights")
@law(Plain, *HOSTS, costly=True)
def test_on_a_mesh_with_explicit_axes(host, case):
    """From a state that knows of no mesh, and in blocks of time from one that lies where the inputs lie."""
    params, start, run, _ = pure(host, case)

    with jax.set_mesh(jax.make_mesh((B,), ("data",), axis_types=(AxisType.Explicit,))):
        xs, carry = map(jax.sharding.reshard, (XS, start((B, F))), (PartitionSpec(None, "data"), PartitionSpec("data")))
        assert_outputs(case, jax.jit(lambda params, xs: run(params, start((B, F)), xs)[1])(params, xs))
        (grads, _, gx), ys = in_blocks(run)(params, carry, xs)
    assert_outputs(case, ys)
    assert_same_gradients(case, named(case, grads), gx)


@law(Plain, *HOSTS)
def test_on_a_mesh_with_manual_axes(host, case):
    """In blocks of time too, where a host makes the state vary as the input does."""
    params, start, run, _ = pure(host, case)
    mesh, spec = jax.make_mesh((B,), ("data",), axis_types=(AxisType.Auto,)), PartitionSpec(None, "data")
    for options in ({}, {"block_size": 4, "remat": "full"})[: 1 + (host in (Plain, Nnx))]:
        part = lambda xs, options=options: run(params, start((1, F)), xs, **options)[1]  # noqa: E731
        assert_outputs(case, jax.jit(jax.shard_map(part, mesh=mesh, in_specs=spec, out_specs=spec))(XS))


# Gradients, spikes -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@law(Plain, *HOSTS, cases=[case for case in CASES if case.learnable], costly=True)
def test_its_gradients_are_right(host, case):
    """But for a reset that is detached."""
    case = dataclasses.replace(case, setting=case.setting | dict.fromkeys(spike_fields(case.kind), bs.Arctan(2.0)))
    if host is Plain:
        params = {"neuron": jax.tree.map(jnp.float32, case.neuron), "xs": XS}
        report = bs.check_gradients(params, lambda p: loss(*p["neuron"](p["neuron"].initial_state(XS[0]), p["xs"])))
    else:
        report = ask("check_gradients", host, case.layer(host), lambda ys: jnp.mean(ys**2), XS)
    assert {parameter.status for parameter in report.values()} <= {"fine", "reset"}, report
    assert len(report) == len(case.learnable) + case.recurrent + (host is Plain)


@law(Plain, *HOSTS, cases=[case for case in CASES if case.fires])
def test_diagnose_counts_its_spikes(host, case):
    name = case.kind.__name__
    if host is Plain:
        start = case.neuron.initial_state(XS[0])
        report = bs.diagnose({name: case.neuron}, lambda neurons: jnp.sum(neurons[name](start, XS)[1]))
    else:
        report = ask("diagnose", host, case.layer(host), jnp.sum, XS)
    levels = getattr(case.kind, "levels", None) and case.setting["levels"]  # each counts by itself
    assert_close(jnp.float32(report[name].rate), case.loop.ys.mean() / (levels or 1), 2)
    assert report[name].status == "fine"


@law(*HOSTS)
def test_a_network_returns_its_spikes(host, case):
    net = host.layers.SpikingSequential([case.layer(host)], return_spikes=True)
    _, (ys, spikes) = called(host, net, (B, F), XS)
    assert_outputs(case, ys)
    assert list(spikes) == [0] * case.fires
    assert all(spike is ys for spike in spikes.values())


# Values ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", HOSTS, ids=label)
@pytest.mark.parametrize("case", [case for case in CASES if not case.recurrent], ids=label)
def test_its_layer_holds_it_and_is_copied(host, case):
    layer = case.layer(host, trained=False)
    for twin in (layer, copy.deepcopy(layer)):
        assert twin.neuron == case.neuron
        assert host is not Linen or (twin == layer and hash(twin) == hash(layer))
    for made in (type(layer), host.layers.cell(case.kind)):
        assert pickle.loads(pickle.dumps(made)) is made
        assert made.__hash__ is not None
        assert ("learnable" in inspect.signature(made).parameters) == (case.kind not in (Delay, Window))
    if host is Nnx or (host is Linen and not case.fires):  # the initialisers that others hold can't be pickled
        assert type(pickle.loads(pickle.dumps(layer))) is type(layer)


scales = (0.9375 - 2.0**-i for i in itertools.count(5))  # so that no other test has compiled for these values


@law(Plain, *HOSTS)
@pytest.mark.parametrize("trained", [False, True])
def test_outside_of_jit_a_new_value_compiles_nothing(host, case, trained):
    def call():
        neuron = jax.tree.map(lambda leaf, scale=next(scales): leaf * scale, case.kind(**case.setting))
        changed = dataclasses.replace(case, setting={f.name: getattr(neuron, f.name) for f in fields_of(case.kind)})
        if host is Plain:
            return changed.neuron(changed.neuron.initial_state(XS[0]), XS)
        return called(host, changed.layer(host, trained=trained), (B, F), XS)

    call()
    before = len(programs)
    call()
    assert len(programs) == before
