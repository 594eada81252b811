"""What runs: loops, or the dense product."""

import inspect

import jax
import pytest

from brainsurr.events import _product

compiled_for: list[bool | None] = [None]  # what programs of this process have chosen


def forget(chosen=None):
    jax.clear_caches()
    compiled_for[:] = [chosen]


@pytest.fixture(autouse=True)
def chosen(monkeypatch, request):
    """``chosen(loops)`` sets whether loops run in any case, or the dense product; loops at first."""

    def choose(loops):
        monkeypatch.setattr(_product, "CROSSINGS", dict.fromkeys(_product.CROSSINGS, 2.0 if loops else -1.0))
        if compiled_for != [loops]:
            forget(loops)

    choose(True)
    yield choose
    if "monkeypatch" in inspect.signature(request.function).parameters:  # programs have what it patched
        forget()


@pytest.fixture(autouse=True, scope="module")
def leave():
    """Leave no program to tests of other modules."""
    yield
    forget()
