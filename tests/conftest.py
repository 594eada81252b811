"""The strictest jax there is: what is clean here runs under any setting of a user."""

import gc
import itertools

import before_jax
import jax
import pytest
from filelock import FileLock

tests_run = itertools.count(1)
gc.set_threshold(200_000)  # collecting more often takes a tenth of the time, on what jax has traced and keeps
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_sessionfinish():
    """Collect garbage once, to find what is left open; pytest would collect five times, and Python once more."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def optimizations(request):
    """Leave out most of LLVM's optimizations, except in modules marked `numbers`, to save compile time."""
    left_out = request.node.get_closest_marker("numbers") is None
    if jax.config.read("jax_disable_most_optimizations") != left_out:
        jax.config.update("jax_disable_most_optimizations", left_out)
        jax.clear_caches()


def pytest_collection_modifyitems(items):
    """Run the modules marked `numbers` first: between them and others, what was compiled is forgotten."""
    items.sort(key=lambda item: item.get_closest_marker("numbers") is None)


def pytest_runtest_teardown(item):
    """Forget what was compiled, now and then: before 0.12, jax takes longer the more it has kept."""
    if jax.__version_info__ < (0, 12) and next(tests_run) % 100 == 0:
        jax.clear_caches()


@pytest.fixture
def lenient():
    """The default promotion rules, for code of other libraries that needs them (optax.adam, flax's Linear)."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture(scope="session")
def environment():
    """For the processes that tests start."""
    return before_jax.of_a_user()


@pytest.fixture(scope="session")
def unoptimized(environment):
    """For processes that take longer to compile than to compute."""
    return environment | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}


@pytest.fixture(scope="session")
def once(tmp_path_factory, worker_id):
    """``once(name, fill)`` gives the folder that ``fill(folder)`` filled, in one worker for all."""
    base = tmp_path_factory.getbasetemp()

    def filled(name, fill):
        folder = (base if worker_id == "master" else base.parent) / name
        with FileLock(folder.with_suffix(".lock")):
            if not folder.exists():
                folder.mkdir()
                fill(folder)
        return folder

    return filled
