"""The FFI handler: XLA calls it to run the loops, and its threads share the work. Needs the extra ``events``.

XLA's C API is defined in jax's header ``xla/ffi/api/c_api.h``. The constants here are its enums, and the offsets of
fields from the start of their structures, in 8-byte words. Every structure begins with its size in bytes.
"""

from .._extras import needs

with needs("events"):
    from . import _kernels, _llvm
    from ._llvm import fetch_add, inlined, load_int, on_stack, store_int

CALL_FRAME_EXTENSION_START, CALL_FRAME_API, CALL_FRAME_CTX, CALL_FRAME_STAGE = 1, 2, 3, 4
CALL_FRAME_ARGS, CALL_FRAME_RETS, CALL_FRAME_ATTRS = 5, 10, 15  # structures nested in the call frame
ARGS_ARGS = RETS_RETS = 4
ATTRS_ATTRS, BUFFER_DATA, ARRAY_DATA = 5, 3, 2
API_VERSION, API_ERROR_CREATE, API_THREAD_POOL_SCHEDULE = 4, 6, 17
EXTENSION_TYPE, EXTENSION_METADATA, METADATA_VERSION = 1, 3, 3
STAGE_EXECUTE, EXTENSION_IS_METADATA, ERROR_INTERNAL = 3, 1, 13
CALL_FRAME_BYTES, ARGS_BYTES, RETS_BYTES, ATTRS_BYTES, BUFFER_BYTES = 168, 40, 40, 48, 48
ERROR_CREATE_BYTES, SCHEDULE_BYTES = 28, 40
_SMALL = 2**16  # below this many inputs, one thread finishes before a second one would start

_UNKNOWN = _llvm.text_address("brainsurr.events: the structures of this XLA version have an unexpected layout")
_NO_MEMORY = _llvm.text_address("brainsurr.events: out of memory")


@inlined
def _call_xla_api(frame, function, arguments):
    return _llvm.call_c(load_int(load_int(frame, CALL_FRAME_API), function), arguments)


@inlined
def _error(frame, message):
    return _call_xla_api(frame, API_ERROR_CREATE, on_stack(ERROR_CREATE_BYTES, 0, message, ERROR_INTERNAL, 0))


@inlined
def _release(job):
    """Decrement the number of threads that use a job; the last thread frees it."""
    if fetch_add(job, _kernels.USERS, -1) == 1:
        _llvm.free(job)
    return 0


def _run_parts(job):
    """Run the parts of a job that no other thread has started."""
    part = fetch_add(job, _kernels.NEXT, 1)
    while part < load_int(job, _kernels.PARTS):
        if not _kernels.run_part(job, part):
            store_int(job, _kernels.FAILED, 1)
        fetch_add(job, _kernels.DONE, 1)
        part = fetch_add(job, _kernels.NEXT, 1)
    return _release(job)


_run_parts_here = inlined(_run_parts)
_task = _llvm.as_c_function(_run_parts, "brainsurr_task", "internal")


@inlined
def _run_on_threads(frame, job, threads):
    """Run a job on this thread and XLA's threads, ``threads`` in total; return 1, or 0 if out of memory."""
    # Each part of a transposed product reads all of g, so it is split into fewer parts.
    parts = threads if threads == 1 or load_int(job, _kernels.TRANSPOSED) else 2 * threads
    store_int(job, _kernels.PARTS, parts)
    store_int(job, _kernels.USERS, threads + 1)
    for _ in range(threads - 1):
        arguments = on_stack(SCHEDULE_BYTES, 0, load_int(frame, CALL_FRAME_CTX), _task(), job)
        if _call_xla_api(frame, API_THREAD_POOL_SCHEDULE, arguments):
            _release(job)
    _run_parts_here(job)
    while fetch_add(job, _kernels.DONE, 0) < parts:
        pass
    succeeded = 1 - load_int(job, _kernels.FAILED)
    _release(job)  # not freed here, since a scheduled task may not have started yet
    return succeeded


@inlined
def _buffer(frame, arrays, i):
    return load_int(load_int(frame, arrays + ARGS_ARGS), i)


@inlined
def _has_known_layout(frame):
    """Return whether the structures in a call frame have the expected sizes, and so the expected layout."""
    if load_int(frame, 0) < CALL_FRAME_BYTES or load_int(frame, CALL_FRAME_ARGS) != ARGS_BYTES:
        return 0
    if load_int(frame, CALL_FRAME_RETS) != RETS_BYTES or load_int(frame, CALL_FRAME_ATTRS) != ATTRS_BYTES:
        return 0
    x, w, y = _buffer(frame, CALL_FRAME_ARGS, 0), _buffer(frame, CALL_FRAME_ARGS, 1), _buffer(frame, CALL_FRAME_RETS, 0)
    return min(load_int(x, 0), load_int(w, 0), load_int(y, 0)) >= BUFFER_BYTES


def handle(frame):
    """Handle a call, given the address of its ``XLA_FFI_CallFrame``; return the address of an error, or 0."""
    extension = load_int(frame, CALL_FRAME_EXTENSION_START)
    if extension and (load_int(extension, EXTENSION_TYPE) & 0xFFFFFFFF) == EXTENSION_IS_METADATA:
        # XLA is registering the handler and requests its API version.
        version = load_int(load_int(frame, CALL_FRAME_API), API_VERSION)
        store_int(load_int(extension, EXTENSION_METADATA), METADATA_VERSION, version)
        return 0
    if (load_int(frame, CALL_FRAME_STAGE) & 0xFFFFFFFF) != STAGE_EXECUTE:
        return 0
    if not _has_known_layout(frame):
        return _error(frame, _UNKNOWN())
    job = _llvm.malloc(8 * _kernels.END)
    if job == 0:
        return _error(frame, _NO_MEMORY())
    for i in range(_kernels.SIZES):
        store_int(job, i, 0)
    store_int(job, _kernels.X, load_int(_buffer(frame, CALL_FRAME_ARGS, 0), BUFFER_DATA))
    store_int(job, _kernels.W, load_int(_buffer(frame, CALL_FRAME_ARGS, 1), BUFFER_DATA))
    store_int(job, _kernels.Y, load_int(_buffer(frame, CALL_FRAME_RETS, 0), BUFFER_DATA))
    sizes = load_int(load_int(load_int(frame, CALL_FRAME_ATTRS + ATTRS_ATTRS), 0), ARRAY_DATA)
    for i in range(_kernels.END - _kernels.SIZES):
        store_int(job, _kernels.SIZES + i, load_int(sizes, i))
    rows, columns, _ = _kernels.matrix_of(job)
    threads = load_int(job, _kernels.THREADS) if rows * columns >= _SMALL else 1
    return 0 if _run_on_threads(frame, job, threads) else _error(frame, _NO_MEMORY())
