"""What an import loads, and what a missing framework says."""

import json
import subprocess
import sys

import pytest

from brainsurr._extras import needs

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
        ("brainsurr.interop", ["flax", "brainstate", "brainsurr.nnx", "brainsurr.linen", "brainsurr.brainstate"]),
    ],
)
def test_a_framework_module_loads_no_other(module, others):
    assert not set(others) & set(loaded(module))


def test_a_missing_framework_names_the_line_that_installs_it():
    code = """
import importlib, json, sys
messages = {}
for package, module in [("flax", "nnx"), ("flax", "linen"), ("brainstate", "brainstate"), ("optax", "optim")]:
    sys.modules[package] = None
    try:
        importlib.import_module("brainsurr." + module)
    except ImportError as error:
        messages[module] = [type(error).__name__, error.name, str(error)]
print(json.dumps(messages))
"""
    messages = python(code)
    for module, extra in {"nnx": "flax", "linen": "flax", "brainstate": "brainstate", "optim": "train"}.items():
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
