"""Check the files in the sdist and the wheel, and that checkout and sdist build one wheel. For `make test-package`.

python tools/package.py dist dist/checkout    # two folders: the sdist with the wheel built from it; the checkout's own
"""

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
SDIST = {
    *("benchmarks", "brainsurr", "docs", "notebooks", "tests", "tools"),
    *("CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "pyproject.toml"),
    *(".gitignore", ".pre-commit-config.yaml", "PKG-INFO"),  # hatchling's
}
ABOUT = {"METADATA", "RECORD", "WHEEL", "licenses/LICENSE"}


def inside(archive: Path) -> dict[str, bytes]:
    """Read the files of a wheel, or those of an sdist without its top folder."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return {name: wheel.read(name) for name in wheel.namelist()}
    with tarfile.open(archive) as sdist:
        members = [member for member in sdist if member.isfile()]
        return {member.name.partition("/")[2]: sdist.extractfile(member).read() for member in members}


def tracked() -> dict[str, bytes]:
    """Read the files of the checkout that belong in the sdist: all that git tracks, so that none can be left out."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {name: (ROOT / name).read_bytes() for name in names.split("\0") if name.partition("/")[0] in SDIST}


def differences(what: str, ours: dict[str, bytes], theirs: dict[str, bytes]) -> list[str]:
    """Return a line for each name that only one of two has, or whose contents differ."""
    names = sorted(ours.keys() | theirs.keys())
    return [f"{what} differ in {name}" for name in names if ours.get(name) != theirs.get(name)]


def main(built: Path, direct: Path) -> None:
    """Compare, print a summary, and exit with the problems, if any."""
    (sdist,), (wheel,), (twin,) = built.glob("*.tar.gz"), built.glob("*.whl"), direct.glob("*.whl")
    source, files = inside(sdist), inside(wheel)
    about = "-".join(wheel.name.split("-")[:2]) + ".dist-info/"
    paths = [path for path in (ROOT / "brainsurr").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    package = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in paths}

    says = differences("the wheels of the sdist and of the checkout", files, inside(twin))
    if not says and (wheel.name, wheel.read_bytes()) != (twin.name, twin.read_bytes()):
        says.append("the wheels of the sdist and of the checkout differ in their name, or in order, times or modes")
    modules = {name: text for name, text in files.items() if not name.startswith(about)}
    says += differences("the wheel and the checkout", package, modules)
    if (names := {name.removeprefix(about) for name in files.keys() - modules.keys()}) != ABOUT:
        says.append(f"expected {sorted(ABOUT)} in the wheel's {about}, got {sorted(names)}")

    if (names := {name.partition("/")[0] for name in source}) != SDIST:
        says.append(f"expected {sorted(SDIST)} in the sdist, got {sorted(names)}")
    copies = {name: text for name, text in source.items() if name != "PKG-INFO"}
    says += differences("the sdist and the checkout", tracked() | package, copies)

    if says:
        raise SystemExit("\n".join(says))
    print(f"{sdist.name}: {len(source)} files, as in the checkout")
    print(f"{wheel.name}: {len(files)} files, the same from the sdist and from the checkout, byte for byte")
    print(f"sha256 {hashlib.sha256(wheel.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
