"""docs/convert-relu.md: its diffs fit, each program trains, and reaches the accuracy that the page states."""

import re

import brainstate
import jax
import numpy as np
import optax
import pytest
from pages import DOCS, patched, run

from brainsurr import nnx

PAGE = (DOCS / "convert-relu.md").read_text()


def shown(title, language):
    """The blocks of a section."""
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


def programs():
    """Those of Flax NNX, step by step."""
    (program,) = shown("Flax NNX", "python")
    yield program
    for diff in shown("Flax NNX", "diff"):
        program = patched(program, diff)
        yield program


def networks(framework):
    """The network of another framework with ReLU and with spikes, after the data and the `encode` of Flax NNX."""
    *_, last = programs()
    (diff,) = shown(framework, "diff")
    for kinds in (" -", " +"):
        lines = "".join(line[1:] for line in diff.splitlines(keepends=True) if line[0] in kinds)
        yield last.partition("class Classifier")[0] + lines


def trained(scope):
    """Train the network of another framework: the page shows that for Flax NNX alone."""
    brainstate.random.seed(0)
    net, tx, rng = scope["Classifier"](), optax.adam(2e-3), np.random.default_rng(0)

    def loss(logits, y):
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    if "nn" in scope:
        jit, params = jax.jit, net.init(jax.random.key(0), scope["x_train"][:1])["params"]
        gradient = jax.grad(lambda params, x, y: loss(net.apply({"params": params}, x), y))
    else:
        jit, states = brainstate.transform.jit, net.states(brainstate.ParamState)
        params = states.to_dict_values()

        def gradient(params, x, y):
            states.assign_dict_values(params)
            return brainstate.transform.grad(lambda: loss(net(x), y), states)()

    @jit
    def step(params, state, x, y):
        updates, state = tx.update(gradient(params, x, y), state, params)
        return optax.apply_updates(params, updates), state

    state = tx.init(params)
    for _ in range(500):
        rows = rng.integers(len(scope["x_train"]), size=64)
        params, state = step(params, state, scope["x_train"][rows], scope["y_train"][rows])
    return scope | {"net": net, "params": params}


def accuracy(scope):
    net, x = scope["net"], scope["x_test"]
    logits = net.apply({"params": scope["params"]}, x) if "nn" in scope else net(x)
    return (logits.argmax(-1) == scope["y_test"]).mean()


@pytest.mark.slow
def test_every_step_reaches_the_accuracy_that_the_page_states(lenient, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    accuracies, relu, steps = [], None, list(programs())
    assert len(steps) == 7  # the program that is given, and six diffs
    for program in steps:
        scope = run(program)
        relu = relu or scope["net"]
        accuracies.append(float(capsys.readouterr().out.removeprefix("test accuracy ")))
    assert {path.name for path in tmp_path.iterdir()} == {"raster.png"}
    table = [float(number) for number in re.findall(r"\| +(0\.\d+) \|$", PAGE, re.MULTILINE)]
    # 450 images: another machine rounds another way, and may tell a few of them differently.
    assert accuracies[: len(table)] == pytest.approx(table, abs=0.015)
    assert accuracies[len(table) :] == accuracies[len(table) - 1 : len(table)]  # looking changes nothing

    # The weights of the first are a start for the spiking network, without and with what the fourth diff adds.
    copy, *_ = shown("Start from your trained weights", "python")
    for program in steps[3:5]:
        started = run(program.partition("\nnet = Classifier")[0], copy, relu=relu)
        assert accuracy(started) > 0.9
    (call,) = re.findall(r"`(diagnose\(.*?\))`", PAGE)
    scope |= {"loss": lambda *args: scope["optax"].softmax_cross_entropy_with_integer_labels(*args).mean()}
    assert eval(call, scope | {"diagnose": nnx.diagnose})["layers.layers.1"].status == "fine"


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["Flax Linen", "brainstate"])
def test_the_network_of_another_framework_trains(framework, lenient):
    """From scratch, and it starts from the weights of the one with ReLU."""
    _, *copies = shown("Start from your trained weights", "python")
    copy, (before, after) = copies[framework == "brainstate"], networks(framework)
    relu, spiking = (trained(run(network)) for network in (before, after))
    started = run(after, copy, relu=relu["net"], relu_params=relu["params"])
    assert min(accuracy(relu), accuracy(spiking)) > 0.95
    assert accuracy(started) > 0.9
