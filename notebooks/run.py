"""Execute the notebooks: ``python -m notebooks.run`` runs them in place and keeps only the parts that a reader sees."""

import os
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient import NotebookClient

FOLDER = Path(__file__).parent


class _ThisPython(AsyncKernelManager):
    """A manager of kernels that run in this interpreter, ignoring registered kernels, without a network."""

    kernel_spec = KernelSpec(**get_kernel_dict())
    transport = "ipc"


def execute(path: Path, **variables: str) -> nbformat.NotebookNode:
    """Run a notebook from top to bottom in a kernel of its own, with the reader's settings of jax and matplotlib.

    Args:
      path: of the notebook; the file is not changed.
      **variables: added to the kernel's environment, which is that of this process.

    Returns:
      The notebook with its new outputs.

    Raises:
      nbclient.exceptions.CellExecutionError: a cell raised an error.
    """
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata = {}
    folder = {"metadata": {"path": str(FOLDER.parent)}}
    environment = {k: v for k, v in os.environ.items() if k not in ("MPLBACKEND", "XLA_FLAGS")} | variables
    with tempfile.TemporaryDirectory() as sockets:  # one folder per kernel, or kernels share sockets
        manager = _ThisPython(ip=f"{sockets}/kernel")
        client = NotebookClient(notebook, km=manager, timeout=600, coalesce_streams=True, resources=folder)
        return client.execute(env=environment, cleanup_kc=True)  # or its sockets stay open


def strip(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Reduce a notebook to its cells and their output, without counts, times, progress bars or machine."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for i, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{i}", {}
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [output for output in map(_strip_output, cell.outputs) if output.get("text") != ""]
    return notebook


def _strip_output(output):
    if output.output_type == "stream":
        output.text = re.sub(r"^.*\d+%\|.*\n?", "", output.text, flags=re.MULTILINE)
    else:
        output.metadata = {}
    if output.output_type == "execute_result":
        output.execution_count = None
    return output


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]) if sys.argv[1:] else sorted(FOLDER.glob("*.ipynb")):
        start = time.perf_counter()
        nbformat.write(strip(execute(path)), path)
        print(f"{path.name}: {time.perf_counter() - start:.0f} s", flush=True)
