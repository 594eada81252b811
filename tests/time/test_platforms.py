"""Loops over time, each in the form for the platform that a program is lowered for."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import each_value_once, label
from close import assert_close
from flax import nnx
from pages import DOCS, blocks

import brainsurr as bs
from brainsurr.neurons import LIF
from tools.frameworks import HOSTS

pytestmark = pytest.mark.usefixtures("lenient")
PLATFORMS = {"cpu": "cpu", "gpu": "cuda", "tpu": "tpu"}  # the names of backends and of what jax lowers for
SPIKES = np.random.default_rng(0).integers(0, 2, (2000, 64, 8)).astype(np.float32)  # 4 MB


def layer(steps, **how):
    """The gradient of a layer over time, and its arguments."""

    def loss(xs):
        return jnp.mean(LIF(decay=0.9, **how)(jnp.zeros(xs.shape[1:]), xs)[1] ** 2)

    return jax.grad(loss), SPIKES[:steps]


def trips(program, xs, platform):
    """How often each loop of a program runs, lowered for a platform, loops within a function of its own too."""
    with bs.target_platform(platform):
        text = jax.jit(program).trace(xs).lower(lowering_platforms=(PLATFORMS[platform],)).as_text()
    whiles = re.findall(r"stablehlo\.while.*?stablehlo\.compare +LT", text, re.DOTALL)
    return [int(re.findall(r"dense<(\d+)> : tensor<i(?:32|64)>", each)[-1]) for each in whiles]


@pytest.mark.parametrize(
    ("steps", "gpu", "tpu"), [(100, [10], [25]), (97, [9], [24]), (21, [3], [7]), (20, [], [5]), (8, [], [])]
)
def test_each_platform_gets_its_form(steps, gpu, tpu):
    """Forward and backward: a loop of one step on a CPU, of ten on a GPU and of four on a TPU, or none."""
    assert [trips(*layer(steps), platform) for platform in PLATFORMS] == [[steps] * 2, gpu * 2, tpu * 2]


def test_a_long_loop_on_a_cpu_is_not_inlined():
    """Forward and backward, and not the functions that they call."""
    program, xs = layer(2000)
    assert jax.jit(program).lower(xs).as_text().count('inlineable = "false"') == 2
    with bs.target_platform("gpu"):
        assert 'inlineable = "false"' not in jax.jit(program).lower(xs).as_text()


def test_the_blocks_of_the_page_give_what_layers_do():
    (code,) = blocks(DOCS / "accelerators.md")
    exec(code.replace("jnp.zeros((100, 256, 32))", "jnp.ones((100, 4, 32))").replace("256", "4"), scope := {})
    assert_close(scope["y"], scope["ys"].mean(0), 100)
    assert np.abs(scope["y"]).max() > 0


@pytest.mark.parametrize(("host", "remat"), each_value_once(HOSTS, ["none", "dots", "full"]), ids=label)
def test_blocks_are_written_out_too(host, remat):
    """The loops within a block whole, and two blocks of five steps at a time; the user's scan stays as it is."""
    rngs = nnx.Rngs(0)
    net = host.layers.SpikingSequential([host.dense(8, 8, rngs), host.layers.LIF(8)])
    params, start, run, _ = host.pure(net, (64, 8))
    carry = start((64, 8))

    def loss(params, xs):
        ys = run(params, carry, xs, block_size=5, remat=remat)[1]
        return jnp.mean(jax.lax.scan(lambda c, y: (c + y, c), ys[0], ys)[1])

    program = jax.grad(loss)
    assert trips(lambda xs: program(params, xs), SPIKES[:100], "gpu").count(10) == 2
    assert set(trips(lambda xs: program(params, xs), SPIKES[:100], "gpu")) == {10, 100}
    assert 5 in trips(lambda xs: program(params, xs), SPIKES[:100], "cpu")


@pytest.mark.parametrize("platform", ["gpu", "tpu"])
@pytest.mark.parametrize("steps", [1, 2, 23, 40])
@pytest.mark.parametrize("how", [{}, {"spike_fn": lambda x: jax.nn.sigmoid(x)}], ids=["surrogate", "function"])
def test_each_form_gives_the_numbers_of_the_loop(platform, steps, how):
    program, xs = layer(steps, **how)
    expected = jax.jit(program)(xs)
    with bs.target_platform(platform):
        assert_close(jax.jit(program)(xs), expected, steps)


def test_symbolic_sizes_can_be_exported():
    (xs,) = jax.export.symbolic_args_specs((SPIKES,), "t, b, 8")
    program, _ = layer(1)
    exported = jax.export.export(jax.jit(program), platforms=[*PLATFORMS.values()])(xs)
    assert_close(exported.call(SPIKES[:50]), jax.jit(program)(SPIKES[:50]), 50)
    (batches,) = jax.export.symbolic_args_specs((SPIKES[:100],), "100, b, 8")
    assert [trips(program, batches, platform) for platform in PLATFORMS] == [[100] * 2, [10] * 2, [25] * 2]


class Twice(LIF):
    def over_time(self, state, xs):
        return super().over_time(state, 2 * xs)


def test_a_neuron_may_change_the_input_of_the_loop():
    xs = SPIKES[:100]
    outputs = [neuron(jnp.zeros(xs.shape[1:]), given)[1] for neuron, given in ((Twice(), xs), (LIF(), 2 * xs))]
    np.testing.assert_array_equal(*outputs)
    assert trips(lambda xs: Twice()(jnp.zeros(xs.shape[1:]), xs)[1], xs, "gpu") == [10]


@pytest.mark.parametrize("ordered", [False, True])
def test_a_step_may_print_in_each_form(ordered, capfd):
    class Printing(LIF):
        def step(self, state, x):
            jax.debug.print("x is {}", x[0], ordered=ordered)
            return super().step(state, x)

    xs = SPIKES[:30, 0]
    for platform in ("cpu", "gpu"):
        with bs.target_platform(platform):
            jax.block_until_ready(jax.jit(lambda xs: Printing()(jnp.zeros(xs.shape[1:]), xs)[1])(xs))
        jax.effects_barrier()
        assert capfd.readouterr().out.count("x is") == 30
