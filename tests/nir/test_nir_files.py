"""Files of NIR that others wrote: what they mean here, and what is said of a bad one."""

import copy
import itertools
import re
from pathlib import Path

import h5py
import nir
import numpy as np
import pages
import pytest
from test_nir import REST_EXHAUSTIVE, assert_means, inputs, written

from benchmarks.lib.results import committed
from benchmarks.nir import digits, peers
from benchmarks.nir.__main__ import key
from benchmarks.nir.trials import TRIALS, differ, outputs, run_network
from brainsurr import Sigmoid
from brainsurr.nir import from_nir, to_nir
from brainsurr.nnx import LIF, SpikingSequential

pytestmark = pytest.mark.usefixtures("lenient")
N = 6
ONE, ZERO = np.ones(N), np.zeros(N)
RNG = np.random.default_rng(3)
TAU = np.linspace(2.0, 9.0, N)
W = RNG.normal(size=(N, N)) / 2


def row(*nodes, shape=(N,), out=(N,)):
    """A graph of nodes one after another; nothing is checked."""
    named = {f"n{i}": node for i, node in enumerate(nodes)}
    return wired(", ".join(map(" ".join, itertools.pairwise(["input", *named, "output"]))), shape, out, **named)


def wired(edges, shape=(N,), out=(N,), **nodes):
    """A graph of nodes with edges, given as ``"input a, a output"``; nothing is checked."""
    pairs = [tuple(edge.split()) for edge in edges.split(", ")]
    ends = {"input": nir.Input(np.array(shape)), "output": nir.Output(np.array(out))}
    return nir.NIRGraph(ends | nodes, pairs, type_check=False)


def changed(node, **values):
    """A node, or a graph, whose own checks have not seen the change; what is None is left out."""
    node = copy.copy(node)
    vars(node).update(values)
    for name in [name for name, value in values.items() if value is None]:
        del vars(node)[name]
    return node


def lif(**how):
    return changed(nir.LIF(TAU, ONE, ZERO, ONE / 4, ZERO), **how)


def cuba(**how):
    own = {"tau_syn": TAU[::-1].copy(), "tau_mem": TAU, "r": 2 * ONE, "v_leak": ZERO, "v_threshold": ONE / 2}
    return nir.CubaLIF(**own | how)


def inside(fires, weights=None):
    """Neurons in a graph of their own, in a cycle with their weights, as snnTorch writes them."""
    weights = nir.Linear(W) if weights is None else weights
    rnn = wired("input lif, lif w_rec, w_rec lif, lif output", lif=fires, w_rec=weights)
    return wired("input first, first rnn, rnn output", first=nir.Affine(2 * W, ZERO + 0.25), rnn=rnn)


POOL = nir.SumPool2d(np.array([3, 2]), np.array([2, 2]), np.array([1, 0]))
STRANGERS = {
    "r": row(lif(r=np.linspace(0.5, 4.0, N))),
    "r of tau / dt": row(lif(tau=5 * ONE, r=5 * ONE)),
    "v_leak": row(lif(v_leak=ONE / 8, v_reset=ONE / 8, v_threshold=ONE / 2)),
    "IF": row(nir.IF(r=np.linspace(0.5, 4.0, N), v_threshold=ONE)),
    "w_in": row(cuba(w_in=np.linspace(0.5, 2.0, N))),
    "CubaLIF": row(nir.Affine(W, ONE / 4), cuba(), nir.Linear(W), cuba(w_in=3.0, r=TAU)),
    "LI": row(nir.LI(tau=TAU, r=ONE, v_leak=ZERO), nir.Linear(W), nir.LI(tau=3 * ONE, r=3 * ONE, v_leak=ZERO)),
    "LI, Threshold": row(nir.LI(tau=TAU, r=2 * ONE, v_leak=ONE / 8), nir.Threshold(threshold=ONE / 2)),
    "LI, two thresholds": row(nir.LI(TAU, 2 * ONE, ZERO), nir.Threshold(ONE / 2), nir.Threshold(ONE / 3)),
    "I, Threshold": row(nir.I(r=ONE / 2), nir.Threshold(threshold=ONE / 2)),
    "Threshold": row(nir.Linear(W), nir.Threshold(threshold=np.linspace(-0.5, 1.0, N))),
    "Delay": row(nir.Delay(delay=np.arange(N) * 1.0), lif()),
    "recurrent": wired("input lif, lif w, w lif, lif output", lif=lif(), w=nir.Linear(W)),
    "CubaLIF, recurrent": wired("input cuba, cuba w, w cuba, cuba output", cuba=cuba(r=TAU), w=nir.Linear(W)),
    "pool": row(
        POOL,
        nir.Flatten({"input": np.array([2, 3, 3])}, 0, -1),
        nir.Linear(RNG.normal(size=(3, 18))),
        shape=(2, 5, 6),
        out=(3,),
    ),
}


EXP = [(name, "exp") for name in ("r", "w_in", "Threshold", "I, Threshold", "IF")]


@pytest.mark.parametrize("host", REST_EXHAUSTIVE)
@pytest.mark.parametrize(("name", "method"), [*((name, "euler") for name in STRANGERS), *EXP])
def test_what_a_graph_means_is_what_is_read_and_written(name, method, host, tmp_path):
    graph = STRANGERS[name]
    nir.write(tmp_path / "a.nir", graph)
    shape = tuple(graph.nodes["input"].input_type["input"].tolist())
    net, size = from_nir(tmp_path / "a.nir", host, dt=1.0, method=method), (*shape[1:], shape[0])
    assert_means(graph, net, inputs(size)[:, :1], 1.0, method)
    if name not in ("CubaLIF, recurrent", "pool"):  # which are not written
        assert_means(written(net, size, dt=1.0, method=method), net, inputs(size)[:, :1], 1.0, method)


def test_neurons_in_a_graph_of_their_own():
    """Whose recurrent weights have a bias, which is added at every step, as that of the layer before."""
    bias = np.linspace(-0.5, 0.5, N)
    nodes = {"first": nir.Affine(2 * W, 0.25 + bias), "lif": lif(), "w": nir.Linear(W)}
    graph = wired("input first, first lif, lif w, w lif, lif output", **nodes)
    assert_means(graph, from_nir(inside(lif(), nir.Affine(W, bias)), "nnx", dt=1.0), inputs((N,))[:, :1], 1.0)


def test_one_number_for_all_and_float32_of_torch():
    one = np.float32(1)
    for steps, decay in ((10, 0.9), (1, 0.0)):
        lif = from_nir(row(nir.LIF(steps * one / 10000, steps * one, 0 * one, one)), "nnx", dt=1e-4).layers[0]
        assert (lif.features, np.float32(lif.decay), lif.threshold) == (N, np.float32(decay), 1.0)
        assert not lif.decay_input


def test_weights_of_integers_are_float32():
    weight = 2049 * np.ones((N, N), np.int64)  # which float16 rounds
    kernel = from_nir(row(nir.Linear(weight)), "nnx", dt=0.5).layers[0].kernel[...]
    np.testing.assert_array_equal(kernel, np.float32(weight), strict=True)


def test_the_caller_says_what_the_resistances_mean():
    """spyx writes its decay in their place, and means tau / dt."""
    graph = row(lif(tau=5 * ONE, r=0.8 * ONE, v_threshold=ONE))
    for r, expected in {"tau/dt": (0.8, False, 1.0), "1": (0.8, True, 1.0), None: (0.8, True, 1.25)}.items():
        read = from_nir(graph, "nnx", dt=1.0, r=r).layers[0]
        assert (read.decay, read.decay_input, read.threshold) == expected
    fires = nir.IF(r=2 * ONE, v_threshold=ONE)  # which takes all of its input, not dt of it
    assert from_nir(row(fires), "nnx", dt=0.5, r="tau/dt").layers[0].threshold == 1
    assert from_nir(row(nir.I(r=2 * ONE)), "nnx", dt=0.5, r="1").layers[0].decay == 1  # of neurons, not of integrators


def said(**words):
    return lif(metadata={"brainsurr": words})


def surrogate(name, **parameters):
    return said(surrogate={"name": name, "parameters": parameters})


def in_each_other(depth):
    f = {"name": "Arctan", "parameters": {}}
    for _ in range(depth):
        f = {"name": "Scaled", "parameters": {"surrogate": f}}
    return said(surrogate=f)


def flattened(start):
    return row(nir.Flatten({"input": None}, start), shape=(2, 3))


def convolved(**changes):
    weight = np.ones((3, 2, 3, 3))
    return row(changed(nir.Conv2d(None, weight, 1, 1, 1, 1, weight[:, 0, 0, 0]), **changes), shape=(2, 5, 6))


def edges(*pairs):
    return changed(row(lif()), edges=[("input", "n0"), *pairs])


def in_itself():
    graph = row(None)
    graph.nodes["n0"] = graph
    return graph


def with_biases(*biases):
    """Neurons whose recurrent weights have a bias, like the layer before."""
    first, weights = (nir.Affine(W.astype(np.float32), np.full(N, bias, np.float32)) for bias in biases)
    return wired("input l, l a, a w, w a, a output", l=first, a=lif(), w=weights)


PIXELS = nir.LIF(*[np.arange(1.0, 17).reshape(1, 4, 4)] * 5)
NO_SHAPE = nir.Input({"input": None})
BAD_NODES = {  # what is said of the node n0, and the nodes
    "weight to contain numbers that float32": [nir.Linear(np.full((N, N), 1e39))],
    "bias to contain numbers that float32": [nir.Affine(W, np.full(N, -1e39))],
    "weight to contain numbers that float16": [
        changed(nir.Linear(1e5 * np.ones((N, N))), metadata={"brainsurr": {"dtype": "float16"}})
    ],
    "v_threshold to contain numbers": [lif(v_threshold=1e39 * ONE), lif(v_threshold=1e-50 * ONE), lif(r=1e-300 * ONE)],
    "tau to contain finite": [lif(tau=None), lif(tau=ONE[:0]), lif(tau=np.nan * ONE)],
    "weight to contain finite": [changed(nir.Linear(W), weight=None)],
    "tau of at least dt=1": [lif(tau=1e300 * ONE), lif(tau=1e-3 * ONE)],
    "bias of shape": [nir.Affine(W, np.ones(5))],
    r"an input of shape \(..., 5\)": [nir.Linear(np.ones((N, 5)))],
    "its parameters to contain numbers": [surrogate("Arctan", alpha=np.nan), surrogate("Arctan", alpha=1e39)],
    "delays of whole steps": [nir.Delay(-ONE), nir.Delay(0.5 * ONE)],
    r"one of \['Affine', .*, got Scale": [nir.Scale(ONE)],
    "r above 0": [lif(r=ZERO)],
    "v_reset to be": [lif(v_reset=-ONE)],
    "r=1 or r=tau/dt": [nir.LI(TAU, 0.3 * ONE, ZERO)],
    "v_leak=0": [nir.LI(TAU, ONE, ONE)],
}
CORRUPT = [  # for which the errors of Python, NumPy and jax suffice
    *(surrogate("Arctan", alpha=np.ones(5)), surrogate("Arctan", beta=1.0), in_each_other(3000)),
    *(said(surrogate={"name": "Arctan"}), said(surrogate="Arctan"), said(decay_input=ONE), said(param_dtype="int32")),
    *(surrogate("__import__"), surrogate("Scaled", surrogate={"name": "arctan", "parameters": {}})),
    *(lif(metadata={"brainsurr": 5}), lif(tau=2 * np.ones(5)), lif(tau=1e10 * ONE)),
]
BAD_CHAINS = [  # no way from the Input to the Output that has all nodes
    wired("input a, input b, a output, b output", a=lif(), b=lif()),
    wired("input nowhere"),
    wired("input a, a b, b a", a=nir.Linear(W), b=nir.Linear(W)),
    wired("input w, w a, a w, a output", a=lif(), w=nir.Linear(W)),  # as spyx writes it
]
BAD_CONVOLUTIONS = {  # what is said of the node n0, and what of it is bad
    "weight of shape": {"weight": np.ones((3, 2, 3))},
    "padding to contain finite": {"padding": "full"},
    "padding to be one integer": {"padding": -1},
    "dilation to be one integer": {"dilation": (1, 1, 1)},
}
BAD_GRAPHS = [  # what is said, and the graph
    *((f"node 'n0': .*expected {said}", row(node)) for said, nodes in BAD_NODES.items() for node in nodes),
    *(("node 'n0': ", row(node)) for node in CORRUPT),
    *(("expected one layer after another", graph) for graph in BAD_CHAINS),
    *((f"node 'n0': expected {said}", convolved(**bad)) for said, bad in BAD_CONVOLUTIONS.items()),
    ("node 'a': expected the sum of biases", with_biases(3e38, 3e38)),
    ("node 'a': expected a Linear or", wired("input a, a w, w a, a output", a=lif(), w=nir.Affine(W, ONE))),
    ("node 'a.input': expected an Input", wired("input a, a output", a=row(lif(), shape=(7,)))),
    ("node 'output': expected an Output", row(POOL, shape=(2, 5, 6), out=(3, 3, 2))),
    ("", in_itself()),
    ("", edges(("n0", "output", "x"))),
    ("expected each edge once", edges(("n0", "output"), ("n0", "output"))),
    ("expected one Output in each graph", row(nir.Output(np.array([N])))),
    ("expected one Input in each graph", nir.NIRGraph({"a": lif()}, [], type_check=False)),
    ("expected one Output", wired("input a, a output", a=nir.NIRGraph({"x": NO_SHAPE}, [], type_check=False))),
    ("expected an Input of a known shape", wired("input output", input=NO_SHAPE)),
    ("node 'n0': expected tau to have one value per channel", row(PIXELS, shape=(1, 4, 4))),
    ("node 'n0': expected an input at least as large as the window", row(POOL, shape=(2, 1, 1))),
    ("node 'n0': expected a Flatten over all axes", flattened(1)),
    ("expected a linear layer after a Flatten", flattened(0)),
]


@pytest.mark.parametrize(("said", "graph"), BAD_GRAPHS)
def test_what_is_wrong_with_a_graph_is_said(said, graph):
    with pytest.raises(ValueError, match=f"^from_nir: {said}"):
        from_nir(graph, "nnx", dt=1.0)


@pytest.mark.parametrize("word", ["reset", "reset_delay", "spike_fn"])
def test_what_is_said_of_no_neuron_is_refused(word):
    said = {word: {"reset": "zero", "reset_delay": True, "spike_fn": Sigmoid()}[word]}
    node = nir.Affine(W, ONE) if word == "spike_fn" else nir.Threshold(ZERO)  # a surrogate by itself
    with pytest.raises(ValueError, match=r"^from_nir: expected neurons"):
        from_nir(row(node), "nnx", dt=1.0, **said)
    assert from_nir(row(lif()), "nnx", dt=1.0, **said)


def test_of_no_reset_the_file_says_nothing_more():
    graph = to_nir(SpikingSequential([LIF(N, reset="zero", reset_grad=True)]), (N,), dt=1.0)
    assert from_nir(graph, "nnx", dt=1.0, reset="none").layers[0].reset == "none"
    with pytest.raises(ValueError, match="omit reset_delay and reset_grad"):
        from_nir(graph, "nnx", dt=1.0, reset="none", reset_delay=True)
    both = row(lif(), nir.LI(TAU, ONE, ZERO), nir.Threshold(ONE))
    resets = [(layer.reset, layer.reset_delay) for layer in from_nir(both, "nnx", dt=1.0, reset_delay=True).layers]
    assert resets == [("zero", True), ("none", False)]


def spoil(path):
    nir.write(path, row(lif()))
    with h5py.File(path, "a") as file:
        del file["node/nodes/n0/tau"]


@pytest.mark.parametrize("write", [spoil, Path.touch, lambda path: nir.write(path, lif()), lambda path: None])
def test_a_file_without_a_graph_is_named(write, tmp_path):
    write(tmp_path / "a.nir")
    with pytest.raises(ValueError, match=r"^from_nir: .*a.nir"):
        from_nir(tmp_path / "a.nir", "nnx", dt=1.0)


def test_reading_changes_nothing():
    graph = inside(lif())
    before = str(graph.to_dict())
    from_nir(graph, "nnx", dt=1.0)
    assert str(graph.to_dict()) == before


# The libraries themselves, where they are installed: ``pytest -m peers``. They don't all fit into one environment. One
# that is missing is skipped, and the summary names it.

ROWS = {key(row): row for row in committed("nir")["trials"]}


def needs(library):
    if not peers.installed(library):
        pytest.skip(f"{library} is missing, or torch, which it needs")


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: " ".join(key(trial.about())))
def test_as_many_spikes_differ_as_the_page_says(trial, tmp_path):
    for library in {trial.writer, trial.reader} - {"brainsurr"}:
        needs(library)
    measured = ROWS[key(trial.about())]["differ"]
    try:
        expected, actual = outputs(trial, tmp_path)
    except (AssertionError, AttributeError, RuntimeError, ValueError):
        assert measured is None
        return
    assert np.abs(expected).mean() > 0.02
    assert np.mean(expected == 1) < 0.9
    assert (actual.shape == expected.shape) == (measured is not None)
    if measured is not None:
        found = differ(expected, actual)
        assert (measured > 0.02) == (found > 0.02)
        assert (measured == 0) == (found == 0)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_digits_have_the_same_accuracy_there(tmp_path):
    entries = dict(digits.compare(tmp_path))
    if not entries:
        pytest.skip("none of the other libraries is installed")
    for library, entry in entries.items():
        assert entry["here"] > 0.9
        assert (entry["differ"], entry["accuracy"]) == (0.0, entry["here"]), library


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("library", ["sinabs", "rockpool"])
def test_the_lines_of_the_page_give_the_same_spikes(library, tmp_path, monkeypatch):
    needs(library)
    monkeypatch.chdir(tmp_path)
    scope = pages.run_blocks(page := pages.DOCS / "chips.md")
    (lines,) = re.findall(rf"```py\n(import numpy[^`]*{library}[^`]*)```", page.read_text())
    after = pages.run(lines, **{name: scope[name] for name in ("nir", "pulses", "events")})
    theirs = after["theirs"]
    ours = ("speck", "events") if library == "sinabs" else ("xylo", "pulses")
    np.testing.assert_array_equal(theirs, run_network(*map(scope.get, ours)))
    assert 0.02 < theirs.mean() < 0.9
    if library == "sinabs":
        with pytest.raises(NotImplementedError, match="Identity'> not supported"):  # as the page says
            after["sinabs"].nir.to_nir(after["there"], after["torch"].zeros(80, 2, 16, 16))
