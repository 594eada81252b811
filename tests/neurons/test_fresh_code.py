"""What a user's neuron reads from outside is read again in each call, new jit and new layer."""

import dataclasses
import functools
import inspect
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
from brainsurr.neurons import LIF, Neuron, Recurrent
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


class Dale(Recurrent):
    weights = property(lambda self: GAIN * jnp.asarray(self.kernel))


class Wrapped(LIF):
    @functools.wraps(LIF.step)
    def step(self, state, x):
        return super().step(state, GAIN * x)


class Partial(LIF):
    integrate = functools.partialmethod(lambda self, factor, v, x: GAIN * x, 1.0)


class Sharp(bs.Arctan):
    alpha = property(lambda self: GAIN, lambda self, value: None)


USERS = [
    Dale(LIF(decay=0.5), kernel=-jnp.eye(3)),
    Wrapped(threshold=1.5),
    Partial(threshold=1.5),
    LIF(spike_fn=Sharp()),
    LIF(spike_fn=Slope()),
    LIF(spike_fn=Slope().scaled(width=2.0)),
]


@pytest.mark.parametrize("neuron", USERS, ids=lambda neuron: type(neuron).__name__)
def test_code_of_the_user_is_found_wherever_it_is(neuron, monkeypatch):
    before = run(neuron), gradient(neuron)
    global_value(monkeypatch)
    after = run(neuron), gradient(neuron)
    assert not all(map(np.array_equal, before, after))
    fresh = jax.lax.scan(lambda state, x: neuron.step(state, x), neuron.initial_state(XS[0]), XS)[1]
    np.testing.assert_array_equal(after[0], fresh)


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


def test_methods_look_like_those_of_the_class():
    neuron, f = Own(), Slope()
    for value, name in ((neuron, "step"), (neuron, "initial_state"), (f, "surrogate_grad")):
        method, written = getattr(value, name), vars(type(value))[name]
        assert (method.__name__, method.__doc__) == (written.__name__, written.__doc__)
        assert inspect.getsource(method) == inspect.getsource(written)
        assert written.__code__.co_filename == __file__


BEFORE = """
import dataclasses
import jax.numpy as jnp
import brainsurr as bs

@dataclasses.dataclass
class Own(bs.neurons.Neuron):
    def initial_state(self, x):
        return jnp.zeros_like(x)

    def step(self, state, x):
        return state, 2.0 * x

class Slope(bs.Surrogate):
    def surrogate_grad(self, x):
        return 2.0 * jnp.ones_like(x)
"""
AFTER = (
    BEFORE.replace("2.0 * x", "jnp.square(3.0 * x)").replace("2.0 * jnp", "9.0 * jnp")
    + """
    def __repr__(self):
        return "a slope"

for _ in range(1):  # the reloader executes the whole file
    pass
"""
)
RELOADED = """
import os, pathlib, sys, time
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell()

def cell(code):
    result = shell.run_cell(code)
    result.raise_error()
    return result.result

mode, after = sys.argv[1:]
path = pathlib.Path("own.py")
sys.path.insert(0, ".")
cell("%load_ext autoreload")
cell(f"%autoreload {mode}")
cell("import jax, jax.numpy as jnp; from own import Own, Slope; from brainsurr.nnx import layer")
cell("from brainsurr.neurons import LIF; neuron, f, xs = Own(), Slope(), jnp.ones((3, 2))")
runs = "[neuron.step(xs[0], xs[0]), *(n(xs[0], xs) for n in (neuron, Own(), layer(Own)(2)))]"
slopes = "[f.surrogate_grad(1.0), Slope().surrogate_grad(1.0), jax.grad(f)(1.0)]"
numbers = f"[y.ravel()[0].tolist() for y in [*(ys for _, ys in {runs}), *{slopes}]]"
assert cell(numbers) == [2.0] * 7
path.write_text(after)
os.utime(path, (time.time() + 10,) * 2)
assert cell(numbers) == [9.0] * 7
assert "LIF(" in cell("repr(LIF())")
"""


@pytest.mark.parametrize("mode", ["2", "3"])
def test_a_notebook_reloads_neurons_and_surrogates(mode, tmp_path):
    (tmp_path / "own.py").write_text(BEFORE)
    environment = os.environ | {"IPYTHONDIR": str(tmp_path / "ipython")}
    command = [sys.executable, "-c", RELOADED, mode, AFTER]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
