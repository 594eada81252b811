"""Against installed braintools: the same names, the same numbers, and every listed difference.

`docs/braintools.md` holds the table of differences. A row without a test of its name fails here, and so does a
difference that is no longer there.
"""

import doctest
import importlib
import inspect
import os
import re
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import all_but, needs_float16
from close import assert_close
from pages import DOCS
from surrogate_table import CASES, name

import brainsurr as bs

if os.environ.get("CI") != "true":  # at home a missing braintools skips, in CI it is an error
    pytest.importorskip("braintools", exc_type=ImportError)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    bt = importlib.import_module("braintools.surrogate")
    import braintools

pytestmark = pytest.mark.usefixtures("lenient")  # braintools' formulas are not clean under strict promotion

VERSION = tuple(map(int, braintools.__version__.split(".")[:2]))
GRADIENT_ONLY = ["ReluGrad", "GaussianGrad", "MultiGaussianGrad", "InvSquareGrad", "SlayerGrad"]
CLASSES = sorted(n for n in bt.__all__ if n != "Surrogate" and inspect.isclass(getattr(bt, n)))
FUNCTIONS = sorted(n for n in bt.__all__ if inspect.isfunction(getattr(bt, n)))
DROP_IN = [c for c in CASES if type(c.make()).__name__ in CLASSES]


def slope(f, x):
    x = jnp.asarray(x)
    return jax.jvp(f, (x,), (jnp.ones_like(x),))[1]


# --- what is the same --------------------------------------------------------------------------------------------


def test_every_name_is_here():
    assert len(CLASSES) == len(FUNCTIONS) == 18
    assert set(bt.__all__) <= set(bs.__all__)


@pytest.mark.parametrize("which", [*CLASSES, *FUNCTIONS])
def test_arguments_have_the_same_names_order_and_defaults(which):
    theirs = list(inspect.signature(getattr(bt, which)).parameters.values())
    ours = list(inspect.signature(getattr(bs, which)).parameters.values())
    assert [(p.name, p.default) for p in ours[: len(theirs)]] == [(p.name, p.default) for p in theirs]
    assert all(p.kind is p.KEYWORD_ONLY for p in ours[len(theirs) :])


@pytest.mark.parametrize("case", all_but(DROP_IN[::3], DROP_IN, pytest.mark.slow), ids=name)
def test_same_numbers(case):
    ours, x = case.make(), np.unique(np.r_[np.linspace(-5, 5, 201), -0.0])
    arguments = {k: v for k, v in case.setting.items() if k != "continuous"}
    theirs = getattr(bt, type(ours).__name__)(**arguments)
    exact = arguments.get("epsilon", 0) < 1e-6  # see test_epsilon_in_the_gradient
    with jax.enable_x64(True):
        x = jnp.asarray(x)
        np.testing.assert_array_equal(ours(x), theirs(x))
        if exact:
            # Far above what float64 rounds, and the epsilon that S2NN has here.
            np.testing.assert_allclose(slope(ours, x), slope(theirs, x), rtol=2e-8, atol=1e-14)
        if type(ours).__name__ == "LogTailedRelu":
            ours = ours.replace(continuous=True)
        if type(ours).__name__ not in GRADIENT_ONLY:
            assert_close(ours.surrogate_fun(x), theirs.surrogate_fun(x), 64)


@pytest.mark.parametrize("S", [bs, bt], ids=["brainsurr", "braintools"])
def test_the_base_class_can_be_made_and_has_no_formula(S):
    f = S.Surrogate()
    for call in (jax.grad(f), f.surrogate_fun, f.surrogate_grad):
        with pytest.raises(NotImplementedError):
            call(jnp.asarray(0.5))


def documented_examples():
    for which in bt.__all__:
        text = inspect.getdoc(getattr(bt, which)) or ""
        if ">>>" in text:
            yield pytest.param(which, text, id=which, marks=pytest.mark.exhaustive if which in FUNCTIONS else ())


@pytest.mark.slow
@pytest.mark.parametrize(("which", "text"), list(documented_examples()))
@pytest.mark.filterwarnings("ignore")
def test_documented_examples_run_with_the_import_line_changed(which, text):
    plt = pytest.importorskip("matplotlib.pyplot")
    text = re.sub(r"import braintools\.surrogate as", "import brainsurr as", text)
    text = re.sub(r"import braintools$", "import brainsurr", text, flags=re.MULTILINE)
    text = text.replace("braintools.surrogate.", "brainsurr.")
    text = re.sub(r"^(\s*)>>>([ ]{2,})", r"\1... \2", text, flags=re.MULTILINE)  # bodies are written behind >>> there
    scope = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plt, "show", lambda: None)
        for example in doctest.DocTestParser().get_examples(text):
            exec(compile(example.source, which, "exec"), scope)
        plt.close("all")
    assert any(getattr(v, "__name__", "") == "brainsurr" for v in scope.values())


# --- what is not -------------------------------------------------------------------------------------------------


def rows():
    text = (DOCS / "braintools.md").read_text()
    return [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")][1:]


INF, X16 = jnp.asarray(jnp.inf), jnp.asarray([-2.0, 0.5], jnp.bfloat16)
S12 = 1 / (1 + np.exp(-1.2))  # the sigmoid at 4 times 0.3, and its slope there
SLOPE = S12 * (1 - S12)
ROUNDED = np.cos(np.float32([np.pi / 4, 3 * np.pi / 4]).astype(float) * 2**27).mean()  # far out in a period of 8
PAPERS = "NormalizedQPseudoSpike"  # which braintools does not have
# Rows that are numbers: the row, what is computed, by braintools and here.
NUMBERS = [
    ("log tail jumps", lambda S: S.LogTailedRelu().surrogate_fun(np.e), 2, 1),
    ("epsilon in the gradient", lambda S: S.S2NN(epsilon=0.5).surrogate_grad(1.0), 1 / 2, 1 / 2.5),
    ("epsilon in the gradient", lambda S: jax.grad(S.S2NN(epsilon=0.5).surrogate_fun)(1.0), 1 / 2.5, 1 / 2.5),
    ("slope at zero", lambda S: jax.grad(S.QPseudoSpike().surrogate_fun)(0.0), 0, 1),
    ("alpha minus one", lambda S: S.QPseudoSpike(2.0).surrogate_grad(1.0), 0.36, 0.36),
    ("alpha minus one", lambda S: getattr(S, PAPERS, S.QPseudoSpike)(2.0).surrogate_grad(1.0), 0.36, 1 / 9),
    ("slope far out", lambda S: jax.grad(S.PiecewiseExp().surrogate_fun)(90.0), np.nan, np.exp(-90)),
    ("infinity", lambda S: S.SoftSign().surrogate_fun(INF), np.nan, 1),
    ("infinity", lambda S: S.PiecewiseLeakyRelu(c=0.0).surrogate_fun(INF), np.nan, 1),
    ("infinity", lambda S: S.LogTailedRelu(0.0).surrogate_fun(-INF), np.nan, 0),
    ("infinity", lambda S: S.SquarewaveFourierSeries().surrogate_grad(INF), np.nan, 0),  # the mean: there is no limit
    ("far out in float32", lambda S: S.SquarewaveFourierSeries().surrogate_grad(2.0**27), ROUNDED, 1),
    ("nan", lambda S: S.LogTailedRelu()(jnp.nan), 0, np.nan),
    ("height of the rectangle", lambda S: S.PiecewiseLeakyRelu(w=0.25).surrogate_grad(jnp.asarray(0.1)), 2, 2),
    ("tail of the sigmoid", lambda S: S.Sigmoid(1.0).surrogate_grad(-20.0), np.exp(-20), np.exp(-20)),
    ("tail of the sigmoid", lambda S: S.Sigmoid(1.0).surrogate_grad(20.0), 0, np.exp(-20)),
    # Before 0.4, theirs is a side effect: that of the gradient in alpha.
    (
        "parameter derivative",
        lambda S: jax.grad(lambda a: S.Sigmoid(a)(jnp.asarray(0.3)))(4.0),
        0 if VERSION >= (0, 4) else SLOPE + 1.2 * SLOPE * (1 - 2 * S12),
        0.3 * SLOPE,
    ),
    # (s^2)'' = 2 g'^2 + 2 s g'' with g' = 1, g'' = 0
    ("second derivative", lambda S: jax.grad(jax.grad(lambda x: S.LeakyRelu(0.1, 1.0)(x) ** 2))(0.5), 0, 2),
]
NUMBERS_IN_FLOAT16 = [
    # 4096 periods of 8
    ("far out in float16", lambda S: S.SquarewaveFourierSeries().surrogate_grad(jnp.float16(32768.0)), np.nan, 1),
    ("overflow of the primitive", lambda S: S.SoftSign().surrogate_fun(jnp.float16(-60000.0)), 0.5, 0),
    ("overflow of the primitive", lambda S: S.SoftSign().surrogate_fun(jnp.float16(60000.0)), 0.5, 1),
]
# Rows that are other values, which are compared as they are.
VALUES = [
    ("equality", lambda S: S.Sigmoid(jnp.ones(3)) == S.Sigmoid(jnp.ones(3)), False, True),
    ("dtype of the gradient", lambda S: S.LeakyRelu().surrogate_grad(X16).dtype, "float32", "bfloat16"),
    ("dtype of the gradient", lambda S: S.PiecewiseLeakyRelu().surrogate_grad(X16).dtype, "float32", "bfloat16"),
]


def test_every_difference_in_the_docs_has_a_test_and_the_reverse():
    below = inspect.getsource(inspect.getmodule(rows)).split("def test_every_difference_in")[-1]
    tests = {name.replace("_", " ") for name in re.findall(r"^def test_(\w+)", below, re.MULTILINE)}
    tables = {row for row, *_ in NUMBERS + NUMBERS_IN_FLOAT16 + VALUES}
    assert sorted(tests - {"a number", "a value"} | tables) == sorted(rows())


IN_FLOAT16 = [pytest.param(*row, marks=needs_float16) for row in NUMBERS_IN_FLOAT16]


@pytest.mark.parametrize(("row", "of", "theirs", "ours"), NUMBERS + IN_FLOAT16)
def test_a_number(row, of, theirs, ours):
    assert_close(jnp.asarray(of(bt)), theirs, 64)
    assert_close(jnp.asarray(of(bs)), ours, 64)


@pytest.mark.parametrize(("row", "of", "theirs", "ours"), VALUES)
def test_a_value(row, of, theirs, ours):
    assert (of(bt), of(bs)) == (theirs, ours)


def test_origin():
    ours, theirs = bs.Sigmoid(4.0), bt.Sigmoid(4.0)
    ours.origin = theirs.origin = True
    assert_close(ours(jnp.asarray(0.5)), 1 / (1 + np.exp(-2)), 8)
    assert theirs(jnp.asarray(0.5)) == 1


def test_assignment_after_hash():
    ours, theirs = bs.Sigmoid(4.0), bt.Sigmoid(4.0)
    hash(ours), hash(theirs)
    theirs.alpha = 2.0
    with pytest.raises(TypeError, match="replace"):
        ours.alpha = 2.0


@pytest.mark.parametrize("which", GRADIENT_ONLY)
def test_closed_form_primitives(which):
    with pytest.raises(NotImplementedError):
        getattr(bt, which)().surrogate_fun(jnp.asarray(0.0))
    assert getattr(bs, which)().surrogate_fun(0.0) == 0.5


def test_repr():
    assert repr(bt.GaussianGrad(0.3, 0.7)) == "GaussianGrad(alpha=0.7, sigma=0.3)"
    assert repr(bs.GaussianGrad(0.3, 0.7)) == "GaussianGrad(sigma=0.3, alpha=0.7)"
    for case in DROP_IN:
        ours = case.make()
        if type(ours) not in (bs.GaussianGrad, bs.LogTailedRelu):
            assert repr(ours) == repr(getattr(bt, type(ours).__name__)(**case.setting))


def test_internals():
    theirs, ours = (
        {equation.primitive.name for equation in jax.make_jaxpr(lib.Sigmoid())(0.5).eqns} for lib in (bt, bs)
    )
    assert any("heaviside" in primitive for primitive in theirs)
    assert ours == {"custom_jvp_call"}
