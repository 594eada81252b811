"""The compiled product: compiled once for a processor, kept on disk, and made known to XLA."""

import contextlib
import ctypes
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

TARGET = "brainsurr_product"
_NAME = "brainsurr_answer"
_lock = threading.Lock()
_loaded: list[Any] = []  # what holds the machine code


def why_not() -> str:
    """Make the compiled product known to XLA, once; return why that is not possible, or an empty string."""
    with _lock:  # programs may be compiled in several threads
        return _tried()


def is_known() -> bool:
    """Return whether XLA knows the compiled product; warn if not, once a process."""
    if reason := why_not():
        _warn(reason)
    return not reason


@functools.cache
def _warn(reason: str):
    warnings.warn(f"events: all products are dense, since {reason}", UserWarning, stacklevel=3)


@functools.cache
def _tried() -> str:
    try:
        address = _load(_object_file())
        jax.ffi.register_ffi_target(TARGET, _capsule(address))
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name in ("numba", "llvmlite"):
            return 'numba is not installed: pip install ".[events]" in a clone'
        return f"the compiled product can't be had: {type(error).__name__}: {error}"
    return ""


def _object_file() -> bytes:
    """Return the object file for this processor, from the first folder that has it; else compile it and keep it."""
    from llvmlite import binding

    source = [Path(__file__).with_name(name).read_bytes() for name in ("_kernels.py", "_llvm.py")]
    versions = [importlib.metadata.version(name) for name in ("numba", "llvmlite")]
    machine = binding.get_process_triple(), binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()
    key = hashlib.sha256(repr((source, versions, machine)).encode()).hexdigest()[:24]
    files = [folder / f"events-{key}.o" for folder in _folders()]
    for file in files:
        with contextlib.suppress(OSError):
            digest, code = (kept := file.read_bytes())[:32], kept[32:]
            if hashlib.sha256(code).digest() == digest:
                return code
    from ._kernels import compiled

    code = compiled(_NAME)
    for file in files:
        with contextlib.suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=file.parent) as folder:
                (new := Path(folder, file.name)).write_bytes(hashlib.sha256(code).digest() + code)
                os.chmod(new, 0o644)  # others may use an installed package too
                os.replace(new, file)  # at once: another process may do the same, or be killed on the way
            break
    return code


def _folders() -> list[Path]:
    """Return where the object file may be: beside the compiled files of Python, or in the user's cache."""
    folders = [Path(__file__).parent / "__pycache__"]
    with contextlib.suppress(RuntimeError):  # a user without a home
        folders.append(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "brainsurr")
    return folders


def _load(code: bytes) -> int:
    """Return the address of the function in an object file."""
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_default_triple().create_target_machine(jit=True)
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), machine)
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _loaded.append(engine)
    if not (address := engine.get_function_address(_NAME)):
        raise RuntimeError("the object file does not have its function")
    return address


def _capsule(address: int):
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p] * 3
    return new(address, None, None)
