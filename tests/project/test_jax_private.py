"""The private interfaces of jax that the package uses: in one file, and as that file expects them."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jax.extend.core import Primitive

import brainsurr
from brainsurr import _jax_private

HOME = Path(brainsurr.__file__).parent
PRIVATE = r"jax\._src|jax\.interpreters|source_info|name_stack|BatchTracer|lowering_parameters|axis_context|ft_in"


@pytest.mark.parametrize(("names", "file"), [(PRIVATE, "_jax_private.py"), (r"numba\.core", "events/_llvm.py")])
def test_one_file_uses_what_is_private_in_a_library(names, file):
    assert {path for path in HOME.rglob("*.py") if re.search(rf"\b({names})\b", path.read_text())} == {HOME / file}


def program(f, *args):
    return jax.make_jaxpr(f)(*args)


def needed_inputs():
    jaxpr, used = _jax_private.needed(program(lambda x, y: (jnp.sin(y), 2 * x)[1], 1.0, 1.0))
    return [each.primitive.name for each in jaxpr.eqns], used


def parts_of_a_scan():
    def f(constant, carry, xs):
        return jax.lax.scan(lambda c, x: (c * x * constant, c), carry, xs)

    (scan,) = program(f, 2.0, 1.0, jnp.ones(3)).eqns
    return [[var.aval.shape for var in part] for part in _jax_private.scan_parts(scan.params, scan.invars)]


def sine(x):
    return jax.lax.sin(x)


def line_of_an_equation():
    frames = _jax_private.frames(program(sine, 1.0).eqns)
    return [frame.line_num for frame in frames if (frame.file_name, frame.function_name) == (__file__, "sine")]


def scopes_of_an_equation():
    def f(x):
        with jax.named_scope("outer"), jax.named_scope("inner"):
            return jnp.sin(x)

    return _jax_private.scopes(program(f, 1.0).eqns[0])


def batched():
    found = []
    jax.vmap(lambda x: found.append(_jax_private.is_batched(x)))(jnp.ones(2))
    jax.jit(lambda x: found.append(_jax_private.is_batched(x)))(jnp.ones(2))
    return found


def rules_of_a_primitive():
    """Double the first operand; return a gradient, and the values that the rules were told."""
    double, told = Primitive("double"), []
    double.def_abstract_eval(lambda x, y: x)

    def jvp(primals, tangents):
        told.append([*map(_jax_private.is_zero, (*tangents, _jax_private.zero_tangent(primals[0])))])
        return double.bind(*primals), double.bind(tangents[0], primals[1])

    def transpose(cotangent, x, y):
        told.append([*map(_jax_private.is_unknown, (x, y))])
        return double.bind(cotangent, y), None

    _jax_private.set_rules(double, jvp, transpose, lambda operands, axes: (double.bind(*operands), axes[0]))
    _jax_private.set_lowering(double, lambda x, y, **context: told.append(context) or 2 * x)
    gradient = jax.jit(jax.grad(lambda x: jax.vmap(lambda x: double.bind(x, 1.0))(x).sum()))
    return gradient(jnp.ones(2)).tolist(), told


EXPECTED = [
    (needed_inputs, (["mul"], [True, False])),
    (parts_of_a_scan, [[()], [()], [(3,)]]),
    (line_of_an_equation, [sine.__code__.co_firstlineno + 1]),
    (scopes_of_an_equation, "outer/inner"),
    (batched, [True, False]),
    (
        rules_of_a_primitive,
        ([2.0, 2.0], [[False, True, True], [True, False], {"is_exported": False, "is_whole": True}]),
    ),
]


@pytest.mark.parametrize(("find", "expected"), EXPECTED)
def test_a_private_interface_of_jax_is_as_expected(find, expected):
    try:
        found = find()
    except Exception as error:
        found = error
    assert found == expected, f"jax {jax.__version__} changed it: expected {expected}, got {found!r}"
