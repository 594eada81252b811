import jax
import jax.numpy as jnp
import numpy as np
from pages import HOSTS, blocks, run, run_page
from peer import EVERY_STEP, assert_same, load

load("jaxley")
(CODE,) = blocks(HOSTS / "jaxley.md")
OURS = "bs.Arctan(alpha)((v - vth) / 5.0)"
assert OURS in CODE


def arctan(alpha):
    """The gradient of Arctan, alpha / 2 / (1 + (pi / 2 alpha x)^2), and of its primitive in alpha."""

    def spike(x):
        g = jnp.arctan(jnp.pi / 2 * alpha * x) / jnp.pi + 0.5
        return (x >= 0).astype(x.dtype) + (g - jax.lax.stop_gradient(g))

    return spike


def test_gradient_is_the_formula():
    scope = run_page("jaxley")
    by_hand = run(CODE.replace(OURS, "arctan(alpha)((v - vth) / 5.0)"), arctan=arctan)
    assert_same(scope["grads"], by_hand["grads"], 10 * EVERY_STEP)


def test_the_spikes_are_those_of_fire():
    spikes = []
    for code in (CODE, CODE.replace("class Spiking(Fire)", "class Unused(Fire)").replace("Spiking", "Fire")):
        code = code.partition('cell.make_trainable("')[0]
        scope = run(code.replace("jnp.mean(spikes)", "spikes"))
        spikes.append(scope["loss"](scope["cell"].get_parameters(), 0.1 * jnp.ones(200)))
    np.testing.assert_array_equal(*spikes)
    assert spikes[0].sum() > 10


def test_a_reset_that_is_not_detached_explodes():
    narrow = CODE.replace(" / 5.0", "")
    ours, other = (run(code)["grads"][0]["Leak_gLeak"] for code in (narrow, narrow.replace("bs.detached(s)", "s")))
    assert abs(other) > 1e5 * abs(ours)
