"""Kills: the training of `benchmarks.digits` is killed again and again, goes on, and must come to the same bits.

``python -m benchmarks.robustness.kills`` runs it undisturbed, twice; then with ``kill -9``, at times drawn at random
and in the middle of a write by turns, each followed by ``--resume`` until the run is through; then with SIGTERM. What
comes out must equal what came out undisturbed: accuracies, curves, and the SHA-256 of the parameters, the optimiser's
state and the random states of each network. Compiled programs are cached between processes, to leave mostly training to
hit.
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
APART = (
    "seconds",
    "resumed",
    "commit",
    "uncommitted_changes",
)  # what two runs that came to the same may say differently
LOOK = 0.001  # seconds between two looks at a process
SAVED = signal.SIGTERM + 128


class TrainingRun:
    """A training run in a folder, by as many processes as it takes."""

    def __init__(self, framework, folder, cache):
        self.out, self.checkpoints, self.log = folder / "out", folder / "out/checkpoints", folder / "log"
        folder.mkdir()
        settings = ("--framework", framework, "--epochs", str(EPOCHS), "--seeds", "1", "--save-every", "1")
        self.command = (sys.executable, "-m", "benchmarks.digits", *settings, "--out", str(self.out), "--resume")
        always = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}
        self.environment = os.environ | always | {"JAX_COMPILATION_CACHE_DIR": str(cache), "MPLBACKEND": "Agg"}

    def start(self):
        """A process that begins the run, or goes on with it."""
        with self.log.open("wb") as log:
            return subprocess.Popen(self.command, env=self.environment, stdout=log, stderr=log)

    def whole(self):
        """The checkpoints that are there."""
        return [path for path in self.checkpoints.glob("*/*") if path.name.isdigit()]

    def writes(self):
        """The checkpoints that are being written or were when a process ended, each told from all others."""
        found = set()
        for path in self.checkpoints.glob(f"*/*{UNFINISHED}"):
            try:
                found.add((path, path.stat().st_ino))
            except FileNotFoundError:  # it is whole by now
                continue
        return found

    def result(self):
        """What came out."""
        result = json.loads((self.out / "result.json").read_text())
        return {name: value for name, value in result.items() if name not in APART}

    def through(self):
        """Whether there is nothing left to do: the checkpoints are removed last."""
        return (self.out / "result.json").exists() and not self.checkpoints.exists()

    def undisturbed(self):
        """Run to the end, and how long that took."""
        start = time.perf_counter()
        self.ended(self.start(), 0)
        return time.perf_counter() - start

    def ended(self, process, status):
        """Wait for a process that should end with this exit status."""
        if process.wait() != status:
            log = self.log.read_text()
            raise RuntimeError(f"expected exit status {status}, got {process.returncode} from {self.command}:\n{log}")

    def killed(self, rng, longest, in_write):
        """Start a process and kill it; what was hit, or None where it ended before."""
        before, process, start = self.writes(), self.start(), time.perf_counter()
        if in_write:
            seen, count = set(before), len(before) + rng.randint(1, EPOCHS)
            while process.poll() is None and len(seen) < count:
                time.sleep(LOOK)
                seen |= self.writes()
            time.sleep(rng.uniform(0, 0.04))
        else:
            end = start + rng.uniform(0, longest)
            while process.poll() is None and time.perf_counter() < end:
                time.sleep(LOOK)
        process.kill()
        if process.wait() != -signal.SIGKILL:
            self.ended(process, 0)
        if self.through():
            return None
        return {
            "in_write": bool(self.writes() - before),
            "checkpoints": len(self.whole()),
        }

    def terminated(self):
        """Start a process and send it SIGTERM as soon as a checkpoint is there; it must save and say so."""
        process = self.start()
        while process.poll() is None and not self.whole():
            time.sleep(LOOK)
        process.terminate()
        self.ended(process, SAVED)
        if "SIGTERM: saved in" not in self.log.read_text():
            raise RuntimeError(f"expected a message about SIGTERM, got:\n{self.log.read_text()}")


def framework(name, kills, rng, folder, on_kill):
    """Kill the runs of one framework this often, as many runs as it takes; then one by SIGTERM.

    Returns the names of the networks that were trained, and what came of it.
    """

    def new():
        runs.append(TrainingRun(name, folder / f"{name}-{len(runs)}", folder / f"{name}-cache"))
        return runs[-1]

    runs, hit, identical = [], [], []
    first, second = new(), new()
    first.undisturbed()
    longest = second.undisturbed()
    reference = first.result()
    while len(hit) < kills:
        run, before = new(), len(hit)
        while len(hit) < kills and (what := run.killed(rng, longest, in_write=len(hit) % 2 == 1)):
            hit.append(what)
            on_kill()
        if not run.through():
            run.undisturbed()
        if len(hit) > before:
            identical.append(run.result() == reference)
    last = new()
    last.terminated()
    last.undisturbed()
    return list(reference["runs"]), {
        "undisturbed_identical": second.result() == reference,
        "kills": len(hit),
        "in_write": sum(kill["in_write"] for kill in hit),
        "before_first_checkpoint": sum(not kill["checkpoints"] for kill in hit),
        "resumptions": sum(bool(kill["checkpoints"]) for kill in hit),
        "runs_killed": len(identical),
        "runs_killed_identical": sum(identical),
        "terminated": {"exit_status": SAVED, "identical": last.result() == reference},
    }


def settings(kills):
    """What the numbers depend on beside versions and device."""
    return {"epochs": EPOCHS, "kills": kills}


def main(argv=None):
    """Kill the training in every framework and write what came of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robustness.kills", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=positive, default=14, metavar="N", help="for each framework (default: 14)")
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
            networks, frameworks[name] = framework(name, args.kills, rng, Path(folder), bar.update)
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
