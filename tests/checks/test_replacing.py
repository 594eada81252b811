"""Tools put their functions in the place of brainsurr's while they run: no longer, and for nobody else."""

import ast
import threading
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from asked import XS

import brainsurr as bs
from brainsurr import _kernel
from brainsurr._gradients.smooth import Smooth, smooth
from brainsurr._replacing import replaced

F, X = bs.Sigmoid(4.0), jnp.array([-1.0, 0.5])
FOLDER = Path(bs.__file__).parent


def test_what_runs_knows_of_no_tool():
    """Neither a spike, nor a neuron, nor a loop over time, nor the modules of the frameworks but for their reports."""
    flow = [*FOLDER.glob("_*.py"), *FOLDER.glob("neurons/*.py"), *FOLDER.glob("_time/*.py"), *FOLDER.glob("*/_l*.py")]
    tools = {"_gradients", "_diagnosis", "_operations", "_replacing", "replaced", "diagnose", "check_gradients"}
    for path in flow:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and path.name not in ("__init__.py", "_replacing.py"):
                names = {*(node.module or "").split("."), *(alias.name for alias in node.names)}
                assert not names & tools, path


def functions():
    return {id(value) for module in (_kernel, bs.neurons._neuron) for value in vars(module).values()}


def test_all_is_as_before_when_a_tool_is_done():
    before = functions()
    with jax.enable_x64(True), smooth(Smooth()):
        assert functions() != before
        assert F(X)[0] == pytest.approx(float(F.surrogate_fun(X)[0]), rel=1e-6)
    assert functions() == before
    with pytest.raises(ZeroDivisionError), smooth(Smooth()):
        _ = 1 / 0
    assert functions() == before
    bs.check_gradients({"w": X}, lambda p: jnp.sum(F(p["w"])))
    bs.diagnose({"f": F}, lambda fs: jnp.sum(fs["f"](X)), mask=None)
    assert functions() == before
    assert set(F(X).tolist()) == {0.0, 1.0}


def test_another_thread_is_let_be():
    seen = []
    with smooth(Smooth()):
        thread = threading.Thread(target=lambda: seen.extend(F(X).tolist()))
        thread.start()
        thread.join()
    assert seen == [0.0, 1.0]


def test_two_threads_at_once():
    """The one that ends first leaves the other its own, and the last one leaves all as it was."""
    before = functions()
    inside, outside, seen = threading.Event(), threading.Event(), []

    def run():
        with jax.enable_x64(True), smooth(Smooth()):
            inside.set()
            outside.wait(10)
            seen.extend(F(X).tolist())

    thread = threading.Thread(target=run)
    with smooth(Smooth()):
        thread.start()
        inside.wait(10)
    assert set(F(X).tolist()) == {0.0, 1.0}
    outside.set()
    thread.join()
    assert not set(seen) & {0.0, 1.0}
    assert functions() == before


def test_what_is_inside_goes_before_and_comes_back():
    def add(n):
        return lambda spike_of, x, surrogate, key: spike_of(x, surrogate, key) + n

    with replaced({_kernel.spike_of: add(10)}):
        original = _kernel.spike_of.__wrapped__
        with replaced({original: add(20)}):
            assert F(X).tolist() == [20.0, 21.0]
        assert F(X).tolist() == [10.0, 11.0]
    assert _kernel.spike_of is original


def test_a_neuron_alone_in_a_check_and_in_a_diagnosis():
    neuron = bs.neurons.LIF(decay=0.9, spike_fn=F)

    def loss(p):
        neuron = bs.neurons.LIF(decay=p["decay"], spike_fn=F)
        return jnp.mean(neuron(neuron.initial_state(XS[0]), XS)[1])

    assert bs.check_gradients({"decay": jnp.float32(0.9)}, loss).fine
    half = bs.diagnose(
        {"n": neuron}, lambda fs: jnp.sum(fs["n"](neuron.initial_state(XS[0]), XS)[1]), mask=jnp.ones(XS.shape[:2])
    )
    assert half["n"].rate >= 0
