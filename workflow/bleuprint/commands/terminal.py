"""What a call of Snakemake shows on the terminal: lines that say something. Snakemake's log file has all the others.

Snakemake's own handlers are used as they are: the one that writes to the terminal gets a filter, and the logger a
second handler, which prints a line for each stage. `--verbose` leaves everything as Snakemake prints it.
"""

import logging
import os
import re
from pathlib import Path
from textwrap import wrap
from typing import Any, TextIO

from snakemake.common import NOTHING_TO_BE_DONE_MSG
from snakemake.logging import DefaultFormatter
from snakemake_interface_logger_plugins.common import LogEvent

from bleuprint.commands.call import show_scores
from bleuprint.commands.milestones import ended, started
from bleuprint.files import visible
from bleuprint.plan.choices import notes
from bleuprint.plan.graph import Plan
from bleuprint.widths import USUAL

STREAM = "DefaultStreamHandler"  # Snakemake's name of its handler that writes to the terminal
HIDDEN = {
    LogEvent.WORKFLOW_STARTED,
    LogEvent.JOB_INFO,
    LogEvent.JOB_STARTED,
    LogEvent.JOB_FINISHED,
    LogEvent.GROUP_INFO,
    LogEvent.PROGRESS,
    LogEvent.RESOURCES_INFO,
    LogEvent.RUN_INFO,
}
COMMANDS = {LogEvent.JOB_INFO, LogEvent.GROUP_INFO}  # shown with --printshellcmds: they tell whose command it is
# Messages that Snakemake marks as no event
ROUTINE = re.compile(
    "Assuming unrestricted shared filesystem|Building DAG of jobs|Using shell: |Conda environments: ignored|"
    r"Select jobs to execute|Execute \d+ jobs|Elapsed time: |This was a dry-run|Some jobs were triggered by provenance|"
    r"Rules with provenance triggered jobs|Reasons:|\s*\(check individual jobs above"
)
# The whole command of a failed job, before the message on the job and its log
REPEATED = re.compile(r"RuleException:\s+CalledProcessError in file ")
LOG = "Complete log"  # the beginning of the line that names Snakemake's log file


def concise(workflow: Any, plan: Plan) -> None:
    """Let this call show only lines that say something; nothing is changed with `--verbose`.

    Args:
        workflow: Snakemake's, while it reads the Snakefile.
        plan: what this call is asked for.
    """
    settings, logger = workflow.output_settings, workflow.logger_manager.logger
    handler = next((handler for handler in logger.handlers if handler.name == STREAM), None)
    if settings.verbose or settings.debug_dag or handler is None:
        return
    handler.nocolor = handler.nocolor or bool(os.environ.get("NO_COLOR"))
    if not settings.printshellcmds:
        handler.setFormatter(Brief(settings.quiet, settings.show_failed_logs))
    handler.addFilter(Shown(bool(settings.printshellcmds), settings.dryrun).filter)
    # Jobs may be calls of Snakemake in their turn, and --quiet is obeyed
    if workflow.is_main_process and not settings.dryrun and not settings.quiet:
        logger.addHandler(Milestones(workflow, plan, handler.stream))


class Brief(DefaultFormatter):  # type: ignore[misc]
    """Snakemake's messages, without the command of a failed job: the job's log shows it as it was run."""

    def format_job_error(self, msg: dict[str, Any]) -> str:
        """Return the message on a failed job, with its log."""
        return str(super().format_job_error(msg | {"shellcmd": None}))


class Shown:
    """Decide which of Snakemake's records the terminal shows; warnings and errors always."""

    def __init__(self, commands: bool, dry_run: bool) -> None:
        self.hidden = HIDDEN - (COMMANDS if commands else set()) - ({LogEvent.RUN_INFO} if dry_run else set())
        self.commands, self.failed = commands, False
        self.tables: set[str] = set()  # of jobs; Snakemake prints it twice in a dry run

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is shown."""
        event, message = getattr(record, "event", None), record.getMessage()
        if record.levelno >= logging.WARNING:
            self.failed = self.failed or record.levelno >= logging.ERROR
            return self.commands or not REPEATED.match(message)
        if event is LogEvent.RUN_INFO and message in self.tables:
            return False
        if event is LogEvent.RUN_INFO:
            self.tables.add(message)
        if event is LogEvent.RESOURCES_INFO and "use --cores" in message:
            return True
        if event is None and message.startswith(LOG):
            return self.failed
        return event not in self.hidden and not (event is None and ROUTINE.match(message))


class Milestones(logging.Handler):
    """Print how many jobs there are and where the log is, then a line as a stage begins or has ended."""

    def __init__(self, workflow: Any, plan: Plan, stream: TextIO) -> None:
        super().__init__()
        self.workflow, self.plan, self.stream = workflow, plan, stream
        self.jobs: dict[int, tuple[str, dict[str, str]]] = {}  # number → rule and wildcards

    def emit(self, record: logging.LogRecord) -> None:
        """Print the lines that belong to a record of Snakemake's."""
        event = getattr(record, "event", None)
        try:
            if record.getMessage() == NOTHING_TO_BE_DONE_MSG:
                show_scores(self.workflow)  # Snakemake calls no onsuccess then
            elif event is LogEvent.RUN_INFO and not self.jobs:
                self._begin(vars(record)["stats"]["total"])
            elif event is LogEvent.JOB_INFO:
                job = self.jobs[vars(record)["jobid"]] = (
                    vars(record)["rule_name"],
                    dict(vars(record)["wildcards"] or {}),
                )
                self._print(started(*job))
            elif event is LogEvent.JOB_FINISHED and (known := self.jobs.get(vars(record)["job_id"])):
                self._print(ended(self.plan, *known))
        # A file that is not there, or not as usual, must not end a call
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return

    def _begin(self, jobs: int) -> None:
        runs = len(self.plan.runs)
        cores = self.workflow.resource_settings.cores
        where = f", on {cores} core{'s' * (cores != 1)}" if self.workflow.local_exec and cores else ""
        self._print(f"{'plan':10}{runs} run{'s' * (runs > 1)}, {jobs} job{'s' * (jobs > 1)}{where}")
        for stage, note in dict.fromkeys(note for run in self.plan.runs for note in notes(run.choice)):
            for line in wrap(f"{stage:10}{note}", USUAL, subsequent_indent=" " * 10, break_on_hyphens=False):
                self._print(line)
        for log in self.workflow.logger_manager.get_logfile():
            self._print(f"{'log':10}{os.path.relpath(log, Path.cwd())}")

    def _print(self, line: str) -> None:
        """Print a line; on a terminal in the place of a bar that another job may have left there."""
        if line:
            clear = "\r\033[K" if self.stream.isatty() and os.environ.get("TERM") != "dumb" else ""
            print(f"{clear}{visible(line)}", file=self.stream, flush=True)
