"""What docs/training-parameters.md shows runs, and does what it says."""

import pathlib
import re

import brainstate
import braintools
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from close import assert_close

import brainsurr as bs
from brainsurr.optim import project

PAGE = (pathlib.Path(__file__).parent.parent / "docs" / "training-parameters.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMON, NNX, NNX_MODULE, NNX_FILTER, LINEN, LINEN_MODULE, BRAINSTATE, BRAINSTATE_FILTER, WIDTH, FITTED = BLOCKS


def run_blocks(*blocks):
    scope: dict = {}
    for block in blocks:
        exec(compile(block, "docs/training-parameters.md", "exec"), scope)
    return scope


pytestmark = pytest.mark.usefixtures("lenient")  # optax.adam, brainstate's Linear


def test_nnx():
    scope = run_blocks(COMMON, NNX)
    assert scope["step"](scope["net"], scope["optimizer"], scope["xs"], scope["target"]) < scope["before"]
    alpha = np.asarray(scope["act"].alpha[...])
    assert alpha != np.float32(0.02)
    weights = np.asarray(scope["net"].layers[0].kernel[...])
    exec(NNX_FILTER, scope)
    np.testing.assert_array_equal(scope["act"].alpha[...], alpha)
    assert (np.asarray(scope["net"].layers[0].kernel[...]) != weights).any()


def test_linen():
    scope = run_blocks(COMMON, LINEN)
    assert scope["after"] < scope["before"]
    assert scope["params"]["layers_1"]["spike_fn"]["alpha"] != np.float32(0.02)


def test_a_module_of_your_own_trains_alpha_decay_and_threshold():
    scope = run_blocks(COMMON, NNX, NNX_MODULE)
    nnx = scope["nnx"]
    assert scope["logits"].shape == (4, 2)
    grads = nnx.grad(lambda net: (net(scope["xs"]) ** 2).sum())(scope["Classifier"](nnx.Rngs(0)))["hidden"]["layers"][1]
    assert {path[0] for path, _ in nnx.to_flat_state(grads)} == {"decay", "threshold", "recurrent_kernel", "spike_fn"}
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(grads))
    scope = run_blocks(COMMON, LINEN, LINEN_MODULE)
    assert scope["logits"].shape == (4, 2)
    net, params = scope["Classifier"](), scope["variables"]["params"]
    grads = jax.grad(lambda params: (net.apply({"params": params}, scope["xs"]) ** 2).sum())(params)
    trained = {"decay", "threshold", "recurrent_kernel", "alpha"}
    names = {path[-1].key: leaf for path, leaf in jax.tree_util.tree_leaves_with_path(grads)}
    assert trained < set(names)
    assert all(np.abs(names[name]).max() > 0 for name in trained)


def test_brainstate():
    scope = run_blocks(COMMON, BRAINSTATE, BRAINSTATE_FILTER)
    assert scope["act"].alpha.value() != np.float32(0.02)
    assert list(scope["params"]) == [("layers", 0, "weight"), ("layers", 2, "weight")]
    assert list(scope["bounds"](scope["net"], scope["weights"]).values()) == [None, None]


def test_a_width_is_set_from_the_network():
    scope = run_blocks(COMMON, WIDTH, FITTED)
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


def test_each_group_has_its_own_rate():
    """Adam's first steps have the length of its rate: 1e-3 twice for alpha; frozen, it stays."""
    alpha = run_blocks(COMMON, LINEN)["params"]["layers_1"]["spike_fn"]["alpha"]
    np.testing.assert_allclose(np.abs(alpha - 0.02), 2e-3, rtol=0.1)
    scope = run_blocks(COMMON.replace("optax.adam(1e-3)", "optax.set_to_zero()"), LINEN)
    assert scope["params"]["layers_1"]["spike_fn"]["alpha"] == np.float32(0.02)


def test_a_schedule_is_followed():
    schedule = "follow(optax.linear_schedule(0.1, 0.0, 4))"
    imported = COMMON.replace("import project", "import follow, project")
    scope = run_blocks(imported.replace("optax.adam(1e-3)", schedule), LINEN)
    alpha = scope["params"]["layers_1"]["spike_fn"]["alpha"]
    assert_close(alpha, 0.05, 4, scale=0.1)  # two of four steps, from 0.1


@pytest.mark.filterwarnings("ignore")  # braintools' own affair
@pytest.mark.parametrize("page", ["training-parameters", "braintools"])
def test_an_optimiser_of_braintools_keeps_alpha_inside(page):
    """Adam at a rate of 1e-2 would take an alpha of 1 to 1.01."""
    text = (pathlib.Path(__file__).parent.parent / "docs" / f"{page}.md").read_text()
    (line,) = re.findall(r"`(braintools\.optim\..*?)`", text)
    act = bs.brainstate.SpikingActivation(bs.LogTailedRelu(1.0), learnable="alpha")
    net = bs.brainstate.SpikingSequential([bs.brainstate.LIF(2, spike_fn=act)])
    net.init_state(batch_size=2)
    params = net.states(brainstate.ParamState)
    names = {"braintools": braintools, "optax": optax, "project": project, "bounds": bs.brainstate.bounds, "net": net}
    after = []
    for code in (line, re.sub(r", project\(bounds\(net\)\)", "", line)):
        optimizer = eval(code, names)
        optimizer.register_trainable_weights(params)
        gradient = brainstate.transform.grad(lambda: net(-jnp.ones((3, 2, 2))).sum(), params)
        optimizer.step(gradient())
        after.append(float(jax.tree.leaves(params.to_dict_values())[0]))
    assert after == [1.0, pytest.approx(1.01, abs=1e-4)]
