"""What docs/training-parameters.md and docs/cookbook.md show runs, section by section, and does what it says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from close import assert_close
from pages import DOCS, by_section

from tools.frameworks import by_name

PAGE, COOKBOOK = DOCS / "training-parameters.md", DOCS / "cookbook.md"
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lenient")]  # optax.adam, brainstate's Linear


@pytest.fixture(scope="module")
def page():
    return by_section(PAGE)


def test_nnx(page):
    """Adam's first two steps have the length of its rate, for alpha 1e-3; the filter then leaves it where it is."""
    scope = page["Flax NNX"]
    np.testing.assert_allclose(np.abs(scope["act"].alpha[...] - 0.02), 2e-3, rtol=0.1)
    assert by_name(scope["grads"]).keys() == {"kernel", "bias"}
    assert scope["step"](scope["net"], scope["optimizer"], scope["xs"], scope["target"]) < scope["before"]


def test_linen(page):
    scope = page["Flax Linen"]
    assert scope["after"] < scope["before"]
    alpha = scope["params"]["layers_1"]["spike_fn"]["alpha"]
    np.testing.assert_allclose(np.abs(alpha - 0.02), 2e-3, rtol=0.1)


def test_a_module_of_your_own_trains_alpha_decay_and_threshold(page):
    trained, scope = {"decay", "threshold", "recurrent_kernel", "alpha"}, page["Flax Linen"]
    net = scope["Classifier"]()
    grads = jax.jit(jax.grad(lambda v: (net.apply(v, scope["xs"]) ** 2).sum()))(scope["variables"])
    gradient = by_name(grads)
    assert scope["logits"].shape == (4, 2)
    assert trained < set(gradient)
    assert all(np.abs(gradient[name]).max() > 0 for name in trained)


def test_brainstate(page):
    scope = page["brainstate"]
    assert scope["act"].alpha.value() != np.float32(0.02)
    assert list(scope["params"]) == [("layers", 0, "weight"), ("layers", 2, "weight")]
    assert list(scope["bounds"](scope["net"], scope["weights"]).values()) == [None, None]


def test_a_width_is_set_from_the_network(page):
    scope = page["Width"]
    xs, (linear, lif, *_) = scope["xs"], scope["net"].layers
    u, potentials = np.zeros((4, 8)), []
    for x in np.asarray(linear(xs), np.float64):
        u = 0.9 * u + x
        potentials.append(u - 1)
        u = u - (u >= 1)
    expected = 0.5 * np.sqrt(np.mean(np.square(potentials)))
    assert_close(lif.spike_fn.surrogate.width, expected, 10 * 8 + xs.size, scale=1, dtype=jnp.float32)
    before, after = scope["report"], scope["diagnose"](scope["net"], scope["loss"])
    assert after["layers.1"].rms == before["layers.1"].rms  # a width changes no spike


# The cookbook


@pytest.fixture(scope="module")
def scopes(tmp_path_factory):
    """What each recipe leaves behind; they share the network and the loss that came before, as on the page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("cookbook"))
        return by_section(COOKBOOK)


def test_a_convolution_over_time_gives_a_potential_for_each_class(scopes):
    ys = scopes["Convolution over time"]["ys"]
    assert ys.shape == (30, 8, 4)
    assert float(jnp.std(ys)) > 0.01


def test_population_code(scopes):
    scope = scopes["Population code"]
    spikes = jnp.zeros((3, 2, 40)).at[:, :, 10:20].set(1.0)
    np.testing.assert_array_equal(scope["vote"](spikes)[0, 0], [0, 1, 0, 0])
    by_hand = np.exp(-(((np.asarray(scope["xs"])[..., 5, None] - np.arange(8) / 7) / 0.2) ** 2) / 2)
    assert_close(scope["rates"][..., 40:48], by_hand, 16)
    assert scope["logits"].shape == (30, 8, 4)


def test_events_stay_in_uint8(scopes):
    scope = scopes["Events in uint8"]
    assert scope["events"].dtype == jnp.uint8
    net, events = scope["net"], scope["events"]
    whole = net(net.initialize_carry((8, 16)), events.astype(jnp.float32))[1].mean(0)
    assert_close(scope["logits"], whole, 1000)  # steps


def test_a_stream_gives_what_the_whole_gives(scopes):
    scope = scopes["Streaming, one step at a time"]
    _, whole = scope["net"](scope["net"].initialize_carry((8, 16)), scope["xs"])
    assert_close(jnp.stack(scope["outputs"]), whole, 30 * 8)  # steps, operations of each
    start = scope["net"].initialize_carry((8, 16))
    anew = [scope["step"](scope["net"], start, x)[1][0] for x in scope["xs"]]
    assert np.abs(jnp.stack(anew) - jnp.stack(scope["outputs"])).max() > 0.1  # without its carry


def test_potentials_are_the_states_of_the_layer(scopes):
    scope = scopes["Potential at each step"]
    layer, currents = scope["LIF"](32), scope["fc"](scope["xs"])
    for steps in (1, 7, 30):
        v, spikes = layer(layer.initialize_carry((8, 32)), currents[:steps])
        assert_close((scope["potentials"][steps - 1], scope["spikes"][:steps]), (v, spikes), 30 * 8)
    assert 0 < scope["spikes"].mean() < 1


def test_a_surrogate_of_your_own(scopes):
    scope = scopes["A surrogate of your own"]
    f = scope["lif"].spike_fn
    np.testing.assert_array_equal(f(jnp.array([-0.5, 0.0, 0.5])), [0, 1, 1])
    assert_close(jax.grad(f)(0.25), 1 / np.cosh(0.5) ** 2, 8)


def test_weights_from_torch(scopes):
    scope = scopes["Weights from torch"]
    (_, ys), xs = scope["net"](scope["net"].initialize_carry((8, 16)), scope["xs"]), np.asarray(scope["xs"])
    first, _, last, _ = scope["net"].layers
    assert (first.kernel.shape, last.kernel.shape) == ((16, 32), (32, 4))
    assert_close(first(scope["xs"])[..., 0], 0.1 * xs.sum(-1) + 0.1, 16)
    assert ys.shape == (30, 8, 4)
