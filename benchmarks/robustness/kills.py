"""Kills: kill the training of `benchmarks.digits` again and again, resume it, and expect the same bits.

``python -m benchmarks.robustness.kills`` runs it undisturbed, twice; then with ``kill -9``, by turns at random times
and in the middle of a write, each followed by ``--resume`` until the run is finished; then with SIGTERM. The result
must equal that of the undisturbed run: accuracies, curves, and the SHA-256 of the parameters, the optimiser's state and
the random states of each network. Compiled programs are cached between processes, so most kills hit the training.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tqdm import tqdm

from ..lib import FRAMEWORKS, results
from ..lib.checkpoints import UNFINISHED
from ..lib.study import positive

EPOCHS = 3
APART = ("seconds", "resumed", "commit", "uncommitted_changes")  # fields that may differ between equal results
LOOK = 0.001  # seconds between two looks at a process
SAVED = signal.SIGTERM + 128


class TrainingRun:
    """A training run in a folder, by as many processes as it needs."""

    def __init__(self, framework, folder, cache):
        self.out, self.checkpoints, self.log = folder / "out", folder / "out/checkpoints", folder / "log"
        folder.mkdir()
        settings = ("--framework", framework, "--epochs", str(EPOCHS), "--seeds", "1", "--save-every", "1")
        self.command = (sys.executable, "-m", "benchmarks.digits", *settings, "--out", str(self.out), "--resume")
        always = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}
        self.environment = os.environ | always | {"JAX_COMPILATION_CACHE_DIR": str(cache), "MPLBACKEND": "Agg"}

    def start(self):
        """Start a process that begins or continues the run."""
        with self.log.open("wb") as log:
            return subprocess.Popen(self.command, env=self.environment, stdout=log, stderr=log)

    def complete_checkpoints(self):
        """List the checkpoints that are completely written."""
        return [path for path in self.checkpoints.glob("*/*") if path.name.isdigit()]

    def unfinished_checkpoints(self):
        """Identify the checkpoints that are being written, or were when a process ended."""
        unfinished = set()
        for path in self.checkpoints.glob(f"*/*{UNFINISHED}"):
            try:
                unfinished.add((path, path.stat().st_ino))
            except FileNotFoundError:  # it is complete by now
                continue
        return unfinished

    def result(self):
        """Read the result, without the fields that may differ."""
        result = json.loads((self.out / "result.json").read_text())
        return {name: value for name, value in result.items() if name not in APART}

    def is_finished(self):
        """Return whether the run is finished: the checkpoints are removed last."""
        return (self.out / "result.json").exists() and not self.checkpoints.exists()

    def run_to_end(self):
        """Run to the end undisturbed; return the seconds."""
        start = time.perf_counter()
        self.wait(self.start(), 0)
        return time.perf_counter() - start

    def wait(self, process, status):
        """Wait for a process that must end with this exit status."""
        if process.wait() != status:
            log = self.log.read_text()
            raise RuntimeError(f"expected exit status {status}, got {process.returncode} from {self.command}:\n{log}")

    def start_and_kill(self, rng, longest, in_write):
        """Start a process and kill it; return the state it was killed in, or None if the run finished before."""
        before, process, start = self.unfinished_checkpoints(), self.start(), time.perf_counter()
        if in_write:
            seen, count = set(before), len(before) + rng.randint(1, EPOCHS)
            while process.poll() is None and len(seen) < count:
                time.sleep(LOOK)
                seen |= self.unfinished_checkpoints()
            time.sleep(rng.uniform(0, 0.04))
        else:
            end = start + rng.uniform(0, longest)
            while process.poll() is None and time.perf_counter() < end:
                time.sleep(LOOK)
        process.kill()
        if process.wait() != -signal.SIGKILL:
            self.wait(process, 0)
        if self.is_finished():
            return None
        return {
            "in_write": bool(self.unfinished_checkpoints() - before),
            "checkpoints": len(self.complete_checkpoints()),
        }

    def start_and_terminate(self):
        """Start a process and send it SIGTERM when the first checkpoint is complete; it must save and say so."""
        process = self.start()
        while process.poll() is None and not self.complete_checkpoints():
            time.sleep(LOOK)
        process.terminate()
        self.wait(process, SAVED)
        if "SIGTERM: saved in" not in self.log.read_text():
            raise RuntimeError(f"expected a message about SIGTERM, got:\n{self.log.read_text()}")


def kill_runs(name, kills, rng, folder, on_kill):
    """Kill runs of one framework, as many as needed for so many kills; then end one by SIGTERM.

    Args:
      name: of the framework.
      kills: how often.
      rng: of the times.
      folder: for the runs.
      on_kill: called after each kill.

    Returns:
      The names of the trained networks, and the counts of what happened.
    """

    def new_run():
        runs.append(TrainingRun(name, folder / f"{name}-{len(runs)}", folder / f"{name}-cache"))
        return runs[-1]

    runs, hits, identical = [], [], []
    first, second = new_run(), new_run()
    first.run_to_end()
    longest = second.run_to_end()
    reference = first.result()
    while len(hits) < kills:
        run, before = new_run(), len(hits)
        while len(hits) < kills and (hit := run.start_and_kill(rng, longest, in_write=len(hits) % 2 == 1)):
            hits.append(hit)
            on_kill()
        if not run.is_finished():
            run.run_to_end()
        if len(hits) > before:
            identical.append(run.result() == reference)
    last = new_run()
    last.start_and_terminate()
    last.run_to_end()
    return list(reference["runs"]), {
        "undisturbed_identical": second.result() == reference,
        "kills": len(hits),
        "in_write": sum(hit["in_write"] for hit in hits),
        "before_first_checkpoint": sum(not hit["checkpoints"] for hit in hits),
        "resumptions": sum(bool(hit["checkpoints"]) for hit in hits),
        "runs_killed": len(identical),
        "runs_killed_identical": sum(identical),
        "terminated": {"exit_status": SAVED, "identical": last.result() == reference},
    }


def settings(kills):
    """Return the settings that the numbers depend on, apart from versions and device."""
    return {"epochs": EPOCHS, "kills": kills}


def main(argv=None):
    """Kill the training in every framework and write the result."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robustness.kills", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=positive, default=14, metavar="N", help="kills in each framework (default: 14)")
    results.add_out(parser, "kills")
    args = parser.parse_args(argv)
    results.try_out(parser, args.out)
    start, rng = time.perf_counter(), random.Random(0)
    with (
        tempfile.TemporaryDirectory() as folder,
        tqdm(total=len(FRAMEWORKS) * args.kills, desc="kills", unit="kill") as bar,
    ):
        frameworks = {}
        for name in FRAMEWORKS:
            networks, frameworks[name] = kill_runs(name, args.kills, rng, Path(folder), bar.update)
    result = {
        "study": "kills",
        "settings": settings(args.kills) | {"networks": networks},
        "frameworks": frameworks,
        "seconds": time.perf_counter() - start,
        **results.environment(),
    }
    results.write(args.out / "result.json", result)


if __name__ == "__main__":
    main()
