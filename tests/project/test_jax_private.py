"""The undocumented parts of jax do what `_jax_private` says: the first tests to fail on a new jax."""

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive

from brainsurr import _jax_private as private


def test_the_parts_of_a_program_are_found():
    def f(weight, carry, xs):
        with jax.named_scope("loop"):
            return jax.lax.scan(lambda c, x: (c * weight, x), carry, xs)

    program = jax.make_jaxpr(f)(1.0, 2.0, jnp.zeros(3))
    (scan,) = program.eqns
    parts = private.scan_parts(scan.params, scan.invars)
    assert [[v.aval.shape for v in part] for part in parts] == [[()], [()], [(3,)]]
    assert private.scopes(scan) == "loop"
    assert __file__ in [frame.file_name for frame in private.frames([scan])]
    program = jax.make_jaxpr(lambda x, y: (jnp.sin(x), jnp.cos(jnp.cos(y))))(1.0, 2.0)
    kept = [private.needed(program, output) for output in (None, 0, 1)]
    assert [(len(jaxpr.eqns), used) for jaxpr, used in kept] == [
        (3, [True] * 2),
        (1, [True, False]),
        (2, [False, True]),
    ]


def test_a_primitive_gets_its_rules_and_its_lowering():
    """A product of two numbers, the second of which is not differentiated."""
    product, batched = Primitive("test_product"), []
    product.def_abstract_eval(lambda x, y: x)

    def jvp(primals, tangents):
        (x, y), (tangent, other) = primals, tangents
        assert private.is_zero(other)
        assert private.is_zero(private.zero_tangent(x))
        return product.bind(x, y), product.bind(tangent, y)

    def transpose(cotangent, x, y):
        assert private.is_unknown(x)
        assert not private.is_unknown(y)
        return product.bind(cotangent, y), None

    def batch(values, axes):
        return jax.vmap(jnp.multiply, axes)(*values), 0

    private.set_rules(product, jvp, transpose, batch)
    private.set_lowering(product, lambda x, y, is_exported: (x + float(is_exported)) * y)
    f = jax.jit(lambda x: product.bind(x, 3.0))
    assert (f(2.0), jax.grad(f)(2.0)) == (6, 3)
    assert jax.export.export(f)(2.0).call(2.0) == 9
    assert jax.vmap(lambda x: batched.append(private.is_batched(x)) or f(x))(jnp.arange(2.0)).tolist() == [0, 3]
    assert batched == [True]
    assert not private.is_batched(jnp.zeros(2))
