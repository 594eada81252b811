"""What an import loads, and what a missing framework says."""

import json
import re
import subprocess
import sys

import pytest

import brainsurr
from brainsurr._optional import needs

pytestmark = pytest.mark.slow  # processes

FRAMEWORKS = [
    "flax",
    "brainstate",
    "optax",
    "matplotlib",
    "braintools",
    "brainunit",
    "orbax",
    "equinox",
    "tqdm",
    "sklearn",
    "nir",
    "h5py",
]


def python(code: str):
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def loaded(module: str) -> list[str]:
    return python(f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))")


def test_brainsurr_alone_loads_no_framework():
    modules = loaded("brainsurr")
    assert not set(FRAMEWORKS) & set(modules)
    assert "jax" in modules


@pytest.mark.parametrize(
    ("module", "others"),
    [
        ("brainsurr.nnx", ["brainstate", "brainsurr.linen", "brainsurr.brainstate"]),
        ("brainsurr.linen", ["brainstate", "brainsurr.nnx", "brainsurr.brainstate"]),
        ("brainsurr.brainstate", ["flax", "brainsurr.nnx", "brainsurr.linen"]),
        ("brainsurr.nir", ["flax", "brainstate", "brainsurr.nnx", "brainsurr.linen", "brainsurr.brainstate"]),
        ("brainsurr.interop", ["flax", "brainstate", "brainsurr.nnx", "brainsurr.linen", "brainsurr.brainstate"]),
    ],
)
def test_a_framework_module_loads_no_other(module, others):
    assert not set(others) & set(loaded(module))


MODULES = {"brainstate", "interop", "linen", "nir", "nnx", "optim", "plot"}


def test_a_module_is_loaded_when_it_is_first_used():
    code = """
import importlib, json, sys, types
import brainsurr as bs
exec("from brainsurr import *")
listed, before = dir(bs), sorted(sys.modules)
names = ["brainstate", "interop", "linen", "nir", "nnx", "optim", "plot"]
loaded = {name: isinstance(getattr(bs, name), types.ModuleType) for name in names}
same = all(vars(bs)[name] is importlib.import_module("brainsurr." + name) for name in names)
print(json.dumps([listed, before, loaded, same]))
"""
    listed, before, loaded, same = python(code)
    assert set(listed) >= MODULES | {"spike", "Arctan", "__version__"}
    assert not set(FRAMEWORKS) & set(before)
    assert loaded == dict.fromkeys(MODULES, True)
    assert same


def test_a_module_used_as_an_attribute_loads_no_other():
    assert not {"brainstate", "brainsurr.linen", "brainsurr.brainstate"} & set(loaded("brainsurr; brainsurr.nnx"))
    assert not {"flax", "brainsurr.linen", "brainsurr.nnx"} & set(loaded("brainsurr; brainsurr.brainstate"))


def test_a_module_whose_framework_is_missing_is_no_attribute_and_says_why():
    """An AttributeError, so that `hasattr`, `getattr` with a default, `inspect.getmembers` and `help` go on."""
    code = """
import inspect, json, pydoc, sys
for package in ("flax", "brainstate", "optax", "matplotlib", "nir"):
    sys.modules[package] = None
import brainsurr as bs
messages = {}
for name in ("nnx", "linen", "brainstate", "optim", "plot", "nir"):
    try:
        getattr(bs, name)
    except AttributeError as error:
        messages[name] = str(error)
there = [hasattr(bs, name) for name in ("nnx", "interop")]
inspect.getmembers(bs), pydoc.render_doc(bs)
print(json.dumps([messages, there]))
"""
    messages, there = python(code)
    extras = {
        "nnx": "flax",
        "linen": "flax",
        "brainstate": "brainstate",
        "optim": "train",
        "plot": "plot",
        "nir": "nir",
    }
    assert messages.keys() == extras.keys()
    for name, extra in extras.items():
        assert messages[name].startswith(f"brainsurr.{name} can't be loaded: ")
        assert messages[name].endswith(f'install it with: pip install "brainsurr[{extra}]"')
    assert there == [False, True]


def test_what_brainsurr_does_not_have_is_said_as_by_any_module():
    with pytest.raises(AttributeError, match=r"^module 'brainsurr' has no attribute 'Arctn'$") as error:
        brainsurr.Arctn  # noqa: B018
    assert (error.value.name, error.value.obj) == ("Arctn", brainsurr)  # and so Python asks: did you mean Arctan?


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("LIF", "from brainsurr.nnx import LIF"),
        ("bounds", "from brainsurr.nnx import bounds"),
        ("fast_sigmoid", "write brainsurr.equivalent('snntorch', 'fast_sigmoid')"),
        ("ATan", "write brainsurr.equivalent('spikingjelly', 'ATan')"),
    ],
)
def test_what_is_elsewhere_is_found(name, says):
    with pytest.raises(AttributeError, match=rf"has no attribute '{name}': .*{re.escape(says)}$"):
        getattr(brainsurr, name)
    exec(says.replace("write ", ""), {"brainsurr": brainsurr})


def test_the_layers_that_are_pointed_to_are_in_each_framework():
    from brainsurr._other_libraries import LAYERS

    for layers in (brainsurr.nnx, brainsurr.linen, brainsurr.brainstate):
        assert set(LAYERS.split()) <= set(layers.__all__)


def test_a_missing_framework_names_the_line_that_installs_it():
    code = """
import importlib, json, sys
messages = {}
of = {"nnx": "flax", "linen": "flax", "brainstate": "brainstate", "optim": "optax", "nir": "nir"}
for module, package in of.items():
    sys.modules[package] = None
    try:
        importlib.import_module("brainsurr." + module)
    except ImportError as error:
        messages[module] = [type(error).__name__, error.name, str(error)]
print(json.dumps(messages))
"""
    messages = python(code)
    extras = {"nnx": "flax", "linen": "flax", "brainstate": "brainstate", "optim": "train", "nir": "nir"}
    for module, extra in extras.items():
        kind, name, message = messages[module]
        assert kind == "ModuleNotFoundError"
        assert name.partition(".")[0] == ("optax" if extra == "train" else extra)
        assert message.endswith(f'install it with: pip install "brainsurr[{extra}]"')


def test_a_module_of_ours_that_is_missing_is_not_blamed_on_the_framework():
    with pytest.raises(ModuleNotFoundError) as error, needs("flax"):
        import brainsurr._no_such_module  # noqa: F401
    assert str(error.value) == "No module named 'brainsurr._no_such_module'"


def test_a_framework_that_is_there_and_broken_shows_its_own_error():
    with pytest.raises(ImportError, match=r"^cannot import name") as error, needs("flax"):
        from jax import no_such_name  # noqa: F401
    assert not isinstance(error.value, ModuleNotFoundError)
