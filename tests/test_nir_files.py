"""Files of NIR that others wrote: what they mean here, and what is said of a bad one."""

import dataclasses
import itertools

import h5py
import jax.numpy as jnp
import nir
import numpy as np
import pytest
from close import assert_close
from nir_reference import simulate
from test_nir import DT, REST_EXHAUSTIVE, T, inputs, outputs_of

import brainsurr as bs
from brainsurr.nir import from_nir, to_nir

pytestmark = pytest.mark.usefixtures("lenient")
N = 6
ONE, ZERO = np.ones(N), np.zeros(N)
RNG = np.random.default_rng(3)
TAU = np.linspace(2.0, 9.0, N)
W = RNG.normal(size=(N, N)) / 2


def of_list(*nodes):
    return nir.NIRGraph.from_list(*nodes)


def round_about(fires, weights=None):
    """Neurons in a graph of their own, in a cycle with their weights, as snnTorch writes them."""
    weights = nir.Linear(weight=W) if weights is None else weights
    ends = {"input": nir.Input(np.array([N])), "output": nir.Output(np.array([N]))}
    edges = [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")]
    inner = nir.NIRGraph(ends | {"lif": fires, "w_rec": weights}, edges)
    ends = {"input": nir.Input(np.array([N])), "output": nir.Output(np.array([N]))}
    nodes = ends | {"first": nir.Affine(weight=2 * W, bias=ZERO + 0.25), "rnn": inner}
    return nir.NIRGraph(nodes, [("input", "first"), ("first", "rnn"), ("rnn", "output")])


def lif(**how):
    return nir.LIF(**{"tau": TAU, "r": ONE, "v_leak": ZERO, "v_threshold": ONE / 4} | how)


def cuba(**how):
    own = {"tau_syn": TAU[::-1].copy(), "tau_mem": TAU, "r": 2 * ONE, "v_leak": ZERO, "v_threshold": ONE / 2}
    return nir.CubaLIF(**own | how)


STRANGERS = {
    "r": of_list(lif(r=np.linspace(0.5, 4.0, N))),
    "r of tau / dt": of_list(lif(tau=5 * ONE, r=5 * ONE)),
    "v_leak": of_list(lif(v_leak=ONE / 8, v_reset=ONE / 8, v_threshold=ONE / 2)),
    "IF": of_list(nir.IF(r=np.linspace(0.5, 4.0, N), v_threshold=ONE)),
    "IF, v_reset": of_list(nir.IF(r=ONE, v_threshold=ONE / 2, v_reset=ZERO)),
    "w_in": of_list(cuba(w_in=np.linspace(0.5, 2.0, N))),
    "CubaLIF": of_list(nir.Affine(W, ONE / 4), cuba(), nir.Linear(W), cuba(w_in=3.0, r=TAU)),
    "LI": of_list(nir.LI(tau=TAU, r=ONE, v_leak=ZERO), nir.Linear(W), nir.LI(tau=3 * ONE, r=3 * ONE, v_leak=ZERO)),
    "LI, Threshold": of_list(nir.LI(tau=TAU, r=2 * ONE, v_leak=ONE / 8), nir.Threshold(threshold=ONE / 2)),
    "I, Threshold": of_list(nir.I(r=ONE / 2), nir.Threshold(threshold=ONE / 2)),
    "Threshold": of_list(nir.Linear(W), nir.Threshold(threshold=np.linspace(-0.5, 1.0, N))),
    "Delay": of_list(nir.Delay(delay=np.arange(N) * 1.0), lif()),
    "recurrent": nir.NIRGraph(
        {
            "input": nir.Input(np.array([N])),
            "lif": lif(),
            "w": nir.Linear(weight=W),
            "output": nir.Output(np.array([N])),
        },
        [("input", "lif"), ("lif", "w"), ("w", "lif"), ("lif", "output")],
    ),
    "SumPool2d": nir.NIRGraph(
        {
            "input": nir.Input(np.array([2, 5, 6])),
            "pool": nir.SumPool2d(np.array([3, 2]), np.array([2, 2]), np.array([1, 0])),
            "flat": nir.Flatten({"input": np.array([2, 3, 3])}, 0, -1),
            "w": nir.Linear(weight=RNG.normal(size=(3, 18))),
            "output": nir.Output(np.array([3])),
        },
        [("input", "pool"), ("pool", "flat"), ("flat", "w"), ("w", "output")],
    ),
}


@pytest.mark.parametrize("host", REST_EXHAUSTIVE)
@pytest.mark.parametrize("name", STRANGERS)
def test_what_a_graph_means_is_what_is_read(name, host, tmp_path):
    graph = STRANGERS[name]
    nir.write(tmp_path / "a.nir", graph)
    shape = tuple(graph.nodes["input"].input_type["input"].tolist())
    xs = inputs((*shape[1:], shape[0]))[:, :1]
    expected, near = simulate(graph, np.moveaxis(xs[:, 0], -1, 1) if len(shape) > 1 else xs[:, 0], 1.0)
    assert near > 1e-5
    ys = outputs_of(from_nir(tmp_path / "a.nir", host, dt=1.0), xs)[:, 0]
    assert_close(ys, expected, 4 * T)
    assert np.abs(expected).max() > 0.4


@pytest.mark.parametrize("kind", ["lif", "cuba"])
def test_by_the_exponential_too(kind):
    graph = of_list({"lif": lif, "cuba": cuba}[kind]())
    xs = inputs((N,))[:, :1]
    expected, near = simulate(graph, xs[:, 0], DT["exp"], "exp")
    assert near > 1e-5
    np.testing.assert_array_equal(outputs_of(from_nir(graph, "nnx", dt=DT["exp"], method="exp"), xs)[:, 0], expected)


@pytest.mark.parametrize("method", ["euler", "exp"])
@pytest.mark.parametrize("name", ["Threshold", "I, Threshold", "IF"])
def test_what_has_no_time_constant_is_written_again_by_any_method(name, method):
    net = from_nir(STRANGERS[name], "nnx", dt=1.0, method=method)
    graph = to_nir(net, (N,), dt=1.0, method=method)
    written, given = (sorted(type(node).__name__ for node in g.nodes.values()) for g in (graph, STRANGERS[name]))
    assert written == given
    xs = inputs((N,))
    np.testing.assert_array_equal(outputs_of(from_nir(graph, "nnx", dt=1.0, method=method), xs), outputs_of(net, xs))


def test_neurons_in_a_graph_of_their_own():
    """Whose recurrent weights have a bias, which is added at every step, as that of the layer before."""
    graph = round_about(lif(), nir.Affine(weight=W, bias=np.linspace(-0.5, 0.5, N)))
    flat = nir.NIRGraph(
        {
            "input": graph.nodes["input"],
            "first": nir.Affine(weight=2 * W, bias=0.25 + np.linspace(-0.5, 0.5, N)),
            "lif": lif(),
            "w": nir.Linear(weight=W),
            "output": graph.nodes["output"],
        },
        [("input", "first"), ("first", "lif"), ("lif", "w"), ("w", "lif"), ("lif", "output")],
    )
    xs = inputs((N,))[:, :1]
    expected, near = simulate(flat, xs[:, 0], 1.0)
    assert near > 1e-5
    np.testing.assert_array_equal(outputs_of(from_nir(graph, "nnx", dt=1.0), xs)[:, 0], expected)
    assert 0.05 < expected.mean() < 0.9


def test_one_number_for_all_and_float32_of_torch():
    node = nir.LIF(tau=np.float32(1e-3), r=np.float32(10), v_leak=np.float32(0), v_threshold=np.float32(1))
    nodes = {"input": nir.Input(np.array([N])), "a": node, "output": nir.Output(np.array([N]))}
    graph = nir.NIRGraph(nodes, [("input", "a"), ("a", "output")], type_check=False)
    lif = from_nir(graph, "nnx", dt=1e-4).layers[0]
    assert (lif.features, np.float32(lif.decay), lif.decay_input, lif.threshold) == (N, np.float32(0.9), False, 1.0)


def test_the_caller_says_what_the_resistances_mean():
    """spyx writes its decay in their place, and means tau / dt."""
    graph = of_list(lif(tau=5 * ONE, r=0.8 * ONE, v_threshold=ONE))
    read = from_nir(graph, "nnx", dt=1.0, r="tau/dt").layers[0]
    assert (read.decay, read.decay_input, read.threshold) == (0.8, False, 1.0)
    one = from_nir(graph, "nnx", dt=1.0, r="1").layers[0]  # as norse reads it
    assert (one.decay, one.decay_input, one.threshold) == (0.8, True, 1.0)
    as_written = from_nir(graph, "nnx", dt=1.0).layers[0]
    assert (as_written.decay_input, as_written.threshold) == (True, 1.25)


def changed(node, **values):
    """A node whose own checks have not seen the change."""
    node = dataclasses.replace(node)
    for name, value in values.items():
        object.__setattr__(node, name, value)
    return node


def unchecked(*nodes, shape=(N,)):
    names = [f"n{i}" for i in range(len(nodes))]
    row = ["input", *names, "output"]
    ends = {"input": nir.Input(np.array(shape)), "output": nir.Output(np.array([N]))}
    edges = list(itertools.pairwise(row))
    return nir.NIRGraph(ends | dict(zip(names, nodes, strict=True)), edges, type_check=False)


def meta(node, **words):
    node.metadata = {"brainsurr": words}
    return node


def named(name, **parameters):
    return {"name": name, "parameters": parameters}


ODD = {
    "Scale": (lambda: unchecked(nir.Scale(scale=ONE)), r"node 'n0' to be one of Affine, .*, got Scale"),
    "nan": (lambda: unchecked(lif(tau=np.nan * ONE)), "expected tau to hold finite real numbers, got float64"),
    "words": (lambda: unchecked(changed(lif(), r="a")), "expected r to hold finite real numbers"),
    "complex": (lambda: unchecked(nir.Linear(W + 0j)), "expected weight to hold finite real numbers"),
    "nothing": (
        lambda: unchecked(changed(lif(), v_threshold=None)),
        "v_threshold to hold finite real numbers, got Non",
    ),
    "negative tau": (lambda: unchecked(lif(tau=-ONE)), "expected tau above 0, got -1"),
    "another dt": (
        lambda: unchecked(lif(tau=1e-3 * ONE)),
        "the decay 1 - dt / tau is not negative, got 0.001 with dt=1: pass",
    ),
    "r of 0": (lambda: unchecked(lif(r=ZERO)), "expected r above 0"),
    "v_reset": (lambda: unchecked(lif(v_reset=-ONE)), "expected v_reset to be where the potential rests"),
    "LI, r": (
        lambda: unchecked(nir.LI(tau=TAU, r=0.3 * ONE, v_leak=ZERO)),
        "expected r to be 1 or tau / dt, with dt=1",
    ),
    "LI, v_leak": (lambda: unchecked(nir.LI(tau=TAU, r=ONE, v_leak=ONE)), "expected v_leak to be 0"),
    "I, r": (lambda: unchecked(nir.I(r=3 * ONE)), "expected r to be 1 / dt, with dt=1"),
    "half a step": (lambda: unchecked(nir.Delay(delay=0.5 * ONE)), "expected delays of whole steps of dt=1"),
    "shape": (lambda: unchecked(nir.Linear(np.ones((N, 5)))), r"expected weight of shape \(outputs, 6\), got \(6, 5\)"),
    "bias": (lambda: unchecked(nir.Affine(W, np.ones(5))), r"expected bias of shape \(6,\), got \(5,\)"),
    "size": (lambda: unchecked(changed(lif(), tau=2 * np.ones(5))), r"expected tau of shape \(6,\), got \(5,\)"),
    "pixels": (
        lambda: unchecked(
            changed(
                lif(),
                **{f: np.arange(1.0, 17).reshape(1, 4, 4) for f in ("tau", "r", "v_threshold")},
                v_leak=np.zeros((1, 4, 4)),
                v_reset=np.zeros((1, 4, 4)),
            ),
            shape=(1, 4, 4),
        ),
        "one for each channel, got several",
    ),
    "Flatten": (
        lambda: unchecked(nir.Flatten({"input": np.array([2, 3, 4])}, 1, -1), shape=(2, 3, 4)),
        "expected a Flatten of all axes but the batch, which NIR leaves out, from 0 to 2, got from 1 to -1",
    ),
    "Flatten last": (
        lambda: unchecked(nir.Flatten({"input": np.array([2, 3])}, 0, -1), shape=(2, 3)),
        "expected a Flatten of several axes to come before a Linear or Affine, got the end",
    ),
    "padding": (
        lambda: unchecked(nir.Conv1d(9, np.ones((N, 2, 3)), 2, "same", 1, 1, ZERO), shape=(2, 9)),
        "'same' with a stride of 1, got 'same'",
    ),
    "stride": (
        lambda: unchecked(changed(nir.Conv1d(9, np.ones((N, 2, 3)), 1, 0, 1, 1, ZERO), stride=0), shape=(2, 9)),
        "expected stride to be 1 integers from 1 on",
    ),
    "window": (
        lambda: unchecked(nir.AvgPool2d(np.array([9, 9]), np.array([1, 1]), np.array([0, 0])), shape=(2, 3, 3)),
        "expected a window that fits into its input",
    ),
    "a padding of all memory": (
        lambda: unchecked(
            changed(nir.Conv1d(9, np.ones((N, 2, 3)), 1, 0, 1, 1, ZERO), padding=2**60),
            nir.Flatten({"input": None}),
            shape=(2, 9),
        ),
        "expected an output of 2147483647 entries at most",
    ),
    "a delay of all memory": (
        lambda: unchecked(nir.Delay(delay=1e30 * ONE)),
        "expected delays that hold 2147483647 entries at most, got 1e\\+30 steps",
    ),
    "an input of all memory": (
        lambda: unchecked(nir.Flatten({"input": None}), shape=(2**20, 2**20)),
        "expected an Input of 2147483647 entries at most",
    ),
    "CubaLIF in a cycle": (lambda: round_about(cuba()), "expected a CubaLIF without recurrent weights"),
    "a bias to nowhere": (
        lambda: nir.NIRGraph(
            {
                "input": nir.Input(np.array([N])),
                "a": lif(),
                "w": nir.Affine(W, ONE),
                "output": nir.Output(np.array([N])),
            },
            [("input", "a"), ("a", "w"), ("w", "a"), ("a", "output")],
        ),
        "expected no bias, or a Linear or Affine before the neurons",
    ),
    "no such surrogate": (
        lambda: unchecked(meta(lif(), surrogate=named("__import__"))),
        "one of Arctan, .*, got '__import__'",
    ),
    "a function": (lambda: unchecked(meta(lif(), surrogate=named("arctan"))), "one of Arctan, .*, got 'arctan'"),
    "no name": (lambda: unchecked(meta(lif(), surrogate={"a": 1})), r"a name and parameters, got \['a'\]"),
    "code": (lambda: unchecked(meta(lif(), surrogate="bs.Arctan()")), "a name and parameters, got str"),
    "no such parameter": (
        lambda: unchecked(meta(lif(), surrogate=named("Arctan", beta=1.0))),
        r"a Arctan, with parameters among alpha, origin, got \['beta'\]",
    ),
    "a bad parameter": (lambda: unchecked(meta(lif(), surrogate=named("Arctan", alpha="a"))), "a Arctan: .*alpha"),
    "a parameter that is none": (
        lambda: unchecked(meta(lif(), surrogate=named("Arctan", alpha=float("nan")))),
        "a Arctan of finite parameters, got nan for alpha",
    ),
    "parameters that are none": (
        lambda: unchecked(meta(lif(), surrogate=named("Arctan", alpha=np.inf * ONE))),
        "a Arctan of finite parameters, got .* for alpha",
    ),
    "a bad parameter inside": (
        lambda: unchecked(meta(lif(), surrogate=named("Scaled", surrogate=named("Nothing")))),
        "got 'Nothing'",
    ),
    "a primitive": (lambda: unchecked(meta(lif(), surrogate=named("Arctan", origin=True))), "got origin=True"),
    "another reset": (lambda: unchecked(meta(lif(), reset="soft")), "subtract, zero or none, got 'soft'"),
    "no flag": (lambda: unchecked(meta(lif(), reset_delay=3)), "reset_delay in its metadata to be a bool, got 3"),
    "no dtype": (lambda: unchecked(meta(lif(), param_dtype="int8")), "to be a floating dtype, got 'int8'"),
    "no group": (lambda: unchecked(changed(lif(), metadata={"brainsurr": 3})), "metadata to be a group, got int"),
    "decay_input of 1": (
        lambda: unchecked(meta(nir.IF(r=ONE, v_threshold=ONE), decay_input=True)),
        "expected no decay_input",
    ),
    "two ways": (
        lambda: nir.NIRGraph(
            {"input": nir.Input(np.array([N])), "a": lif(), "b": lif(), "output": nir.Output(np.array([N]))},
            [("input", "a"), ("input", "b"), ("a", "output"), ("b", "output")],
        ),
        "expected one layer after another, got the node 'input' before",
    ),
    "beside": (
        lambda: nir.NIRGraph(
            {"input": nir.Input(np.array([N])), "a": lif(), "b": lif(), "output": nir.Output(np.array([N]))},
            [("input", "a"), ("a", "output")],
            type_check=False,
        ),
        r"expected every node on the way from the Input to the Output, got \['b'\]",
    ),
    "twice": (
        lambda: nir.NIRGraph(
            {"input": nir.Input(np.array([N])), "output": nir.Output(np.array([N]))},
            [("input", "output")] * 2,
            type_check=False,
        ),
        "expected every edge once",
    ),
    "to nowhere": (
        lambda: nir.NIRGraph({"input": nir.Input(np.array([N]))}, [("input", "b")], type_check=False),
        r"expected edges between nodes of the graph, \['input'\], got \['b'\]",
    ),
    "round and round": (
        lambda: nir.NIRGraph(
            {"input": nir.Input(np.array([N])), "a": nir.Linear(W), "b": nir.Linear(W)},
            [("input", "a"), ("a", "b"), ("b", "a")],
            type_check=False,
        ),
        "expected one layer after another",
    ),
    "no input": (lambda: nir.NIRGraph({"a": lif()}, [], type_check=False), "expected one Input, got 0"),
    "no shape": (
        lambda: nir.NIRGraph(
            {"input": nir.Input({"input": None}), "output": nir.Output(np.array([N]))},
            [("input", "output")],
            type_check=False,
        ),
        "expected an Input with a shape of positive integers, got None",
    ),
    "its weights first": (  # as spyx writes it
        lambda: nir.NIRGraph(
            {"input": nir.Input(np.array([N])), "a": lif(), "w": nir.Linear(W), "output": nir.Output(np.array([N]))},
            [("input", "w"), ("w", "a"), ("a", "w"), ("a", "output")],
        ),
        "expected the recurrent weights 'w' to take the spikes of 'a' alone",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_wrong_with_a_graph_is_said(name):
    make, said = ODD[name]
    with pytest.raises(ValueError, match=said) as error:
        from_nir(make(), "nnx", dt=1.0)
    assert str(error.value).startswith("from_nir: ")


def garbage(path):
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64))


def without_a_node(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("version", data="1.0")


def of_another_kind(path):
    nir.write(path, of_list(lif()))
    with h5py.File(path, "a") as file:
        del file["node/nodes/lif/type"]
        file["node/nodes/lif/type"] = "NIRNode"


def without_a_field(path):
    nir.write(path, of_list(lif()))
    with h5py.File(path, "a") as file:
        del file["node/nodes/lif/tau"]


def with_more_fields(path):
    nir.write(path, of_list(lif()))
    with h5py.File(path, "a") as file:
        file["node/nodes/lif/more"] = 3


def of_one_node(path):
    nir.write(path, lif())


@pytest.mark.parametrize(
    "spoil", [garbage, without_a_node, of_another_kind, without_a_field, with_more_fields, of_one_node]
)
def test_a_file_that_is_none_is_said_to_be(spoil, tmp_path):
    spoil(tmp_path / "a.nir")
    with pytest.raises(
        ValueError, match=r"^from_nir: expected '.*a.nir' to (be a file that nir reads|hold a graph), got"
    ):
        from_nir(tmp_path / "a.nir", "nnx", dt=1.0)


def test_a_path_may_be_text(tmp_path):
    nir.write(tmp_path / "a.nir", of_list(lif()))
    assert from_nir(str(tmp_path / "a.nir"), "nnx", dt=1.0).layers[0].features == N
    with pytest.raises(ValueError, match=r"expected graph to be the path of a file, got '.*b.nir': not a file"):
        from_nir(str(tmp_path / "b.nir"), "nnx", dt=1.0)


def test_reading_changes_nothing():
    graph = round_about(lif())
    before = {name: node.to_dict() for name, node in graph.nodes.items()}
    net = from_nir(graph, "nnx", dt=1.0)
    assert graph.edges == [("input", "first"), ("first", "rnn"), ("rnn", "output")]
    assert str({name: node.to_dict() for name, node in graph.nodes.items()}) == str(before)
    again = to_nir(net, (N,), dt=1.0)
    xs = inputs((N,))
    np.testing.assert_array_equal(outputs_of(from_nir(again, "nnx", dt=1.0), xs), outputs_of(net, xs))


def test_weights_of_float64_are_of_the_dtype_that_jax_has():
    net = from_nir(of_list(nir.Linear(W)), "nnx", dt=1.0)
    assert net.layers[0].kernel[...].dtype == jnp.float32
    np.testing.assert_array_equal(net.layers[0].kernel[...], W.T.astype(np.float32))
    assert bs.nnx.SpikingSequential is type(net)
