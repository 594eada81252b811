"""A surrogate through `flax.serialization` and `jax.export`, and back."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import all_but, python
from flax import serialization
from jax import export
from surrogate_table import CASES

import brainsurr as bs

X = jnp.array([-2.0, -0.5, 0.0, 0.25, 3.0])


@dataclass
class Mine(bs.Surrogate, static=("power", "words")):
    """One of a user's own, with a flag of each kind that can be written."""

    alpha: bs._surrogate.Parameter = 0.5
    power: int = 2
    words: tuple = ("a", (1.5, None, (True, -3)), ())

    def surrogate_fun(self, x):
        return self.alpha * x**self.power


class Plain(bs.Surrogate):
    """One without fields, whose parameters are what it is given; and one inside of it."""

    def __init__(self, *alphas, inner, kind="plain"):
        self.alphas, self.inner, self.kind = alphas, inner, kind

    def surrogate_fun(self, x):
        return sum(self.alphas) * self.inner.surrogate_fun(x)


OWN = [
    Mine(0.75, power=3, words=("b", (2.5,))),
    Mine(jnp.array([0.5, 1, 2, 3, 4], "bfloat16"), origin=True),
    Plain(0.5, np.float32(2), inner=0.5 * bs.Arctan(jnp.array([1.0, 2, 3, 4, 5]))),
    2 * (0.5 * bs.LogTailedRelu(0.25, continuous=True)),
    bs.SquarewaveFourierSeries(n=3),
]


def parameters(f):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(f)]


def assert_same(f, g):
    assert jax.tree.structure(f) == jax.tree.structure(g)
    for a, b in zip(parameters(f), parameters(g), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("f", [case.make() for case in CASES] + OWN, ids=repr)
def test_flax_gives_back_what_it_was_given(f):
    tree = {"f": f, "more": [1.5, (jnp.ones(2), f)]}
    other = jax.tree.map(lambda leaf: 0 * leaf + 7, tree)
    assert_same(serialization.from_bytes(other, serialization.to_bytes(tree)), tree)
    assert_same(serialization.from_state_dict(other, serialization.to_state_dict(tree)), tree)


def test_the_state_is_that_of_the_parameters_by_name():
    f = Plain(0.5, 1.5, inner=2 * bs.Arctan(3.0))
    state = {"alphas": {"0": 0.5, "1": 1.5}, "inner": {"surrogate": {"alpha": 3.0}, "height": 2, "width": 1.0}}
    assert serialization.to_state_dict({"f": f}) == {"f": state}
    kept = np.array([0.1, 0.2], np.float32)
    restored = serialization.from_state_dict(bs.LogTailedRelu(0.5, continuous=True), {"alpha": kept})
    assert restored.continuous
    kept[0] = 5
    np.testing.assert_array_equal(restored.alpha, np.float32([0.1, 0.2]))


def test_flax_takes_whatever_jax_puts_into_a_leaf():
    """Such as what `optax.masked` leaves out, in the state of an optimiser."""
    params = jax.tree.map(jnp.asarray, {"f": bs.LeakyRelu(0.5, 1.5), "w": jnp.ones(2)})
    mask = jax.tree.unflatten(jax.tree.structure(params), [True, False, False])
    state = optax.masked(optax.trace(0.9), mask).init(params)
    assert isinstance(state.inner_state.trace["f"].beta, optax.MaskedNode)
    back = serialization.from_bytes(state, serialization.to_bytes(state))
    assert jax.tree.structure(back) == jax.tree.structure(state)


@pytest.mark.parametrize("state", [{"beta": 1.0}, {"alpha": 1.0, "beta": 1.0}, {}, 1.0, None])
def test_a_state_of_another_surrogate_is_refused(state):
    with pytest.raises(ValueError, match=r"LogTailedRelu: .*\['alpha'\], got .* at path \./f"):
        serialization.from_state_dict({"f": bs.LogTailedRelu()}, {"f": state})


@pytest.mark.slow
@pytest.mark.parametrize("first", ["from flax import serialization", "import brainsurr"])
@pytest.mark.parametrize("later", ["g = bs.LogTailedRelu()", "import brainsurr.nnx"])
def test_flax_may_be_loaded_before_or_after(first, later):
    """Before a class is made, or after; then the next surrogate that is made sees it, here or in a layer's defaults.

    A class that its author registers otherwise is left alone.
    """
    python(f"""
{first}
import brainsurr as bs
class Own(bs.Surrogate):
    def __init__(self, alpha):
        self.alpha = alpha
class Theirs(Own):
    pass
tree = {{"f": bs.LogTailedRelu(0.25), "own": Own(0.5), "theirs": Theirs(1.0)}}
from flax import serialization
serialization.register_serialization_state(Theirs, lambda f: {{"mine": 1}}, lambda f, state: f, override=True)
{later}
class After(Own):
    pass
tree["after"] = After(3.0)
state = {{"f": {{"alpha": 0.25}}, "own": {{"alpha": 0.5}}, "theirs": {{"mine": 1}}, "after": {{"alpha": 3.0}}}}
assert serialization.to_state_dict(tree) == state
""")


def outputs(f, x):
    return f(x), jax.grad(lambda f, x: jnp.sum(f(x)), argnums=(0, 1))(f, x), f


# Parameters are arguments of the exported function: one setting for each choice of flags.
BY_FLAGS = list({jax.tree.structure(f): f for f in [*(case.make() for case in reversed(CASES)), *OWN]}.values())


@pytest.mark.parametrize("f", all_but(BY_FLAGS[::4], BY_FLAGS), ids=repr)
def test_an_exported_function_takes_and_gives_a_surrogate(f):
    """The surrogate is an argument, an output, and the gradient with respect to it."""
    f = jax.tree.map(jnp.asarray, f)
    expected = jax.jit(outputs)(f, X)
    restored = export.deserialize(export.export(jax.jit(outputs))(f, X).serialize())
    given = restored.call(f, X)
    jax.tree.map(np.testing.assert_array_equal, given, expected)
    assert jax.tree.structure(given) == jax.tree.structure(expected)
    more = jax.tree.map(lambda p: p + 1, f)  # parameters are arguments, and flags are not
    jax.tree.map(np.testing.assert_array_equal, restored.call(more, X), jax.jit(outputs)(more, X))
    with pytest.raises(ValueError, match="same pytree structure"):
        restored.call(f.replace(origin=not f.origin), X)


def test_flags_come_back_as_they_were():
    f = OWN[0].replace(words=(1, 1.0, True, None, "1", (), ((2,),), float("inf"), 0.1), power=10**30)
    restored = export.deserialize(export.export(jax.jit(lambda f: f))(f).serialize())
    ((g,), _) = jax.tree.unflatten(restored.in_tree, [0.75])
    assert g == f
    assert list(map(type, g.words)) == list(map(type, f.words))


def test_a_class_may_be_defined_again():
    """As by a cell of a notebook that is run twice: each keeps its own name."""

    def define(scale):
        class Again(bs.Surrogate):
            def __init__(self, alpha=1.0):
                self.alpha = alpha

            def surrogate_fun(self, x):
                return scale * self.alpha * x

        return Again

    for scale in (1, 2, 3):
        f = define(scale)(jnp.float32(0.5))
        restored = export.deserialize(export.export(jax.jit(outputs))(f, X).serialize())
        jax.tree.map(np.testing.assert_array_equal, restored.call(f, X), outputs(f, X))
        assert type(restored.call(f, X)[2]) is type(f)
        assert serialization.to_state_dict(f) == {"alpha": 0.5}


@pytest.mark.slow
def test_another_process_reads_an_exported_function(tmp_path):
    f = 0.5 * bs.LogTailedRelu(jnp.float32(0.25), continuous=True)
    path = tmp_path / "f"
    path.write_bytes(export.export(jax.jit(outputs))(f, X).serialize())
    code = """
import pathlib, sys, jax.numpy as jnp, brainsurr as bs
from jax import export
restored = export.deserialize(bytearray(pathlib.Path(sys.argv[1]).read_bytes()))
f = jnp.float32(0.5) * bs.LogTailedRelu(jnp.float32(0.25), continuous=True)
print(restored.call(f, jnp.array([-2.0, -0.5, 0.0, 0.25, 3.0]))[1][1].tolist())
"""
    assert eval(python(code, path)) == outputs(f, X)[1][1].tolist()
