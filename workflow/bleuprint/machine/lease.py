"""python -m bleuprint.machine.lease --gpus 0,1 COMMAND …: wait for a free GPU, then become the command, alone on it.

With --number a command gets so many GPUs, all at once or none: it holds no GPU while it waits for another.

Each GPU has a number of lock files in one folder for all users, so that pipelines in other folders and of other users
heed them too. A command alone on its GPU holds all of them, one that shares it holds one, through open files of its
process: however that process ends, SIGKILL included, the kernel frees the GPU with it. The files are named by the GPU's
UUID where the driver tells it, as its number may differ from process to process.

What a batch scheduler has given to a job is the job's own: one GPU is taken as it is, and several are divided among the
commands of that job alone.
"""

import argparse
import os
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path

from bleuprint.files import DataError, exit_with_message, locked
from bleuprint.machine import cuda
from bleuprint.machine.environment import nvidia

# The first that all users may write to. Not the temporary folder: TMPDIR and batch schedulers move that
FOLDERS = (Path("/var/lock"), Path("/tmp"))
WAIT = 1.0  # seconds between two looks for a free GPU
PATIENCE = 3.0  # seconds until a command says that it waits for another one's look
MOST = 16  # commands that may share a GPU: its lock files
# Read and write, as some network file systems want for a lock; neither waiting at a FIFO nor following a link
OPENING = os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW
WAITING = "(waiting for a free GPU)"  # `watch` and the progress of a training know a waiting command by it
# Variables by which a job knows its batch scheduler: Slurm, PBS, LSF, Grid Engine, Flux and HTCondor
SCHEDULERS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "SGE_TASK_ID", "FLUX_JOB_ID", "_CONDOR_SLOT")
PARTS = ("JOB_ID", "LSB_JOBINDEX")  # with them, what else tells two jobs apart


def take(gpus: dict[str, str], places: int, number: int = 1) -> str | None:
    """Take a place on the least used GPU, or on so many of them; None if too few are free.

    The locks belong to this process and to what it becomes by exec.

    Args:
        gpus: the GPUs' words in CUDA_VISIBLE_DEVICES → the names of their locks.
        places: how many commands may share a GPU; with 1 it must have no other.
        number: of GPUs.

    Returns:
        Their words, with commas between them.

    Raises:
        DataError: a lock file cannot be used.
    """
    choice = _choice()  # one looks at a time, for looking takes the locks
    free = {gpu: [lock for place in range(MOST) if (lock := _lock(f"{gpus[gpu]}-{place}")) is not None] for gpu in gpus}
    # Sorting keeps the order of those that are used alike, as CUDA numbers them
    chosen = sorted((gpu for gpu in gpus if len(free[gpu]) > MOST - places), key=lambda gpu: -len(free[gpu]))[:number]
    wanted = MOST if places == 1 else 1
    kept = [lock for gpu in chosen for lock in free[gpu][:wanted]] if len(chosen) == number else []
    for lock in (choice, *(lock for locks in free.values() for lock in locks if lock not in kept)):
        os.close(lock)
    for lock in kept:
        os.set_inheritable(lock, True)
    return ",".join(chosen) if kept else None


def _choice() -> int:
    """Lock the file that one holds who looks for a free GPU, and return it open; say so if that takes long."""
    began, silent = time.monotonic(), True
    while (lock := _lock("choice")) is None:
        if silent and time.monotonic() - began > PATIENCE:
            print(f"another process holds {path('choice')} {WAITING}", file=sys.stderr, flush=True)
            silent = False
        time.sleep(0.05)
    return lock


def path(name: str) -> Path:
    """Return the path of a lock file.

    Raises:
        DataError: there is no folder for it.
    """
    usable = [folder for folder in FOLDERS if os.access(folder, os.W_OK | os.X_OK)]
    shared = [folder for folder in usable if folder.stat().st_mode & stat.S_IWOTH]
    if not usable:
        places = " and ".join(map(str, FOLDERS))
        raise DataError(f"GPUs cannot be locked: {places} cannot be written to; make one of them writable for all.")
    return (shared or usable)[0] / f"bleuprint-gpu-{name.replace(os.sep, '-')}.lock"


def _lock(name: str) -> int | None:
    """Open and lock the file of one place of a GPU; return None if it is taken."""
    lock = path(name)
    try:
        file = _open(lock)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise DataError(f"{lock} is no regular file, so that it cannot lock a GPU; delete it.")
        if not locked(file):
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file), lock.stat()):
                return file
    except OSError as error:
        raise DataError(f"{lock} cannot lock a GPU ({error.strerror}); delete it, or ask its owner to.") from None
    os.close(file)
    return _lock(name)  # somebody deleted the file since it was opened


def _open(lock: Path) -> int:
    try:
        # Not O_CREAT at once: in a shared folder Linux refuses that for another user's file
        return os.open(lock, OPENING)
    except FileNotFoundError:
        mask = os.umask(0)  # other users' pipelines open it too
        try:
            return os.open(lock, OPENING | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            return os.open(lock, OPENING)
        finally:
            os.umask(mask)


def scheduled() -> str | None:
    """Return a name of the batch scheduler's job that this process belongs to and that was given GPUs; None if none."""
    if "CUDA_VISIBLE_DEVICES" not in os.environ or not any(name in os.environ for name in SCHEDULERS):
        return None
    return "-".join(os.environ[name] for name in (*SCHEDULERS, *PARTS) if name in os.environ)


def main() -> None:
    """Entry point; never returns."""
    parser = argparse.ArgumentParser(prog="bleuprint.machine.lease", description=__doc__)
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    parser.add_argument("--gpus", default=given, help="the GPUs to choose from, as in CUDA_VISIBLE_DEVICES")
    parser.add_argument("--number", type=int, default=1, help="how many the command gets")
    parser.add_argument("--places", type=int, default=1, help="how many commands may share a GPU")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    with exit_with_message():
        taken = lease(arguments.gpus.split(","), arguments.places, arguments.number)
    print(f"CUDA_VISIBLE_DEVICES={taken}", file=sys.stderr, flush=True)
    os.environ |= {"CUDA_VISIBLE_DEVICES": taken, cuda.LEASED: taken}
    os.execvp(arguments.command[0], arguments.command)


def lease(words: list[str], places: int, number: int = 1) -> str:
    """Wait until a GPU is free, or so many, lock and return them; say which they are and, while waiting, for what.

    Args:
        words: of the GPUs, as in CUDA_VISIBLE_DEVICES.
        places: how many commands may share a GPU.
        number: of GPUs.

    Returns:
        Their words, with commas between them.

    Raises:
        DataError: there is no GPU, or too few, or the lock files cannot be used.
    """
    if not any(words):
        raise DataError('no GPU is visible here; use a machine with one, or overrides="runtime.device=cpu".')
    if len(words) < number:
        here = f"1 GPU is visible here ({words[0]})" if len(words) == 1 else f"{len(words)} GPUs are visible here"
        raise DataError(f"training.gpus={number}: {here}; use a machine with more, or lower it.")
    gpus, job = cuda.ask_driver(",".join(words)), scheduled()
    # The driver may see fewer, as it does of the parts of a GPU (MIG): then nobody can tell which these are
    known = dict(zip(words, gpus, strict=True)) if len(gpus) == len(words) else {}
    names = {word: known[word].uuid if word in known else word for word in words}
    if job is not None:
        names = {word: f"{job}-{name}" for word, name in names.items()}
    whole = job is not None and len(words) == number
    waiting, taken = False, ",".join(words) if whole else take(names, places, number)
    while taken is None:
        if not waiting:
            locks = ", ".join(str(path(f"{name}-*")) for name in names.values())
            print(f"GPUs {','.join(words)} are taken, by who holds {locks} {WAITING}", file=sys.stderr, flush=True)
            waiting = True
        time.sleep(WAIT)
        taken = take(names, places, number)
    for gpu in [known[word] for word in taken.split(",") if word in known]:
        driver = nvidia()[1] or "unknown"
        print(f"{cuda.COMPUTES}{gpu.name} ({gpu.uuid}), driver {driver}", file=sys.stderr, flush=True)
    return taken


if __name__ == "__main__":
    main()
