"""python -m bleuprint.machine.shards --number N --folder FOLDER COMMAND …: run fairseq-generate as N processes.

Each process translates every N-th batch, on a GPU of its own or with its share of the CPU threads. The first one also
writes the output, and puts the translations of the others in their places (fairseq_plugin/shards.py): it writes what a
single process would. If a process fails, the others are ended. FOLDER is theirs, and removed at the end.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bleuprint.files import exit_with_message, remove
from bleuprint.machine.device import gpus, uses_gpu

if TYPE_CHECKING:  # slow to load, and no job's program needs it
    from bleuprint.config.schema import Experiment, Runtime

SHARD = "BLEUPRINT_SHARD"  # tells a process its rank, the number of processes, and the folder, as JSON
PR_SET_PDEATHSIG = 1  # of Linux' prctl: the signal that a process gets when the one that started it has ended
LOOK = 0.05  # seconds between two looks at the processes


def shards(experiment: Experiment, runtime: Runtime) -> int:
    """Return how many processes translate a test set: on GPUs not more than are visible, if any are.

    One where translations are drawn at random, as they depend on which sentences one process draws for. ctranslate2
    divides the batches itself, and on a CPU has a thread for each batch anyway.
    """
    flags, on_gpu = experiment.decoding.flags(), uses_gpu(runtime)
    random = flags.get("sampling") or flags.get("retain_dropout")
    if random or (experiment.decoding.engine == "ctranslate2" and not on_gpu):
        return 1
    return min(runtime.decoding_shards, len(gpus()) or runtime.decoding_shards) if on_gpu else runtime.decoding_shards


def command_of(rank: int, number: int, folder: Path, command: list[str]) -> list[str]:
    """Return the command of one process: the first one reads all batches, as it writes them."""
    if rank == 0:
        return command
    return [
        *command,
        *("--distributed-world-size", str(number), "--distributed-rank", str(rank)),
        *("--results-path", str(folder / f"rank{rank}")),
    ]


def environment_of(rank: int, number: int, folder: Path) -> dict[str, str]:
    """Return the environment of one process: one of the GPUs of this one, and its share of the threads."""
    environment = os.environ | {SHARD: json.dumps([rank, number, str(folder)])}
    if gpus := os.environ.get("CUDA_VISIBLE_DEVICES"):
        words = gpus.split(",")
        environment["CUDA_VISIBLE_DEVICES"] = words[rank % len(words)]
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # Snakemake sets the second one to all of the job's
        if threads := os.environ.get(name):
            environment[name] = str(max(1, int(threads) // number))
    return environment


def end_with_parent(number: int = signal.SIGTERM) -> None:
    """Let the kernel send this process a signal when the one that started it ends, however that ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def run(number: int, folder: Path, command: list[str]) -> int:
    """Run the processes, and return the exit status of the first one that failed, as the shell has it; else 0."""
    remove(folder)  # of a killed call
    folder.mkdir(parents=True)
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for rank in range(number):
            words, environment = command_of(rank, number, folder, command), environment_of(rank, number, folder)
            processes.append(subprocess.Popen(words, env=environment, preexec_fn=end_with_parent))
        while not (failed := [code for process in processes if (code := process.poll())]):
            if all(process.poll() == 0 for process in processes):
                return 0
            time.sleep(LOOK)
        return 128 - failed[0] if failed[0] < 0 else failed[0]
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
        remove(folder)


@exit_with_message()
def main() -> None:
    """Run the command line, and end as its processes have ended."""
    parser = argparse.ArgumentParser(prog="bleuprint.machine.shards", description=__doc__)
    parser.add_argument("--number", type=int, required=True, help="processes")
    parser.add_argument("--folder", type=Path, required=True, help="where they hand over translations")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="fairseq-generate with its flags")
    arguments = parser.parse_args()
    try:
        sys.exit(run(arguments.number, arguments.folder, arguments.command))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
