"""Install the wheel alone and with each extra in a new environment, and check which modules import and run there.

python tools/extras.py dist/brainsurr-0.3.0-py3-none-any.whl    # as `make test-extras` does
"""

import json
import subprocess
import sys
import tempfile
import venv
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from packaging.metadata import Metadata  # of `build`, which made the wheel
from packaging.utils import canonicalize_name

OURS = {"docs", "peers", "speech", "test"}  # needed only by this repository's own programs
# The extra that the ImportError of each module must name.
NAMES = {
    "nnx": "flax",
    "linen": "flax",
    "brainstate": "brainstate",
    "equinox": "equinox",
    "plot": "plot",
    "optim": "train",
    "nir": "nir",
    "_nir": "nir",
    "events._handler": "events",
    "events._kernels": "events",
    "events._llvm": "events",
}
# The modules that import with each extra, and with no other. Flax requires optax.
IMPORTS = {extra: {module for module, named in NAMES.items() if named == extra} for extra in NAMES.values()}
IMPORTS |= {"flax": {"nnx", "linen", "optim"}, "train": {"plot", "optim"}, "all": set(NAMES)}
FOLLOW = {"flax": {"optax", "orbax-checkpoint"}}  # extras whose requirements this extra's library also installs
# Packages that the examples of a module need in addition.
NEED = {"brainsurr.nir": {"nnx"}, "brainsurr.events": {"nnx"}}


def requirements(wheel: Path) -> dict[str, set[str]]:
    """Return the requirements of the wheel by extra; the extra "" lists those that are always installed."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Metadata.from_email(archive.read(name))

    def names(extra: str) -> set[str]:
        asked = (one for one in metadata.requires_dist if one.marker is None or one.marker.evaluate({"extra": extra}))
        return {canonicalize_name(one.name) for one in asked}

    always = names("")
    return {"": always} | {extra: names(extra) - always for extra in metadata.provides_extra if extra not in OURS}


def install(wheel: Path, extra: str) -> dict:
    """Run `tools/inspect_environment.py` in a new environment that contains the wheel with one extra."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=False)
        python = Path(folder) / "bin" / "python"
        pip = [sys.executable, "-m", "pip", "--quiet", "--python", python]
        # pip need not compile the packages: few of their modules are imported, and Python compiles those.
        subprocess.run([*pip, "install", "--no-compile", f"{wheel}[{extra}]" if extra else wheel], check=True)
        subprocess.run([*pip, "check"], check=True)
        inspect = [python, "-I", Path(__file__).with_name("inspect_environment.py")]
        done = subprocess.run(inspect, cwd=folder, check=True, stdout=subprocess.PIPE)
    report = json.loads(done.stdout)
    for key in ("installed", "loaded"):
        report[key] = set(map(canonicalize_name, report[key]))
    return report


def problems(extra: str, report: dict, asked: set[str], optional: set[str]) -> list[str]:
    """List what is wrong in the environment of an extra."""
    there = optional & report["installed"]
    says = [f"{name} is asked for and not installed" for name in asked - report["installed"]]
    says += [f"{name} comes along, and nothing here says why" for name in there - asked - FOLLOW.get(extra, set())]
    says += [f"import brainsurr loads {name}" for name in optional & report["loaded"]]
    for module, named in NAMES.items():
        message = report["refused"].get(f"brainsurr.{module}")
        if module in IMPORTS.get(extra, ()):
            says += [f"brainsurr.{module} does not import: {message}"] if message else []
        elif message is None:
            says.append(f"brainsurr.{module} imports, and this extra should not bring what it needs")
        elif f'pip install ".[{named}]"' not in message:
            says.append(f"brainsurr.{module} is refused, and does not name the extra {named}: {message}")
    core = report["refused"].keys() - {f"brainsurr.{module}" for module in NAMES}
    if extra != "all":  # the NIR layers of a framework need both extras
        core = {name for name in core if not (name.endswith("._nir") and ".[nir]" in report["refused"][name])}
    says += [f"{module} is refused: {report['refused'][module]}" for module in core]
    there = IMPORTS.get(extra, set())
    says += [f"an example fails: {text}" for name, text in report["failed"].items() if NEED.get(name, there) <= there]
    return [f"{extra or 'alone'}: {line}" for line in says]


def main(wheel: Path) -> None:
    """Print what each extra installs, and exit with an error if there are problems."""
    asked = requirements(wheel)
    optional = set().union(*(names for extra, names in asked.items() if extra))
    with ThreadPoolExecutor(2) as pool:
        reports = dict(zip(asked, pool.map(lambda extra: install(wheel, extra), asked), strict=True))
    for extra, report in reports.items():
        there = " ".join(sorted(report["installed"] & optional))
        print(f"{extra or 'alone'}: {len(report['installed'])} packages, {there}")
    if says := [line for extra, report in reports.items() for line in problems(extra, report, asked[extra], optional)]:
        raise SystemExit("\n".join(says))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
