"""The private interfaces of jax that the package uses are in one file. Tests of their users check the others."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import brainsurr
from brainsurr import _jax_private

HOME = Path(brainsurr.__file__).parent
PRIVATE = r"jax\._src|jax\.interpreters|source_info|name_stack|BatchTracer|lowering_parameters|ft_in"


@pytest.mark.parametrize(("names", "file"), [(PRIVATE, "_jax_private.py"), (r"numba\.core", "events/_llvm.py")])
def test_one_file_uses_what_is_private_in_a_library(names, file):
    assert {path for path in HOME.rglob("*.py") if re.search(rf"\b({names})\b", path.read_text())} == {HOME / file}


def test_a_tracer_of_vmap_is_told_from_others():
    found = []
    for transform in (jax.vmap, jax.jit):
        transform(lambda x: found.append(_jax_private.is_batched(x)))(jnp.ones(2))
    assert found == [True, False]
