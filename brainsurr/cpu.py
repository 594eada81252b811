"""Train on all cores of a CPU, with one JAX device per core and an allocator that retains freed memory."""

import ctypes
import os
import re
from typing import Any

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from ._checks import check_positive_integer

__all__ = ["split", "use_all_cores"]

_FLAG = re.compile(r"--xla_force_host_platform_device_count=(\d+)")
# Options of <malloc.h>: name, number, value. By default, glibc returns the memory of large arrays and the top of the
# heap to the system. The heap of another thread is too small for large arrays, which would use mmap again.
_MALLOPT = (("M_MMAP_MAX", -4, 0), ("M_TRIM_THRESHOLD", -1, -1), ("M_ARENA_MAX", -8, 1))


def use_all_cores(batch: int | None = None, *, keep_pages: bool = True) -> str:
    r"""Give JAX one CPU device per core, and let the process retain the memory it frees. Call this before JAX starts.

    XLA runs a loop over time on one thread. With one device per core and the batch split among them by :func:`split`,
    each core runs the loop for its part of the batch. XLA also allocates temporary arrays anew in each call, and the
    operating system must clear every memory page again, unless the process retains the memory.
    docs/every-core.md explains when this helps and what it costs.

    The function sets ``jax_num_cpu_devices`` in JAX's configuration, unless you set the number of devices there or in
    ``XLA_FLAGS``. It calls glibc's ``mallopt``, so that large arrays do not use ``mmap``, memory returns to the system
    only when the process ends, and all threads share one heap. Other C libraries lack this option; the returned
    sentence then says so.

    Args:
      batch: the number of examples to split among the devices. The number of devices is the largest one, up to the
        number of cores, that divides ``batch``. If None, there is one device per core.
      keep_pages: If True, the process retains freed memory. If False, the allocator is unchanged.

    Returns:
      A sentence to print that describes the changes.

    Raises:
      RuntimeError: JAX has already started, because it has created an array or listed its devices.
      ValueError: ``batch`` is not a positive integer.

    Example:
      >>> from brainsurr import cpu
      >>> print(cpu.use_all_cores(batch=256))  # doctest: +SKIP
      2 CPU devices on 2 cores; pages are kept
    """
    if batch is not None:
        check_positive_integer("use_all_cores: batch", batch)
    cores = _cores()
    devices = _given_devices() or max(n for n in range(1, cores + 1) if (batch or cores) % n == 0)
    try:
        for number in (devices + 1, devices):  # jax raises an error only if the number changes
            jax.config.update("jax_num_cpu_devices", number)
    except RuntimeError as error:
        raise RuntimeError("use_all_cores: jax has started; call use_all_cores before you create an array") from error
    memory = _keep_pages() if keep_pages else "the allocator is unchanged"
    return f"{devices} CPU device{'s' * (devices > 1)} on {cores} core{'s' * (cores > 1)}; {memory}"


def split(tree, axis: int | None = 0):
    """Split arrays along their batch axis across all JAX devices, or replicate them on every device.

    A ``jax.jit`` function of these arrays then runs on all devices. With one device, nothing changes. The results equal
    the results on one device up to rounding, since sums over the batch are computed in another order.

    Args:
      tree: an array, or a tree of arrays.
      axis: the batch axis, at least 0, such as 1 for ``[time, batch, features]``. If None, replicate the arrays; use
        this for parameters, optimiser state and restored checkpoints.

    Returns:
      The arrays on their devices.

    Raises:
      ValueError: ``axis`` is negative, an array has no such axis, or the number of devices does not divide its size.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr import cpu
      >>> cpu.split(jnp.zeros((100, 32, 700)), axis=1).shape
      (100, 32, 700)
    """
    if axis is not None and axis < 0:
        raise ValueError(f"split: expected axis to be at least 0, got {axis}")
    mesh = jax.make_mesh((jax.device_count(),), ("batch",), (AxisType.Auto,))
    spec = PartitionSpec() if axis is None else PartitionSpec(*[None] * axis, "batch")
    return jax.device_put(tree, NamedSharding(mesh, spec))


def _given_devices() -> int:
    """Return the number of CPU devices that the user has set, or 0."""
    *_, flag = ["0", *_FLAG.findall(os.environ.get("XLA_FLAGS", ""))]
    config: Any = jax.config  # some versions of jax lack the option in its type
    return max(0, config.jax_num_cpu_devices) or int(flag)


def _cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _keep_pages() -> str:
    """Make malloc retain freed memory; return a phrase that says whether this succeeded."""
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018, an AttributeError in other libraries
        others = [name for name in ("mallctl", "MallocExtension_ReleaseFreeMemory", "mi_malloc") if hasattr(libc, name)]
    except (AttributeError, OSError, TypeError):
        return "pages are not kept: the C library is not glibc"
    if others:
        return f"pages are not kept: an allocator other than glibc's is loaded, which defines {others[0]}"
    refused = [name for name, option, value in _MALLOPT if not libc.mallopt(option, value)]
    return f"pages are not kept: glibc rejected {', '.join(refused)}" if refused else "pages are kept"
