"""What an import loads, and what a missing framework says."""

import json

import pytest
from cases import python

import brainsurr
from brainsurr._extras import needs
from tools import frameworks

pytestmark = pytest.mark.slow  # processes

FRAMEWORKS = ["flax", "brainstate", "optax", "matplotlib", "braintools", "brainunit", "orbax", "equinox", "tqdm"]
FRAMEWORKS += ["sklearn", "nir", "h5py", "numba", "llvmlite"]
# Each module that is loaded when it is first used: the package that it needs, and the extra that installs it.
OPTIONAL = {
    "nnx": ("flax", "flax"),
    "linen": ("flax", "flax"),
    "brainstate": ("brainstate", "brainstate"),
    "equinox": ("equinox", "equinox"),
    "optim": ("optax", "train"),
    "plot": ("matplotlib", "plot"),
    "nir": ("nir", "nir"),
}
HOSTS = [f"brainsurr.{host.name}" for host in frameworks.HOSTS]


@pytest.mark.parametrize("module", [*HOSTS, "brainsurr.nir", "brainsurr.interop"])
def test_a_module_loads_no_framework_but_its_own(module):
    own = {module, *OPTIONAL.get(module.rpartition(".")[2], ())}
    assert not ({*HOSTS, "flax", "brainstate"} - own) & set(
        python(f"import sys, {module}; print(*sys.modules)").split()
    )


def test_a_module_is_loaded_when_it_is_first_used():
    names = sorted([*OPTIONAL, "cpu", "encoders", "events", "initializers", "interop", "losses"])
    code = f"""
import importlib, json, sys
import brainsurr as bs
exec("from brainsurr import *")
listed, before = dir(bs), sorted(sys.modules)
same = [getattr(bs, name) is vars(bs)[name] is importlib.import_module("brainsurr." + name) for name in {names}]
print(json.dumps([listed, before, same]))
"""
    listed, before, same = json.loads(python(code))
    assert listed == sorted([*brainsurr.__all__, *names, "__version__", "neurons", "surrogates"])
    assert not {*FRAMEWORKS, *HOSTS} & set(before)
    assert all(same)


def test_a_missing_framework_names_the_line_that_installs_it():
    """As an AttributeError too, so that `hasattr`, `inspect.getmembers` and `help` go on."""
    code = f"""
import importlib, inspect, json, pydoc, sys
sys.modules.update(dict.fromkeys({[package for package, _ in OPTIONAL.values()]}))
import brainsurr as bs
messages = {{}}
for name in {list(OPTIONAL)}:
    try:
        importlib.import_module("brainsurr." + name)
    except ModuleNotFoundError as error:
        messages[name] = str(error)
inspect.getmembers(bs), pydoc.render_doc(bs)
print(json.dumps([messages, [name for name in messages if hasattr(bs, name)], hasattr(bs, "interop")]))
"""
    messages, loaded, there = json.loads(python(code))
    for name, (package, extra) in OPTIONAL.items():
        assert package in messages[name]
        assert messages[name].endswith(f'to install it, run in a clone of brainsurr: pip install ".[{extra}]"')
    assert not loaded
    assert there


def test_what_brainsurr_does_not_have_is_said_as_by_any_module():
    with pytest.raises(AttributeError, match=r"^module 'brainsurr' has no attribute 'Arctn'$") as error:
        brainsurr.Arctn  # noqa: B018
    assert (error.value.name, error.value.obj) == ("Arctn", brainsurr)  # and so Python asks: did you mean Arctan?


@pytest.mark.parametrize("name", ["LIF", "RFCell", "bounds"])
def test_what_is_elsewhere_is_found(name):
    with pytest.raises(AttributeError, match=r"brainsurr\.nnx"):
        getattr(brainsurr, name)


def test_the_error_of_a_framework_that_is_broken_is_shown_as_it_is():
    with pytest.raises(ImportError, match="no_such") as error, needs("flax"):
        from jax import no_such_name  # noqa: F401
    assert "install" not in str(error.value)
