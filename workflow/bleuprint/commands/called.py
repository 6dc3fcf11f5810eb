"""How Snakemake was called, found out while it reads the Snakefile: what for, with how many cores, and as what."""

import atexit
import gc
import re
import sys
from collections.abc import Mapping
from typing import Any

from bleuprint.commands.alone import forget_killed, say_if_read_only
from bleuprint.commands.cluster import refuse_unknown_machine, submitted, with_runtime
from bleuprint.commands.terminal import concise
from bleuprint.files import DataError, exit_with_message
from bleuprint.plan.explain import explain_dry_run
from bleuprint.plan.graph import Plan
from bleuprint.plan.keys import planned
from bleuprint.plan.times import settle


def planned_call(workflow: Any, config: Mapping[str, Any]) -> Plan:
    """Plan what this call is asked for, and make the folder ready for it.

    Args:
        workflow: Snakemake's.
        config: Snakemake's, from `--config` and `--configfile`.

    Raises:
        SystemExit: with one sentence, if anything is wrong.
    """
    refuse_prefix(workflow)
    explain_targets(workflow)
    say_if_read_only(workflow)
    forget_killed(workflow)
    gc.set_threshold(10_000, 20, 20)
    plan = planned(with_runtime(config) if submitted(workflow) else config)
    gc.freeze()  # the plan stays: with 2,000 runs, looking for garbage in it took a fifth of a dry run's time
    refuse_unknown_machine(workflow, plan)
    if workflow.is_main_process:  # a job of a cluster starts while others write
        settle(plan)
    explain_dry_run(workflow, plan)
    concise(workflow, plan)
    return plan


def cores(workflow: Any) -> int:
    """Return the number of cores that jobs share, 1 where none was given.

    Without a number Snakemake starts no job and draws no report, so it is told this one. Not under an executor: there
    `--jobs` counts, and with one core only one job would be sent at a time.

    Args:
        workflow: Snakemake's.
    """
    settings = workflow.resource_settings
    if settings.cores is None and settings.nodes is None:
        settings.cores = workflow.global_resources["_cores"] = 1
    return settings.cores or 1


def explain_targets(workflow: Any) -> None:
    """Say at the end that a target KEY=VALUE was meant to follow `--config`; Snakemake says that no rule makes it.

    Args:
        workflow: Snakemake's; it knows its targets only after reading the rules.
    """

    def say() -> None:
        settings = workflow.dag_settings
        targets = [str(target) for target in settings.targets] if settings and workflow.is_main_process else []
        if words := [target for target in targets if re.match(r"[\w.~+]+=", target)]:
            plain = [word for word in words if re.match(r"\w+=", word)]
            nested = [f'overrides="{" ".join(word for word in words if word not in plain)}"']
            right = " ".join(plain + nested * (plain != words))
            print(f"bleuprint: {words[0]} stands where targets stand; write --config {right}", file=sys.stderr)

    atexit.register(say)


@exit_with_message()
def refuse_prefix(workflow: Any) -> None:
    """Check that another Snakefile, of which this one is a module, moves no files: only declared ones would be moved.

    Args:
        workflow: Snakemake's.

    Raises:
        SystemExit: it is one.
    """
    if workflow.modifier.modify_path("results") != "results":
        raise DataError(
            "prefix and replace_prefix of a module move only some of its files; leave them out, or give bleuprint a "
            'folder of its own in a rule: shell: "snakemake --snakefile PATH/Snakefile --directory FOLDER '
            '--cores {threads} --config recipe=demo"'
        )
