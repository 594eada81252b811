"""Processes of one run on this machine: start them together, and stop all when one fails or this process ends."""

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path


def together(module: str, arguments: Sequence[Sequence[str]], on_line: Callable[[str], None] = print, **environment):
    """Run ``python -m module`` once for each list of arguments, all at the same time.

    Args:
      module: the name of the module.
      arguments: a list for each process.
      on_line: called with each line that the first process prints.
      **environment: variables that differ from those of this process.

    Raises:
      RuntimeError: one of them failed; with the last lines that it wrote.

    Example:
      >>> together("platform", [["--terse"]], on_line=lambda line: print(len(line) > 0))
      True
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_exit_on_sigterm())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        logs = [folder / f"{i}.log" for i in range(len(arguments))]
        processes = []
        for log, own in zip(logs, arguments, strict=True):
            file = stack.enter_context(log.open("w"))
            command = [sys.executable, "-m", module, *own]
            process = subprocess.Popen(command, stdout=file, stderr=file, env=os.environ | environment)
            stack.callback(process.wait)
            stack.callback(process.kill)  # runs before the wait; without effect on a process that has ended
            processes.append(process)
        shown = 0
        while True:
            codes = [process.poll() for process in processes]
            lines = logs[0].read_text().split("\n")[:-1]
            for line in lines[shown:]:
                on_line(line)
            shown = len(lines)
            for code, own, log in zip(codes, arguments, logs, strict=True):
                if code:
                    tail = "\n".join(log.read_text().splitlines()[-15:])
                    raise RuntimeError(f"python -m {module} {' '.join(own)} ended with {code}:\n{tail}")
            if None not in codes:
                return
            time.sleep(0.1)


@contextlib.contextmanager
def _exit_on_sigterm():
    """Turn SIGTERM into an exception, so that the started processes are stopped too."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread can handle signals
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def is_free(port: int) -> bool:
    """Return whether nothing on this machine listens on a port."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just closed is free
        try:
            trial.bind(("", port))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True


def free_port() -> int:
    """Find a port of this machine that nothing listens on."""
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        return taken.getsockname()[1]
