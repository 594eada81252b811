"""The lines of the pages that install each reader, in an environment that is made anew, and a file that it reads."""

import os
import re
import shutil
import subprocess
import sys

import nir
import numpy as np
import pages
import pytest

from benchmarks.nir import trials
from brainsurr.nir import to_nir

TEXT = "".join((pages.DOCS / page).read_text() for page in ("nir.md", "chips.md"))
ROWS = dict(re.findall(r"^\| (\w+) \| (`pip .*) \|$", TEXT, re.MULTILINE))
CODE = "import numpy, sys; from benchmarks.nir.peers import READERS; reader, *files = sys.argv[1:]; "
CODE += "numpy.save(files[2], READERS[reader](files[0], numpy.load(files[1])))"


def installed(lines, folder):
    """Make an environment anew with the lines of a row; return its Python, and the variables that it runs with."""
    wanted = re.search(r"with Python 3\.(\d+)( or later)?", lines)
    fits = not wanted or (wanted[2] and sys.version_info >= (3, int(wanted[1])))
    python = sys.executable if fits else f"python3.{wanted[1]}"
    if not shutil.which(python) or subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode:
        pytest.skip(f"there is no {python}")
    subprocess.run([python, "-m", "venv", folder], check=True)
    ours = ("PYTHONPATH", "VIRTUAL_ENV", "XLA_FLAGS")
    alone = {name: value for name, value in os.environ.items() if name not in ours}
    alone |= {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "LAVA": str(folder / "bin/python")}
    for line in re.findall("`(pip .*?)`", lines):
        subprocess.run(line.replace("pip install", "pip install --quiet"), shell=True, check=True, env=alone)
    return folder / "bin" / "python", alone


def test_what_runs_in_environments_of_others_asks_for_no_jax():
    code = "import sys; sys.modules['jax'] = None; import benchmarks.nir.peers"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=pages.ROOT)


@pytest.mark.peers
@pytest.mark.parametrize("reader", ROWS)
def test_the_lines_that_install_a_reader_do(reader, tmp_path):
    mine = [t for t in trials.TRIALS if t.how.get("reader") == reader and t.network == "`LIF`" and not t.options]
    (trial,), files = mine, [tmp_path / name for name in ("net.nir", "xs.npy", "ys.npy")]
    net, xs = trials.network(trial), trials.inputs(trial.network, reader)
    nir.write(files[0], to_nir(net, xs.shape[2:], **trial.how))
    np.save(files[1], xs)
    python, alone = installed(ROWS[reader], tmp_path / "env")
    subprocess.run([python, "-c", CODE, reader, *files], check=True, env=alone, cwd=pages.ROOT)
    np.testing.assert_array_equal(np.load(files[2]), trials.run_network(net, xs))
