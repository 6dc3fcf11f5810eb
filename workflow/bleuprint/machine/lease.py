"""python -m bleuprint.machine.lease --gpus 0,1 COMMAND …: wait for a free GPU, then become the command, alone on it.

Each GPU has a number of lock files in the system's temporary folder, so that pipelines in other folders and of other
users heed them too. A command alone on its GPU holds all of them, one that shares it holds one, through open files of
its process: however that process ends, SIGKILL included, the kernel frees the GPU with it. A GPU must be called the
same everywhere, by its number or by its UUID.
"""

import argparse
import fcntl
import os
import sys
import tempfile
import time
from pathlib import Path

from bleuprint.files import locked

WAIT = 1.0  # seconds between two looks for a free GPU
MOST = 16  # commands that may share a GPU: its lock files


def take(gpus: list[str], places: int) -> str | None:
    """Take a place on the least used of the GPUs; None if all are taken.

    The locks belong to this process and to what it becomes by exec.

    Args:
        gpus: their names, as in CUDA_VISIBLE_DEVICES.
        places: how many commands may share a GPU; with 1 it must have no other.
    """
    with open(_open("choice"), "rb") as choice:
        fcntl.flock(choice, fcntl.LOCK_EX)  # one looks at a time, for looking takes the locks
        free = {gpu: [lock for place in range(MOST) if (lock := _lock(f"{gpu}-{place}")) is not None] for gpu in gpus}
        chosen = max(gpus, key=lambda gpu: len(free[gpu]))
        wanted = MOST if places == 1 else 1
        kept = free[chosen][:wanted] if len(free[chosen]) > MOST - places else []
        for lock in (lock for locks in free.values() for lock in locks if lock not in kept):
            os.close(lock)
    for lock in kept:
        os.set_inheritable(lock, True)
    return chosen if kept else None


def _lock(name: str) -> int | None:
    """Open and lock the file of one place of a GPU; return None if it is taken."""
    file = _open(name)
    return file if locked(file) else None


def _open(name: str) -> int:
    path = Path(tempfile.gettempdir(), f"bleuprint-gpu-{name.replace(os.sep, '-')}.lock")
    try:
        # Not O_CREAT at once: in a shared temporary folder Linux refuses that for another user's file
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        file = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
        os.fchmod(file, 0o644)  # whatever the umask: other users' pipelines open it too
        return file


def main() -> None:
    """Entry point; never returns."""
    parser = argparse.ArgumentParser(prog="bleuprint.machine.lease", description=__doc__)
    parser.add_argument("--gpus", required=True, help="the GPUs to choose from, as in CUDA_VISIBLE_DEVICES")
    parser.add_argument("--places", type=int, default=1, help="how many commands may share a GPU")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    waiting = False
    while (gpu := take(arguments.gpus.split(","), arguments.places)) is None:
        if not waiting:
            print(f"GPUs {arguments.gpus} are taken (waiting for a free GPU)", file=sys.stderr, flush=True)
            waiting = True
        time.sleep(WAIT)
    print(f"CUDA_VISIBLE_DEVICES={gpu}", file=sys.stderr, flush=True)
    os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    os.execvp(arguments.command[0], arguments.command)


if __name__ == "__main__":
    main()
