"""Words of LLVM that numba has no function for, and functions of integers, compiled as parts of one another.

Numbers are read and written at addresses, without arrays: numba compiles that in a fifth of the time. Needs the extra
``events``.
"""

from inspect import Parameter, Signature

from .._extras import needs

with needs("events"):
    from llvmlite import binding, ir
    from numba import types
    from numba.core import cgutils, compiler
    from numba.extending import intrinsic

_INT, _FLOAT, _INT32, _BYTE = ir.IntType(64), ir.FloatType(), ir.IntType(32), ir.IntType(8)
# Floats that are added up in registers: these are 32 of 16 floats, 32 of 4 on Arm, or 16 of 8.
WIDE = 128 if binding.get_host_cpu_features().get("avx512f") else 64

malloc = types.ExternalFunction("malloc", types.int64(types.int64))
free = types.ExternalFunction("free", types.none(types.int64))


def _written(integers: int, *others: types.Type, returns: types.Type = types.int64):
    """Return what makes of a function that writes LLVM one that numba calls, with integers and others after them."""

    def decorate(write):
        def typed(typing, *args):
            def code(context, builder, signature, args):
                value = write(context, builder, *args)
                return context.get_dummy_value() if value is None else value

            return returns(*[types.int64] * integers, *others), code

        names = ["typing", *map("x{}".format, range(integers + len(others)))]  # numba asks for them
        typed.__signature__ = Signature([Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in names])
        return intrinsic(typed)

    return decorate


def _numbers(kind: ir.Type, of_numba: types.Type):
    """Return functions that read, and write, the number with an index behind an address."""

    def place(builder, address, index):
        return builder.gep(builder.inttoptr(address, kind.as_pointer()), [index])

    def read(context, builder, address, index):
        return builder.load(place(builder, address, index))

    def write(context, builder, address, index, value):
        builder.store(value, place(builder, address, index))

    return _written(2, returns=of_numba)(read), _written(2, of_numba, returns=types.none)(write)


int_at, write_int = _numbers(_INT, types.int64)
index_at, write_index = _numbers(_INT32, types.int32)
float_at, write_float = _numbers(_FLOAT, types.float32)
byte_at, _ = _numbers(_BYTE, types.uint8)
code_at, _ = _numbers(_BYTE, types.int8)


def ints_at(first: int, count: int):
    """Return a function that returns some integers behind an address, from the first one on."""
    kind = types.UniTuple(types.int64, count)

    def read(context, builder, address):
        start = builder.inttoptr(address, _INT.as_pointer())
        places = (builder.gep(start, [_INT(first + i)]) for i in range(count))
        return context.make_tuple(builder, kind, list(map(builder.load, places)))

    return _written(1, returns=kind)(read)


@_written(2)
def fetch_add(context, builder, address, n):
    """Add to an integer of all threads, and return what it was."""
    return builder.atomic_rmw("add", builder.inttoptr(address, _INT.as_pointer()), n, "seq_cst")


@_written(2)
def call_at(context, builder, address, argument):
    """Call the function of C at an address."""
    return builder.call(builder.inttoptr(address, ir.FunctionType(_INT, [_INT]).as_pointer()), [argument])


@_written(1)
def first_bit(context, builder, bits):
    """Return which is the lowest bit that is set."""
    return builder.cttz(bits, ir.IntType(1)(1))


@_written(5)
def words(context, builder, *values):
    """Return the address of five integers on the stack of the function that calls it."""
    address = cgutils.alloca_once(builder, ir.ArrayType(_INT, len(values)))
    for i, value in enumerate(values):
        builder.store(value, builder.gep(address, [_INT(0), _INT(i)]))
    return builder.ptrtoint(address, _INT)


def text_at(text: str):
    """Return a function that returns the address of a text."""

    def address(context, builder):
        return builder.ptrtoint(context.insert_const_string(builder.module, text), _INT)

    return _written(0)(address)


def _which(kind: ir.Type, lanes: int):
    """Return a function that returns a bit for each of some numbers from an address on: whether it is not 0."""
    numbers = ir.VectorType(kind, lanes)

    def which(context, builder, address):
        loaded = builder.load(builder.inttoptr(address, numbers.as_pointer()), align=1)
        unequal = builder.fcmp_unordered if kind is _FLOAT else builder.icmp_unsigned
        bits = builder.bitcast(unequal("!=", loaded, numbers([0] * lanes)), ir.IntType(lanes))
        return bits if lanes == 64 else builder.zext(bits, _INT)

    return _written(1)(which)


floats_of_64, bytes_of_64 = _which(_FLOAT, 64), _which(_BYTE, 64)
floats_of_16, bytes_of_16 = _which(_FLOAT, 16), _which(_BYTE, 16)


def _adds(floats: int, vectors: int):
    """Return a function that sums listed rows, times their factors, in registers of ``floats * vectors``.

    It adds the sums to a row, or writes them to one that is ``fresh``.
    """
    vector = ir.VectorType(_FLOAT, floats)

    def add(context, builder, total, rows, stride, where, what, found, fresh):
        total, rows, what = (builder.inttoptr(p, _FLOAT.as_pointer()) for p in (total, rows, what))
        where = builder.inttoptr(where, _INT32.as_pointer())

        def parts(start):
            at = (builder.gep(start, [_INT(i * floats)]) for i in range(vectors))
            return [builder.bitcast(p, vector.as_pointer()) for p in at]

        sums = [cgutils.alloca_once_value(builder, vector([0.0] * floats)) for _ in range(vectors)]
        with cgutils.for_range(builder, found) as loop:
            row = builder.mul(builder.sext(builder.load(builder.gep(where, [loop.index])), _INT), stride)
            one, lanes = builder.load(builder.gep(what, [loop.index])), ir.VectorType(_INT32, floats)([0] * floats)
            factor = builder.insert_element(vector(ir.Undefined), one, _INT(0))
            factor = builder.shuffle_vector(factor, vector(ir.Undefined), lanes)
            for s, part in zip(sums, parts(builder.gep(rows, [row])), strict=True):
                product = builder.fmul(factor, builder.load(part, align=4), flags=("contract",))
                builder.store(builder.fadd(builder.load(s), product, flags=("contract",)), s)
        # A fresh row is not read: its page may be new, and would be mapped twice.
        with builder.if_then(builder.icmp_signed("==", fresh, _INT(0))):
            for s, part in zip(sums, parts(total), strict=True):
                builder.store(builder.fadd(builder.load(part, align=4), builder.load(s)), s)
        for s, part in zip(sums, parts(total), strict=True):
            builder.store(builder.load(s), part, align=4)

    return _written(7, returns=types.none)(add)


def bare_flags():
    """Return how numba compiles functions of integers: without what Python would need to call them."""
    flags = compiler.Flags()
    flags.no_cpython_wrapper = flags.no_cfunc_wrapper = flags.no_compile = True
    flags.error_model = "numpy"  # no exceptions
    return flags


def _compiled_call(context, builder, function, args):
    """Call a function of integers that returns one, which is compiled with what calls it."""
    integers = types.int64(*[types.int64] * len(args))
    made = context.compile_subroutine(builder, function, integers, flags=bare_flags())
    return context.call_internal_no_propagate(builder, made.fndesc, integers, args)[1]


def inlined(function):
    """Make a function of integers, which returns one, part of what calls it when that is compiled."""

    def call(context, builder, *args):
        return _compiled_call(context, builder, function, args)

    return _written(function.__code__.co_argcount)(call)


def of_c(function, name, linkage):
    """Return a function that returns the address of another as a function of C."""

    def address(context, builder):
        made = ir.Function(builder.module, ir.FunctionType(_INT, [_INT]), name)
        made.linkage = linkage
        inside = ir.IRBuilder(made.append_basic_block())
        inside.ret(_compiled_call(context, inside, function, made.args))
        return builder.ptrtoint(made, _INT)

    return _written(0)(address)


def _in_tiles(floats: int, vectors: int, narrower):
    """Return `add_rows` for tiles of that many floats, and narrower ones for the columns that are left."""
    add, wide = _adds(floats, vectors), floats * vectors

    @inlined
    def add_tiles(first, last, total, rows, stride, where, what, found, fresh):
        while first + wide <= last:
            add(total + 4 * first, rows + 4 * first, stride, where, what, found, fresh)
            first += wide
        return narrower(first, last, total, rows, stride, where, what, found, fresh)

    return add_tiles


# Adds listed rows to one row, at the columns from ``first`` to ``last``.
add_rows = inlined(lambda first, last, total, rows, stride, where, what, found, fresh: 0)
for _shape in ((1, 1), (4, 1), (16, 1), (16, 2), (16, WIDE // 16)):
    add_rows = _in_tiles(*_shape, add_rows)
