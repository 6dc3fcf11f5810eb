"""Processes and memory of a training, epoch by epoch: python tests/soak.py [KEY=VALUE ...], as after --config.

It runs the training that Snakemake would run, watches fairseq-train and its loaders, and fails if after the second
epoch there is a process more, or more than a tenth more memory. The memory of fairseq-train alone is its RSS, and that
of all processes their PSS, which counts shared pages once: by PSS alone it would seem to grow when a loader ends.
"""

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import psutil
from conftest import SNAKEMAKE

EPOCH = re.compile(r"begin training epoch (\d+)")
INTERVAL = 0.2  # seconds between two samples
WARM = 2  # epochs in which a training may grow
GROWTH = 1.1  # of the peak in the first epochs


@dataclass
class Epoch:
    """The peaks of one epoch."""

    processes: int = 0  # fairseq-train and its loaders
    main: float = 0.0  # memory of fairseq-train alone, MiB (RSS)
    total: float = 0.0  # memory of all of them, MiB (PSS)


def watch(command: list[str], folder: Path, env: dict[str, str] | None = None) -> dict[int, Epoch]:
    """Run `command`, which is fairseq-train or starts it, in `folder`; its output goes to soak.log there.

    Returns:
        The peaks of each epoch; validation and checkpoints count to the epoch before.

    Raises:
        AssertionError: the command failed.
    """
    epochs: dict[int, Epoch] = {}
    with open(folder / "soak.log", "w+") as log:
        process = psutil.Popen(command, cwd=folder, env=os.environ | (env or {}), stdout=log, stderr=subprocess.STDOUT)
        ended = threading.Event()
        while not ended.wait(INTERVAL):
            logs = [folder / "soak.log", *folder.glob("results/training/*/train.log")]
            begun = [int(number) for path in logs for number in EPOCH.findall(path.read_text(errors="replace"))]
            if begun:
                sample(process, epochs.setdefault(max(begun), Epoch()))
            if process.poll() is not None:
                ended.set()
    assert process.returncode == 0, (folder / "soak.log").read_text()[-3000:]
    return epochs


def sample(call: psutil.Process, epoch: Epoch) -> None:
    """Raise the peaks of `epoch` to what fairseq-train and its loaders have now."""
    with contextlib.suppress(psutil.Error):
        for main in [call, *call.children(recursive=True)]:
            if any(word.endswith("fairseq-train") for word in main.cmdline()[:2]):
                break
        else:
            return
        memory, loaders = main.memory_full_info(), []
        for loader in main.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                loaders.append(loader.memory_full_info().pss)
        epoch.processes = max(epoch.processes, 1 + len(loaders))
        epoch.main = max(epoch.main, memory.rss / 2**20)
        epoch.total = max(epoch.total, (memory.pss + sum(loaders)) / 2**20)


def growth(epochs: dict[int, Epoch]) -> dict[str, float]:
    """The peak of each figure over all later epochs, as a multiple of its peak over the first WARM ones."""
    first = [epoch for number, epoch in epochs.items() if number <= WARM]
    later = [epoch for number, epoch in epochs.items() if number > WARM]
    return {
        name: max(getattr(epoch, name) for epoch in later) / max(getattr(epoch, name) for epoch in first)
        for name in ("processes", "main", "total")
    }


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", nargs="*", default=["recipe=demo", "overrides=training.max_epoch=100"])
    arguments = parser.parse_args()
    print(" ".join(arguments.config), flush=True)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        epochs = watch([*SNAKEMAKE, "training", "--config", *arguments.config], Path(folder))
    print("epoch  processes  main MiB  all MiB")
    for number, epoch in epochs.items():
        print(f"{number:5}  {epoch.processes:9}  {epoch.main:8,.0f}  {epoch.total:7,.0f}")
    grown = growth(epochs)
    print(", ".join(f"{name} {value:.3f}" for name, value in grown.items()), f"times those of the first {WARM} epochs")
    if grown["processes"] > 1 or max(grown.values()) > GROWTH:
        sys.exit("bleuprint: this training grows.")


if __name__ == "__main__":
    main()
