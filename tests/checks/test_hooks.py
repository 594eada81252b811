"""Tools override hooks while they run, in their own context alone."""

import threading

import jax
import jax.numpy as jnp
import pytest

import brainsurr as bs
from brainsurr import _kernel
from brainsurr._gradients.smooth import smooth
from brainsurr._hooks import overriding

F, X = bs.Sigmoid(4.0), jnp.array([-1.0, 0.5])


def test_an_override_ends_with_its_block_or_an_error():
    with jax.enable_x64(True), smooth():
        assert F(X)[0] == pytest.approx(float(F.surrogate_fun(X)[0]), rel=1e-6)
    with pytest.raises(ZeroDivisionError), smooth():
        _ = 1 / 0
    assert F(X).tolist() == [0.0, 1.0]


def test_another_thread_is_not_affected():
    seen = []
    with smooth():
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
