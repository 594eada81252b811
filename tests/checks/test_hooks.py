"""Tools override hooks while they run, in their own context alone."""

import threading

import jax
import jax.numpy as jnp
import pytest
from asked import XS

import brainsurr as bs
from brainsurr import _kernel
from brainsurr._gradients.smooth import Smooth, smooth
from brainsurr._hooks import overriding

F, X = bs.Sigmoid(4.0), jnp.array([-1.0, 0.5])


def test_an_override_ends_with_its_block_or_an_error():
    with jax.enable_x64(True), smooth(Smooth()):
        assert F(X)[0] == pytest.approx(float(F.surrogate_fun(X)[0]), rel=1e-6)
    with pytest.raises(ZeroDivisionError), smooth(Smooth()):
        _ = 1 / 0
    assert F(X).tolist() == [0.0, 1.0]


def test_another_thread_is_not_affected():
    seen = []
    with smooth(Smooth()):
        thread = threading.Thread(target=lambda: seen.extend(F(X).tolist()))
        thread.start()
        thread.join()
    assert seen == [0.0, 1.0]


def test_the_innermost_override_is_called():
    def add(n):
        return lambda spike_of, x, surrogate, key: spike_of(x, surrogate, key) + n

    with overriding({_kernel.spike_of: add(10)}):
        with overriding({_kernel.spike_of: add(20)}):
            assert F(X).tolist() == [20.0, 21.0]
        assert F(X).tolist() == [10.0, 11.0]


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
