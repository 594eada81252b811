"""What runs: loops, or the dense product."""

import jax
import pytest

from brainsurr.events import _product


@pytest.fixture(autouse=True)
def chosen(monkeypatch):
    """``chosen(loops)`` sets whether loops run in any case, or the dense product; loops at first."""

    def choose(loops):
        monkeypatch.setattr(_product, "CROSSINGS", dict.fromkeys(_product.CROSSINGS, 2.0 if loops else -1.0))
        jax.clear_caches()  # what is compiled has chosen

    choose(True)
    yield choose
    jax.clear_caches()
