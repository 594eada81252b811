"""A surrogate is a value: equality, hash, pytree, pickle, `origin`, and what a user's own subclass may look like."""

import copy
import dataclasses
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import needs_float16
from close import assert_close

import brainsurr as bs

X = jnp.array([-1.0, 0.5, 2.0])
# The operations of one of the formulas below, a hyperbolic function or a logarithm counted as four.
FORMULA = 8


# --- equality and hash ------------------------------------------------------------------------------------------


DIFFERENT = [
    lambda: bs.LogTailedRelu(0.1),
    lambda: bs.LogTailedRelu(0.2),
    lambda: bs.LogTailedRelu(0.1, continuous=True),
    lambda: bs.LogTailedRelu(0.1, origin=True),
    lambda: bs.LogTailedRelu(np.float32(0.1)),  # strongly typed, and another number
    lambda: bs.LogTailedRelu(jnp.array([0.1])),
    lambda: bs.LogTailedRelu(jnp.arange(3.0)),
    lambda: bs.LogTailedRelu(jnp.arange(3.0).view(jnp.int32)),  # of the same bytes
    lambda: bs.LeakyRelu(0.1, jnp.arange(3.0)),
    lambda: bs.Arctan(0.1),
    lambda: bs.Sigmoid(0.1),
    lambda: 0.1,
]


@pytest.mark.parametrize("make", DIFFERENT)
def test_equal_parameters_are_equal_and_nothing_else_is(make):
    f = make()
    assert [f == other() for other in DIFFERENT] == [other is make for other in DIFFERENT]
    assert hash(f) == hash(make())
    assert {f: 1}[make()] == 1
    assert bs.LogTailedRelu(jnp.arange(3.0)) == bs.LogTailedRelu(np.arange(3, dtype=np.float32))
    assert bs.LogTailedRelu(1) == bs.LogTailedRelu(1.0) == bs.LogTailedRelu(np.float64(1))


def test_hash_inside_a_trace():
    run = jax.jit(lambda alpha, x: jax.vmap(jax.grad(jax.jit(bs.LogTailedRelu(alpha))))(x))
    for alpha in (0.25, 0.5):
        np.testing.assert_array_equal(run(alpha, X), [alpha, 1, 0.5])  # exact, as all of these is


# --- origin, and assignment after the hash ----------------------------------------------------------------------


def test_origin_switches_at_once():
    """After a call or an eager derivative too, which do not hash."""
    f = bs.LogTailedRelu(0.1)
    spikes, _ = jax.vjp(f, X)
    f.origin = True
    assert_close(f(X), [-0.1, 0.5, np.log(2)], FORMULA)
    f.alpha = 0.3
    assert_close(bs.spike(X, f), [-0.3, 0.5, np.log(2)], FORMULA)
    f.origin = False
    np.testing.assert_array_equal(f(X), spikes)

    class Own(bs.Surrogate):
        origin = True

        def __init__(self):
            self.alpha = 2.0

        def surrogate_fun(self, x):
            return self.alpha * x

    assert Own()(0.5) == 1.0


@dataclasses.dataclass
class TwoInATuple(bs.neurons.Neuron):
    fns: tuple = (bs.Sigmoid(2.0), bs.Sigmoid(3.0))

    def initial_state(self, x):
        return jnp.zeros_like(x)

    def step(self, v, x):
        return v, self.fns[0](x) + self.fns[1](x)


def test_a_value_inside_belongs_to_one_owner():
    """What is changed in a copy, in what it was made of, or in one neuron of the default, changes no other."""
    f = bs.Sigmoid(2.0)
    one = bs.neurons.LIF(spike_fn=f)
    scaled = bs.Scaled(f, width=3.0)
    others = one.replace(decay=0.5), copy.copy(one), copy.deepcopy(one), scaled.replace(width=2.0)
    for other in others:
        (other.surrogate if isinstance(other, bs.Scaled) else other.spike_fn).alpha = 7.0
    f.alpha = 9.0
    two = TwoInATuple()
    two.replace().fns[0].alpha = two.fns[1].alpha = 7.0
    assert (two.fns[0], TwoInATuple().fns) == (bs.Sigmoid(2.0), (bs.Sigmoid(2.0), bs.Sigmoid(3.0)))
    assert one.spike_fn == scaled.surrogate == bs.Sigmoid(2.0)
    bs.neurons.LIF().spike_fn.origin = True
    assert not bs.neurons.LIF().spike_fn.origin
    with pytest.raises(TypeError, match="has been hashed"):
        bs.neurons.LIF.spike_fn.alpha = 1.0


@pytest.mark.parametrize("use", [hash, lambda f: jax.jit(f)(X), lambda f: {f: 1}, lambda f: f in {f}])
@pytest.mark.parametrize(("name", "value"), [("origin", True), ("alpha", 0.3), ("continuous", True)])
def test_assignment_after_the_hash_is_refused(use, name, value):
    f = bs.LogTailedRelu(0.1)
    use(f)
    with pytest.raises(TypeError, match=rf"has been hashed.*f = f\.replace\({name}={value}\)"):
        setattr(f, name, value)
    assert f == bs.LogTailedRelu(0.1)
    changed = f.replace(**{name: value})
    assert (getattr(changed, name), changed == f) == (value, False)
    setattr(changed, name, getattr(f, name))  # the copy has not been hashed
    assert changed == f


class Sum(bs.Surrogate):
    def __init__(self, parts, weights):
        self.parts = parts
        self.weights = weights

    def surrogate_grad(self, x):
        return sum(weight * f.surrogate_grad(x) for weight, f in zip(self.weights, self.parts, strict=True))


def test_what_is_inside_is_as_fixed_as_the_whole():
    scaled = 2 * bs.LogTailedRelu(0.1)
    summed = Sum([bs.LogTailedRelu(0.1), bs.Sigmoid()], [1.0, 0.5])
    for f, inner in ((scaled, scaled.surrogate), (summed, summed.parts[0])):
        inner.alpha = 0.2
        assert_close(jax.jit(f.surrogate_grad)(X), f.surrogate_grad(X), 4 * FORMULA)
        hash(f)
        with pytest.raises(TypeError, match="this LogTailedRelu has been hashed"):
            inner.alpha = 0.5


def test_a_container_is_taken_as_a_value():
    parts, weights, table = [bs.LogTailedRelu(0.1), bs.Sigmoid()], [1.0, 0.5], {"a": np.zeros(2)}
    f = Sum(parts, weights)
    weights[0] = 9.0
    parts.clear()
    assert f == Sum((bs.LogTailedRelu(0.1), bs.Sigmoid()), (1.0, 0.5))
    with pytest.raises(TypeError, match="does not support item assignment"):
        f.weights[0] = 9.0
    f = Sum([], table)
    table["a"][0] = 9.0
    table["b"] = 9.0
    assert f == Sum((), {"a": np.zeros(2)})
    assert jax.tree.leaves(Sum([], {})) == []  # an empty one is no flag


class Table(bs.Surrogate, static="table"):
    def __init__(self, table):
        self.table = table

    def surrogate_grad(self, x):
        return jnp.interp(x, jnp.linspace(-1, 1, len(self.table)), jnp.asarray(self.table))


NO_VALUES = [(np.zeros(3), "ndarray"), (jnp.zeros(3), "ArrayImpl"), ([np.zeros(3)], "ndarray"), ({"a": 0.0}, "dict")]


@pytest.mark.parametrize(("table", "kind"), NO_VALUES)
def test_what_is_static_compares_by_value(table, kind):
    with pytest.raises(TypeError, match=rf"Table: expected the static field table to be hashable, got {kind}"):
        Table(table)
    traced = []

    @jax.jit
    def run(f, x):
        traced.append(f)
        return jax.vmap(jax.grad(f))(x)

    for same in ([0.0, 1.0, 0.0], (0.0, 1.0, 0.0)):
        assert_close(run(Table(same), X), [0, 0.5, 0], FORMULA)
    assert len(traced) == 1
    inner = bs.LogTailedRelu(0.1)
    Table(inner)
    inner.alpha = 0.2  # it was not hashed on the way in


def test_arrays_that_tree_map_puts_in_are_fixed_by_the_hash():
    f = jax.tree.map(np.array, bs.LogTailedRelu(np.full(3, 0.1, np.float32), origin=True))
    given = f.alpha
    run = jax.jit(f)
    run(X)
    given[0] = 0.9
    np.testing.assert_array_equal(f.alpha, np.float32(0.1))
    with pytest.raises(ValueError, match="read-only"):
        f.alpha[0] = 0.9


class Of(bs.Surrogate):
    """Of any parameters, and no formula."""

    def __init__(self, **parameters):
        for name, value in parameters.items():
            setattr(self, name, value)


def test_two_parameters_of_one_name_are_called_by_their_paths():
    f = Of(first=bs.LogTailedRelu(0.1), second=bs.LogTailedRelu(0.2))
    template, values = f.named_parameters()
    assert values == {"first_alpha": 0.1, "second_alpha": 0.2}
    assert jax.tree.map(values.get, template) == f
    _, values = Of(first=bs.LogTailedRelu(), second=bs.SlayerGrad().scaled(width=2)).named_parameters()
    assert [*values] == ["first_alpha", "second_surrogate_alpha", "height", "width"]
    f = Of(width=3.0, height=5.0, surrogate_width=0.75).scaled(width=2.0)  # a path is the name of another one
    inner = {"surrogate_width": 3.0, "surrogate_height": 5.0, "surrogate_surrogate_width": 0.75}
    assert f.named_parameters()[1] == inner | {"height": 1.0, "width": 2.0}
    with pytest.raises(ValueError, match="two parameters of a value have the same name"):
        Of(a={"b_c": 1.0, "b": {"c": 2.0}}).named_parameters()


def test_integers_as_height_and_width_are_trained():
    f = jax.grad(lambda f: f.surrogate_grad(0.5))(bs.Arctan().scaled(height=3, width=2))
    assert f.height == bs.Arctan().surrogate_grad(0.25)


@pytest.mark.parametrize(
    ("dtype", "least"),
    [pytest.param("float16", 1.53e-5, marks=needs_float16), ("bfloat16", 1.2e-38), ("float32", 1.2e-38)],
)
def test_a_width_is_one_that_the_dtype_can_divide_by(dtype, least):
    """Of 1 and less it has the gradient at 0, and a knee far from it; a smaller one is refused."""
    for width in (least, np.float64(least), np.array([least, 1.0])):
        f = bs.LogTailedRelu(0.1).scaled(width=width)
        x = jnp.asarray([[0.0, 0.0], [1.0, 1.0], [-1.0, -1.0]], dtype)
        slopes = np.asarray(jax.jit(f.surrogate_grad)(x), float)
        assert np.isfinite(slopes).all()
        assert slopes[0, 0] == pytest.approx(0.1, rel=0.01)
        assert slopes[1, 0] == pytest.approx(least, rel=0.02)
        with pytest.raises(ValueError, match=f"expected a width .* for an x of {dtype}"):
            jax.jit(bs.LogTailedRelu(0.1).scaled(width=width * 0.5))(x)


# --- pytree, pickle, repr ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("leaf", [None, True, "name", object()])
def test_whatever_is_put_into_a_leaf_stays_a_leaf(leaf):
    f = bs.LogTailedRelu(0.1)
    masked = jax.tree.map(lambda _: leaf, f)
    is_leaf = lambda node: node is leaf  # noqa: E731
    assert jax.tree.structure(masked, is_leaf=is_leaf) == jax.tree.structure(f)
    assert jax.tree.map(lambda m, p: p, masked, f, is_leaf=is_leaf) == f


COPIES = [copy.copy, copy.deepcopy, lambda f: pickle.loads(pickle.dumps(f)), bs.Surrogate.replace]


@pytest.mark.parametrize("through", COPIES)
@pytest.mark.parametrize("f", [bs.LogTailedRelu(0.1, continuous=True), bs.LeakyRelu(np.arange(3.0), origin=True)])
def test_copies_are_equal_and_can_be_changed(through, f):
    hash(f)
    again = through(f)
    assert again == f
    if isinstance(again.alpha, np.ndarray):
        with pytest.raises(ValueError, match="read-only"):
            again.alpha[0] = 0.9
    again.origin = not f.origin
    assert again != f
    template, values = f.named_parameters()
    assert jax.tree.map(values.get, through(template)) == f


def test_repr_hides_flags_at_their_default():
    assert repr(bs.LogTailedRelu()) == "LogTailedRelu(alpha=0.0)"
    f = bs.LogTailedRelu(0.1, continuous=True, origin=True)
    assert eval(repr(f), vars(bs)) == f
    assert repr(bs.LogTailedRelu(jnp.zeros((8, 2)))) == "LogTailedRelu(alpha=float32[8,2])"
    fourier = bs.SquarewaveFourierSeries(3)
    for same in (copy.copy(fourier), fourier.replace(), jax.tree.map(lambda p: p, fourier)):
        assert repr(same) == "SquarewaveFourierSeries(n=3, t_period=8.0)"

    for size in (2, 8):  # whose array was donated
        f = bs.LogTailedRelu(jnp.zeros(size))
        f.alpha.delete()
        assert repr(f) == f"LogTailedRelu(alpha=float32[{size}] (deleted))"


# --- what a user writes -----------------------------------------------------------------------------------------


class PlainTanh(bs.Surrogate):
    def __init__(self, alpha=1.0, name="tanh"):
        self.alpha = alpha
        self.name = name
        self.shift = True

    def surrogate_fun(self, x):
        return (jnp.tanh(self.alpha * x) + float(self.shift)) / 2

    def surrogate_grad(self, x):
        return self.alpha / 2 / jnp.cosh(self.alpha * x) ** 2


@dataclasses.dataclass
class DataTanh(bs.Surrogate):
    alpha: float = 1.0
    name: str = "tanh"

    surrogate_fun = PlainTanh.surrogate_fun
    surrogate_grad = PlainTanh.surrogate_grad
    shift = True


class PrimitiveOnly(bs.Surrogate):
    def __init__(self, alpha=1.0):
        self.alpha = alpha

    def surrogate_fun(self, x):
        return jnp.tanh(self.alpha * x) / 2 + 0.5


class GradientOnly(bs.Surrogate):
    def __init__(self, alpha=1.0):
        super().__init__()
        self.alpha = alpha

    def surrogate_grad(self, x):
        return self.alpha / (1 + jnp.abs(x))


@pytest.mark.parametrize("cls", [PlainTanh, DataTanh, PrimitiveOnly])
def test_user_subclasses(cls):
    f = cls(2.0)
    expected = 1 / np.cosh(2 * np.asarray(X)) ** 2
    np.testing.assert_array_equal(f(X), [0, 1, 1])
    assert_close(jax.jit(jax.vmap(jax.grad(f)))(X), expected, 4 * FORMULA, scale=1)  # by jax it is 1 - tanh^2
    assert cls(2.0) == f == pickle.loads(pickle.dumps(f))
    assert hash(cls(2.0)) == hash(f)
    assert [*f.named_parameters()[1]] == ["alpha"]
    da = jax.grad(lambda f: jnp.sum(f(X)))(f).alpha
    assert_close(da, np.sum(np.asarray(X) / 2 * expected), 4 * FORMULA, scale=1)
    assert_close(cls(2.0).replace(origin=True)(X), (1 + np.tanh(2 * np.asarray(X))) / 2, FORMULA)


def test_gradient_alone_trains_a_network_but_not_itself():
    f = GradientOnly(2.0)
    for height in (1, 3):
        assert_close(jax.vmap(jax.grad(height * f))(X), height * 2 / (1 + np.abs(X)), FORMULA)
    uses = f.replace(origin=True), (3 * f).surrogate_fun, jax.grad(lambda x: f.replace(alpha=x)(x))
    for use in (*uses, jax.grad(Of())):  # the last one has no formula at all
        with pytest.raises(NotImplementedError, match="no surrogate_fun"):
            use(0.5)


def test_a_formula_given_anew_takes_the_place_of_both():
    class Atan(bs.Sigmoid):
        def surrogate_fun(self, x):
            return jnp.arctan(self.alpha * x)

    class Halved(bs.Sigmoid):
        def surrogate_grad(self, x):
            return 0.5 * super().surrogate_grad(x)

    class Closed(PrimitiveOnly):  # its parent has no gradient of its own
        def surrogate_grad(self, x):
            return self.alpha / jnp.cosh(self.alpha * x) ** 2 + 0 * self.surrogate_fun(x)

    class Sevens:
        def surrogate_grad(self, x):
            return jnp.full_like(x, 7.0)

    class Mixed(Sevens, bs.Surrogate):
        def surrogate_fun(self, x):
            return x

    class Anew(Closed):
        def surrogate_fun(self, x):
            return x

    x = np.asarray(X)
    for origin in (False, True):
        slope = jax.vmap(jax.grad(Atan(2.0, origin=origin)))(X)
        assert_close(slope, 2 / (1 + 4 * x**2), FORMULA)
    assert_close(jax.vmap(jax.grad(Halved()))(X), 0.5 * bs.Sigmoid().surrogate_grad(X), 4 * FORMULA)
    with pytest.raises(NotImplementedError, match="Halved defines no surrogate_fun"):
        Halved(origin=True)(X)
    assert_close(jax.vmap(jax.grad(Closed(2.0)))(X), 2 / np.cosh(2 * x) ** 2, 4 * FORMULA)
    assert_close(Closed(2.0).replace(origin=True)(X), PrimitiveOnly(2.0).surrogate_fun(X), FORMULA)
    np.testing.assert_array_equal(jax.vmap(jax.grad(Mixed()))(X), 7)
    np.testing.assert_array_equal(jax.vmap(jax.grad(Anew(2.0)))(X), 1)


def test_each_assignment_decides_for_its_attribute():
    """Not the first instance of a class, nor what an attribute was before."""
    none, number = Of(alpha=1.0, beta=None), Of(alpha=1.0, beta=0.5)
    for _ in range(2):
        assert (jax.tree.leaves(none), jax.tree.leaves(number)) == ([1.0], [1.0, 0.5])
        none, number = number.replace(beta=None), none.replace(beta=0.5)


def test_a_constant_formula_is_enough():
    class Straight(bs.Surrogate):
        def surrogate_grad(self, x):
            return 1

    np.testing.assert_array_equal(jax.vmap(jax.grad(Straight()))(X.astype(jnp.bfloat16)), [1, 1, 1])
    np.testing.assert_array_equal(Straight().derivative(X), [1, 1, 1])
    for f in (Straight(), PrimitiveOnly()):
        assert np.isnan([jax.grad(f)(jnp.nan), f.surrogate_grad(jnp.nan)]).all()
        with pytest.raises(TypeError, match="expected surrogate_grad to be a method of the class"):
            f.surrogate_grad = jnp.tanh


def test_a_surrogate_inside_a_neuron_is_held_against_its_dtype():
    """Before the neuron is compiled, when its numbers are traced."""
    x = jnp.ones((3, 2), jnp.float16)
    for scaled, words in (({"width": 1e-8}, "width"), ({"height": 1e6}, "height")):
        lif = bs.neurons.LIF(spike_fn=bs.Sigmoid(4.0).scaled(**scaled))
        with pytest.raises(ValueError, match=f"expected a {words}.* for an x of float16"):
            lif(lif.initial_state(x[0]), x)
