"""Every surrogate of another library: what its row says of its gradient, here and in the library itself.

Where a library is installed, it is asked: jaxpike in every run, the others by ``pytest -m peers``. They don't all fit
into one environment; one that is missing is skipped, and the summary names it.
"""

import importlib.metadata
import importlib.util
import inspect
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import with_library
from close import bound
from pages import ROOT

from tools import coming_from_elsewhere, other_libraries
from tools.other_libraries import equivalent, equivalents, table
from tools.ports import TORCH, outputs_and_gradient

X = np.concatenate([np.arange(-64, 65) / 16, [-1e-3, 1e-3, -10.0, 10.0]])  # every edge at the settings below is in it
ROWS = {f"{row.library}.{row.name}": row for row in equivalents()}
FOUND = [key for key, row in ROWS.items() if not row.why_none]
# The only points where gradients differ, at the defaults and at their double: edges, closed here.
EDGES = {
    "snntorch.heaviside": (0, 0),
    "spikingjelly.PiecewiseLeakyReLU": (1, 2),
    "spikingjelly.Rect": (0.5, 0.25),
    "spyx.boxcar": (1, 2),
    "jaxpike.Boxcar": (0.5, 1),
    "sparx.Rectangle": (0.5, 1),
    "snnax.piecewise_surrogate": (0.5, 1),
}


# What a row says -----------------------------------------------------------------------------------------------


def normal(x, mean, sigma):
    return np.exp(-(((x - mean) / sigma) ** 2) / 2) / (sigma * np.sqrt(2 * np.pi))


NAMES = {name: getattr(np, name) for name in ("abs", "cos", "exp", "pi", "sqrt", "tanh", "where")}
NAMES |= {"max": np.maximum, "min": np.minimum, "sech": lambda x: 1 / np.cosh(x), "N": normal}
NAMES["sigmoid"] = lambda x: 0.5 * (1 + np.tanh(x / 2))


def in_python(text):
    """An expression of the column `gradient` as Python."""
    text = re.sub(r"\|([^|]*)\|", r"abs(\1)", text).replace("^", "**").replace(";", ",")
    text = text.replace("for 1 <= i < n", "for i in range(1, n)")
    return re.sub(r"(?<=[\w)])(?<!for)(?<! in) (?=[\w(])(?!for |in )", " * ", text)


def documented(key, setting):
    """The gradient at X, from the text of its row."""
    row = ROWS[key]
    values = {name: p.default for name, p in row.parameters.items()} | setting | {"x": X}
    text, _, s = row.gradient.partition(", s = ")
    cases, _, result = text.rpartition(", else ")
    result = in_python(result)
    for value, condition in reversed(re.findall(r"(?:^|, )(.*?) for (.*?)(?=, [^,]* for |$)", cases)):
        result = f"where({in_python(condition).replace(' = ', ' == ')}, {in_python(value)}, {result})"
    with np.errstate(divide="ignore"):  # where it is not taken
        values["s"] = eval(in_python(s or "0"), NAMES | values)
        return np.broadcast_to(eval(result, NAMES | values), X.shape).astype(float)


def settings(key):
    """The defaults (1 for a parameter that has none), and twice that (0.5 for 0)."""
    values = {name: 1 if p.default is p.empty else p.default for name, p in ROWS[key].parameters.items()}
    required = {name: 1 for name, p in ROWS[key].parameters.items() if p.default is p.empty}
    return required, {name: 2 * value or 0.5 for name, value in values.items() if isinstance(value, int | float)}


def assert_differs_at_edges_alone(key, twice, ours, theirs, allowed):
    differs = ~(np.abs(ours - theirs) <= allowed)
    edge = EDGES[key][twice] if key in EDGES else None
    assert np.unique(X[differs]).tolist() == ([] if edge is None else sorted({-edge, edge}))


@pytest.mark.parametrize("key", FOUND)
def test_the_gradient_is_that_of_the_row(key):
    library, _, name = key.partition(".")
    for twice, setting in enumerate(settings(key)):
        with jax.enable_x64(True):
            f = equivalent(library, name, **setting)
            spikes, pull = jax.vjp(f, jnp.asarray(X))
            ours = np.asarray(pull(jnp.ones_like(spikes))[0])
        np.testing.assert_array_equal(spikes, X >= 0)
        theirs = documented(key, setting)
        if name == "SFS":  # the one row whose equivalent is the paper's function and not what the code computes
            assert not np.allclose(ours, theirs)
            theirs = np.where(np.abs(X) < setting.get("B", 1), 1 / (1 + setting.get("slope", 25) * np.abs(X)) ** 2, 0)
        allowed = bound(64, np.abs(theirs).max(), np.float64) + (1e-7 if name == "S2NN" else 0)  # our epsilon
        assert_differs_at_edges_alone(key, twice, ours, theirs, allowed)


@pytest.mark.parametrize("key", sorted(set(ROWS) - set(FOUND)))
def test_no_equivalent_says_why_and_what_instead(key):
    library, _, name = key.partition(".")
    with pytest.raises(NotImplementedError) as error:
        equivalent(library, name, **settings(key)[0])
    nearest = re.fullmatch(rf"{key} has no equivalent here: .* (?:is|of) (\w+\(.*\))", str(error.value))[1]
    assert nearest == repr(ROWS[key].make(**settings(key)[0]))
    assert ("needs a key" in str(error.value)) == (ROWS[key].at_0 == "random") or name == "SSO"


UNKNOWN = [
    ("xyz", "atan", {}, r"unknown library 'xyz'\. There are: snntorch, spikingjelly, norse, spyx"),
    ("spikingjelly", "atan", {}, r"spikingjelly has no surrogate 'atan'\. There are: Pie"),
    ("braintools", "Sigmoid", {}, "the surrogates of braintools have the same names here"),
    ("snntorch", "atan", {"slope": 25}, r"snntorch\.atan takes alpha=2\.0: got an unexpected keyword .* 'slope'"),
    ("snnTorch", "Leaky", {"beta": 0.9}, r"snnTorch\.Leaky is a neuron, not a surrogate: docs/coming-from-else"),
]


@pytest.mark.parametrize(("library", "name", "parameters", "says"), UNKNOWN)
def test_what_is_unknown_is_answered_with_what_there_is(library, name, parameters, says):
    with pytest.raises((ValueError, TypeError), match=says):
        equivalent(library, name, **parameters)


def test_the_pages_are_what_the_table_says(capsys):
    pages = coming_from_elsewhere.pages()
    assert pages == {path: (ROOT / path).read_text() for path in pages}, "run `make evidence`"
    text = "".join(pages.values())
    for row in ROWS.values():
        assert f"| `{row.there}` |" in text
    (said,) = re.findall(r"python -m tools.other_libraries (.*?)\n", text)
    other_libraries.main(*said.split())
    assert f"\n{capsys.readouterr().out}" in text


# What the library itself does ----------------------------------------------------------------------------------


def function(key):
    """The function or class of the library."""
    library, _, name = key.partition(".")
    module, found = table()[library]["surrogates"], name.rpartition(".")[2]
    if library == "snnax":  # 0.0.1 as published lacks a package that it imports, so the one file is loaded by itself
        package = importlib.util.find_spec("snnax") or pytest.skip("could not import 'snnax'")
        spec = importlib.util.spec_from_file_location(module, Path(package.origin).parent / "functional/surrogate.py")
        spec.loader.exec_module(loaded := importlib.util.module_from_spec(spec))
        return getattr(loaded, name)
    loaded = pytest.importorskip("spyx.experimental" if "." in name else module)
    if library == "norse" and not name.endswith(("heaviside", "_fn")):
        return lambda x, alpha: loaded.threshold(x, name, alpha)
    return getattr(loaded, found)


def original(key, setting):
    """The surrogate of the library at a setting, a function of x."""
    theirs = function(key)
    if key.startswith(("norse", "jaxsnn")):  # functions of x and their parameters
        values = {name: p.default for name, p in ROWS[key].parameters.items()} | setting
        return lambda x: theirs(x, *values.values())
    return theirs(**setting)


def spike_and_gradient(key, setting, x, *args):
    """The spike and the gradient of the original, in float64."""
    f = original(key, setting)
    with jax.enable_x64(True):
        ys, gradient = outputs_and_gradient(key.partition(".")[0], lambda x: f(x, *args), x, np.ones_like(x))
        return np.asarray(ys), np.asarray(gradient)


@with_library(FOUND)
def test_the_original_does_what_its_row_says(key):
    library, _, name = key.partition(".")
    # Far above what float64 rounds, and far below another formula; but for pi in float32, and for our epsilon.
    tolerance = {"norse.heavi_erfc": 1e-7, "spikingjelly.S2NN": 1e-7}.get(key, 1e-9)
    for twice, setting in enumerate(settings(key)):
        _, gradient = spike_and_gradient(key, setting, X)
        np.testing.assert_allclose(gradient, documented(key, setting), rtol=tolerance, atol=1e-12)
        if name != "SFS":
            with jax.enable_x64(True):
                ours = np.asarray(equivalent(library, name, **setting).surrogate_grad(jnp.asarray(X)))
            assert_differs_at_edges_alone(key, twice, ours, gradient, 1e-12 + tolerance * np.abs(gradient))


@with_library([key for key, row in ROWS.items() if row.at_0 != "random" and key != "snntorch.LSO"])  # which raises
def test_the_spike_at_0(key):
    zeros = pytest.importorskip("torch").zeros if key.startswith(TORCH) else jnp.zeros
    assert float(original(key, settings(key)[0])(zeros(1))[0]) == ROWS[key].at_0


@with_library([key for key in ROWS if not key.startswith("norse")])  # whose functions have no defaults
def test_parameters_and_defaults(key):
    theirs, ours = (inspect.signature(f).parameters for f in (function(key), ROWS[key].make))
    theirs = {name: p.default for name, p in theirs.items() if name not in ("spiking", "x")}
    ours = {name: p.default for name, p in ours.items()}
    assert (set(theirs), set(ours)) if key == "spyx.custom" else theirs == ours  # its defaults are functions


@pytest.mark.peers
@pytest.mark.parametrize("library", dict.fromkeys(row.library for row in ROWS.values()))
def test_the_version_is_the_one_that_the_table_names(library):
    about = table()[library]
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"could not import {library!r}")
    assert importlib.metadata.version(about.get("package", library)) == about["version"]


@with_library(["snntorch.LSO", "norse.heaviside", "snnax.sigmoid_surrogate"])
def test_those_that_the_table_says_fail_do(key):
    function(key)
    with pytest.raises((TypeError, RuntimeError)) as error:
        spike_and_gradient(key, {}, X)
    assert isinstance(error.value, TypeError) == (key != "norse.heaviside")


@with_library(["spyx.experimental.sigmoid_bernoulli", "spyx.experimental.refractory_sigmoid_bernoulli", "spyx.custom"])
def test_the_gradient_that_is_no_slope(key):
    spikes, gradient = spike_and_gradient(key, {}, X, *([] if key == "spyx.custom" else [jax.random.key(0)]))
    assert set(spikes) == {0, 1}
    np.testing.assert_allclose(gradient, documented(key, {}), atol=1e-12)


@with_library(["spikingjelly.MultiLevelSpikeCount"])
def test_a_count_is_not_a_spike(key):
    counts, gradient = spike_and_gradient(key, {"max_spike_count": 3}, X)
    assert set(counts) == {0, 1, 2, 3}
    np.testing.assert_array_equal(gradient, (X >= 0) & (X <= 3))
