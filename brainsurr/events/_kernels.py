"""Products that pass over what is 0, compiled by numba, and how XLA calls them. Needs the extra ``events``.

A product is that of rows and weights, ``y = x w``, or for the gradient of the weights, ``y = x^T g``. For a block of
rows, the loops list what is not 0, and add up rows of the weights for it. A convolution adds the kernel at each output
that a pixel is part of; the rows of the gradient of a kernel are patches of images, which are never written down.

A job is an array of int64: how far it is, the addresses of the three arrays, and the sizes, which the operation gives
as its attribute. ``_do(job, part)`` does one of its parts; no other part writes where it does. So the parts can run on
all threads of XLA, and the sums do not depend on how many there are.

What it is compiled with is in `_llvm`. By these two files `_library` tells whether what it kept on disk is of them.
"""

from unittest import mock

from .._extras import needs

with needs("events"):
    from llvmlite import binding
    from numba import types
    from numba.core import compiler, config
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.registry import cpu_target

    from . import _llvm
    from ._llvm import WIDE, add_rows, float_at, index_at, inlined, int_at, write_float, write_index, write_int

NEXT, DONE, HELD, FAILED, PARTS, X, W, Y, THREADS, TRANSPOSED, KIND, ROWS = range(12)  # what is where in a job
SIZES, IMAGES, TAPS_H, STEPS, END = THREADS, ROWS + 3, ROWS + 8, ROWS + 10, ROWS + 16
FLOATS, BYTES, CODES = range(3)  # what x is: float32; uint8 or bool; int8, in which -1 is NaN

product_of = _llvm.ints_at(ROWS, 3)  # rows of x and y, columns of x, and those of y
# Of a convolution: height and width of an image, channels, height and width of the output, and of the kernel, which
# are 0 of a plain product; then strides, how far apart taps are, and what is added before, each in height and width.
images_of, steps_of = _llvm.ints_at(IMAGES, 7), _llvm.ints_at(STEPS, 6)

_LISTED = 64  # rows whose entries are listed at a time
_SORTED = 128  # and of a transposed product, which sorts them by column
_SUMMED = 64 * _SORTED  # rows whose sum is made apart
_LINE = _SORTED + 16  # entries from one column's list to the next: powers of 2 would meet in the same lines of a cache
_SLICE = 1024  # columns, or as many weights as stay in the cache of a core: 1 MB
_CACHE = 2**18
_SMALL = 2**16  # inputs that one thread is done with before another would start


# ---- The loops. What names an array is its address. `range` has no step, which numba would have to check.


_NAN = float("nan")


@inlined
def _note(kind, x, i, start, found, where, what):
    """List one input as the next that is not 0; return 1 if it is not."""
    write_index(where, found, i)
    if kind == FLOATS:
        value = float_at(x, start + i)
    elif kind == BYTES:
        value = types.float32(_llvm.byte_at(x, start + i))
    else:
        value = types.float32(_llvm.code_at(x, start + i)) if _llvm.code_at(x, start + i) >= 0 else _NAN
    write_float(what, found, value)
    return 1 if value != 0 else 0


@inlined
def _find(kind, x, start, count, where, what):
    """List what is not 0 among ``count`` inputs: where it is, and what. Return how many there are.

    A vector of inputs at a time says which are not 0. The last ones are all written, and counted if they are not 0.
    """
    found, i, size = 0, 0, 4 if kind == FLOATS else 1
    while i + 16 <= count:
        at, step = x + size * (start + i), 64 if i + 64 <= count else 16
        if step == 64:
            bits = _llvm.floats_of_64(at) if kind == FLOATS else _llvm.bytes_of_64(at)
        else:
            bits = _llvm.floats_of_16(at) if kind == FLOATS else _llvm.bytes_of_16(at)
        while bits:
            _note(kind, x, i + _llvm.first_bit(bits), start, found, where, what)
            found += 1
            bits &= bits - 1
        i += step
    while i < count:
        found += _note(kind, x, i, start, found, where, what)
        i += 1
    return found


@inlined
def _find_in_image(job, number, image):
    """List what is not 0 in an image: its number, where each pixel starts, then places in their line, and values."""
    height, width, channels, _, _, _, _ = images_of(job)
    pixels = height * width
    where, count = image + 8 * (pixels + 2), pixels * channels
    what = where + 4 * (count + 1)
    found, e = _find(int_at(job, KIND), int_at(job, X), number * count, count, where, what), 0
    for p in range(pixels):
        write_int(image, 1 + p, e)
        while e < found and index_at(where, e) < (p + 1) * channels:
            write_index(where, e, index_at(where, e) - p // width * width * channels)
            e += 1
    write_int(image, 1 + pixels, found)
    write_int(image, 0, number)
    return found


@inlined
def _find_in_patch(job, row, low, high, image, where, what):
    """List what is not 0 in a row of patches, at its columns from ``low`` to ``high``."""
    height, width, channels, height_out, width_out, taps_h, taps_w = images_of(job)
    stride_h, stride_w, apart_h, apart_w, padded_h, padded_w = steps_of(job)
    pixels, patches = height * width, height_out * width_out
    where_in = image + 8 * (pixels + 2)
    what_in = where_in + 4 * (pixels * channels + 1)
    if int_at(image, 0) != row // patches:
        _find_in_image(job, row // patches, image)
    top = row % patches // width_out * stride_h - padded_h
    left = row % patches % width_out * stride_w - padded_w
    found, columns = 0, high - low
    run = taps_w if apart_w == 1 else 1  # neighbours, which are listed one behind the other
    for a in range(taps_h):
        h, b = top + a * apart_h, 0
        while b < taps_w and 0 <= h < height:
            w = left + b * apart_w
            before = w if w > 0 else 0
            shift = (a * taps_w + b - w) * channels - low
            if before < min(w + run, width):
                start = int_at(image, 1 + h * width + before)
                end = int_at(image, 1 + h * width + min(w + run, width))
                if columns == taps_h * taps_w * channels:
                    for e in range(end - start):
                        write_index(where, found + e, index_at(where_in, start + e) + shift)
                        write_float(what, found + e, float_at(what_in, start + e))
                    found += end - start
                else:
                    for e in range(start, end):
                        column = index_at(where_in, e) + shift
                        write_index(where, found, column)
                        write_float(what, found, float_at(what_in, e))
                        found += 0 <= column < columns
            b += run
    return found


@inlined
def _list(job, row, low, high, image, where, what):
    _, columns, _ = product_of(job)
    if int_at(job, TAPS_H):
        return _find_in_patch(job, row, low, high, image, where, what)
    return _find(int_at(job, KIND), int_at(job, X), row * columns + low, high - low, where, what)


@inlined
def _multiply(job, first, last, room, image):
    """Write ``y = x w`` for some rows: the weights of one tile of columns stay in the cache."""
    (_, columns, width), y = product_of(job), int_at(job, Y)
    wide = min(columns, _SLICE)
    line = 4 * (wide + 1)  # bytes of the list of a row
    where, what, count = room, room + _LISTED * line, room + 2 * _LISTED * line
    low = 0
    while low < columns:
        weights = int_at(job, W) + 4 * low * width
        block = first
        while block < last:
            rows = min(_LISTED, last - block)
            for r in range(rows):
                high = min(columns, low + wide)
                write_int(count, r, _list(job, block + r, low, high, image, where + r * line, what + r * line))
            tile = 0
            while tile < width:
                end = min(width, tile + WIDE)
                for r in range(rows):
                    total, found = y + 4 * (block + r) * width, int_at(count, r)
                    fresh = 1 if low == 0 else 0
                    add_rows(tile, end, total, weights, width, where + r * line, what + r * line, found, fresh)
                tile += WIDE
            block += _LISTED
        low += wide
    return 0


@inlined
def _stepped(place, stride):
    """Return which step of a stride a place is, or -1 if it is between two."""
    if stride == 1:
        return place
    return place // stride if place % stride == 0 else -1


@inlined
def _convolve(job, first, last, image):
    """Write the convolution of some images: what is not 0 in a pixel goes to each output that the pixel is part of."""
    height, width, channels, height_out, width_out, taps_h, taps_w = images_of(job)
    stride_h, stride_w, apart_h, apart_w, padded_h, padded_w = steps_of(job)
    _, _, out = product_of(job)
    where = image + 8 * (height * width + 2)
    what = where + 4 * (height * width * channels + 1)
    for number in range(first, last):
        y = int_at(job, Y) + 4 * number * height_out * width_out * out
        for i in range(height_out * width_out * out):
            write_float(y, i, 0.0)
        _find_in_image(job, number, image)
        for p in range(height * width):
            start, end = int_at(image, 1 + p), int_at(image, 2 + p)
            if start < end:
                h_in, w_in = p // width, p % width
                for a in range(taps_h):
                    h = _stepped(h_in + padded_h - a * apart_h, stride_h)
                    if 0 <= h < height_out:
                        for b in range(taps_w):
                            w = _stepped(w_in + padded_w - b * apart_w, stride_w)
                            if 0 <= w < width_out:
                                total = y + 4 * (h * width_out + w) * out
                                weights = int_at(job, W) + 4 * (a * taps_w + b - w_in) * channels * out
                                at, of = where + 4 * start, what + 4 * start
                                add_rows(0, out, total, weights, out, at, of, end - start, 0)
    return 0


@inlined
def _multiply_transposed(job, first, last, room, image):
    """Write ``y = x^T g`` for some columns of x. Sums are of 128 rows, of 8,192, and of all: so they stay exact."""
    rows, _, width = product_of(job)
    wide = min(_SLICE, 64 + _CACHE // width)
    line = 4 * _LINE  # bytes of the list of a column
    where, what, at = room, room + 4 * (_SLICE + 1), room + 8 * (_SLICE + 1)
    of = at + line * _SLICE
    count = of + line * _SLICE
    sums = count + 8 * _SLICE
    low = first
    while low < last:
        high, block = min(last, low + wide), 0
        y = int_at(job, Y) + 4 * low * width
        while block < rows:
            for i in range(high - low):
                write_int(count, i, 0)
            for r in range(min(_SORTED, rows - block)):
                for e in range(_list(job, block + r, low, high, image, where, what)):
                    i = index_at(where, e)
                    found = int_at(count, i)
                    write_index(at, i * _LINE + found, r)
                    write_float(of, i * _LINE + found, float_at(what, e))
                    write_int(count, i, found + 1)
            start, fresh = int_at(job, W) + 4 * block * width, 1 if block % _SUMMED == 0 else 0
            for i in range(high - low):
                total = sums + 4 * i * width
                add_rows(0, width, total, start, width, at + i * line, of + i * line, int_at(count, i), fresh)
            block += _SORTED
            if block >= rows or block % _SUMMED == 0:
                for i in range((high - low) * width):
                    write_float(y, i, float_at(sums, i) if block <= _SUMMED else float_at(y, i) + float_at(sums, i))
        low += wide
    return 0


@inlined
def _do(job, part):
    """Do a part of a job; return whether there was memory for it."""
    (rows, columns, width), transposed = product_of(job), int_at(job, TRANSPOSED)
    height_in, width_in, channels, height_out, width_out, taps, _ = images_of(job)
    image, lists = 8, 8 * _LISTED * (_SLICE + 2)
    if taps:
        image = 8 * (height_in * width_in + 3) + 8 * (height_in * width_in * channels + 1)
    if transposed:
        lists = 8 * (_SLICE + 1) * (_LINE + 2) + 8 * ((64 * width + _CACHE) // 2)
    room = _llvm.malloc(lists + image)
    if room == 0:
        return 0
    write_int(room + lists, 0, -1)
    share, parts = columns if transposed else rows, int_at(job, PARTS)
    if taps and not transposed:
        share //= height_out * width_out
    first, last = share * part // parts, share * (part + 1) // parts
    if transposed:
        _multiply_transposed(job, first, last, room, room + lists)
    elif taps:
        _convolve(job, first, last, room + lists)
    else:
        _multiply(job, first, last, room, room + lists)
    _llvm.free(room)
    return 1


# ---- How XLA calls them: the structures of xla/ffi/api/c_api.h, by their offsets in words of 8 bytes.

UNKNOWN = _llvm.text_at("brainsurr.events: XLA calls with another layout than it is known to have")
NO_MEMORY = _llvm.text_at("brainsurr.events: out of memory")
_EXECUTE, _METADATA, _INTERNAL = 3, 1, 13


@inlined
def _let_go(job):
    """Count one thread less that holds a job; the last one frees it."""
    if _llvm.fetch_add(job + 8 * HELD, -1) == 1:
        _llvm.free(job)
    return 0


def _work(job):
    """Do the parts of a job that no other thread takes."""
    part = _llvm.fetch_add(job + 8 * NEXT, 1)
    while part < int_at(job, PARTS):
        if not _do(job, part):
            write_int(job, FAILED, 1)
        _llvm.fetch_add(job + 8 * DONE, 1)
        part = _llvm.fetch_add(job + 8 * NEXT, 1)
    return _let_go(job)


_work_here = inlined(_work)
_task = _llvm.of_c(_work, "brainsurr_work", "internal")


@inlined
def _is_known(frame):
    """Return whether a frame, and what it holds, are as large as the offsets below: two arrays in, one out."""
    fits = int_at(frame, 0) >= 168 and int_at(frame, 5) == 40 and int_at(frame, 10) == 40 and int_at(frame, 15) == 48
    if not fits or int_at(frame, 7) != 2 or int_at(frame, 12) != 1 or int_at(frame, 17) != 1:
        return 0
    x, w, y = int_at(int_at(frame, 9), 0), int_at(int_at(frame, 9), 1), int_at(int_at(frame, 14), 0)
    return int_at(x, 0) >= 48 and int_at(w, 0) >= 48 and int_at(y, 0) >= 48


@inlined
def _ask(frame, function, question):
    """Call a function of XLA's interface."""
    return _llvm.call_at(int_at(int_at(frame, 2), function), question)


@inlined
def _error(frame, message):
    return _ask(frame, 6, _llvm.words(28, 0, message, _INTERNAL, 0))


@inlined
def _threads(frame):
    """Return on how many threads XLA runs such functions."""
    question = _llvm.words(32, 0, int_at(frame, 3), 0, 0)
    write_int(question, 3, question + 32)
    return 1 if _ask(frame, 18, question) else int_at(question, 4)


@inlined
def _share(frame, job, threads):
    """Do a job on threads of XLA, this one among them; return whether there was memory for it."""
    parts = threads if threads == 1 or int_at(job, TRANSPOSED) else 2 * threads  # each of these reads all rows of g
    write_int(job, PARTS, parts)
    write_int(job, HELD, threads + 1)
    for _ in range(threads - 1):
        if _ask(frame, 17, _llvm.words(40, 0, int_at(frame, 3), _task(), job)):
            _let_go(job)
    _work_here(job)
    while _llvm.fetch_add(job + 8 * DONE, 0) < parts:
        pass
    done = 1 - int_at(job, FAILED)
    _let_go(job)  # a task may still wait for its thread
    return done


def _answer(frame):
    """Answer a call of XLA, of the address of its frame; return that of an error, or 0."""
    extension = int_at(frame, 1)
    if extension and (int_at(extension, 1) & 0xFFFFFFFF) == _METADATA:  # it registers this: say its own version
        write_int(int_at(extension, 3), 3, int_at(int_at(frame, 2), 4))
        return 0
    if (int_at(frame, 4) & 0xFFFFFFFF) != _EXECUTE:
        return 0
    if not _is_known(frame):
        return _error(frame, UNKNOWN())
    job = _llvm.malloc(8 * END)
    if job == 0:
        return _error(frame, NO_MEMORY())
    write_int(job, NEXT, 0)
    write_int(job, DONE, 0)
    write_int(job, FAILED, 0)
    write_int(job, X, int_at(int_at(int_at(frame, 9), 0), 3))
    write_int(job, W, int_at(int_at(int_at(frame, 9), 1), 3))
    write_int(job, Y, int_at(int_at(int_at(frame, 14), 0), 3))
    sizes = int_at(int_at(int_at(frame, 20), 0), 2)
    for i in range(END - SIZES):
        write_int(job, SIZES + i, int_at(sizes, i))
    threads = int_at(job, THREADS)
    if threads > 1:
        rows, columns, _ = product_of(job)
        threads = 1 if rows * columns < _SMALL else min(threads, _threads(frame))
    return 0 if _share(frame, job, threads) else _error(frame, NO_MEMORY())


def compiled(name: str) -> bytes:
    """Return the object file of `_answer` for the processor at hand, a function of C of that name."""
    exported = _llvm.of_c(_answer, name, "external")

    def start():
        return exported()

    with global_compiler_lock, mock.patch.object(config, "OPT", type(config.OPT)(0)):  # once, below
        made = compiler.compile_extra(
            cpu_target.typing_context, cpu_target.target_context, start, (), types.int64, _llvm.bare_flags(), {}
        )
        made.library.finalize()
        module = binding.parse_assembly(made.library.get_llvm_str())
    for function in module.functions:
        if not function.is_declaration:
            function.linkage = "external" if function.name == name else "internal"
    machine = binding.Target.from_default_triple().create_target_machine(
        binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten(), opt=3, reloc="pic"
    )
    passes = binding.create_pass_builder(machine, binding.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(module, passes)
    return machine.emit_object(module)
