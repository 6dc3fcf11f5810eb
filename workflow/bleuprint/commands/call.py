"""One call of Snakemake: what happens before its first job, and when it has ended well or failed."""

import atexit
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from bleuprint.commands.alone import claim, end_with_jobs, remember, stopped
from bleuprint.commands.cluster import job_name, submitted
from bleuprint.commands.doctor import refuse
from bleuprint.files import SCARCE, full
from bleuprint.machine import endings, memory
from bleuprint.plan.explain import finished, planned_folders
from bleuprint.plan.graph import Plan, Run
from bleuprint.record.provenance import RUNS
from bleuprint.widths import columns, wrapped

SCORES = Path("results/report/scores.txt")


def begin(workflow: Any, plan: Plan, threads: int) -> None:
    """Check, before the first job, that this call is alone in the folder and that every training may start here.

    Args:
        workflow: Snakemake's.
        plan: what this call is asked for.
        threads: CPU threads that a job may have.

    Raises:
        SystemExit: in one sentence; nothing has been touched.
    """
    missing = planned_folders(workflow)
    conda = bool(workflow.deployment_settings.deployment_method)
    away = submitted(workflow)
    cores = workflow.resource_settings.cores or threads
    refuse(plan, missing, min(threads, cores), elsewhere=conda or away, submitted=away)
    claim()
    memory.usage()
    remember(plan, job_name(workflow))
    atexit.register(_say_if_full, Path("results").resolve())  # by then Snakemake is back where it was called
    end_with_jobs()


def after_failure(workflow: Any, plan: Plan, logs: list[str]) -> None:
    """Report the runs that have ended well, where others failed, and repeat the commands' own messages last.

    Args:
        workflow: Snakemake's.
        plan: what this call was asked for.
        logs: Snakemake's.
    """
    scored = [path for run in plan.runs if (path := RUNS / run.name / "scores.json").exists()]
    if _reports(workflow) and scored and len(scored) < len(plan.runs) and not stopped():
        missing = [_missing(plan, run) for run in plan.runs if RUNS / run.name / "scores.json" not in scored]
        command = [sys.executable, "-m", "bleuprint.report", "table", *map(str, scored), "--folder", str(SCORES.parent)]
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
    words = endings.last_words(logs, Path("results").resolve(), memory.usage(), stopped())
    if words:  # not now: Snakemake has more to tell, and the last line is what a user reads
        atexit.register(print, "\n".join(words), file=sys.stderr)


def after_success(workflow: Any) -> None:
    """Show the scores, if they were asked for."""
    atexit.unregister(_say_if_full)
    show_scores(workflow)


def show_scores(workflow: Any) -> None:
    """Print the table of scores and the conclusions of the last report, if the call asks for a report."""
    if _reports(workflow) and SCORES.exists():  # with --touch there may be none
        print(wrapped(SCORES.read_text(encoding="utf-8").rstrip("\n"), columns(sys.stdout)))


def _reports(workflow: Any) -> bool:
    """Tell whether a call asks for the report; a module's rules may have a prefix."""
    return any(job.rule.name.endswith("write_report") for job in workflow.dag.jobs)


def _say_if_full(folder: Path) -> None:
    """On a full disk Snakemake may break down before it can say that a job has failed."""
    if shutil.disk_usage(folder).free < SCARCE:
        print(f"bleuprint: {full(folder)}", file=sys.stderr)


def _missing(plan: Plan, run: Run) -> str:
    unfinished = (folder for folder in run.needs if not finished(*folder))
    stage, key = next(unfinished, list(run.keys.items())[-1])
    return f"{run.name} is missing: its {stage} stage did not end well; its log is in results/{stage}/{key}."
