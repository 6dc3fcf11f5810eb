"""What it costs how long libgomp's threads spin while they wait for each other, on an idle machine and a busy one.

bleuprint sets GOMP_SPINCOUNT=1000 (workflow/bleuprint/__init__.py). Each setting trains the same updates, by turns.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from measure import CORES, prepared
from train import fairseq

UPDATES = 20
ROUNDS = 2
SETTINGS = {
    "libgomp's own": {},
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
}


def seconds(command: list[str], folder: Path, setting: dict[str, str]) -> float:
    """Return the seconds of a training with a setting, its start included."""
    given = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    began = time.monotonic()
    with open(folder / "spin.log", "a") as log:
        env = given | setting | {"OMP_NUM_THREADS": CORES}
        subprocess.run(command, cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT, check=True)
    return time.monotonic() - began


def turns(command: list[str], folder: Path) -> dict[str, float]:
    """Return the median seconds of each setting, the settings measured by turns."""
    measured: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for _ in range(ROUNDS):
        for name, setting in SETTINGS.items():
            measured[name].append(seconds(command, folder, setting))
    return {name: statistics.median(times) for name, times in measured.items()}


def bench_spin(folder: Path, archive: Path) -> dict[str, float]:
    """Measure a short training of transformer_tiny with each setting, idle and beside a busy loop for each core."""
    text = prepared(folder, archive)
    command = [*fairseq("transformer_tiny", text / "bin"), "--max-update", str(UPDATES), "--num-workers", "0"]
    command += ["--disable-validation"]
    rows = {f"{UPDATES} updates, {name}, idle, s": value for name, value in turns(command, folder).items()}
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(int(CORES))]
    try:
        busy = turns(command, folder)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    return rows | {f"{UPDATES} updates, {name}, beside {CORES} busy loops, s": value for name, value in busy.items()}
