"""Words of LLVM that numba has no function for, and functions of integers, compiled as parts of one another.

Numbers are read and written at addresses, without arrays: numba compiles that in a fifth of the time. Needs the extra
``events``.
"""

import inspect

from .._wrong_calls import needs

with needs("events"):
    from llvmlite import binding, ir
    from numba import types
    from numba.core import cgutils, compiler
    from numba.extending import intrinsic

_INT, _FLOAT = ir.IntType(64), ir.FloatType()
# Floats that are added up in registers: these are 32 of 16 floats, 32 of 4 on Arm, or 16 of 8.
WIDE = 128 if binding.get_host_cpu_features().get("avx512f") else 64


def _numbers(kind: ir.Type, of_numba: types.Type):
    """Return functions that read, and write, the number with an index behind an address."""

    def at(builder, args):
        return builder.gep(builder.inttoptr(args[0], kind.as_pointer()), [args[1]])

    @intrinsic
    def read(typing, address, index):
        def code(context, builder, signature, args):
            return builder.load(at(builder, args))

        return of_numba(types.int64, types.int64), code

    @intrinsic
    def write(typing, address, index, value):
        def code(context, builder, signature, args):
            builder.store(args[2], at(builder, args))
            return context.get_dummy_value()

        return types.none(types.int64, types.int64, of_numba), code

    return read, write


int_at, write_int = _numbers(_INT, types.int64)
index_at, write_index = _numbers(ir.IntType(32), types.int32)
float_at, write_float = _numbers(_FLOAT, types.float32)
byte_at, _ = _numbers(ir.IntType(8), types.uint8)
code_at, _ = _numbers(ir.IntType(8), types.int8)


@intrinsic
def fetch_add(typing, address, n):
    """Add to an integer of all threads, and return what it was."""

    def code(context, builder, signature, args):
        return builder.atomic_rmw("add", builder.inttoptr(args[0], _INT.as_pointer()), args[1], "seq_cst")

    return types.int64(types.int64, types.int64), code


@intrinsic
def call_at(typing, function, argument):
    def code(context, builder, signature, args):
        return builder.call(builder.inttoptr(args[0], ir.FunctionType(_INT, [_INT]).as_pointer()), [args[1]])

    return types.int64(types.int64, types.int64), code


def _which(kind: ir.Type, lanes: int):
    """Return a function that returns a bit for each of some numbers from an address on: whether it is not 0."""
    numbers = ir.VectorType(kind, lanes)

    @intrinsic
    def which(typing, address):
        def code(context, builder, signature, args):
            loaded = builder.load(builder.inttoptr(args[0], numbers.as_pointer()), align=1)
            zeros = numbers([0] * lanes)
            unequal = builder.fcmp_unordered if kind is _FLOAT else builder.icmp_unsigned
            bits = builder.bitcast(unequal("!=", loaded, zeros), ir.IntType(lanes))
            return bits if lanes == 64 else builder.zext(bits, _INT)

        return types.int64(types.int64), code

    return which


floats_of_64, bytes_of_64 = _which(_FLOAT, 64), _which(ir.IntType(8), 64)
floats_of_16, bytes_of_16 = _which(_FLOAT, 16), _which(ir.IntType(8), 16)


@intrinsic
def first_bit(typing, bits):
    def code(context, builder, signature, args):
        return builder.cttz(args[0], ir.IntType(1)(1))

    return types.int64(types.int64), code


def _from_c(name: str, returns: ir.Type):
    @intrinsic
    def call(typing, argument):
        def code(context, builder, signature, args):
            function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(returns, [_INT]), name)
            returned = builder.call(function, args)
            return returned if returns is _INT else context.get_dummy_value()

        return (types.int64 if returns is _INT else types.none)(types.int64), code

    return call


malloc, free = _from_c("malloc", _INT), _from_c("free", ir.VoidType())


@intrinsic
def words(typing):
    """Return the address of five integers on the stack of the function that calls it."""

    def code(context, builder, signature, args):
        return builder.ptrtoint(cgutils.alloca_once(builder, ir.ArrayType(_INT, 5)), _INT)

    return types.int64(), code


def text_at(text: str):
    """Return a function that returns the address of a text."""

    @intrinsic
    def address(typing):
        def code(context, builder, signature, args):
            return builder.ptrtoint(context.insert_const_string(builder.module, text), _INT)

        return types.int64(), code

    return address


def _adds(floats: int, vectors: int):
    """Return a function that sums listed rows, times their factors, in registers of ``floats * vectors``.

    It adds the sums to a row, or writes them to one that is ``fresh``.
    """
    vector = ir.VectorType(_FLOAT, floats)

    @intrinsic
    def add(typing, total, rows, stride, where, what, found, fresh):
        def code(context, builder, signature, args):
            total, rows, stride, where, what, found, fresh = args
            total, rows, what = (builder.inttoptr(p, _FLOAT.as_pointer()) for p in (total, rows, what))
            where = builder.inttoptr(where, ir.IntType(32).as_pointer())

            def parts(start):
                at = (builder.gep(start, [_INT(i * floats)]) for i in range(vectors))
                return [builder.bitcast(p, vector.as_pointer()) for p in at]

            stores = parts(total)
            zeros = vector([0.0] * floats)
            entry, (test, body, end) = builder.block, [builder.append_basic_block() for _ in range(3)]
            builder.branch(test)
            builder.position_at_end(test)
            e, sums = builder.phi(_INT), [builder.phi(vector) for _ in range(vectors)]
            builder.cbranch(builder.icmp_signed("<", e, found), body, end)
            builder.position_at_end(body)
            row = builder.mul(builder.sext(builder.load(builder.gep(where, [e])), _INT), stride)
            factor = builder.insert_element(vector(ir.Undefined), builder.load(builder.gep(what, [e])), _INT(0))
            lanes = ir.VectorType(ir.IntType(32), floats)([0] * floats)
            factor = builder.shuffle_vector(factor, vector(ir.Undefined), lanes)
            for s, part in zip(sums, parts(builder.gep(rows, [row])), strict=True):
                product = builder.fmul(factor, builder.load(part, align=4), flags=("contract",))
                s.add_incoming(zeros, entry)
                s.add_incoming(builder.fadd(s, product, flags=("contract",)), body)
            e.add_incoming(_INT(0), entry)
            e.add_incoming(builder.add(e, _INT(1)), body)
            builder.branch(test)
            builder.position_at_end(end)
            # A fresh row is not read: its page may be new, and would be mapped twice.
            with builder.if_else(builder.icmp_signed("!=", fresh, _INT(0))) as (is_fresh, is_not):
                with is_fresh:
                    for s, part in zip(sums, stores, strict=True):
                        builder.store(s, part, align=4)
                with is_not:
                    for s, part in zip(sums, stores, strict=True):
                        builder.store(builder.fadd(builder.load(part, align=4), s), part, align=4)
            return context.get_dummy_value()

        return types.none(*[types.int64] * 7), code

    return add


add_wide, add_32, add_16 = _adds(16, WIDE // 16), _adds(16, 2), _adds(16, 1)
add_4, add_1 = _adds(4, 1), _adds(1, 1)


def _subroutine(context, builder, function):
    """Return a function of integers that returns one, compiled without what Python would need to call it."""
    integers = types.int64(*[types.int64] * function.__code__.co_argcount)
    return context.compile_subroutine(builder, function, integers, flags=bare_flags()), integers


def bare_flags():
    flags = compiler.Flags()
    flags.no_cpython_wrapper = flags.no_cfunc_wrapper = flags.no_compile = True
    flags.error_model = "numpy"  # no exceptions
    return flags


def inlined(function):
    """Make a function of integers, which returns one, part of what calls it when that is compiled."""

    def call(typing, *args):
        def code(context, builder, signature, args):
            made, integers = _subroutine(context, builder, function)
            return context.call_internal_no_propagate(builder, made.fndesc, integers, args)[1]

        return types.int64(*[types.int64] * len(args)), code

    own = inspect.signature(function)  # numba asks for it
    call.__signature__ = own.replace(parameters=[inspect.Parameter("typing", 1), *own.parameters.values()])
    return intrinsic(call)


def of_c(function, name, linkage):
    """Return a function that returns the address of another as a function of C."""

    @intrinsic
    def address(typing):
        def code(context, builder, signature, args):
            made, integers = _subroutine(context, builder, function)
            of_c = ir.Function(builder.module, ir.FunctionType(_INT, [_INT]), name)
            of_c.linkage = linkage
            inside = ir.IRBuilder(of_c.append_basic_block())
            inside.ret(context.call_internal_no_propagate(inside, made.fndesc, integers, of_c.args)[1])
            return builder.ptrtoint(of_c, _INT)

        return types.int64(), code

    return address


@inlined
def add_rows(first, last, total, rows, stride, where, what, found, fresh):
    """Add listed rows to one row, at the columns from ``first`` to ``last``."""
    while first < last:
        if first + WIDE <= last:
            add_wide(total + 4 * first, rows + 4 * first, stride, where, what, found, fresh)
            first += WIDE
        elif first + 32 <= last:
            add_32(total + 4 * first, rows + 4 * first, stride, where, what, found, fresh)
            first += 32
        elif first + 16 <= last:
            add_16(total + 4 * first, rows + 4 * first, stride, where, what, found, fresh)
            first += 16
        elif first + 4 <= last:
            add_4(total + 4 * first, rows + 4 * first, stride, where, what, found, fresh)
            first += 4
        else:
            add_1(total + 4 * first, rows + 4 * first, stride, where, what, found, fresh)
            first += 1
    return 0
