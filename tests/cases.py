"""The cases that a test is run for: settings, dtypes and libraries; a few in `make test`, others in `make test-all`."""

import functools
import os
import subprocess
import sys
from itertools import product

import jax
import jax.numpy as jnp
import pytest

programs: list[str] = []  # grows with each program that jax compiles
jax.monitoring.register_event_duration_secs_listener(
    lambda event, *_, **__: programs.append(event) if "backend_compile" in event else None
)


def each_value_once(*axes):
    """Return all combinations; mark as exhaustive those not needed to cover each value once.

    The needed ones are all first values, all second values, and so on. Shorter axes repeat cyclically.
    """
    quick = {tuple(i % len(axis) for axis in axes) for i in range(max(map(len, axes)))}
    places = product(*(range(len(axis)) for axis in axes))
    return [_chosen(axes, place, () if place in quick else [pytest.mark.exhaustive]) for place in places]


def _chosen(axes, place, marks):
    """Return the values at a place, with the marks that they have and those given."""
    values = [axis[i] for axis, i in zip(axes, place, strict=True)]
    values = [value if isinstance(value, type(pytest.param())) else pytest.param(value) for value in values]
    marks = [*marks, *(mark for value in values for mark in value.marks)]
    return pytest.param(*(value.values[0] for value in values), marks=marks)


def first_quick(values):
    """Return the values; mark all but the first as slow: frameworks, or settings, that run the same code of ours."""
    first, *others = values
    return [first, *all_but([], others, pytest.mark.slow)]


def all_but(quick, values, mark=pytest.mark.exhaustive):
    """Return the values; mark all but the quick ones."""
    return [value if value in quick else _chosen([[value]], [0], [mark]) for value in values]


def label(value):
    """Return the id of a framework, a function, a dtype or options in a test; None leaves it to pytest."""
    return str(value) if isinstance(value, dict | list) else getattr(value, "name", getattr(value, "__name__", None))


@functools.cache
def why_no_float16() -> str:
    """The reason, or nothing: jaxlib has no conversion to float16 for x86 processors without AVX."""
    try:
        jax.jit(lambda x: x.astype(jnp.float16))(jnp.ones(2))
    except jax.errors.JaxRuntimeError as error:
        return f"no float16 on this processor: {str(error).splitlines()[0]}"
    return ""


needs_float16 = pytest.mark.skipif(bool(why_no_float16()), reason=why_no_float16())
FLOAT16 = pytest.param(jnp.float16, marks=needs_float16)
HALF = [FLOAT16, jnp.bfloat16]
FLOATS = [*HALF, jnp.float32]


def python(code, *args) -> str:
    """Return what a program prints in a process of its own."""
    run = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    return run.stdout


INSTALLED = ("jaxpike", "brainpy")  # of the libraries in the table of other libraries


def needs(library):
    """A library; where it is missing the test is skipped at home and fails in CI."""
    return __import__(library) if os.environ.get("CI") == "true" else pytest.importorskip(library)


def with_library(keys):
    """Run a test for each ``library.name`` with that library, in every run if it is installed, else among the peers."""
    params = [pytest.param(key, marks=() if key.startswith(INSTALLED) else pytest.mark.peers) for key in keys]

    def decorate(test):
        for mark in (pytest.mark.usefixtures("lenient"), pytest.mark.filterwarnings("ignore")):  # they are not clean
            test = mark(test)
        return pytest.mark.parametrize("key", params)(test)

    return decorate
