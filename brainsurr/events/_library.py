"""The object file with the FFI handler: compiled once per processor, stored on disk, and registered with XLA."""

import contextlib
import functools
import hashlib
import importlib.metadata
import os
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any

import jax

from .._extras import needs

TARGET = "brainsurr_product"
_NAME = "brainsurr_handler"
_lock = threading.Lock()
_loaded: list[Any] = []  # LLVM engines, which own the machine code


def why_not() -> str:
    """Register the handler with XLA, once. Return why this is not possible, or an empty string on success."""
    with _lock:  # threads may compile programs at the same time
        return _tried()


def is_known() -> bool:
    """Return whether the handler is registered with XLA; otherwise warn, once per process."""
    if reason := why_not():  # by default, Python shows the same warning only once
        warnings.warn(f"events: all products are dense, since {reason}", UserWarning, stacklevel=2)
    return not reason


@functools.cache
def _tried() -> str:
    try:
        jax.ffi.register_ffi_target(TARGET, jax.ffi.pycapsule(_load(_object_file())))
    except Exception as error:
        return f"the handler can't be loaded: {type(error).__name__}: {error}"
    return ""


def _object_file() -> bytes:
    """Return the object file for this processor from the first folder that contains it, or compile and store it."""
    with needs("events"):
        from llvmlite import binding

        versions = [importlib.metadata.version(name) for name in ("numba", "llvmlite")]
    source = [Path(__file__).with_name(name).read_bytes() for name in ("_handler.py", "_kernels.py", "_llvm.py")]
    machine = binding.get_process_triple(), binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()
    key = hashlib.sha256(repr((source, versions, machine)).encode()).hexdigest()[:24]
    files = [folder / f"events-{key}.o" for folder in _folders()]
    for file in files:
        with contextlib.suppress(OSError):
            digest, code = (kept := file.read_bytes())[:32], kept[32:]
            if hashlib.sha256(code).digest() == digest:
                return code
    from . import _handler, _llvm

    code = _llvm.compiled(_handler.handle, _NAME)
    for file in files:
        with contextlib.suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=file.parent) as folder:
                (new := Path(folder, file.name)).write_bytes(hashlib.sha256(code).digest() + code)
                os.replace(new, file)  # atomic, since another process may write at the same time or be killed
            break
    return code


def _folders() -> list[Path]:
    """Return the folders for the object file: next to Python's compiled files, and the user's cache."""
    folders = [Path(__file__).parent / "__pycache__"]
    with contextlib.suppress(RuntimeError):  # a user without a home directory
        folders.append(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "brainsurr")
    return folders


def _load(code: bytes) -> int:
    """Load an object file, and return the address of the handler."""
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_default_triple().create_target_machine(jit=True)
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), machine)
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _loaded.append(engine)
    return engine.get_function_address(_NAME)
