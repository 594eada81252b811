"""The table of `brainsurr.equivalent` against the libraries themselves, where they are installed: ``pytest -m peers``.

They don't all fit into one environment. A library that is missing is skipped, and the summary names it.
"""

import importlib.metadata
import importlib.util
import inspect
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_equivalents import DEFAULT, FORMULAS, ROWS, TIES, X, settings

import brainsurr as bs

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("lenient")]

DISTRIBUTIONS = {"sparx": "sparxml"}  # where the name to install isn't that of the import
TORCH = ("snntorch", "spikingjelly", "norse")


def factory(key):
    """What makes the original from its parameters, and is a function of x then."""
    library, _, name = key.partition(".")
    if library == "snntorch":
        return getattr(pytest.importorskip("snntorch.surrogate"), name)
    if library == "spikingjelly":
        return getattr(pytest.importorskip("spikingjelly.activation_based.surrogate"), name)
    if library == "norse":
        module = pytest.importorskip("norse.torch.functional.threshold")
        if name == "heaviside":
            return lambda: module.heaviside
        if name.endswith("_fn"):
            return lambda k: lambda x: getattr(module, name)(x, k)
        return lambda alpha: lambda x: module.threshold(x, name, alpha)
    if library == "spyx":
        module, _, function = name.rpartition(".")
        return getattr(pytest.importorskip(f"spyx.{module or 'axn'}"), function)
    if library == "jaxpike":
        return getattr(pytest.importorskip("jaxpike.surrogate"), name)
    if library == "sparx":
        return getattr(pytest.importorskip("sparx.surrogate"), name)
    if library == "slax":
        return getattr(pytest.importorskip("slax.models.surrogates"), name)
    if library == "jaxsnn":
        function = getattr(pytest.importorskip("jaxsnn.discrete.functional.threshold"), name)
        return lambda alpha=inspect.signature(function).parameters["alpha"].default: lambda x: function(x, alpha)
    assert library == "snnax"
    # 0.0.1 as published lacks a package that it imports, so the one file is loaded by itself.
    package = importlib.util.find_spec("snnax") or pytest.skip("could not import 'snnax'")
    path = pathlib.Path(package.origin).parent / "functional" / "surrogate.py"
    spec = importlib.util.spec_from_file_location("snnax_surrogate", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def values(key, setting):
    """The parameters to call the original with: norse's functions have no defaults, its rows do."""
    if key.startswith("norse"):
        return {name: p.default for name, p in ROWS[key].parameters.items() if p.default is not DEFAULT} | setting
    return setting


def spike_and_gradient(key, setting, x, *args):
    """The spike and the gradient of the original, in float64."""
    f = factory(key)(**values(key, setting))
    if key.split(".")[0] in TORCH:
        torch = pytest.importorskip("torch")
        x = torch.tensor(np.asarray(x, np.float64), requires_grad=True)
        y = f(x)
        y.sum().backward()
        return y.detach().numpy(), x.grad.numpy()
    with jax.enable_x64(True):
        y, pull = jax.vjp(lambda x: f(x, *args), jnp.asarray(x, jnp.float64))
        return np.asarray(y), np.asarray(pull(jnp.ones_like(y))[0])


@pytest.mark.parametrize("key", FORMULAS)
def test_the_original_does_what_the_table_says(key):
    library, _, name = key.partition(".")
    # Far above what float64 rounds, and far below another formula; but for pi in float32, and for our epsilon.
    tolerance = {"norse.heavi_erfc": 1e-7, "spikingjelly.S2NN": 1e-7}.get(key, 1e-9)
    for i, setting in enumerate(settings(key)):
        _, gradient = spike_and_gradient(key, setting, X)
        if name == "SFS":  # the exception: what the code does, not what the paper has
            slope, edge = setting.get("slope", 25), setting.get("B", 1)
            expected = np.where(edge < X, 1 / (1 + slope * np.abs(X)) ** 2, 0.0)
        else:
            expected = np.broadcast_to(FORMULAS[key][0](X, **setting), X.shape)
        np.testing.assert_allclose(gradient, expected, rtol=tolerance, atol=1e-12)
        if name != "SFS":
            with jax.enable_x64(True):
                ours = np.asarray(bs.equivalent(library, name, **setting).surrogate_grad(jnp.asarray(X)))
            differs = ~np.isclose(ours, gradient, rtol=tolerance, atol=1e-12)
            assert np.unique(X[differs]).tolist() == (TIES[key][i] if key in TIES else [])


def required(key):
    return {name: 1 for name, p in ROWS[key].parameters.items() if p.default is DEFAULT}


@pytest.mark.parametrize("key", [key for key in ROWS if ROWS[key].at_0 != "random"])
def test_the_spike_at_0(key):
    f = factory(key)
    if key == "snntorch.LSO":
        pytest.skip("raises, as the table says")
    zeros = pytest.importorskip("torch").zeros if key.split(".")[0] in TORCH else jnp.zeros
    assert float(f(**values(key, required(key)))(zeros(1))[0]) == ROWS[key].at_0


@pytest.mark.parametrize("key", ["snntorch.LSO", "norse.heaviside", "snnax.sigmoid_surrogate"])
def test_those_that_the_table_says_fail_do(key):
    factory(key)
    with pytest.raises((TypeError, RuntimeError)) as error:
        spike_and_gradient(key, {}, X)
    assert isinstance(error.value, TypeError) == (key != "norse.heaviside")


@pytest.mark.parametrize("key", ["snntorch.SSO", "spikingjelly.PoissonPass", "norse.logistic_fn", "norse.circ_dist_fn"])
def test_those_that_the_table_says_are_random_are(key):
    x = np.full(4000, 0.3 if key != "snntorch.SSO" else -0.3)
    spikes, gradient = spike_and_gradient(key, required(key), x)
    drawn = gradient if key == "snntorch.SSO" else spikes
    assert len(np.unique(drawn)) > 1
    library, _, name = key.partition(".")
    with pytest.raises(NotImplementedError):
        bs.equivalent(library, name, **required(key))
    nearest = np.asarray(ROWS[key].make(**required(key)).surrogate_grad(x.astype(np.float32)))
    np.testing.assert_allclose(gradient.mean(), nearest.mean(), atol=5e-3)
    if key == "norse.logistic_fn":  # whose note says how the same are drawn
        assert abs(spikes.mean() - bs.Sigmoid(alpha=2 * required(key)["k"]).surrogate_fun(0.3)) < 4 * np.sqrt(
            0.25 / 4000
        )
    if key == "snntorch.SSO":
        _, gradient = spike_and_gradient(key, {"mean": 2, "variance": 0.5}, x)
        assert gradient.min() >= 0.75
        assert gradient.max() < 1.25


@pytest.mark.parametrize("name", ["sigmoid_bernoulli", "refractory_sigmoid_bernoulli"])
def test_the_gradient_of_a_probability(name):
    key = f"spyx.experimental.{name}"
    spikes, gradient = spike_and_gradient(key, {}, X, jax.random.key(0))
    assert set(spikes) == {0, 1}
    if name == "sigmoid_bernoulli":
        expected = 0.8 / (1 + np.exp(-10 * (X - 1)))
    else:
        expected = np.maximum(0, np.cos(2 * np.pi * (X - 1)) * 0.5 * (1 + np.tanh(25 * (X - 1))))
    np.testing.assert_allclose(gradient, expected, atol=1e-12)


def test_spyx_custom_has_the_gradient_x():
    np.testing.assert_array_equal(spike_and_gradient("spyx.custom", {}, X)[1], X)


def test_a_count_is_not_a_spike():
    counts, gradient = spike_and_gradient("spikingjelly.MultiLevelSpikeCount", {"max_spike_count": 3}, X)
    assert set(counts) == {0, 1, 2, 3}
    np.testing.assert_array_equal(gradient, (X >= 0) & (X <= 3))


@pytest.mark.parametrize("key", [key for key in ROWS if not key.startswith("norse")])
def test_parameters_and_defaults(key):
    theirs = {name: p.default for name, p in inspect.signature(factory(key)).parameters.items() if name != "spiking"}
    ours = {name: p.default for name, p in ROWS[key].parameters.items()}
    if key == "spyx.custom":  # functions
        theirs, ours = set(theirs), set(ours)
    assert theirs == ours


@pytest.mark.parametrize("key", ROWS)
def test_the_version_is_the_one_that_the_table_names(key):
    library = key.split(".")[0]
    factory(key)
    assert importlib.metadata.version(DISTRIBUTIONS.get(library, library)) == ROWS[key].version
