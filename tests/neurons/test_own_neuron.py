"""A neuron of one's own: in plain jax and in each framework it does what its class says, and what is wrong is named."""

import dataclasses
import sys
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
import pytest
import test_neurons as laws
from asked import called
from cases import label
from neuron_table import Case, Entry, lif

import brainsurr as bs
from brainsurr.neurons import LIF, Neuron
from tools.frameworks import HOSTS

pytestmark = [pytest.mark.numbers, pytest.mark.usefixtures("lenient")]  # brainstate's Orthogonal
XS = jnp.full((4, 2, 3), 0.75)
every_host = pytest.mark.parametrize("host", HOSTS, ids=label)
everywhere = pytest.mark.parametrize("host", [laws.Plain, *HOSTS], ids=label)


@dataclasses.dataclass
class QIF(Neuron):
    """Maths, arguments, reference: here, once; each framework's layer shows it."""

    bounds: ClassVar = {"rate": (0.0, 1.0)}  # what may be trained, and inside what
    rate: Any = 0.1  # a number, or one for each neuron
    spike_fn: Any = bs.Arctan(2.0)  # a surrogate

    def initial_state(self, x):  # x: one step's input, [..., features], in the dtype of the state
        return jnp.zeros_like(x)

    def step(self, state, x):  # pure; parameters come in the state's dtype and rank
        u = state + self.rate * state * (state - 0.5) + x
        s = self.spike_fn(u - 1.0)
        return u * (1 - bs.detached(s)), s  # a reset without its gradient, known to check_gradients as one


def quadratic(fire, state, x, *, rate, spike_fn):
    (v,) = state
    u = v + rate * v * (v - 0.5) + x
    s = fire(u - 1)
    return (u * (1 - s),), s


@dataclasses.dataclass
class Counting(LIF):
    """Another default, one more field, and one more array in the state, of integers."""

    reset: str = "none"
    bias: Any = 0.25

    @property
    def states(self):
        return (*super().states, "count")

    def initial_state(self, x):
        return super().initial_state(x), jnp.zeros_like(x, jnp.int32)

    def step(self, state, x):
        inner, count = state
        inner, s = super().step(inner, x + self.bias)
        return (inner, count + (s >= 0.5).astype(jnp.int32)), s


def counting(fire, state, x, *, bias, reset, **fields):
    inner, s = lif(fire, state[:1], x + bias, reset="none", **fields)
    return (*inner, state[1] + s), s


@dataclasses.dataclass
class Waiting(LIF):
    """One that stays as it is where no input comes."""

    def step(self, state, x):
        after, s = super().step(state, x)
        return jnp.where(x > 0, after, state), s


def waiting(fire, state, x, **fields):
    (after,), s = lif(fire, state, x, **fields)
    return (np.where(x > 0, after, *state),), s


def cases(kind, step, rounded=0, **setting):
    """One's own in the place of a row of the table."""
    entry = Entry(kind, [setting], step, rounded=rounded)
    names = (kind.__name__, f"{kind.__name__}-recurrent")
    return [Case(name, entry, setting, name is names[1]) for name in names]


OWN = cases(QIF, quadratic, rounded=6, rate=np.array([0.25, 0.5, 0.0, 1.0], np.float32))
SUBCLASSES = cases(Counting, counting, decay=0.5)


@every_host
@pytest.mark.parametrize("case", OWN + SUBCLASSES, ids=label)
def test_the_laws_hold_everywhere(host, case):
    laws.test_a_neuron_is_the_loop(case, jnp.float32)
    laws.test_a_layer_is_the_neuron(host, case)
    laws.test_a_cell_step_by_step_is_the_neuron(host, case)
    laws.test_a_network_returns_its_spikes(host, case)


@pytest.mark.parametrize("host", [laws.Plain, *HOSTS], ids=label)
def test_a_choice_between_the_state_and_the_input_on_a_mesh(host):
    """jnp.where takes arrays that are sharded alike, and a first state may be zeros that are not."""
    case, _ = cases(Waiting, waiting, decay=0.5)
    laws.test_on_a_mesh_with_explicit_axes(host, case)


@everywhere
def test_the_state_and_the_output_keep_their_dtypes(host):
    """Of a step that computes in others."""

    class Wide(Counting):
        def initial_state(self, x):
            v, _ = super().initial_state(x)
            return v.astype(jnp.bfloat16), jnp.zeros_like(x, jnp.int8)

        def step(self, state, x):
            (v, count), s = super().step((state[0], state[1].astype(jnp.int32)), x)
            return (v.astype(jnp.float32), count), s.astype(jnp.float32)

    (v, count), s = run(host, Wide, XS.astype(jnp.float16))
    assert (v.dtype, count.dtype, s.dtype) == (jnp.bfloat16, jnp.int8, jnp.float16)
    np.testing.assert_array_equal(count, s.sum(0))
    assert count.all()


def test_a_surrogate_is_broadcast_into_what_it_is_called_with():
    """Which may be of another shape than the input."""

    class Two(QIF):
        def step(self, state, x):
            return state + x, self.spike_fn(jnp.stack([state - 1, x], -1)).sum(-1)

    _, ys = run(laws.Plain, Two, spike_fn=bs.Arctan(np.float32([1.0, 2.0])))
    np.testing.assert_array_equal(ys[:, 0, 0], [1, 1, 2, 2])


@everywhere
def test_a_subclass_may_keep_its_spikes(host):
    """They are an array of the state, which a layer has under the name of its output."""

    @dataclasses.dataclass
    class Late(LIF):
        reset_delay: bool = True

    for own, other in zip(run(host, Late), run(host, LIF, reset_delay=True), strict=True):
        np.testing.assert_array_equal(own, other)


def test_a_state_may_follow_from_the_shape_of_a_parameter():
    class Own(QIF):
        def initial_state(self, x):
            return jnp.zeros((np.size(self.rate), *x.shape), x.dtype)

        def step(self, state, x):
            return state + x, x

    for rate in (0.5, np.full(3, 0.5, np.float32)):
        neuron, xs = Own(rate=rate), jnp.ones((4, 3))
        np.testing.assert_array_equal(neuron(neuron.initial_state(xs[0]), xs)[0], np.full((np.size(rate), 3), 4))


@everywhere
def test_a_neuron_may_have_no_fields(host):
    @dataclasses.dataclass
    class Summing(Neuron):
        def initial_state(self, x):
            return jnp.zeros_like(x)

        def step(self, state, x):
            return state + x, state + x

    np.testing.assert_array_equal(run(host, Summing)[1], jnp.cumsum(XS, 0))
    if host is not laws.Plain:
        host.layers.cell(Summing)(3)


def run(host, kind, xs=XS, **fields):
    if host is laws.Plain:
        neuron = kind(**fields)
        return neuron(neuron.initial_state(xs[0]), xs)
    return called(host, host.layers.layer(kind)(3, **fields), (2, 3), xs)


# What does not fit, when it runs -------------------------------------------------------------------------------------


BAD_STEPS = [
    (QIF, lambda self, v, x: (v, x[..., :1]), "output"),
    (QIF, lambda self, v, x: (v[..., :1], x), "shapes do not match"),
    (QIF, lambda self, v, x: ((v, v), x), "shapes do not match"),
    (QIF, lambda self, v, x: x, "output|unpack"),
    (Counting, lambda self, v, x: (x, v), "output|real array|shape"),
    (Counting, lambda self, v, x: ((v[0], v[1] + 0.5), x), "dtypes do not match"),
]


@everywhere
@pytest.mark.parametrize(("base", "step", "word"), BAD_STEPS)
def test_a_step_that_does_not_fit(host, base, step, word):
    with pytest.raises((TypeError, ValueError), match=word):
        run(host, type("Own", (base,), {"step": step}))


@everywhere
@pytest.mark.parametrize("states", [("v",), ("v", "u", "w"), ("v", "v")])
def test_states_that_do_not_name_the_arrays(host, states):
    two = {"states": states, "initial_state": lambda self, x: (jnp.zeros_like(x), jnp.zeros_like(x))}
    with pytest.raises(ValueError, match="states"):
        run(host, type("Own", (QIF,), two))


# Arguments -----------------------------------------------------------------------------------------------------------


BAD_ARGUMENTS = [
    ({"rate": np.ones((2, 3))}, "rate"),
    ({"learnable": "spike_fn"}, "'spike_fn' is not a parameter; expected rate, spike_fn.alpha"),
]


@every_host
@pytest.mark.parametrize(("given", "message"), BAD_ARGUMENTS)
def test_arguments_that_do_not_fit(host, given, message):
    for make in (host.layers.layer, host.layers.cell):
        with pytest.raises(ValueError, match=f"^QIF(Cell)?:? .*{message}"):
            make(QIF)(3, **given)


# Classes -------------------------------------------------------------------------------------------------------------


def made(base=QIF, annotated=(), **attributes):
    """A class by the name of Own."""
    return type("Own", (base,), {"__annotations__": dict.fromkeys(annotated, Any), **attributes})


def own(base=QIF, annotated=(), **fields):
    """A dataclass with these fields."""
    return dataclasses.dataclass(made(base, annotated or fields, **fields))


TAKEN = "the name {} is already used by layers or by a state: rename it"
NAMES = ("features", "learnable", "recurrent", "name", "parent", "step", "s", "v")
OF_A_LAYER = [(own(**{name: 0.5}), ValueError, f"{TAKEN.format(name)}$") for name in NAMES]
OF_A_LAYER += [(made(states=("s",)), ValueError, TAKEN.format("s"))]
NO_FIELD = "expected reset to be a field"
OF_ANY = [
    *((made(base, ["reset"], reset="none"), TypeError, NO_FIELD) for base in (Neuron, QIF, LIF)),
    # Which a dataclass would leave as it is in the base.
    (dataclasses.dataclass(made(LIF, reset="none")), TypeError, NO_FIELD),
    (made(bounds={"Rate": (0.0, 1.0)}), ValueError, "bounds contains 'Rate', not one of the fields"),
]
BAD_CLASSES = [(host, *row) for row in OF_A_LAYER for host in HOSTS]
BAD_CLASSES += [(host, *row) for row in OF_ANY for host in (laws.Plain, *HOSTS)]


@pytest.mark.parametrize(("host", "kind", "error", "message"), BAD_CLASSES)
def test_a_class_that_does_not_fit(host, kind, error, message):
    with pytest.raises(error, match=f"^Own: {message}"):
        run(host, kind)


@every_host
def test_bounds_of_a_class_hold_for_its_surrogate(host):
    kind = made(bounds=QIF.bounds | {"spike_fn.alpha": (0.5, 3.0)})
    layer = host.layers.layer(kind)(3, learnable="spike_fn.alpha")
    assert "(0.5, 3.0)" in str(host().bounds(layer, XS))
    with pytest.raises(ValueError, match=r"bounds name 'alpha', which is not learnable"):
        host.layers.layer(QIF)(3, learnable="spike_fn.alpha", bounds={"alpha": (0.5, 3.0)})


@every_host
def test_an_integer_is_not_trained(host):
    with pytest.raises(ValueError, match="learnable='refractory' is not a parameter;"):
        host.layers.layer(own(refractory=2))(3, learnable="refractory")


@pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are evaluated before 3.14")
def test_an_annotation_may_name_what_only_type_checkers_import():
    @dataclasses.dataclass(eq=False, repr=False)
    class Own(LIF):
        gain: Unknown = 2.0  # noqa: F821

    assert Own(gain=3.0).gain == 3.0
