"""A call whose jobs a scheduler starts on other machines: what it needs, and which jobs an earlier call has left."""

import contextlib
import io
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from snakemake.cli import parse_args
from snakemake.exceptions import CliException, WorkflowError
from snakemake.settings.types import SharedFSUsage

from bleuprint.config.words import hydra_words
from bleuprint.files import DataError, exit_with_message
from bleuprint.machine import slurm
from bleuprint.plan.graph import Plan


def submitted(workflow: Any) -> bool:
    """Tell whether a scheduler starts this call's jobs on other machines, or started this process as one of them.

    Args:
        workflow: Snakemake's, while it reads the Snakefile. It does not know its executor yet.
    """
    settings = workflow.resource_settings
    if not workflow.is_main_process or settings.nodes is None:  # on this machine `--jobs` is another word for `--cores`
        return bool(workflow.remote_exec)
    return settings.cores is None or executor_named() not in (None, "local")  # a dry run gets one core


@cache
def executor_named() -> str | None:
    """Return the executor that this process' command line or its profile names; None if there is none."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            arguments = parse_args(sys.argv[1:])[1]
    except (SystemExit, CliException, WorkflowError):  # not Snakemake's own command
        return None
    name: str | None = arguments.executor
    return name


def with_runtime(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the words of a call whose jobs run on a cluster: with runtime=slurm, unless they name another file."""
    if any(word.startswith("runtime=") for word in hydra_words(config)):
        return config
    return {**config, "runtime": "slurm"}


@exit_with_message()
def refuse_unknown_machine(workflow: Any, plan: Plan) -> None:
    """Check that jobs on other machines can find the files, and that their device does not depend on this machine.

    Args:
        workflow: Snakemake's.
        plan: what this call is asked for.

    Raises:
        SystemExit: with one sentence.
    """
    if workflow.storage_settings.shared_fs_usage != SharedFSUsage.all():
        raise DataError(
            "--shared-fs-usage: all machines must see this folder under the same path, as a training keeps files that "
            "Snakemake does not know; leave the option out, and work on a shared file system."
        )
    if submitted(workflow) and plan.runtime.device == "auto":
        raise DataError(
            "runtime.device=auto looks for a GPU on this machine, and the jobs run on others; "
            "set runtime.device=cuda or cpu, or runtime=slurm, which has cuda."
        )


def job_name(workflow: Any) -> str | None:
    """Return the name that all jobs of this call have in SLURM; None where something else runs them.

    Args:
        workflow: Snakemake's, when its executor has been chosen.
    """
    executor = getattr(workflow.scheduler, "_executor", None)
    return getattr(executor, "run_uuid", None)


def count(jobs: Sequence[slurm.Job]) -> str:
    """Return how many jobs there are, in words."""
    return f"{len(jobs)} job{'s' * (len(jobs) != 1)}"


@exit_with_message()
def cancel_left(known: Mapping[str, Any] | None) -> None:
    """Cancel the jobs in SLURM of an earlier call that is dead, and wait until they have saved and ended.

    Args:
        known: what that call has recorded.

    Raises:
        SystemExit: SLURM does not answer, or they do not end.
    """
    name = known.get("slurm") if known else None
    if name and (left := slurm.jobs(name)):
        print(
            f"bleuprint: cancelling what a snakemake that has ended left in SLURM ({count(left)}), "
            "and waiting until it has saved.",
            file=sys.stderr,
        )
        slurm.cancel(name)


@exit_with_message()
def refuse_beside(known: Mapping[str, Any] | None) -> None:
    """Check, where files cannot be locked, that no call of another machine has jobs in SLURM.

    Args:
        known: what the last call here has recorded.

    Raises:
        SystemExit: it has some.
    """
    name = known.get("slurm") if known else None
    if known and name and (left := slurm.jobs(name)):
        raise DataError(
            f"a snakemake on {known['host']} has {count(left)} of this folder in SLURM; wait for it, or, if it has "
            f"ended, cancel what it left: scancel --name={name}"
        )
