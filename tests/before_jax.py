"""The environment that the tests run in, set before jax is imported."""

import importlib.metadata
import os
import tempfile
from pathlib import Path

# Before 0.11, jaxlib has two kinds of code generators. With the older ones `make test` takes a fifth less time. The
# others are the default, which `make test-floor` asks for, and the only ones of newer versions.
EMITTERS = "--xla_cpu_use_fusion_emitters"
DEVICES = " --xla_force_host_platform_device_count=8"  # behind the flags of whoever runs the tests

flags = os.environ.get("XLA_FLAGS", "").removesuffix(DEVICES)
version = tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:2]))
if version < (0, 11) and EMITTERS not in flags:
    flags += f" {EMITTERS}=false"
os.environ["XLA_FLAGS"] = flags + DEVICES
os.environ["MPLBACKEND"] = "Agg"

# Keep compiled programs for the other workers, which inherit the folder from the process that starts them, for the
# processes that tests start, and for the next run. Flags, versions and processor are part of the cache key.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    folder = Path(__file__).parents[1] / ".pytest_cache" / "jax"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:  # a checkout that can't be written into
        scratch = tempfile.TemporaryDirectory()
        folder = Path(scratch.name)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
# jax warns about an entry that another process is still writing, and compiles. pyproject.toml ignores it in pytest.
os.environ["PYTHONWARNINGS"] = "ignore:Error reading persistent compilation cache entry"


def of_a_user() -> dict[str, str]:
    """Return the environment of a user's process: as that of the tests, with one device."""
    return os.environ | {"XLA_FLAGS": os.environ["XLA_FLAGS"].removesuffix(DEVICES)}
