"""python -m bleuprint.lease --gpus 0,1 COMMAND …: wait for a free GPU, then become the command, alone on it.

A GPU is taken by a lock on a file that the command's process holds open: however that process ends, SIGKILL included,
the kernel frees the GPU with it. The lock files lie in the system's temporary folder, so that pipelines in other
folders and of other users heed them too.
"""

import argparse
import fcntl
import os
import sys
import tempfile
import time
from pathlib import Path

WAIT = 1.0  # seconds between two looks for a free GPU


def lock_file(gpu: str, place: int) -> Path:
    """The file whose lock takes one of a GPU's places."""
    return Path(tempfile.gettempdir(), f"bleuprint-gpu-{gpu.replace(os.sep, '-')}-{place}.lock")


def take(gpus: list[str], places: int) -> str | None:
    """Lock a place on the least used of the GPUs; None if all are taken.

    The lock belongs to this process and to what it becomes by exec.

    Args:
        gpus: their names, as in CUDA_VISIBLE_DEVICES.
        places: how many commands may share a GPU.
    """
    for place in range(places):
        for gpu in gpus:
            file = _open(lock_file(gpu, place))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                continue
            os.set_inheritable(file, True)
            return gpu
    return None


def _open(path: Path) -> int:
    try:
        # Not O_CREAT at once: in a shared temporary folder Linux refuses that for another user's file
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)


def main() -> None:
    """Entry point; never returns."""
    parser = argparse.ArgumentParser(prog="bleuprint.lease", description=__doc__)
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
