"""LLVM intrinsics that numba does not have, and the compilation of integer functions. Needs the extra ``events``.

Arrays are passed as addresses, which compile in a fifth of the time that numba needs for arrays. A list of nonzero
inputs has 8-byte entries, each an int32 index and a float32 value. This is the only file that uses ``numba.core``.
"""

from inspect import Parameter, Signature
from unittest import mock

from .._extras import needs

with needs("events"):
    from llvmlite import binding, ir
    from numba import types
    from numba.core import cgutils, compiler, config
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.registry import cpu_target
    from numba.extending import intrinsic

_INT, _FLOAT, _INT32, _BYTE = ir.IntType(64), ir.FloatType(), ir.IntType(32), ir.IntType(8)
_ENTRY = ir.LiteralStructType([_INT32, _FLOAT])
# The number of floats summed in registers: 8 registers of 16 floats (AVX-512), 16 of 4 (Arm), or 8 of 8.
WIDE = 128 if binding.get_host_cpu_features().get("avx512f") else 64

malloc = types.ExternalFunction("malloc", types.int64(types.int64))
free = types.ExternalFunction("free", types.none(types.int64))


def _as_intrinsic(integers: int, *others: types.Type, returns: types.Type = types.int64):
    """Decorate a function that generates LLVM code: its arguments are integers, then values of the other types."""

    def decorate(write):
        def typed(typing, *args):
            def code(context, builder, signature, args):
                value = write(context, builder, *args)
                return context.get_dummy_value() if value is None else value

            return returns(*[types.int64] * integers, *others), code

        names = ["typing", *map("x{}".format, range(integers + len(others)))]  # numba reads the signature
        typed.__signature__ = Signature([Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in names])
        return intrinsic(typed)

    return decorate


def _pointer(builder, kind, address, *indices):
    """Return a pointer to the array at an address, or to one of its elements."""
    pointer = builder.inttoptr(address, kind.as_pointer())
    return builder.gep(pointer, list(indices)) if indices else pointer


def _load_and_store(kind: ir.Type, numba_type: types.Type, *field: ir.Constant):
    """Return ``load(array, index)`` and ``store(array, index, value)`` for array elements, or a field of them."""

    def load(context, builder, array, index):
        return builder.load(_pointer(builder, kind, array, index, *field))

    def store(context, builder, array, index, value):
        builder.store(value, _pointer(builder, kind, array, index, *field))

    return _as_intrinsic(2, returns=numba_type)(load), _as_intrinsic(2, numba_type, returns=types.none)(store)


load_int, store_int = _load_and_store(_INT, types.int64)
load_float, store_float = _load_and_store(_FLOAT, types.float32)
load_byte, _ = _load_and_store(_BYTE, types.uint8)
load_index, store_index = _load_and_store(_ENTRY, types.int32, _INT32(0))
load_value, store_value = _load_and_store(_ENTRY, types.float32, _INT32(1))


def load_ints(first: int, count: int):
    """Return a function that loads ``count`` integers of an array as a tuple, starting at index ``first``."""
    kind = types.UniTuple(types.int64, count)

    def load(context, builder, array):
        pointers = (_pointer(builder, _INT, array, _INT(first + i)) for i in range(count))
        return context.make_tuple(builder, kind, list(map(builder.load, pointers)))

    return _as_intrinsic(1, returns=kind)(load)


@_as_intrinsic(3)
def fetch_add(context, builder, array, index, n):
    """Atomically add to an integer, and return its previous value."""
    return builder.atomic_rmw("add", _pointer(builder, _INT, array, index), n, "seq_cst")


@_as_intrinsic(2)
def call_c(context, builder, address, argument):
    """Call the C function at an address."""
    return builder.call(_pointer(builder, ir.FunctionType(_INT, [_INT]), address), [argument])


@_as_intrinsic(1)
def lowest_bit(context, builder, bits):
    """Return the position of the lowest set bit."""
    return builder.cttz(bits, ir.IntType(1)(1))


@_as_intrinsic(5)
def on_stack(context, builder, *values):
    """Store five integers in an array on the stack of the calling function, and return its address."""
    array = cgutils.alloca_once(builder, ir.ArrayType(_INT, len(values)))
    for i, value in enumerate(values):
        builder.store(value, builder.gep(array, [_INT(0), _INT(i)]))
    return builder.ptrtoint(array, _INT)


def text_address(text: str):
    """Return a function that returns the address of a string constant."""

    def address(context, builder):
        return builder.ptrtoint(context.insert_const_string(builder.module, text), _INT)

    return _as_intrinsic(0)(address)


def _nonzero_of_64(kind: ir.Type):
    """Return a function that computes a 64-bit mask of the nonzero numbers among 64 numbers at an address."""
    vector = ir.VectorType(kind, 64)

    def mask(context, builder, address):
        numbers = builder.load(_pointer(builder, vector, address), align=1)
        differ = builder.fcmp_unordered if kind is _FLOAT else builder.icmp_unsigned
        return builder.bitcast(differ("!=", numbers, vector([0] * 64)), _INT)

    return _as_intrinsic(1)(mask)


nonzero_floats, nonzero_bytes = _nonzero_of_64(_FLOAT), _nonzero_of_64(_BYTE)


def _add_rows_of(floats: int):
    """Return `add_rows` for rows of this many floats, whose sum LLVM keeps in registers."""
    vector = ir.VectorType(_FLOAT, floats)

    def add(context, builder, total, rows, stride, entries, count, is_first):
        total = _pointer(builder, vector, total)
        sums = cgutils.alloca_once_value(builder, vector([0.0] * floats))
        with cgutils.for_range(builder, count) as loop:
            index, value = (builder.load(_pointer(builder, _ENTRY, entries, loop.index, _INT32(i))) for i in (0, 1))
            start = _pointer(builder, _FLOAT, rows, builder.mul(builder.sext(index, _INT), stride))
            row = builder.load(builder.bitcast(start, vector.as_pointer()), align=4)
            factor = builder.insert_element(vector(ir.Undefined), value, _INT(0))
            factor = builder.shuffle_vector(factor, factor, ir.VectorType(_INT32, floats)([0] * floats))
            product = builder.fmul(factor, row, flags=("contract",))
            builder.store(builder.fadd(builder.load(sums), product, flags=("contract",)), sums)
        # The first sum does not read the output row: a new memory page would be mapped twice.
        with builder.if_then(builder.icmp_signed("==", is_first, _INT(0))):
            builder.store(builder.fadd(builder.load(total, align=4), builder.load(sums)), sums)
        builder.store(builder.load(sums), total, align=4)

    return _as_intrinsic(6, returns=types.none)(add)


def _flags():
    """Return numba's flags for integer functions, without the wrappers for calls from Python."""
    flags = compiler.Flags()
    flags.no_cpython_wrapper = flags.no_cfunc_wrapper = flags.no_compile = True
    flags.error_model = "numpy"  # no exceptions
    return flags


def _call(context, builder, function, args):
    """Compile a function from integers to an integer into the module of its caller, and call it."""
    signature = types.int64(*[types.int64] * len(args))
    compiled = context.compile_subroutine(builder, function, signature, flags=_flags())
    return context.call_internal_no_propagate(builder, compiled.fndesc, signature, args)[1]


def inlined(function):
    """Decorate a function from integers to an integer, so that numba compiles it together with its caller."""

    def call(context, builder, *args):
        return _call(context, builder, function, args)

    return _as_intrinsic(function.__code__.co_argcount)(call)


def as_c_function(function, name, linkage):
    """Return a function that returns the address of ``function``, compiled as a C function of one integer."""

    def address(context, builder):
        c_function = ir.Function(builder.module, ir.FunctionType(_INT, [_INT]), name)
        c_function.linkage = linkage
        body = ir.IRBuilder(c_function.append_basic_block())
        body.ret(_call(context, body, function, c_function.args))
        return builder.ptrtoint(c_function, _INT)

    return _as_intrinsic(0)(address)


def _in_tiles(floats: int, narrower):
    """Return `add_rows` for as many whole tiles of columns as fit; ``narrower`` adds the remaining columns."""
    add = _add_rows_of(floats)

    @inlined
    def add_tiles(first, last, total, rows, stride, entries, count, is_first):
        while first + floats <= last:
            add(total + 4 * first, rows + 4 * first, stride, entries, count, is_first)
            first += floats
        return narrower(first, last, total, rows, stride, entries, count, is_first)

    return add_tiles


# Multiply the rows at the indices in ``entries`` by their values, and add them to the row ``total``, in columns
# ``first`` to ``last``. With ``is_first``, overwrite ``total`` instead.
add_rows = inlined(lambda first, last, total, rows, stride, entries, count, is_first: 0)
for _floats in (1, 4, 16, 32, WIDE):
    add_rows = _in_tiles(_floats, add_rows)


def compiled(function, name: str) -> bytes:
    """Return an object file for this processor with ``function``, which has one integer argument, under this C name."""
    exported = as_c_function(function, name, "external")

    def start():
        return exported()

    with global_compiler_lock, mock.patch.object(config, "OPT", type(config.OPT)(0)):  # optimise only once, below
        library = compiler.compile_extra(
            cpu_target.typing_context, cpu_target.target_context, start, (), types.int64, _flags(), {}
        ).library
        library.finalize()
        module = binding.parse_assembly(library.get_llvm_str())
    for each in module.functions:
        if not each.is_declaration:
            each.linkage = "external" if each.name == name else "internal"
    machine = binding.Target.from_default_triple().create_target_machine(
        binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten(), opt=3, reloc="pic"
    )
    passes = binding.create_pass_builder(machine, binding.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(module, passes)
    return machine.emit_object(module)
