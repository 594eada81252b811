"""docs/convert-relu.md: its diffs fit, each program trains, and reaches the accuracy that the page states."""

import re

import pytest
from pages import DOCS, patched, run

from brainsurr import nnx

PAGE = (DOCS / "convert-relu.md").read_text()
STEPS = 7  # the program that is given, and six diffs
# The page shows no training in these: it stays as it is.
TRAIN = {
    "Flax Linen": """
net = Classifier()
params = net.init(jax.random.key(0), x_train[:1])["params"]
tx = optax.adam(2e-3)
state = tx.init(params)


@jax.jit
def train_step(params, state, x, y):
    def loss_fn(params):
        return optax.softmax_cross_entropy_with_integer_labels(net.apply({"params": params}, x), y).mean()

    updates, state = tx.update(jax.grad(loss_fn)(params), state, params)
    return optax.apply_updates(params, updates), state


rng = np.random.default_rng(0)
for _ in range(500):
    rows = rng.integers(len(x_train), size=64)
    params, state = train_step(params, state, x_train[rows], y_train[rows])
""",
    "brainstate": """
brainstate.random.seed(0)
net = Classifier()
params = net.states(brainstate.ParamState)
tx = optax.adam(2e-3)
state = brainstate.LongTermState(tx.init(params.to_dict_values()))


@brainstate.transform.jit
def train_step(x, y):
    def loss_fn():
        return optax.softmax_cross_entropy_with_integer_labels(net(x), y).mean()

    grads, values = brainstate.transform.grad(loss_fn, params)(), params.to_dict_values()
    updates, state.value = tx.update(grads, state.value, values)
    params.assign_dict_values(optax.apply_updates(values, updates))


rng = np.random.default_rng(0)
for _ in range(500):
    rows = rng.integers(len(x_train), size=64)
    train_step(x_train[rows], y_train[rows])
""",
}


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


def accuracy(scope):
    net, x = scope["net"], scope["x_test"]
    logits = net.apply({"params": scope["params"]}, x) if "nn" in scope else net(x)
    return (logits.argmax(-1) == scope["y_test"]).mean()


@pytest.mark.slow
def test_every_step_reaches_the_accuracy_that_the_page_states(lenient, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    accuracies, relu, steps = [], None, list(programs())
    assert len(steps) == STEPS
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
@pytest.mark.parametrize("framework", TRAIN)
def test_the_network_of_another_framework_trains(framework, lenient):
    """From scratch, and it starts from the weights of the one with ReLU."""
    _, *copies = shown("Start from your trained weights", "python")
    copy, (before, after) = copies[list(TRAIN).index(framework)], networks(framework)
    relu, spiking = (run(network, TRAIN[framework]) for network in (before, after))
    started = run(after, copy, relu=relu["net"], relu_params=relu["params"])
    assert min(accuracy(relu), accuracy(spiking)) > 0.95
    assert accuracy(started) > 0.9
