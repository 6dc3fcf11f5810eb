"""Jobs of this pipeline in a SLURM: which there are, and how they are ended."""

import subprocess
import time
from dataclasses import dataclass

from bleuprint.files import DataError

PATIENCE = 600.0  # seconds for cancelled jobs to save and end: a cluster may grant them minutes (its KillWait)
WAIT = 1.0  # seconds between two looks
ANSWER = 60.0  # seconds for SLURM to answer
# Squeue's own words of a job that has not ended
LIVING = "PENDING,CONFIGURING,RUNNING,COMPLETING,SUSPENDED,REQUEUED,REQUEUE_HOLD,STOPPED,SIGNALING,STAGE_OUT,RESIZING"


@dataclass(frozen=True)
class Job:
    """A job as squeue tells it: its number, state, node (empty while it waits) and comment (rule and wildcards)."""

    number: str
    state: str
    node: str
    comment: str


def jobs(name: str) -> list[Job]:
    """Return the jobs of that name which have not ended.

    Raises:
        DataError: SLURM does not answer, or is not installed here.
    """
    lines = _answer("squeue", "--noheader", f"--name={name}", f"--states={LIVING}", "--format=%i|%T|%N|%k").splitlines()
    return [Job(*line.split("|", 3)) for line in lines if line.count("|") >= 3]


def cancel(name: str) -> int:
    """Cancel the jobs of that name, and wait until they have saved and ended; return how many there were.

    Raises:
        DataError: SLURM does not answer, or they do not end.
    """
    living = jobs(name)
    if living:
        _answer("scancel", f"--name={name}")
    deadline = time.monotonic() + PATIENCE
    while left := jobs(name):
        if time.monotonic() > deadline:
            numbers = " ".join(job.number for job in left)
            raise DataError(f"jobs of an earlier call do not end; end them with: scancel --signal=KILL {numbers}")
        time.sleep(WAIT)
    return len(living)


def _answer(*command: str) -> str:
    """Return what a command of SLURM's prints."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=ANSWER)
    except FileNotFoundError:
        raise DataError(
            f"{command[0]}: not found; an earlier call here has jobs in SLURM: call on a machine that reaches it."
        ) from None
    except subprocess.TimeoutExpired:
        raise DataError(f"{command[0]}: no answer from SLURM within {ANSWER:.0f} seconds; try again later.") from None
    if result.returncode:
        words = next(iter(result.stderr.strip().splitlines()), f"status {result.returncode}")
        words = words.removeprefix(f"{command[0]}: error: ")
        raise DataError(f"{command[0]}: {words}; see that SLURM answers here (sinfo), and try again.")
    return result.stdout
