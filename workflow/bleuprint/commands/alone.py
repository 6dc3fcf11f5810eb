"""Keep one call of Snakemake alone in its folder: locks, what a killed call left, signals, and who is at work.

The operating system frees a lock with the process that holds it, however that ends, so that a killed call is no
hindrance to the next one.
"""

import atexit
import contextlib
import os
import signal
import socket
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from bleuprint.commands.cluster import cancel_left, refuse_beside
from bleuprint.config.schema import Training
from bleuprint.config.stages import STAGES
from bleuprint.files import DataError, locked, read_json, visible, write_json
from bleuprint.plan.graph import Plan

LOCK = Path("results/.call")  # held by the Snakemake that is at work
JOBS = Path("results/.jobs")  # held, shared, by each job's shell and all that it starts (Snakefile)
CURRENT = Path("results/current.json")  # which call is at work, or was last, and its runs
PATIENCE = 60.0  # seconds for what a killed call left to end: a checkpoint may have to be written


def forget_killed(workflow: Any) -> None:
    """Remove the locks of Snakemake's that a killed call left behind, which would need `snakemake --unlock`.

    Args:
        workflow: Snakemake's, as the Snakefile knows it.
    """
    with contextlib.suppress(OSError):  # no locks here, or nothing may be written
        if workflow.is_main_process and LOCK.exists() and (file := _lock(LOCK)) is not None:
            for lock in Path(".snakemake/locks").glob("*.lock"):
                lock.unlink(missing_ok=True)
            os.close(file)


def say_if_read_only(workflow: Any) -> None:
    """Say at the end that nothing may be written here, below Snakemake's own error; a dry run needs to write nothing.

    Args:
        workflow: Snakemake's.
    """
    here = Path.cwd()

    def say() -> None:
        if workflow.is_main_process and not workflow.dryrun and not os.access(here, os.W_OK):
            words = f"bleuprint: {here} cannot be written to; make it writable, or work in another folder."
            print(visible(words), file=sys.stderr)

    atexit.register(say)


def claim() -> None:
    """Be the only call at work here until this process ends; what a killed one left at work is ended first.

    On a cluster these are jobs on other machines, which the scheduler ends.

    Raises:
        SystemExit: another call is at work.
    """
    LOCK.parent.mkdir(exist_ok=True)
    known = current()
    try:
        alone = _lock(LOCK) is not None  # and never closed: the kernel frees it with this process, however it ends
    except OSError as error:
        print(
            f"bleuprint: {LOCK} cannot be locked ({error}): see to it that no other call works here.", file=sys.stderr
        )
        if known and alive(known):  # or on another machine, where nothing tells
            refuse_beside(known)
        else:
            cancel_left(known)
        return
    if not alone:
        who = f" (process {known['process']} on {known['host']})" if known and alive(known) else ""
        sys.exit(f"bleuprint: another snakemake is at work in this folder{who}; wait for it, or use another folder.")
    cancel_left(known)
    if (file := _lock(JOBS)) is None and (left := _holders()):
        print(f"bleuprint: ending {len(left)} processes that a killed snakemake left at work here.", file=sys.stderr)
        end(left)
    deadline = time.monotonic() + PATIENCE
    while file is None and (file := _lock(JOBS)) is None:
        if time.monotonic() > deadline:
            where = "here" if _holders() else "on another machine"
            sys.exit(f"bleuprint: a killed snakemake left processes {where} that do not end; end them by hand.")
        time.sleep(0.1)
    os.close(file)


def _lock(path: Path) -> int | None:
    """Open a file and lock it for this process alone; return None if others hold it.

    Raises:
        OSError: there are no locks here, as on some network file systems.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    return file if locked(file) else None


def _holders() -> list[psutil.Process]:
    """Return the user's processes that have the jobs' lock open."""
    wanted, holders = JOBS.stat(), []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            opened = (file.stat() for file in Path("/proc", str(process.pid), "fd").iterdir())
            if process.pid != os.getpid() and any(
                (file.st_dev, file.st_ino) == (wanted.st_dev, wanted.st_ino) for file in opened
            ):
                holders.append(process)
    return holders


def end(processes: list[psutil.Process]) -> None:
    """Ask commands to end; their shells end with them, in the order that keeps logs whole."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            if process.name() not in ("bash", "sh"):
                process.terminate()


def end_with_jobs() -> None:
    """Let a signal that ends this process end its jobs first."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _ended)


def stopped() -> bool:
    """Return whether a signal has asked this process to end."""
    return signal.getsignal(signal.SIGTERM) is _again


def _ended(number: int, frame: FrameType | None) -> None:
    """End the jobs as Ctrl-C on a terminal does; Snakemake alone would wait for each to finish its work."""
    for signalled in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signalled, _again)
    _again(number, frame)
    raise KeyboardInterrupt


def _again(number: int, frame: FrameType | None) -> None:
    """End what has begun since the first signal, too."""
    end(psutil.Process().children(recursive=True))


def remember(plan: Plan, slurm: str | None = None) -> None:
    """Record the runs that this call of Snakemake makes, for `watch`, and for the next call the name of its jobs.

    Args:
        plan: what this call is asked for.
        slurm: the name of its jobs in SLURM; None where they run on this machine.
    """
    runs = [
        {
            "run": run.name,
            "stages": {stage: run.folder(stage) for stage in STAGES},
            "ensemble": [f"results/training/{key}" for key in run.ensemble],
            "tests": run.test_folders,
            "ancestors": [f"results/{stage}/{key}" for stage, key in run.ancestors],
            "order": [f"results/{stage}/{key}" for stage, key in run.needs],
            "limits": {
                f"results/training/{key}": _limits(plan.stage("training", key).experiment.training)
                for stage, key in run.ancestors
                if stage == "training"
            },
        }
        | _limits(run.choice.experiment.training)
        for run in plan.runs
    ]
    write_json(CURRENT, {"host": socket.gethostname(), "process": os.getpid(), "slurm": slurm, "runs": runs})


def _limits(training: Training) -> dict[str, Any]:
    """Return where a training ends, and whether it may end earlier."""
    return {
        "max_epoch": training.max_epoch,
        "max_update": training.max_update,
        "at_most": training.patience is not None,
    }


def current() -> dict[str, Any] | None:
    """Return what the last call of Snakemake here recorded; None if there was none."""
    try:
        known: dict[str, Any] = read_json(CURRENT)
    except (FileNotFoundError, DataError):
        return None
    return known if known.keys() >= {"host", "process", "runs"} else None


def alive(known: dict[str, Any]) -> bool:
    """Tell whether that call of Snakemake still runs; a call on another machine counts as running."""
    if known["host"] != socket.gethostname():
        return True
    try:
        return b"snakemake" in Path("/proc", str(known["process"]), "cmdline").read_bytes()
    except OSError:
        return False
