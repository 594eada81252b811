"""What mypy says of a program that uses the layers."""

import re

import pytest
from mypy import api
from pages import ROOT

pytestmark = pytest.mark.slow  # mypy reads the frameworks

PROGRAM = """
import dataclasses
from typing import Any, assert_type

import jax
import jax.numpy as jnp

import brainsurr as bs
from brainsurr.{framework} import ALIF, LI, LIF, Delay, LIFCell, SpikingSequential, cell, layer


@dataclasses.dataclass
class QIF(bs.neurons.LIF):
    rate: Any = 0.1


class Mixin: ...


class Mixed(LIF, Mixin): ...


class Extra(LIF):
    extra: int = 0


def wants_neuron(neuron: bs.neurons.LIF) -> None: ...


x = jnp.ones((2, 3))
lif: LIF = LIF(3, decay=0.5, learnable="decay", bounds={{"decay": None}}, param_dtype=jnp.float16, recurrent=True)
LIFCell(3, spike_fn=bs.Arctan(2.0), reset="zero")
LI(3, decay_input=True, carry_init=None)
Delay(3, 2)
Mixed(3, threshold=2.0)
Extra(3, extra=2, decay=0.3)
base: LIF = ALIF(3, spike_adaptation=2.0)
wants_neuron(bs.neurons.ALIF())
SpikingSequential([lif, LI(3)])
assert_type(bs.neurons.LIF()(x[0], x), tuple[Any, jax.Array])
assert_type(layer(QIF)(4, rate=0.2, learnable="rate").neuron, bs.neurons.Neuron)
cell(QIF)(4, rate=0.2)

wants_neuron(lif)  # rejected
LIF(3, decey=0.5)  # rejected
LIF(3, 0.5)  # rejected
LIF()  # rejected
LIF("3")  # rejected
LIF(3, recurrent="yes")  # rejected
LIF(3, bounds=[0.0, 1.0])  # rejected
LIFCell(3, decey=0.5)  # rejected
LI(3, recurrent=True)  # rejected
Delay(3, learnable="steps")  # rejected
layer(int)  # rejected
"""

OWN_INIT = """
class Own(LIF):
    def __init__(self, n: int) -> None:
        super().__init__(n, decay=0.5)

    def more(self) -> int:
        return 1


Own(3).more()
Own(3, decay=0.5)  # rejected
"""

ENDS = {
    "nnx": f"""{OWN_INIT}
from flax import nnx

assert_type(lif(lif.initialize_carry((3,)), x), tuple[Any, jax.Array])
lif(x)  # rejected
LIF(3, recurrent=True, rngs=nnx.Rngs(0), spike_fn=bs.nnx.SpikingActivation(bs.Arctan(2.0)))
nnx.RNN(LIFCell(3))
""",
    "linen": """
from flax import linen as nn


class Own(LIF):
    extra: int = 0

    def more(self) -> int:
        return self.extra


Own(3, extra=2, decay=0.3).more()
Own(3, extra="2")  # rejected
LIF(3, name="lif", spike_fn=bs.linen.SpikingActivation(bs.Arctan(2.0)))
nn.RNN(LIFCell(3))
lif.apply({}, lif.initialize_carry(jax.random.key(0), (3,)), x)
lif(x)  # rejected
""",
    "equinox": f"""{OWN_INIT}
assert_type(lif(lif.initialize_carry((3,)), x, key=jax.random.key(0)), tuple[Any, jax.Array])
lif(x)  # rejected
LIF(3, recurrent=True, key=jax.random.key(0))
""",
    "brainstate": f"""{OWN_INIT}
LIF((4, 3), spike_fn=bs.brainstate.SpikingActivation(bs.Arctan(2.0)))
lif.init_state(batch_size=2)
lif.states()
lif(x)
""",
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Return the programs by framework, and the lines of each that mypy rejects."""
    folder = tmp_path_factory.mktemp("types")
    programs = {name: PROGRAM.format(framework=name) + end for name, end in ENDS.items()}
    for name, program in programs.items():
        (folder / f"uses_{name}.py").write_text(program)
    # With the settings of `make lint`, whose cache has the frameworks.
    options = [f"--config-file={ROOT / 'pyproject.toml'}", "--no-error-summary"]
    said, errors, _ = api.run([*options, *(str(folder / f"uses_{name}.py") for name in programs)])
    assert not errors
    return programs, {
        name: [int(line) for line in re.findall(rf"uses_{name}\.py:(\d+): error", said)] for name in programs
    }


@pytest.mark.parametrize("framework", ENDS)
def test_a_program_is_accepted_but_for_its_mistakes(framework, found):
    programs, lines = found
    program = programs[framework].splitlines()
    rejected = [line for line in program if line.endswith("# rejected")]
    assert [program[n - 1] for n in lines[framework]] == rejected
