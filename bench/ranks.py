"""Target words a second of one training in two processes on a CPU, beside one process that does the same updates.

On a GPU the processes have a GPU each; on a CPU they divide the cores, so that this measures what it costs them to
exchange gradients, and what threads cost that wait for each other.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from measure import CORES, prepared
from train import fairseq, tokens

UPDATES = {"transformer_tiny": 20, "transformer": 3}
WARM = 2  # updates before the clock starts
PROCESSES = int(CORES)
COMMAND = [sys.executable, "-m", "bleuprint.machine.processes", "--standalone", "--nproc-per-node", str(PROCESSES)]
TOGETHER = ["--distributed-world-size", str(PROCESSES), "--distributed-backend", "gloo", "--ddp-backend", "legacy_ddp"]
# A number of threads for each process, the command before fairseq-train, and its flags; all do the same updates
SETTINGS = {
    f"{PROCESSES} processes of 1 thread": (1, COMMAND, TOGETHER),
    f"1 process of {CORES} threads": (PROCESSES, [], ["--update-freq", str(PROCESSES)]),
    "1 process of 1 thread": (1, [], ["--update-freq", str(PROCESSES)]),
}


def speed(command: list[str], folder: Path, threads: int) -> tuple[float, float]:
    """Return the target tokens a second of a training after its first updates, and its last loss."""
    env = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"}
    env |= {"PYTHONPATH": str(Path(__file__).resolve().parents[1] / "workflow")}
    counts, loss, began, ended = [], 0.0, 0.0, 0.0
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=folder, env=env, **pipes) as process:
        for line in process.stdout:
            if (count := tokens(line.rstrip())) is not None:
                counts.append(count)
                loss, ended = float(re.search(r'"loss": "([\d.]+)"', line)[1]), time.monotonic()
                began = ended if len(counts) == WARM else began
    if process.returncode != 0:
        sys.exit(f"bleuprint: {' '.join(command)} failed with status {process.returncode}.")
    return sum(counts[WARM:]) / (ended - began), loss


def bench_ranks(folder: Path, archive: Path) -> dict[str, float]:
    """Measure each setting, and check that its losses are those of the others."""
    text, rows = prepared(folder, archive), {}
    for model, updates in UPDATES.items():
        losses = []
        for name, (threads, launcher, flags) in SETTINGS.items():
            command = [*launcher, *fairseq(model, text / "bin"), "--max-update", str(updates + WARM), *flags]
            command += ["--dropout", "0", "--num-workers", "0", "--disable-validation"]
            rows[f"training, {model}, {name}, target tokens/s"], loss = speed(command, folder, threads)
            losses.append(loss)
        rows[f"training, {model}, largest difference of the last losses"] = max(losses) - min(losses)
    return rows
