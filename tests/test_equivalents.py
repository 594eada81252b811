"""Every surrogate of another library against its formula, written out here in NumPy, and the one found for it."""

import inspect
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from close import assert_close, bound

import brainsurr as bs

X = np.concatenate([np.linspace(-4, 4, 161), [-1e-3, 1e-3, -20.0, 20.0]])  # every knot at the settings below is in it
COS, EXP, TANH, ABS, WHERE, PI = np.cos, np.exp, np.tanh, np.abs, np.where, np.pi


def logistic(x):
    return 1 / (1 + np.exp(-x))


def normal(x, mean, sigma):
    return np.exp(-(((x - mean) / sigma) ** 2) / 2) / (sigma * np.sqrt(2 * np.pi))


def series(x, n=2, T_period=8):
    return 4 / T_period * sum(COS((2 * i - 1) * 2 * PI * x / T_period) for i in range(1, n))


def multi_gauss(x, gamma=0.5, lens=0.3, scale=6.0, height=0.15):
    sides = normal(x, lens, scale * lens) + normal(x, -lens, scale * lens)
    return gamma * ((1 + height) * normal(x, 0, lens) - height * sides)


# What each one's backward pass computes, with the parameters and defaults of the original, and a second setting.
FORMULAS = {
    "snntorch.straight_through_estimator": (lambda x: 1.0 + 0 * x, {}),
    "snntorch.triangular": (lambda x, threshold=1: WHERE(x < 0, threshold, -threshold), {"threshold": 0.5}),
    "snntorch.fast_sigmoid": (lambda x, slope=25: 1 / (1 + slope * ABS(x)) ** 2, {"slope": 4}),
    "snntorch.atan": (lambda x, alpha=2.0: alpha / 2 / (1 + (PI / 2 * alpha * x) ** 2), {"alpha": 5.0}),
    "snntorch.heaviside": (lambda x: WHERE(x > 0, 1.0, 0.0), {}),
    "snntorch.sigmoid": (lambda x, slope=25: slope * logistic(slope * x) * logistic(-slope * x), {"slope": 3}),
    "snntorch.spike_rate_escape": (
        lambda x, beta=1, slope=25: slope * EXP(-beta * ABS(x - 1)),
        {"beta": 2, "slope": 3},
    ),
    "snntorch.SFS": (  # the paper's; the code's is below, in `test_sfs_is_what_the_paper_has`
        lambda x, slope=25, B=1: WHERE(ABS(x) < B, 1 / (1 + slope * ABS(x)) ** 2, 0.0),
        {"slope": 4, "B": 0.5},
    ),
    "spikingjelly.PiecewiseQuadratic": (lambda x, alpha=1.0: alpha * np.maximum(0, 1 - alpha * ABS(x)), {"alpha": 0.5}),
    "spikingjelly.PiecewiseExp": (lambda x, alpha=1.0: alpha / 2 * EXP(-alpha * ABS(x)), {"alpha": 3.0}),
    "spikingjelly.Sigmoid": (
        lambda x, alpha=4.0: alpha * logistic(alpha * x) * logistic(-alpha * x),
        {"alpha": 1.5},
    ),
    "spikingjelly.SoftSign": (lambda x, alpha=2.0: alpha / 2 / (1 + alpha * ABS(x)) ** 2, {"alpha": 5.0}),
    "spikingjelly.SuperSpike": (lambda x, alpha=1.0: alpha / (1 + ABS(x)) ** 2, {"alpha": 5.0}),
    "spikingjelly.ATan": (lambda x, alpha=2.0: alpha / 2 / (1 + (PI / 2 * alpha * x) ** 2), {"alpha": 5.0}),
    "spikingjelly.NonzeroSignLogAbs": (lambda x, alpha=1.0: alpha / (1 + alpha * ABS(x)), {"alpha": 3.0}),
    "spikingjelly.Erf": (lambda x, alpha=2.0: alpha / np.sqrt(PI) * EXP(-((alpha * x) ** 2)), {"alpha": 0.7}),
    "spikingjelly.PiecewiseLeakyReLU": (
        lambda x, w=1.0, c=0.01: WHERE(ABS(x) < w, 1 / (2 * w), c),
        {"w": 0.5, "c": 0.1},
    ),
    "spikingjelly.SquarewaveFourierSeries": (series, {"n": 4, "T_period": 4}),
    "spikingjelly.S2NN": (
        lambda x, alpha=4.0, beta=1.0: WHERE(
            x < 0, alpha * logistic(alpha * x) * logistic(-alpha * x), beta / (ABS(x) + 1)
        ),
        {"alpha": 2.0, "beta": 0.3},
    ),
    "spikingjelly.QPseudoSpike": (lambda x, alpha=2.0: (1 + 2 * ABS(x) / (alpha - 1)) ** -alpha, {"alpha": 3.0}),
    "spikingjelly.LeakyKReLU": (lambda x, leak=0.0, k=1.0: WHERE(x >= 0, k, leak), {"leak": 0.2, "k": 0.7}),
    "spikingjelly.FakeNumericalGradient": (
        lambda x, alpha=0.3: WHERE(ABS(x) * alpha > 1, 1 / np.maximum(ABS(x), 1e-9), alpha),
        {"alpha": 2.0},
    ),
    "spikingjelly.LogTailedReLU": (
        lambda x, alpha=0.0: WHERE(x <= 0, alpha, 1 / np.maximum(x, 1)),
        {"alpha": 0.2},
    ),
    "spikingjelly.DeterministicPass": (lambda x: 1.0 + 0 * x, {}),
    "spikingjelly.Rect": (lambda x, alpha=1.0: WHERE(ABS(x) < 0.5 / alpha, alpha, 0.0), {"alpha": 0.5}),
    "norse.super": (lambda x, alpha=100.0: 1 / (1 + ABS(x)) ** 2, {"alpha": 3.0}),
    "norse.triangle": (lambda x, alpha=0.3: alpha * np.maximum(0, 1 - ABS(x)), {"alpha": 2.0}),
    "norse.tanh": (lambda x, alpha: 1 - TANH(alpha * x) ** 2, {"alpha": 0.5}),
    "norse.circ": (lambda x, alpha: (1 + (x / alpha) ** 2) ** -1.5, {"alpha": 3.0}),
    "norse.heavi_erfc": (lambda x, alpha: 2 / np.sqrt(PI) * EXP(-((alpha * x) ** 2)), {"alpha": 1.5}),
    "spyx.superspike": (lambda x, k=25: 1 / (1 + k * ABS(x)) ** 2, {"k": 4}),
    "spyx.arctan": (lambda x, k=2: 1 / PI / (1 + (PI * k * x) ** 2), {"k": 0.5}),
    "spyx.tanh": (lambda x, k=1: 4 / (EXP(-k * x) + EXP(k * x)) ** 2, {"k": 3}),
    "spyx.boxcar": (
        lambda x, width=2, height=0.5: WHERE(ABS(x) < width / 2, height, 0.0),
        {"width": 3, "height": 2.0},
    ),
    "spyx.triangular": (lambda x, k=2: np.maximum(0, 1 - k * ABS(x)), {"k": 0.5}),
    "jaxpike.FastSigmoid": (lambda x, slope=25.0: 1 / (1 + slope * ABS(x)) ** 2, {"slope": 4.0}),
    "jaxpike.ATan": (lambda x, alpha=2.0: alpha / 2 / (1 + (PI / 2 * alpha * x) ** 2), {"alpha": 5.0}),
    "jaxpike.Triangular": (lambda x, width=1.0: np.maximum(0, 1 - ABS(x) / width) / width, {"width": 2.5}),
    "jaxpike.Boxcar": (
        lambda x, width=1.0: (1 + np.sign(width / 2 - ABS(x))) / 2 / width,  # half as high at its edges
        {"width": 2.0},
    ),
    "sparx.ATan": (lambda x, alpha=2.0: alpha / 2 / (1 + (PI / 2 * alpha * x) ** 2), {"alpha": 5.0}),
    "sparx.Sigmoid": (lambda x, alpha=4.0: alpha * logistic(alpha * x) * logistic(-alpha * x), {"alpha": 1.5}),
    "sparx.FastSigmoid": (lambda x, slope=25.0: 1 / (1 + slope * ABS(x)) ** 2, {"slope": 4.0}),
    "sparx.Triangle": (
        lambda x, width=1.0, scale=1.0: scale * np.maximum(0, 1 - ABS(x) / width),
        {"width": 2.5, "scale": 0.3},
    ),
    "sparx.Rectangle": (lambda x, width=1.0: WHERE(ABS(x) < width / 2, 1 / width, 0.0), {"width": 2.0}),
    "sparx.Gaussian": (lambda x, sigma=0.5: normal(x, 0, sigma), {"sigma": 1.5}),
    "sparx.StraightThrough": (lambda x: 1.0 + 0 * x, {}),
    "slax.fast_sigmoid": (lambda x, slope=25: 1 / (1 + slope * ABS(x)) ** 2, {"slope": 4}),
    "slax.atan": (lambda x, alpha=2.0: alpha / 2 / (1 + (PI / 2 * alpha * x) ** 2), {"alpha": 5.0}),
    "slax.multi_gauss": (multi_gauss, {"gamma": 1.0, "lens": 0.8, "scale": 2.0, "height": 0.4}),
    "jaxsnn.superspike": (lambda x, alpha=80: 1 / (1 + alpha * ABS(x)) ** 2, {"alpha": 5}),
    "snnax.superspike_surrogate": (lambda x, beta=10.0: 1 / (1 + beta * ABS(x)), {"beta": 2.0}),
    "snnax.piecewise_surrogate": (lambda x, beta=0.5: WHERE(ABS(x) < beta, 1.0, 0.0), {"beta": 1.5}),
}

# The only points where gradients differ, at the defaults and at the second setting: edges, closed here.
TIES = {
    "snntorch.heaviside": ([0], [0]),
    "spikingjelly.PiecewiseLeakyReLU": ([-1, 1], [-0.5, 0.5]),
    "spikingjelly.Rect": ([-0.5, 0.5], [-1, 1]),
    "spyx.boxcar": ([-1, 1], [-1.5, 1.5]),
    "jaxpike.Boxcar": ([-0.5, 0.5], [-1, 1]),
    "sparx.Rectangle": ([-0.5, 0.5], [-1, 1]),
    "snnax.piecewise_surrogate": ([-0.5, 0.5], [-1.5, 1.5]),
}

# The reason, and what is offered in its place at the defaults.
NONE = {
    "snntorch.SSO": ("drawn anew", bs.LeakyRelu(0.0, 1.0)),
    "snntorch.LSO": ("TypeError at every call", bs.LeakyRelu(0.1, 1.0)),
    "spikingjelly.MultiLevelSpikeCount": ("isn't binary", bs.LeakyRelu(0.0, 1.0)),
    "spikingjelly.PoissonPass": ("needs a key", bs.LeakyRelu(1.0, 1.0)),
    "norse.heaviside": ("no gradient", bs.LeakyRelu(0.0, 0.0)),
    "norse.logistic_fn": ("needs a key", 2.0 * bs.Sigmoid(2)),
    "norse.circ_dist_fn": ("needs a key", bs.Circ(1)),
    "spyx.custom": ("its gradient is x", bs.LeakyRelu(1.0, 1.0)),
    "spyx.experimental.sigmoid_bernoulli": ("needs a key", 0.8 * bs.Sigmoid(10)),
    "spyx.experimental.refractory_sigmoid_bernoulli": ("needs a key", bs.Sigmoid(50)),
    "snnax.sigmoid_surrogate": ("backward pass raises", bs.Sigmoid(1.0)),
}

DEFAULT = inspect.Parameter.empty
ROWS = {f"{row.library}.{row.name}": row for row in bs.equivalents()}


def settings(key):
    """The defaults (1 for a parameter that has none) and the second setting."""
    formula, other = FORMULAS[key]
    parameters = list(inspect.signature(formula).parameters.values())[1:]
    first = {p.name: 1 for p in parameters if p.default is DEFAULT}
    return [first, other] if other else [first]


def test_every_row_is_tested():
    assert sorted(ROWS) == sorted([*FORMULAS, *NONE])
    assert len(ROWS) == len(bs.equivalents()) == 63
    assert set(TIES) < set(FORMULAS)
    assert [key for key, row in ROWS.items() if row.why_none] == [key for key in ROWS if key in NONE]


@pytest.mark.parametrize("key", FORMULAS)
def test_the_gradient_is_that_of_the_original(key):
    library, _, name = key.partition(".")
    formula, _ = FORMULAS[key]
    for i, setting in enumerate(settings(key)):
        with jax.enable_x64(True):
            f = bs.equivalent(library, name, **setting)
            ours = np.asarray(f.surrogate_grad(jnp.asarray(X)))
        theirs = np.broadcast_to(formula(X, **setting), X.shape)
        allowed = bound(64, np.abs(theirs).max(), np.float64) + (1e-8 if name == "S2NN" else 0)  # our epsilon
        differs = ~(np.abs(ours - theirs) <= allowed)
        assert np.unique(X[differs]).tolist() == (TIES[key][i] if key in TIES else [])


@pytest.mark.parametrize("key", FORMULAS)
def test_parameters_have_the_names_and_defaults_of_the_original(key):
    ours = {name: p.default for name, p in ROWS[key].parameters.items()}
    theirs = {p.name: p.default for p in list(inspect.signature(FORMULAS[key][0]).parameters.values())[1:]}
    assert list(ours.items()) == list(theirs.items())


@pytest.mark.parametrize("key", FORMULAS)
def test_it_is_a_surrogate_that_trains(key):
    library, _, name = key.partition(".")
    f = bs.equivalent(library, name, **settings(key)[0])
    assert isinstance(f, bs.Surrogate)
    assert f(jnp.array([-1.0, 0.0, 1.0])).tolist() == [0, 1, 1]
    assert_close(jax.grad(f)(0.3), f.surrogate_grad(0.3), 32)


@pytest.mark.parametrize("key", NONE)
def test_no_equivalent_says_why_and_what_instead(key):
    library, _, name = key.partition(".")
    required = {p: 1 for p, value in ROWS[key].parameters.items() if value.default is DEFAULT}
    reason, instead = NONE[key]
    with pytest.raises(NotImplementedError) as error:
        bs.equivalent(library, name, **required)
    message = str(error.value)
    assert message.startswith(f"{key} has no equivalent here: ")
    assert reason in message
    assert message.endswith(repr(instead))


def test_sfs_is_what_the_paper_has():
    """The one row whose equivalent isn't what the original does."""
    code = np.where(X > 1, 1 / (1 + 25 * np.abs(X)) ** 2, 0.0)
    ours = np.asarray(bs.equivalent("snntorch", "SFS").surrogate_grad(X.astype(np.float32)))
    assert not np.allclose(ours, code)
    assert (code[X > 1] > 0).all()
    assert not ours[np.abs(X) >= 1].any()
    assert "not what the code does" in ROWS["snntorch.SFS"].note


def test_the_cases_that_the_issue_names():
    assert bs.equivalent("snntorch", "fast_sigmoid", slope=25) == bs.InvSquareGrad(25)
    assert bs.equivalent("snntorch", "triangular") == bs.LeakyRelu(1, -1)
    assert "Wrong sign" in ROWS["snntorch.triangular"].note
    assert bs.equivalent("norse", "super", alpha=3.0) == bs.InvSquareGrad(1.0)
    assert "alpha is ignored" in ROWS["norse.super"].note
    assert bs.equivalent("snnax", "superspike_surrogate") == 0.1 * bs.NonzeroSignLog(10.0)
    assert "square is missing" in ROWS["snnax.superspike_surrogate"].note
    assert bs.equivalent("spikingjelly", "QPseudoSpike", alpha=3.0) == bs.NormalizedQPseudoSpike(3.0)
    assert bs.equivalent("snntorch", "spike_rate_escape") == bs.SpikeRateEscape(1, 25, mu=1.0)


def test_whether_the_original_spikes_at_0():
    at_0 = {library: {row.at_0 for row in bs.equivalents(library)} for library in {r.library for r in ROWS.values()}}
    assert at_0 == {
        "snntorch": {0},
        "spikingjelly": {1, 0, "random"},  # 0: MultiLevelSpikeCount
        "norse": {0, "random"},
        "spyx": {0, "random"},
        "jaxpike": {0},
        "sparx": {1},
        "slax": {1},
        "jaxsnn": {0.5},
        "snnax": {1},
    }
    assert [key for key, row in ROWS.items() if row.library == "spikingjelly" and row.at_0 == 0] == [
        "spikingjelly.MultiLevelSpikeCount"
    ]


def test_parameters_may_be_arrays_and_traced():
    slope = jnp.array([1.0, 25.0])
    f = bs.equivalent("spyx", "tanh", k=slope)
    assert_close(f.surrogate_grad(jnp.full(2, 0.1)), 1 - np.tanh(0.1 * np.asarray(slope, float)) ** 2, 32)

    def gradient(slope):
        return bs.equivalent("snntorch", "fast_sigmoid", slope=slope).surrogate_grad(1.0)

    assert_close(jax.jit(gradient)(3.0), 1 / 16, 8)


def test_a_library_is_found_in_any_case():
    assert bs.equivalent("snnTorch", "atan") == bs.Arctan(2.0)


def test_what_is_unknown_is_answered_with_what_there_is():
    with pytest.raises(
        ValueError, match=r"^unknown library 'snntorc', did you mean 'snntorch'\? There are: snntorch, "
    ):
        bs.equivalent("snntorc", "atan")
    with pytest.raises(ValueError, match=r"^unknown library 'xyz'\. There are: snntorch, spikingjelly, norse, spyx"):
        bs.equivalents("xyz")
    with pytest.raises(
        ValueError, match=r"^spikingjelly has no surrogate 'atan', did you mean 'ATan'\? There are: Pie"
    ):
        bs.equivalent("spikingjelly", "atan")
    with pytest.raises(ValueError, match=r"the surrogates of braintools have the same names here"):
        bs.equivalent("braintools", "Sigmoid")
    with pytest.raises(TypeError, match=r"snntorch\.atan takes alpha=2\.0: got an unexpected keyword argument 'slope'"):
        bs.equivalent("snntorch", "atan", slope=25)
    with pytest.raises(TypeError, match=r"sparx\.StraightThrough takes no parameters: got an unexpected"):
        bs.equivalent("sparx", "StraightThrough", alpha=1.0)
    with pytest.raises(TypeError, match=r"norse\.tanh takes alpha: missing a required argument: 'alpha'"):
        bs.equivalent("norse", "tanh")


def test_the_table_is_not_loaded_before_it_is_asked_for():
    code = "import brainsurr as bs, sys; print('brainsurr._other_libraries' in sys.modules); bs.equivalents()"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert run.stdout == "False\n", run.stderr


def test_the_page_is_what_the_table_says(capsys):
    from docs import elsewhere

    text = elsewhere.PAGE.read_text()
    assert text == elsewhere.page(), "run `make docs`"
    for row in ROWS.values():
        assert f"| `{row.name}(" in text
    (code,) = re.findall(r"```python\n(import brainsurr as bs\n\nf =.*?)```", text, re.DOTALL)
    exec(code, {})
    assert capsys.readouterr().out.splitlines() == re.findall(r"\)  # (.*)$", code, re.MULTILINE)
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert (elsewhere.PAGE.parent / link).exists(), link
