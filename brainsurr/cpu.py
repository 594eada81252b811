"""Train on every core of a CPU: a device of jax for each core, and pages that the process keeps; needs jax alone."""

import ctypes
import os
import re
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from ._checks import is_integer

__all__ = ["split", "use_all_cores"]

_FLAG = re.compile(r"--xla_force_host_platform_device_count=(\d+)")
# Of <malloc.h>: name, number, value. Memory from mmap goes back with each array, and so does the top of a heap; a
# thread's own heap is too small for large arrays, which then come from mmap all the same.
_MALLOPT = (("M_MMAP_MAX", -4, 0), ("M_TRIM_THRESHOLD", -1, -1), ("M_ARENA_MAX", -8, 1))


def use_all_cores(batch: int | None = None, *, keep_pages: bool = True) -> str:
    r"""Give jax a CPU device for each core, and keep the memory that it frees. Call it before jax starts.

    XLA runs a loop over time on one thread. With a device for each core, and the batch cut among them by
    :func:`split`, each core runs the loop of its own part. And XLA allocates the temporaries of a program anew at each
    call, for which the system must clear every page again, unless the process keeps them. When this pays, and what it
    costs, is in docs/fast-on-a-cpu.md.

    It sets ``jax_num_cpu_devices`` of jax's configuration; a number of devices that you set, there or in ``XLA_FLAGS``,
    stays. It keeps pages by ``mallopt`` of glibc: no large array comes from ``mmap``, no memory goes back to the system
    until the process ends, and all threads share one heap. Other C libraries have no such switch; the answer says so.

    Args:
      batch: how many examples are to be cut among the devices. If there are more cores, or they can't share it equally,
        the largest number of devices that can; None, one for each core.
      keep_pages: False leaves the allocator as it is.

    Returns:
      What was done, a sentence to be printed.

    Raises:
      RuntimeError: jax has started: it has made an array, or listed its devices.
      TypeError: ``batch`` is not an integer.
      ValueError: ``batch`` is below 1.

    Example:
      >>> from brainsurr import cpu
      >>> print(cpu.use_all_cores(batch=256))  # doctest: +SKIP
      2 CPU devices, one for each core; pages are kept
    """
    if batch is not None and not is_integer(batch):
        raise TypeError(f"use_all_cores: expected batch to be an integer or None, got {batch!r}")
    if batch is not None and batch < 1:
        raise ValueError(f"use_all_cores: expected batch to be at least 1, got {batch}")
    given, cores = _given_devices(), _cores()
    devices = given or max(n for n in range(1, cores + 1) if (batch or cores) % n == 0)
    try:
        for number in (devices + 1, devices):  # jax refuses a change alone
            jax.config.update("jax_num_cpu_devices", number)
    except RuntimeError as error:
        raise RuntimeError("use_all_cores: jax has started: call it before anything makes an array") from error
    said = f"{devices} CPU device{'s' * (devices > 1)}"
    fewer = f" on {cores} cores, for a batch of {batch}"
    said += ", as was set before" if given else ", one for each core" if devices == cores else fewer
    return f"{said}; {_keep_pages() if keep_pages else 'the allocator is as it was'}"


def split(tree, axis: int | None = 0):
    """Cut arrays along their batch axis, a part for each device of jax; or copy them to each.

    What ``jax.jit`` computes of them runs on all devices; with one device, nothing changes. The numbers are those of
    one device, but for rounding: sums over the batch are added up in another order.

    Args:
      tree: an array, or a tree of arrays.
      axis: that of the examples, 1 in ``[time, batch, features]``; None copies: parameters, the optimiser's state, and
        what was restored from a checkpoint.

    Returns:
      The arrays, placed.

    Raises:
      ValueError: an array has no such axis, or the devices can't share it equally.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr import cpu
      >>> cpu.split(jnp.zeros((100, 32, 700)), axis=1).shape
      (100, 32, 700)
    """
    mesh = jax.make_mesh((jax.device_count(),), ("batch",), (AxisType.Auto,))
    if axis is None:
        return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))
    for x in jax.tree.leaves(tree):
        _check_shared(np.shape(x), axis, mesh.size)
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec(*[None] * axis, "batch")))


def _check_shared(shape: tuple[int, ...], axis: int, devices: int):
    if not is_integer(axis) or not 0 <= axis < len(shape):
        raise ValueError(f"split: expected an axis of an array of shape {shape}, got axis={axis!r}")
    fewer = shape[axis] // devices * devices
    if shape[axis] > fewer:
        sizes = f"{fewer} or {fewer + devices}" if fewer else f"{devices}"
        raise ValueError(
            f"split: expected a batch that {devices} devices can share equally, got {shape[axis]}: take {sizes}"
        )


def _given_devices() -> int:
    """Return the number of CPU devices that was asked for, 0 if none was."""
    *_, flag = ["0", *_FLAG.findall(os.environ.get("XLA_FLAGS", ""))]
    config: Any = jax.config  # whose type has no such option in every jax
    return max(0, config.jax_num_cpu_devices) or int(flag)


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _keep_pages() -> str:
    """Make malloc keep what is freed; return what was done."""
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018, an AttributeError in other libraries
        others = [name for name in ("mallctl", "MallocExtension_ReleaseFreeMemory", "mi_malloc") if hasattr(libc, name)]
    except (AttributeError, OSError, TypeError):
        return "pages are not kept: the C library is not glibc"
    if others:
        return f"pages are not kept: another allocator than glibc's is loaded, which has {others[0]}"
    refused = [name for name, option, value in _MALLOPT if not libc.mallopt(option, value)]
    return f"pages are not kept: glibc refused {', '.join(refused)}" if refused else "pages are kept"
