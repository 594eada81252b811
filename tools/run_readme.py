"""Run the README's code as a new user would: ``python tools/run_readme.py``, in a clone.

It runs each ``pip install`` line as printed in a new virtual environment. The Python blocks after the line (and before
it, for the first line) then run there in order, in an empty folder and in one process. Their output must equal the text
blocks.
"""

import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIFFERS = 0.015  # accuracy can differ on another machine by a few of the 450 images


def parts(text: str) -> list[tuple[str, str, str]]:
    """Return each install command, with the Python code that follows it and the output that the page shows."""
    found = [("", "", "")]
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        command, code, output = found.pop()
        if language == "bash" and block.startswith("pip install"):
            found += [(command, code, output), (block, "", "")] if command else [(block, code, output)]
        else:
            found.append((command, code + block * (language == "python"), output + block * (language == "text")))
    return found


def run(command: str, code: str) -> str:
    """Run an install command in a new environment, run the code there in an empty folder, and return its output."""
    with tempfile.TemporaryDirectory() as environment, tempfile.TemporaryDirectory() as empty:
        venv.create(environment, with_pip=True)
        binaries = f"{environment}/bin"
        path = os.environ | {"PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}", "PIP_QUIET": "1"}
        subprocess.run(command, shell=True, cwd=ROOT, env=path, check=True)
        return subprocess.check_output([f"{binaries}/python", "-c", code], cwd=empty, text=True)


def differ(printed: str, shown: str) -> bool:
    """Return whether two texts differ in their words, or in a number by more than rounding."""
    number = r"-?\d+\.?\d*"
    pairs = zip(re.findall(number, printed), re.findall(number, shown), strict=False)
    words = re.sub(number, "", printed).split() != re.sub(number, "", shown).split()
    return words or any(abs(float(one) - float(other)) > DIFFERS for one, other in pairs)


if __name__ == "__main__":
    for command, code, shown in parts((ROOT / "README.md").read_text(encoding="utf-8")):
        print(command, end="", flush=True)
        printed = run(command, code)
        print(printed, end="", flush=True)
        if differ(printed, shown):
            sys.exit(f"README.md shows:\n{shown}")
