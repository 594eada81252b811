"""`check_gradients` passes what is right, and finds what is wrong: each fault is put into a network and named."""

import contextlib
import dataclasses
import functools
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from asked import XS, line_of
from cases import all_but
from flax import nnx

import brainsurr as bs
from brainsurr import neurons
from brainsurr._gradients.report import Derived, Slope, judge

PARAMS = {"a": jnp.asarray(np.random.default_rng(1).normal(size=(3, 2)), jnp.float32), "b": jnp.array([1.0, -2.0])}
X = jnp.array([1.0, -2.0, 0.5])
F = bs.Arctan(2.0)
pytestmark = pytest.mark.usefixtures("lenient")  # the linear layers of the hosts


def statuses(report):
    return {name: parameter.status for name, parameter in report.items()}


@pytest.mark.slow
@pytest.mark.parametrize("x64", [False, True])
def test_transforms_and_what_was_compiled_before(x64):
    @jax.jit
    def loss(params):
        def step(v, x):
            v = 0.9 * v + x @ params["a"]
            s = F(v - 0.3)
            return v - s, s

        xs = jnp.stack([X, -X, 2 * X])
        _, ys = jax.vmap(lambda gain: jax.lax.scan(jax.checkpoint(step), gain * params["b"], xs))(jnp.arange(1.0, 3.0))
        return jnp.sum(ys * params["b"])

    with jax.enable_x64(x64):
        params = jax.tree.map(lambda value: value.astype(float), PARAMS)  # of float64 the trace would be the one before
        before = loss(params)
        report = bs.check_gradients(params, loss)
        assert report.fine, report
        assert loss(params) == before
        assert set(np.unique(F(jnp.linspace(-1, 1, 9)))) == {0, 1}
        assert jax.config.jax_enable_x64 == x64


def slightly_wrong(factor):
    @jax.custom_jvp
    def square(x):
        return x**2

    @square.defjvp
    def _(primals, tangents):
        return square(*primals), factor * 2 * primals[0] * tangents[0]

    return square


@jax.custom_vjp
def half_as_steep(x):
    return x**2


half_as_steep.defvjp(lambda x: (x**2, x), lambda x, ct: (ct * x,))


@jax.custom_jvp
def own_spike(x):
    return (x >= 0).astype(x.dtype)


own_spike.defjvp(lambda primals, tangents: (own_spike(*primals), tangents[0] / (1 + primals[0] ** 2)))


def three_times(x):
    """A loop whose condition loses digits, which are no part of the value."""
    goes_on = lambda c: (c[0] < 3) & (c[1].astype(jnp.float32) < 9)  # noqa: E731
    return jax.lax.while_loop(goes_on, lambda c: (c[0] + 1, jnp.sin(c[1])), (0, jnp.sum(x)))[1]


def twice(x):
    return jax.custom_derivatives.linear_call(lambda _, x: 2 * x, lambda _, ct: 3 * ct, (), x)


def slightly(factor, p):
    """A loss with a rule that is wrong by a factor."""
    return slightly_wrong(factor)(F(X @ p["a"])) * p["b"] * jnp.array([1, 1]).astype(jnp.float32)  # loses no digits


@jax.custom_vjp
def narrow_behind(x):
    return jnp.sin(x)


def narrow_back(x, g):
    return ((g * jnp.cos(x)).astype(jnp.bfloat16).astype(g.dtype),)


narrow_behind.defvjp(lambda x: (jnp.sin(x), x), narrow_back)


NARROW = {"preferred_element_type": jnp.bfloat16}
RELU, LEAKY, PIECEWISE = jax.nn.relu, bs.LeakyRelu(0.1), bs.PiecewiseLeakyRelu(w=1.0)
VERDICTS = {
    "a custom_jvp": (PARAMS, functools.partial(slightly, 1.0), "fine", ""),
    "slightly wrong": (PARAMS, functools.partial(slightly, 1.0001), "differs", ""),
    "no gradient": (PARAMS, functools.partial(slightly, 0.0), "differs", ""),
    "wrong in a cast": (PARAMS, lambda p: slightly(1.1, p).astype(jnp.float32), "rounded", ""),  # it can't be told
    "right in a cast": (PARAMS, lambda p: jnp.log(3e3 + slightly(1.0, p)).astype(jnp.float32), "rounded", ""),
    "a narrow product": (PARAMS, lambda p: jnp.dot(X, p["a"], **NARROW), "rounded", "bfloat16"),
    "narrow in a rule": (PARAMS, lambda p: narrow_behind(p["a"]) ** 2, "rounded", ""),
    "fewer digits": (PARAMS, lambda p: jax.lax.reduce_precision(X @ p["a"], 8, 7), "rounded", ""),
    "a complex cast": (PARAMS, lambda p: jnp.abs(F(X @ p["a"]).astype(jnp.complex64) + 1j), "rounded", "complex64"),
    "a complex parameter": (jnp.array([1 + 2j, 0.5j]), lambda p: jnp.abs(p**2 + 1) ** 2, "fine", ""),
    "wrong in the imaginary part": ([1j], lambda p: slightly_wrong(1.1)(jnp.imag(p)) + jnp.real(p), "differs", ""),
    "forgotten": (PARAMS, lambda p: (X @ p["a"] > 0) * p["b"], "step", "a: not compared, since each path"),
    "silent": (PARAMS, lambda p: bs.ReluGrad()(X @ p["a"] - 9) + p["b"], "no slope", "a: not compared, since all"),
    "less itself": (PARAMS, lambda p: F(X @ p["a"]) - bs.detached(F(X @ p["a"])) + p["b"], "reset", "only"),
    "all detached": (PARAMS, lambda p: bs.detached(F(X @ p["a"])) + p["b"], "detached", "only to the spike in the"),
    "a custom_vjp": (PARAMS, lambda p: half_as_steep(X @ p["a"]), "differs", "or custom_vjp"),
    "a loop": (PARAMS, lambda p: three_times(F(X @ p["a"])), "fine", "Reverse mode is not defined"),
    "wrong in a loop": (PARAMS, lambda p: three_times(slightly_wrong(1.0001)(F(X @ p["a"]))), "differs", ""),
    "one mode": (PARAMS, lambda p: twice(F(X @ p["a"])), "differs", "a derivative rule is wrong"),
    "a poor surrogate": (PARAMS, lambda p: bs.Sigmoid(0.01)(X @ p["a"]), "fine", ""),  # which it can't see
    "no surrogate": (PARAMS, lambda p: own_spike(X @ p["a"]), "differs", ""),  # so it has no primitive
    "a knot of jax": ([0.0, 0.4], RELU, "knot", "the slopes on the two sides differ"),
    "a knot": ([0.0, 0.4], LEAKY, "knot", ""),
    "another knot": ([-1.0, 0.4], PIECEWISE, "knot", ""),
    **{f"a knot close by, {near}": ([near, 2.0], RELU, "fine", "") for near in (1e-7, -2e-6)},
    # A step in all but the narrowest widths, and there a slope of 4e-11, which is less than rounding.
    "steep": ([4e-6, 1.0], bs.Sigmoid(1e7), "knot", "too steep for finite differences"),
    "not finite": ([0.0, 1.0], lambda x: jnp.where(x > 0.5, jnp.sqrt(x), 0.0), "not finite", ""),
}


SETTLED = [case for case in VERDICTS if " knot" not in case]


@pytest.mark.parametrize("case", all_but(SETTLED, VERDICTS, pytest.mark.slow))
def test_the_verdict_on_a_function(case):
    params, function, status, sentence = VERDICTS[case]
    report = bs.check_gradients(params if params is PARAMS else jnp.asarray(params), lambda p: jnp.sum(function(p)))
    assert next(iter(report.values())).status == status, report
    assert {parameter.status for parameter in report.values()} <= {status, "fine", "unused"}
    assert report.fine == (status == "fine")
    assert sentence in " ".join(report.sentences)
    if case == "a custom_vjp":
        assert report["a"].forward is None
        assert report["a"].differ == pytest.approx(0.5)
        assert "differs" in str(report)
    if case == "silent":
        assert report["a"].differ == 0, "two slopes of 0 do not"


def test_the_loss_is_that_of_the_parameters_themselves():
    a, f = PARAMS["a"], bs.Arctan(2.0)
    report = bs.check_gradients(a, lambda a: jnp.sum(f(a)))
    smooth = 0.5 + np.arctan(np.pi * 2.0 / 2 * np.asarray(a, np.float64)) / np.pi  # Fang et al. 2021, equation 9
    np.testing.assert_allclose(report.loss, smooth.sum(), rtol=1e-12)  # differences are taken 1e-8 to 1e-2 away


def a_loop_without_forward_mode(b):
    return jax.lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, half_as_steep(c[1])), (0, b.sum()))[1]


def a_callback(b):
    return jax.pure_callback(np.sum, jax.ShapeDtypeStruct((), b.dtype), b)


@pytest.mark.parametrize("loss", [a_loop_without_forward_mode, a_callback])
def test_a_loss_without_a_gradient_is_an_error(loss):
    """A loop has no reverse mode, and a custom_vjp no forward mode; a callback has neither."""
    with pytest.raises(ValueError, match="expected loss_fn to have a gradient, but both"):
        bs.check_gradients(PARAMS, lambda p: loss(p["b"]))


def test_a_small_mistake_in_a_large_layer():
    """Its terms cancel for the most part, so a millionth of their sum is a thousandth of the slope."""
    w = {"w": jnp.asarray(np.random.default_rng(1).normal(size=(300, 300)), jnp.float32)}
    assert bs.check_gradients(w, lambda p: jnp.sum(slightly_wrong(1.0)(p["w"]))).fine
    assert bs.check_gradients(w, lambda p: jnp.sum(slightly_wrong(1.00001)(p["w"])))["w"].status == "differs"


BESIDE = ["jax", "flax", "brainstate", "brainunit", "saiunit", "equinox"]
PACKAGES = Path(jax.__file__).parents[1]
LIBRARIES = {name: PACKAGES / name / "inside.py" for name in BESIDE}
LIBRARIES |= {module.__name__: module.__file__ for module in (contextlib, functools)}


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_line_is_the_users_where_a_library_is_between(library):
    exec(compile("def called(f, x):\n    return f(x)", LIBRARIES[library], "exec"), between := {})

    def loss(p):
        y = between["called"](F, X @ p["a"])
        z = between["called"](jax.lax.stop_gradient, y * y)
        return jnp.sum((y + z) * p["b"])

    for report, text in (
        (bs.check_gradients(PARAMS, loss), "        z = between"),
        (bs.diagnose({"f": F}, lambda fs: loss(PARAMS) + fs["f"](0.5)), "        y = between"),
    ):
        assert f" test_gradients.py:{line_of(__file__, text)}" in str(report)


class Wrong(bs.Arctan):
    surrogate_fun = bs.Arctan.surrogate_fun

    def surrogate_grad(self, x):
        return 1.2 * bs.Arctan.surrogate_grad(self, x)


@dataclasses.dataclass
class Izhikevich(neurons.Neuron):
    """In steps of half a millisecond (Izhikevich 2003); ``detach`` its reset, or not."""

    a: float = 0.02
    c: float = -65.0
    spike_fn: bs.Surrogate = F
    detach: bool = False
    states = ("v", "u")

    def initial_state(self, x):
        return jnp.full_like(x, -65.0), jnp.full_like(x, -13.0)

    def step(self, state, x):
        v, u = state
        v = v + 0.5 * (0.04 * v**2 + 5 * v + 140 - u + x)
        u = u + 0.5 * self.a * (0.2 * v - u)
        s = self.spike_fn((v - 30) / 50)
        reset = bs.detached(s) if self.detach else s
        return (v + reset * (self.c - v), u + 8 * reset), s


def test_a_wrong_rule_behind_a_loop_that_explodes_is_not_let_be():
    """Where the loss reads the last output, too, which a loop that stops early keeps."""

    @jax.custom_jvp
    def wrong(y):
        return jnp.tanh(y)

    wrong.defjvp(lambda p, t: (jnp.tanh(p[0]), 1.2 * t[0] * (1 - jnp.tanh(p[0]) ** 2)))

    @jax.checkpoint
    def last(v):
        return jax.lax.scan(lambda v, _: (3.9 * v * (1 - v),) * 2, v, None, length=100)[1][-1]

    def loss(p, f):
        return f(p["r"] * last(p["v"]))

    start = {"v": jnp.float32(0.3), "r": jnp.float32(0.7)}
    assert statuses(bs.check_gradients(start, functools.partial(loss, f=jnp.tanh))) == {"r": "fine", "v": "explodes"}
    assert statuses(bs.check_gradients(start, functools.partial(loss, f=wrong)))["r"] == "differs"


def of_a_bursting_neuron(steps, **options):
    rng = np.random.default_rng(0)
    xs, w = rng.uniform(0, 20, (steps, 3, 4)), rng.normal(0, 0.5, (4, 5))

    def loss(p):
        neuron, x = Izhikevich(a=p["a"], c=p["c"], **options), jnp.asarray(xs, p["w"].dtype) @ p["w"] + 5
        return jnp.mean((neuron(neuron.initial_state(x[0]), x)[1].mean(0) - 0.1) ** 2)

    return bs.check_gradients({"a": jnp.float32(0.02), "c": jnp.float32(-65.0), "w": jnp.float32(w)}, loss)


@pytest.mark.parametrize(
    ("steps", "options", "expected"),
    [
        (10, {}, "fine"),
        (26, {"detach": True}, "reset"),
        (30, {"detach": True}, "explodes"),
        pytest.param(100, {"detach": True}, "explodes", marks=pytest.mark.slow),
        pytest.param(60, {}, "explodes", marks=pytest.mark.slow),
        (60, {"spike_fn": Wrong(2.0)}, "knot"),
    ],
)
def test_a_gradient_that_explodes_is_told_from_a_wrong_one(steps, options, expected):
    """Over how many steps no rule is wrong is said, and holds. A wrong rule is not said to be right anywhere."""
    report = of_a_bursting_neuron(steps, **options)
    assert report["w"].status == expected, report
    said = " ".join(report.sentences)
    fewer = re.search(r"Over the first (\d+) iterations, all derivative rules are right", said)
    assert bool(fewer) == (expected == "explodes"), report
    assert ("fewer time steps: the gradient is" in said) == (expected == "knot")
    assert "changes the gradient by a factor of up to" in said or expected != "reset"
    if fewer:
        assert f"explodes over {steps} loop iterations" in said
        over_fewer = of_a_bursting_neuron(int(fewer[1]), **options)
        assert set(statuses(over_fewer).values()) <= {"fine", "reset"}, over_fewer
    if expected != "knot":
        assert set(statuses(report).values()) <= {"fine", "reset", "explodes"}, report


def test_a_detached_reset_does_not_differ_if_its_slope_can_not_be_measured():
    detached, attached = Derived(2.0, 2.0, 2.0), Derived(3.0, 3.0, 3.0)
    assert judge(Slope(3.0, 0.01, 0.0), detached, attached, 1.0, cast=False, flat="step").status == "knot"


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_a_cast_that_loses_digits_is_named_by_its_line(dtype):
    def loss(p):
        y = F(X @ p["a"])
        y = y.astype(dtype)
        return jnp.sum(y * p["b"])

    report, line = bs.check_gradients(PARAMS, loss), line_of(__file__, "        y = y.astype(dtype)")
    assert statuses(report)["a"] == "rounded"
    assert f"test_gradients.py:{line} ({jnp.dtype(dtype)})" in report.sentences[0]


def test_a_surrogate_without_a_primitive():
    f = type("GradientAlone", (bs.Surrogate,), {"surrogate_grad": lambda self, x: x})()
    with pytest.raises(NotImplementedError, match="defines no surrogate_fun"):
        bs.check_gradients(PARAMS, lambda p: f(p["a"]))


def a_step(x):
    return (x >= 0).astype(x.dtype)


def beside(f):
    """A network in which a gradient passes beside a spike function."""

    class Beside(nnx.Module):
        def __init__(self):
            self.lif = bs.nnx.LIF(3, spike_fn=f)

        def __call__(self, xs):
            return xs + self.lif(jnp.zeros(xs.shape[1:]), xs)[1]

    return bs.nnx.SpikingSequential([nnx.Linear(3, 3, rngs=nnx.Rngs(0)), Beside(), bs.nnx.LI(3)])


@jax.jit
def events(xs):
    return (xs > 0.5).astype(xs.dtype)


@pytest.mark.parametrize(("f", "fine"), [(a_step, False), (jnp.sign, False), (bs.Arctan(2.0), True)])
def test_a_step_beside_another_path_is_named_by_its_line(f, fine):
    """Where all parameters have right slopes; steps of the inputs alone are let be."""

    def loss(net):
        ys = net(net.initialize_carry((2, 3)), events(XS))[1]
        return jnp.mean(jnp.where(ys > 0, ys, 0.5 * ys) ** 2)

    report = bs.nnx.check_gradients(beside(f), loss)
    assert {row.status for row in report.values()} == {"fine"}
    assert report.fine == fine
    if not fine:
        line = f"{Path(__file__).name}:{line_of(__file__, 'def a_step') + 1}"
        assert report.steps == (line if f is a_step else "a spike function of jax",)
        assert f"No gradient passes the step in {report.steps[0]}" in report.sentences[-1]


def test_keys_with_a_dot_in_them_are_told_apart():
    params = {"a.b": jnp.float32(1), "a": {"b": jnp.float32(2)}}
    report = bs.check_gradients(params, lambda params: params["a.b"] ** 2 + params["a"]["b"] ** 3)
    assert sorted(report) == ["['a']['b']", "['a.b']"]
    assert report.fine
