"""One call of Snakemake in its folder: alone there, ended as a whole, and once killed no hindrance to the next."""

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from bleuprint.commands.doctor import refuse
from bleuprint.commands.watch import alive, current, remember
from bleuprint.files import SCARCE, full, last_words, locked
from bleuprint.machine import memory
from bleuprint.plan.explain import finished
from bleuprint.plan.keys import STAGES, Plan, Run
from bleuprint.record.provenance import RUNS

LOCK = Path("results/.call")  # held by the Snakemake that is at work
JOBS = Path("results/.jobs")  # held, shared, by each job's shell and all that it starts (Snakefile)
SCORES = Path("results/report/scores.txt")
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


def begin(workflow: Any, plan: Plan, threads: int) -> None:
    """Check, before the first job, that this call is alone in the folder and that every training may start here.

    Args:
        workflow: Snakemake's.
        plan: what this call is asked for.
        threads: CPU threads that a job may have.

    Raises:
        SystemExit: in one sentence; nothing has been touched.
    """
    jobs = workflow.dag.needrun_jobs()
    missing = {(stage, key) for job in jobs for stage, key in job.wildcards.items() if stage in STAGES}
    conda = bool(workflow.deployment_settings.deployment_method)
    refuse(plan, missing, min(threads, workflow.cores), elsewhere=conda)
    claim()
    memory.usage()
    remember(plan)
    atexit.register(_say_if_full, Path("results").resolve())  # by then Snakemake is back where it was called
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _ended)


def claim() -> None:
    """Be the only call at work here until this process ends; what a killed one left at work is ended first.

    Raises:
        SystemExit: another call is at work.
    """
    LOCK.parent.mkdir(exist_ok=True)
    try:
        alone = _lock(LOCK) is not None  # and never closed: the kernel frees it with this process, however it ends
    except OSError as error:
        print(
            f"bleuprint: {LOCK} cannot be locked ({error}): see to it that no other call works here.", file=sys.stderr
        )
        return
    if not alone:
        known = current()
        who = f" (process {known['process']} on {known['host']})" if known and alive(known) else ""
        sys.exit(f"bleuprint: another snakemake is at work in this folder{who}; wait for it, or use another folder.")
    if (file := _lock(JOBS)) is None:
        left = _holders()
        print(f"bleuprint: ending {len(left)} processes that a killed snakemake left at work here.", file=sys.stderr)
        end(left)
    deadline = time.monotonic() + PATIENCE
    while file is None and (file := _lock(JOBS)) is None:
        if time.monotonic() > deadline:
            sys.exit("bleuprint: a killed snakemake left processes here that do not end; end them by hand.")
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
    wanted, found = JOBS.stat(), []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            opened = (file.stat() for file in Path("/proc", str(process.pid), "fd").iterdir())
            if process.pid != os.getpid() and any(
                (file.st_dev, file.st_ino) == (wanted.st_dev, wanted.st_ino) for file in opened
            ):
                found.append(process)
    return found


def end(processes: list[psutil.Process]) -> None:
    """Ask commands to end; their shells end with them, in the order that keeps logs whole."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            if process.name() not in ("bash", "sh"):
                process.terminate()


def _ended(number: int, frame: FrameType | None) -> None:
    """End the jobs as Ctrl-C on a terminal does; Snakemake alone would wait for each to finish its work."""
    for signalled in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signalled, _again)
    _again(number, frame)
    raise KeyboardInterrupt


def _again(number: int, frame: FrameType | None) -> None:
    """End what has begun since the first signal, too."""
    end(psutil.Process().children(recursive=True))


def after_failure(workflow: Any, plan: Plan, logs: list[str]) -> None:
    """Report the runs that there are, where others failed, and say at the end what the commands said.

    Args:
        workflow: Snakemake's.
        plan: what this call was asked for.
        logs: Snakemake's.
    """
    there = [path for run in plan.runs if (path := RUNS / run.name / "scores.json").exists()]
    stopped = signal.getsignal(signal.SIGTERM) is _again
    if _reports(workflow) and there and len(there) < len(plan.runs) and not stopped:
        missing = [_missing(plan, run) for run in plan.runs if RUNS / run.name / "scores.json" not in there]
        command = [sys.executable, "-m", "bleuprint.report", "table", *map(str, there), "--folder", str(SCORES.parent)]
        command += [f"--missing={sentence}" for sentence in missing]
        env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        baseline = [f"--baseline={plan.baseline}"] if plan.baseline else []
        # The baseline's own runs may be what is missing
        if subprocess.run([*command, *baseline], env=env).returncode and baseline:
            subprocess.run(command, env=env)
        # With one of its files missing Snakemake knows that the report is still to be written
        (SCORES.parent / "comparison.json").unlink(missing_ok=True)
        print(
            "\n".join(["bleuprint: results/report/index.html shows the runs that there are.", *missing]),
            file=sys.stderr,
        )
    atexit.unregister(_say_if_full)
    words = [last_words(logs, Path("results").resolve()), *memory.sentences(logs, memory.usage())]
    print("\n".join(filter(None, words)), file=sys.stderr)


def after_success(workflow: Any) -> None:
    """Show the scores, if they were asked for."""
    atexit.unregister(_say_if_full)
    if _reports(workflow):
        print(SCORES.read_text(encoding="utf-8"), end="")


def _reports(workflow: Any) -> bool:
    return any(job.rule.name == "write_report" for job in workflow.dag.jobs)


def _say_if_full(folder: Path) -> None:
    """On a full disk Snakemake may break down before it can say that a job has failed."""
    if shutil.disk_usage(folder).free < SCARCE:
        print(f"bleuprint: {full(folder)}", file=sys.stderr)


def _missing(plan: Plan, run: Run) -> str:
    unfinished = (one for one in run.needs if not finished(*one))
    stage, key = next(unfinished, ("scoring", run.keys["scoring"]))
    return f"{run.name} is missing: its {stage} stage did not end well; its log is in results/{stage}/{key}."
