"""What docs/cookbook.md shows runs, and does what it says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from close import assert_close
from flax import nnx
from pages import DOCS, blocks, by_section

from brainsurr.nnx import LIF, SpikingSequential

PAGE = DOCS / "cookbook.md"
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lenient")]  # flax's Linear, optax.adam


@pytest.fixture(scope="module")
def scopes(tmp_path_factory):
    """What each recipe leaves behind; they share the network and the loss that came before, as on the page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("cookbook"))
        return by_section(PAGE)


def test_the_recipes_are_counted():
    assert len(blocks(PAGE)) == 1 + 14
    assert "fourteen short snippets" in (DOCS / "index.md").read_text()


TO_CLASSES = ["Synaptic neuron", "Adaptive threshold", "Delay", "Convolution", "Convolution over time"]


@pytest.mark.parametrize("title", TO_CLASSES)
def test_a_network_gives_a_potential_for_each_class(scopes, title):
    ys = scopes[title]["ys"]
    assert ys.shape[1:] == (8, 4)
    assert float(jnp.std(ys)) > 0.01


def test_population_code(scopes):
    scope = scopes["Population code"]
    votes, tuning = scope["vote"], scope["tuning"]
    spikes = jnp.zeros((3, 2, 40)).at[:, :, 10:20].set(1.0)
    np.testing.assert_array_equal(votes(spikes)[0, 0], [0, 1, 0, 0])
    coded = tuning(jnp.array([[0.0, 1.0]]), count=5).reshape(2, 5)
    np.testing.assert_array_equal(jnp.argmax(coded, -1), [0, 4])
    assert_close(coded[0, 1], np.exp(-((0.25 / 0.2) ** 2) / 2), 8)
    assert scope["logits"].shape == (30, 8, 4)
    assert np.isfinite(scope["loss"])


def test_rate_penalty(scopes):
    scope = scopes["Rate penalty"]
    with_penalty, without = (scope["penalized_loss"](scope["net"], strength) for strength in (1.0, 0.0))
    _, (_, spikes) = scope["net"](scope["net"].initialize_carry((8, 16)), scope["xs"])
    assert 0 < float(spikes[1].mean()) < 1
    assert_close(with_penalty - without, spikes[1].mean(), 16, scale=float(with_penalty))
    assert any(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(scope["grads"]))


def test_events_stay_in_uint8(scopes):
    scope = scopes["Events in uint8"]
    assert scope["events"].dtype == jnp.uint8
    net, events = scope["net"], scope["events"]
    whole = net(net.initialize_carry((8, 16)), events.astype(jnp.float32))[1].mean(0)
    assert_close(scope["logits"], whole, 1000)  # steps


def test_alpha_has_its_own_rate(scopes):
    """Adam's first step has the length of its rate."""
    scope = scopes["A separate learning rate for alpha"]
    start = LIF(1).spike_fn.alpha
    assert float(jnp.abs(scope["lif"].spike_fn.alpha[...] - start)) == pytest.approx(1e-3, rel=0.01)
    layers = [nnx.Linear(2, 3, rngs=nnx.Rngs(0)), LIF(3, learnable="spike_fn.width")]
    state = nnx.state(SpikingSequential(layers), nnx.Param)
    assert sorted(jax.tree.leaves(scope["groups"](state))) == ["surrogate", "weights", "weights"]


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


def test_a_file_of_nir_holds_the_network(scopes):
    scope = scopes["Export to NIR"]
    outputs = [net(net.initialize_carry((8, 16)), scope["xs"])[1] for net in (scope["net"], scope["again"])]
    assert_close(*outputs, 30 * 8)


def test_gradients_and_silence_are_reported(scopes):
    assert scopes["Gradient check"]["report"].fine
    scope = scopes["Silent network"]
    report = scope["diagnose"](scope["net"], scope["loss_fn"])
    assert (report["layers.1"].rate, report["layers.1"].silent) == (0, 1)
