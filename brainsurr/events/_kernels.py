"""The loops of the sparse products, compiled by numba. Needs the extra ``events``.

A product is ``y = x w``, or for the gradient of the weights ``y = x^T g``. For a block of rows of x, the loops list the
nonzero inputs, and sum the rows of w or g at these inputs. A convolution adds rows of the kernel to every output that a
pixel contributes to. The gradient of a kernel is ``y = x^T g`` with x as patches; the list of a patch is cut out of the
list of its image.

A job is an array of int64 with the layout below: addresses of arrays, and the sizes passed in the FFI call.
``run_part(job, part)`` runs one part of it. No two parts write the same outputs, so all threads of XLA can work on a
job, and the sums do not depend on the number of threads.
"""

from .._extras import needs

with needs("events"):
    from numba import types

    from . import _llvm
    from ._llvm import WIDE, add_rows, inlined, load_float, load_index, load_int, store_float, store_index, store_int

# Indices in a job. The first four are its state: the next part, the number of parts done, the number of threads that
# use the job, and whether a part failed.
NEXT, DONE, USERS, FAILED, PARTS, X, W, Y, THREADS, TRANSPOSED, KIND, ROWS = range(12)
SIZES, IMAGES, TAPS, STEPS, END = THREADS, ROWS + 3, ROWS + 8, ROWS + 10, ROWS + 16
FLOATS, BYTES, CODES = range(3)  # kinds of x: float32; uint8 or bool; int8 spikes, in which -1 is NaN

matrix_of = _llvm.load_ints(ROWS, 3)  # rows of x, columns of x, columns of y
# Height, width and channels of the input, height and width of the output and of the kernel; 0 for matrix products.
images_of = _llvm.load_ints(IMAGES, 7)
steps_of = _llvm.load_ints(STEPS, 6)  # strides, dilation and padding before an image, each in height and width

_BLOCK = 64  # number of rows whose entries are listed at a time
_BLOCK_TRANSPOSED = 128  # number of rows whose entries are sorted by column at a time
_SUMMED = 64 * _BLOCK_TRANSPOSED  # number of rows that are summed separately
# Entries per column list, including padding: an odd number of cache lines, so that lists use different cache sets.
_LIST = _BLOCK_TRANSPOSED + 8
_COLUMNS = 1024  # number of columns of x that are processed at a time
_CACHE = 2**18  # number of floats in the cache of a core: 1 MB
_NAN = float("nan")


@inlined
def _append(kind, x, i, start, entries, count):
    """Write input ``start + i`` as entry ``count``. Return 1, or 0 if the input is 0, so that it can be overwritten."""
    if kind == FLOATS:
        value = load_float(x, start + i)
    else:
        byte = _llvm.load_byte(x, start + i)
        value = _NAN if kind == CODES and byte > 1 else types.float32(byte)
    store_index(entries, count, i)
    _llvm.store_value(entries, count, value)
    return value != 0


@inlined
def _list_nonzero(job, start, size, entries):
    """List the nonzero inputs among ``size`` inputs, by their index relative to ``start``; return their number.

    The loop computes a bit mask of 64 inputs at a time. The last 64 inputs may overlap with the inputs before.
    """
    kind, x, count = load_int(job, KIND), load_int(job, X), 0
    for i in range(size if size < 64 else 0):
        count += _append(kind, x, i, start, entries, count)
    for i in range(0, size if size >= 64 else 0, 64):
        at = min(i, size - 64)
        if kind == FLOATS:
            bits = _llvm.nonzero_floats(x + 4 * (start + at))
        else:
            bits = _llvm.nonzero_bytes(x + start + at)
        bits &= -1 << (i - at)
        while bits:
            _append(kind, x, at + _llvm.lowest_bit(bits), start, entries, count)
            count += 1
            bits &= bits - 1
    return count


@inlined
def _list_image(job, number, image):
    """List the nonzero inputs of an image, by their index in their line of the image.

    Store in the array ``image``: the number of the image, the position of each pixel's first entry, and the entries.
    """
    height, width, channels, _, _, _, _ = images_of(job)
    pixels = height * width
    entries = image + 8 * (pixels + 2)
    count, e = _list_nonzero(job, number * pixels * channels, pixels * channels, entries), 0
    for p in range(pixels):
        store_int(image, 1 + p, e)
        while e < count and load_index(entries, e) < (p + 1) * channels:
            store_index(entries, e, load_index(entries, e) - p // width * width * channels)
            e += 1
    store_int(image, 1 + pixels, count)
    store_int(image, 0, number)
    return count


@inlined
def _list_patch(job, row, low, high, image, entries):
    """List the nonzero inputs in columns ``low`` to ``high`` of a row of patches."""
    height, width, channels, height_out, width_out, taps_h, taps_w = images_of(job)
    stride_h, stride_w, dilation_h, dilation_w, padding_h, padding_w = steps_of(job)
    patches, of_image = height_out * width_out, image + 8 * (height * width + 2)
    if load_int(image, 0) != row // patches:
        _list_image(job, row // patches, image)
    top = row % patches // width_out * stride_h - padding_h
    left = row % patches % width_out * stride_w - padding_w
    run = taps_w if dilation_w == 1 else 1  # number of adjacent taps, whose entries are contiguous
    count, is_whole = 0, high - low == taps_h * taps_w * channels
    for a in range(taps_h):
        h = top + a * dilation_h
        for b in range(0, taps_w if 0 <= h < height else 0, run):
            w = left + b * dilation_w
            begin, end = max(w, 0), min(w + run, width)
            if begin < end:
                shift = (a * taps_w + b - w) * channels - low
                for e in range(load_int(image, 1 + h * width + begin), load_int(image, 1 + h * width + end)):
                    column = load_index(of_image, e) + shift
                    store_index(entries, count, column)
                    _llvm.store_value(entries, count, _llvm.load_value(of_image, e))
                    count += 1 if is_whole else 0 <= column < high - low
    return count


@inlined
def _list_row(job, row, low, high, image, entries):
    """List the nonzero inputs in columns ``low`` to ``high`` of a row, by their index relative to ``low``."""
    _, columns, _ = matrix_of(job)
    if load_int(job, TAPS):
        return _list_patch(job, row, low, high, image, entries)
    return _list_nonzero(job, row * columns + low, high - low, entries)


@inlined
def _multiply(job, first, last, lists, image):
    """Write ``y = x w`` for some rows. The weights for a slice of x and a tile of y stay in the cache."""
    (_, columns, width), y = matrix_of(job), load_int(job, Y)
    size = 8 * (min(columns, _COLUMNS) + 1)  # bytes per list of a row
    counts = lists + _BLOCK * size
    for low in range(0, columns, _COLUMNS):
        high, weights = min(columns, low + _COLUMNS), load_int(job, W) + 4 * low * width
        for block in range(first, last, _BLOCK):
            rows = min(_BLOCK, last - block)
            for r in range(rows):
                store_int(counts, r, _list_row(job, block + r, low, high, image, lists + r * size))
            for tile in range(0, width, WIDE):
                end = min(width, tile + WIDE)
                for r in range(rows):
                    total = y + 4 * (block + r) * width
                    add_rows(tile, end, total, weights, width, lists + r * size, load_int(counts, r), low == 0)
    return 0


@inlined
def _strides_to(place, stride):
    """Return the output position for an input position, or -1 if the stride skips it."""
    if stride == 1:
        return place
    return place // stride if place % stride == 0 else -1


@inlined
def _convolve(job, first, last, image):
    """Write the convolution of some images: add each pixel to every output that it contributes to."""
    height, width, channels, height_out, width_out, taps_h, taps_w = images_of(job)
    stride_h, stride_w, dilation_h, dilation_w, padding_h, padding_w = steps_of(job)
    _, _, features = matrix_of(job)
    entries, size = image + 8 * (height * width + 2), height_out * width_out * features
    for number in range(first, last):
        y = load_int(job, Y) + 4 * number * size
        for i in range(size):
            store_float(y, i, 0.0)
        _list_image(job, number, image)
        for p in range(height * width):
            start, count = load_int(image, 1 + p), load_int(image, 2 + p) - load_int(image, 1 + p)
            h_in, w_in = p // width, p % width
            for a in range(taps_h if count else 0):
                h = _strides_to(h_in + padding_h - a * dilation_h, stride_h)
                for b in range(taps_w if 0 <= h < height_out else 0):
                    w = _strides_to(w_in + padding_w - b * dilation_w, stride_w)
                    if 0 <= w < width_out:
                        total = y + 4 * (h * width_out + w) * features
                        weights = load_int(job, W) + 4 * (a * taps_w + b - w_in) * channels * features
                        add_rows(0, features, total, weights, features, entries + 8 * start, count, 0)
    return 0


@inlined
def _multiply_transposed(job, first, last, lists, image):
    """Write ``y = x^T g`` for some columns of x. To limit rounding errors, sum 128 rows, then 8,192, then all."""
    rows, _, width = matrix_of(job)
    row = lists + 8 * _LIST * _COLUMNS  # the entries of a row of x, stored after the entries of the columns
    counts = row + 8 * (_COLUMNS + 1)
    sums = counts + 8 * _COLUMNS
    for low in range(first, last, min(_COLUMNS, 64 + _CACHE // width)):
        high, y = min(last, low + min(_COLUMNS, 64 + _CACHE // width)), load_int(job, Y) + 4 * low * width
        for block in range(0, rows, _BLOCK_TRANSPOSED):
            for i in range(high - low):
                store_int(counts, i, 0)
            for r in range(min(_BLOCK_TRANSPOSED, rows - block)):
                for e in range(_list_row(job, block + r, low, high, image, row)):
                    i = load_index(row, e)
                    count = load_int(counts, i)
                    store_index(lists, i * _LIST + count, r)
                    _llvm.store_value(lists, i * _LIST + count, _llvm.load_value(row, e))
                    store_int(counts, i, count + 1)
            g, is_first = load_int(job, W) + 4 * block * width, block % _SUMMED == 0
            for i in range(high - low):
                total, entries = sums + 4 * i * width, lists + 8 * i * _LIST
                add_rows(0, width, total, g, width, entries, load_int(counts, i), is_first)
            end = block + _BLOCK_TRANSPOSED
            if end >= rows or end % _SUMMED == 0:
                for i in range((high - low) * width):
                    value = load_float(sums, i)
                    store_float(y, i, value if end <= _SUMMED else load_float(y, i) + value)
    return 0


@inlined
def run_part(job, part):
    """Run a part of a job; return 1, or 0 if out of memory."""
    (rows, columns, width), transposed = matrix_of(job), load_int(job, TRANSPOSED)
    height, width_in, channels, height_out, width_out, taps, _ = images_of(job)
    lists = 8 * (_COLUMNS + 1) * (_LIST + 2) + 4 * (64 * width + _CACHE)  # enough for a transposed product, the largest
    memory = _llvm.malloc(lists + 8 * (height * width_in * (1 + channels) + 3))
    if memory == 0:
        return 0
    image = memory + lists
    store_int(image, 0, -1)
    size, parts = columns if transposed else rows, load_int(job, PARTS)
    if taps and not transposed:
        size //= height_out * width_out
    first, last = size * part // parts, size * (part + 1) // parts
    if transposed:
        _multiply_transposed(job, first, last, memory, image)
    elif taps:
        _convolve(job, first, last, image)
    else:
        _multiply(job, first, last, memory, image)
    _llvm.free(memory)
    return 1
