"""Every core of a CPU: what `use_all_cores` sets and keeps, and a batch that its devices share."""

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from close import assert_close
from pages import DOCS, blocks, run

from brainsurr import cpu

PROGRAMS = blocks(DOCS / "every-core.md")
ROUNDED = 20 * 64 * (32 + 64)  # additions in a sum of the page's train step: over time, batch and inputs
# Faults of a program with temporaries of 64 MB, and what came before it, as JSON.
CODE = """
import json, resource, sys
from brainsurr import cpu
said, raised = cpu.use_all_cores(**json.loads(sys.argv[1])), ""
import jax, jax.numpy as jnp
call = jax.jit(lambda x: jax.lax.cumsum(jnp.sin(jnp.full((2**23, 2), x))).max())
for i in range(5):  # until the heap is as large as it gets
    call(0.5).block_until_ready()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for i in range(5):
    call(0.5).block_until_ready()
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
try:
    cpu.use_all_cores()
except RuntimeError as error:
    raised = str(error)
print(json.dumps([said, jax.device_count(), faults, raised]))
"""


@pytest.fixture
def process(environment):
    pytest.importorskip("resource", reason="not on Windows")

    def run(environ=(), **arguments):
        environ = environment | {"JAX_PLATFORMS": "cpu"} | dict(environ)
        command = [sys.executable, "-c", CODE, json.dumps(arguments)]
        return json.loads(subprocess.run(command, env=environ, capture_output=True, check=True).stdout)

    return run


@pytest.mark.slow
def test_a_device_for_each_core_and_pages_that_stay(process):
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    said, devices, kept, raised = process()
    assert devices == cores
    assert said.startswith(f"{cores} CPU device")
    assert "jax has started" in raised
    said_of_one, one, given_back, _ = process(batch=1, keep_pages=False)
    assert one == 1
    assert said_of_one.endswith("the allocator is unchanged")
    if said.endswith("; pages are kept"):
        assert kept < given_back / 2  # the heap may still grow once, by what a call takes
    else:
        assert "; pages are not kept: " in said


@pytest.mark.slow
@pytest.mark.parametrize("name", ["XLA_FLAGS", "JAX_NUM_CPU_DEVICES"])
def test_a_number_of_devices_that_was_set_stays(process, environment, name):
    flags = environment["XLA_FLAGS"]
    environ = {"XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count=3"}
    said, devices, *_ = process(environ if name == "XLA_FLAGS" else {name: "3"}, batch=4)
    assert devices == 3
    assert said.startswith("3 CPU devices")


def test_parts_are_of_the_batch_and_copies_are_whole():
    xs, copy = cpu.split(np.zeros((3, 16)), axis=1), cpu.split(jnp.zeros(5), axis=None)
    assert {part.data.shape for part in xs.addressable_shards} == {(3, 2)}
    assert {part.data.shape for part in copy.addressable_shards} == {(5,)}
    assert len(xs.addressable_shards) == len(copy.addressable_shards) == 8


@pytest.fixture
def devices(monkeypatch):
    def have(count):
        monkeypatch.setattr(jax, "device_count", lambda: count)

    monkeypatch.setattr(cpu, "use_all_cores", lambda **how: "jax has started")
    return have


@pytest.mark.slow
def test_the_page_trains_alike_on_any_number_of_devices(devices, lenient):
    """But for rounding, which may carry a spike across the threshold in later steps."""
    found = []
    for count in (1, 2, 4):
        devices(count)
        scope = run(*PROGRAMS)
        found.append([scope[name] for name in ("losses", "brainstate_losses", "mapped_losses")])
    first, *others = np.array(found)
    assert np.all(first[:, -1] < first[:, 0])
    for other in others:
        assert_close(other[:, 0], first[:, 0], ROUNDED, dtype=jnp.float32)
        np.testing.assert_allclose(other, first, rtol=0.02)
