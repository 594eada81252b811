"""What a user's neuron reads from outside is read again in each call, new jit and new layer."""

import dataclasses
import os
import subprocess
import sys
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import brainsurr as bs
from brainsurr.initializers import fluctuation_driven
from brainsurr.neurons import LIF, Neuron
from brainsurr.nnx import layer

XS = jnp.full((4, 3), 0.75)
GAIN = 1.0


@dataclasses.dataclass
class Own(Neuron):
    gain: ClassVar[float] = 1.0
    array: ClassVar[np.ndarray] = np.ones(1, np.float32)
    rate: Any = 0.5
    spike_fn: Any = bs.Arctan(2.0)

    def initial_state(self, x):
        return jnp.zeros_like(x)

    def step(self, state, x):
        return state, GAIN * self.gain * self.array[0] * self.rate * x


class Child(Own):
    """Its step is that of its parent."""


class Slope(bs.Surrogate):
    def surrogate_grad(self, x):
        return GAIN * jnp.ones_like(x)


def global_value(monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "GAIN", 3.0)


def class_attribute(monkeypatch):
    monkeypatch.setattr(Own, "gain", 3.0)


def entry_of_an_array(monkeypatch):
    monkeypatch.setattr(Own, "array", np.ones(1, np.float32))
    Own.array[0] = 3.0


def method(monkeypatch):
    monkeypatch.setattr(Own, "step", lambda self, state, x: (state, 3 * self.rate * x))


def code_of_the_method(monkeypatch):
    monkeypatch.setattr(Own.step, "__code__", (lambda self, state, x: (state, 3 * self.rate * x)).__code__)


def run(neuron):
    return neuron(neuron.initial_state(XS[0]), XS)[1]


def gradient(neuron):
    return jax.grad(lambda xs: neuron(neuron.initial_state(xs[0]), xs)[1].sum())(XS)


def in_a_layer(neuron):
    own = layer(type(neuron))(3)
    return own(own.initialize_carry((3,)), XS)[1]


def one_step(neuron):
    return neuron.step(XS[0], XS[0])[1]


def in_a_new_jit(neuron):
    return jax.jit(lambda: run(neuron))()


@pytest.mark.parametrize("way", [run, one_step, in_a_new_jit, gradient, in_a_layer])
@pytest.mark.parametrize("change", [global_value, class_attribute, entry_of_an_array, method, code_of_the_method])
def test_a_change_shows_at_once(change, way, monkeypatch):
    before = way(Child())
    change(monkeypatch)
    np.testing.assert_allclose(way(Child()), 3 * before)


def test_a_surrogate_of_ones_own_in_a_neuron_of_brainsurr(monkeypatch):
    for spike_fn in (Slope(), Slope().scaled(width=1.0)):
        neuron = LIF(spike_fn=spike_fn, reset="none")
        before = gradient(neuron)
        with monkeypatch.context() as context:
            global_value(context)
            np.testing.assert_allclose(gradient(neuron), 3 * before, rtol=1e-6)  # sums of four terms


def test_a_method_that_is_put_into_a_neuron_of_brainsurr(monkeypatch):
    before = run(LIF())
    monkeypatch.setattr(LIF, "step", lambda self, state, x: (state, x))
    assert not np.array_equal(run(LIF()), before)


def test_shapes_of_a_state_that_changes(monkeypatch):
    run(Own())
    monkeypatch.setattr(Own, "initial_state", lambda self, x: jnp.zeros((2, *x.shape)))
    assert Own()(Own().initial_state(XS[0]), XS)[0].shape == (2, 3)


def test_first_weights_for_a_neuron_that_changes(monkeypatch):
    @dataclasses.dataclass
    class Leaky(Own):
        def step(self, state, x):
            v = 0.5 * state + GAIN * x
            return v, self.spike_fn(v - 1.0)

    init = fluctuation_driven(Leaky(), rate=0.5)
    before = init(jax.random.key(0), (4, 3))
    global_value(monkeypatch)
    np.testing.assert_allclose(init(jax.random.key(0), (4, 3)), before / 3, rtol=1e-6)


RELOADED = """
import os, pathlib, sys, time
from IPython.core.interactiveshell import InteractiveShell

path = pathlib.Path("own_neuron.py")
shell = InteractiveShell()

def cell(code):
    result = shell.run_cell(code)
    result.raise_error()
    return result.result

sys.path.insert(0, ".")
cell("%load_ext autoreload")
cell("%autoreload 2")
cell("import jax.numpy as jnp; from own_neuron import Own; from brainsurr.nnx import layer")
cell("old, xs = Own(), jnp.ones((3, 2))")
runs = "[old.step(xs[0], xs[0]), *(n(xs[0], xs) for n in (old, Own(), layer(Own)(2)))]"
outputs = f"[ys.ravel()[0].tolist() for _, ys in {runs}]"
assert cell(outputs) == [2.0] * 4
path.write_text(path.read_text().replace("2.0 * x", "jnp.square(3.0 * x)"))
os.utime(path, (time.time() + 10,) * 2)
assert cell(outputs) == [9.0] * 4
"""


def test_a_notebook_reloads_a_neuron(tmp_path):
    (tmp_path / "own_neuron.py").write_text(
        "import dataclasses\nimport jax.numpy as jnp\nfrom brainsurr.neurons import Neuron\n"
        "@dataclasses.dataclass\nclass Own(Neuron):\n"
        "    def initial_state(self, x):\n        return jnp.zeros_like(x)\n\n"
        "    def step(self, state, x):\n        return state, 2.0 * x\n"
    )
    environment = os.environ | {"IPYTHONDIR": str(tmp_path / "ipython")}
    done = subprocess.run(
        [sys.executable, "-c", RELOADED], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
