"""Wrappers for undocumented parts of jax. No other file of the package uses these parts directly.

`tests/project/test_jax_private.py` tests each function, so it fails first if a new version of jax breaks one.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
from jax.interpreters import ad, batching, mlir, partial_eval


def needed(program, output: int | None = None) -> tuple[Any, list[bool]]:
    """Return the jaxpr without operations that the outputs do not depend on, and whether each input is used.

    Args:
      program: a closed jaxpr.
      output: the index of the only output to keep. If None, all outputs are kept.
    """
    return partial_eval.dce_jaxpr(program.jaxpr, [output in (None, i) for i in range(len(program.jaxpr.outvars))])


def scan_parts(params, operands) -> tuple[list, list, list]:
    """Return the constants, the carry and the ``xs`` among the operands of a scan."""
    if "num_carry" in params:
        consts, carries = params["num_consts"], params["num_carry"]
    else:  # jax 0.12
        consts, carries = (len(part) for part in params["ft_in"].unpack()[:2])
    return operands[:consts], operands[consts : consts + carries], operands[consts + carries :]


def frames(equations: Iterable[Any]) -> Iterator[Any]:
    """Yield the stack frames in which each equation was traced, innermost frame first."""
    for equation in equations:
        source = equation.source_info.traceback
        yield from source.frames if source else ()


def scopes(equation) -> str:
    """Return the ``jax.named_scope`` names around an equation, joined by slashes."""
    return str(equation.source_info.name_stack)


def is_batched(x) -> bool:
    """Return whether an array is traced by ``vmap``, which hides one of its axes."""
    return type(x).__name__ == "BatchTracer"


is_unknown = ad.is_undefined_primal  # whether a transpose rule differentiates with respect to an operand


def is_zero(tangent) -> bool:
    """Return whether a tangent is a symbolic zero."""
    return type(tangent) is ad.Zero


def zero_tangent(primal) -> Any:
    """Return the symbolic zero for a value."""
    return ad.Zero(jax.typeof(primal).to_tangent_aval())


def set_rules(primitive, jvp: Callable, transpose: Callable, batch: Callable) -> None:
    """Set the rules of a primitive for each jax transformation."""
    ad.primitive_jvps[primitive] = jvp
    ad.primitive_transposes[primitive] = transpose
    batching.primitive_batchers[primitive] = batch


def set_lowering(primitive, function: Callable, platform: str | None = None) -> None:
    """Compile a primitive to a function of its operands and parameters, on one platform or on all others.

    The function is also called with ``is_exported``, which says whether ``jax.export`` compiles the program.
    """
    mlir.register_lowering(primitive, partial(_lower, function), platform=platform)


def _lower(function, context, *operands: Sequence[Any], **params):
    call = partial(function, is_exported=context.module_context.lowering_parameters.for_export)
    # Omit the `shard_map` mesh axes that the operands vary over, since an FFI call has none.
    avals = [jax.core.ShapedArray(aval.shape, aval.dtype) for aval in context.avals_in]
    return mlir.lower_fun(call, multiple_results=False)(context.replace(avals_in=avals), *operands, **params)
