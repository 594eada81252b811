"""docs/convert-relu.md: its diffs fit, each program trains, and reaches the accuracy that the page states."""

import re

import jax
import numpy as np
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
        assert (started["net"](started["x_test"]).argmax(-1) == started["y_test"]).mean() > 0.9
    (call,) = re.findall(r"`(diagnose\(.*?\))`", PAGE)
    scope |= {"loss": lambda *args: scope["optax"].softmax_cross_entropy_with_integer_labels(*args).mean()}
    assert eval(call, scope | {"diagnose": nnx.diagnose})["layers.layers.1"].status == "fine"


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["Flax Linen", "brainstate"])
def test_the_network_of_another_framework_starts_from_weights_of_relu(framework, lenient):
    _, *copies = shown("Start from your trained weights", "python")
    copy, (before, after) = copies[framework == "brainstate"], networks(framework)
    scope = run(before)
    relu, x = scope["Classifier"](), scope["x_test"][:64]
    params = relu.init(jax.random.key(0), x)["params"] if framework == "Flax Linen" else None
    started = run(after, copy, relu=relu, relu_params=params)
    net = started["net"]
    logits = net(x) if params is None else net.apply({"params": started["params"]}, x)
    assert logits.shape == (64, 10)
    assert np.ptp(logits, axis=0).all()
