"""bleuprint explain: which stages each run shares, reuses or computes, and because of which key."""

import atexit
import os
import re
import sys
from pathlib import Path
from typing import Any

import yaml
from tabulate import tabulate

from bleuprint.config.differences import differing, flat
from bleuprint.config.stages import STAGES, ancestors
from bleuprint.plan.keys import Plan, Run, Stage
from bleuprint.record import seal
from bleuprint.widths import columns, wrapped

RESULTS = Path("results")
Folders = set[tuple[str, str]]  # stage and key
SHARED = re.compile(r", shared by (\d+)")  # in a cell
KEYS = 5  # named at most, of those in which two folders differ


def finished(stage: str, key: str) -> bool:
    """Tell whether that stage's folder is sealed, and its files are there in their sizes."""
    return seal.finished(RESULTS / stage / key)


def explain(plan: Plan, planned: Folders | None = None, width: int | None = None) -> str:
    """Return a table of runs and stages, then for each folder to be computed why no finished one will do.

    Args:
        plan: what is asked for.
        planned: the folders that Snakemake's jobs compute; None: those that a call without further options would.
        width: of the terminal; None: any.
    """
    missing = to_compute(plan) if planned is None else planned
    rows = [[run.name, *(_cell(plan, run, stage, missing) for stage in STAGES)] for run in plan.runs]
    lines = [_table(rows, width), ""]
    for stage in STAGES:
        known = _known(stage)
        for key, one in plan.stages[stage].items():
            if (stage, key) in missing:
                lines.append(wrapped(f"{stage}/{key}: {_because(stage, one, known)}", width))
            known[key] = one.slice
    return "\n".join(lines).rstrip()


def _table(rows: list[list[str]], width: int | None) -> str:
    """Render the rows; in two lines each if they would be wider than `width`."""
    headers = ["run", *STAGES]
    table = tabulate(rows, headers=headers, disable_numparse=True)
    if width is None or max(map(len, table.splitlines())) <= width:
        return table
    cells = [[SHARED.sub(r"\n(\1 runs)", cell).replace(", ", ",\n") for cell in row] for row in rows]
    others = tabulate([row[1:] for row in cells], headers=headers[1:], disable_numparse=True).splitlines()
    names = max(20, width - max(map(len, others)) - 2)
    return tabulate(cells, headers=headers, disable_numparse=True, maxcolwidths=[names, *[None] * len(STAGES)])


def to_compute(plan: Plan) -> Folders:
    """Return the folders that a run needs and that are not finished, or are made from such a one.

    A run that has been gathered needs none of its stages again, even where a folder was deleted since.
    """
    missing: Folders = set()
    for run in plan.runs:
        if gathered(run):
            continue
        recomputed: dict[str, bool] = {}  # whether a folder of that stage is computed
        for stage, key in run.needs:
            if any(recomputed.get(ancestor) for ancestor in ancestors(stage)) or not finished(stage, key):
                recomputed[stage] = True
                missing.add((stage, key))
    return missing


def planned_folders(workflow: Any) -> Folders:
    """Return the folders that the jobs of a call of Snakemake compute, forced ones included."""
    jobs = workflow.dag.needrun_jobs(exclude_finished=False)  # a dry run finishes them
    return {(stage, key) for job in jobs for stage, key in job.wildcards.items() if stage in STAGES}


def gathered(run: Run) -> bool:
    """Tell whether the run's scores have been gathered."""
    return (RESULTS / "runs" / run.name / "scores.json").exists()


def _cell(plan: Plan, run: Run, stage: str, missing: Folders) -> str:
    folders = [one for one in run.needs if one[0] == stage]  # of an ensemble several trainings
    computed = sum(one in missing for one in folders)
    runs = sum(folders[0] in other.needs for other in plan.runs)
    shared = f", shared by {runs}" if runs > 1 else ""
    if len(folders) > 1:
        return f"{computed} computed, {len(folders) - computed} reused"
    if not computed and not gathered(run) and not finished(*folders[0]):
        return "not now" + shared  # left out by a target, --until or the like
    return ("computed" if computed else "reused") + shared


def _known(stage: str) -> dict[str, dict[str, Any]]:
    """Return the slices of the finished folders of a stage."""
    found = {}
    for path in sorted((RESULTS / stage).glob("*/config.yaml")):
        if finished(stage, path.parent.name):
            try:
                slice_ = yaml.safe_load(path.read_text(encoding="utf-8"))
            except (yaml.YAMLError, UnicodeDecodeError):
                continue
            if isinstance(slice_, dict):
                found[path.parent.name] = slice_
    return found


def _because(stage: str, one: Stage, known: dict[str, dict[str, Any]]) -> str:
    """Why a folder is computed: the keys in which it differs from the nearest one that there is."""
    folder = RESULTS / stage / one.key
    sealed = seal.read(folder)
    if sealed is not None and (flaws := seal.flaws(folder, sealed, hashes=False)):
        return f"{flaws[0]}; {seal.recompute(folder)}"
    if sealed is not None:
        return "computed again, after the stage before it or because its rule is forced"
    if not known:
        return "the first of its kind"
    near, keys = "", flat(one.slice)
    for key, slice_ in known.items():
        found = differing([one.slice, slice_])
        if len(found) < len(keys) or not near:
            near, keys = key, found
        if len(keys) == 1:  # as near as can be: a long sweep is not compared with all of itself
            break
    if not keys:
        return f"the same keys as {near}, under another name"
    parent = keys.pop("parent", None)
    words = [f"{dotted(stage, key)}={_value(here)} (there {_value(there)})" for key, (here, there) in keys.items()]
    shown = ", ".join(words[:KEYS]) + (f" and {len(words) - KEYS} more keys" if len(words) > KEYS else "")
    if parent is not None:
        above = f"made from another {' or '.join(STAGES[stage].parents)}"
        shown = f"{shown} and {above}" if shown else above
    return f"unlike {near}: {shown}"


def dotted(stage: str, key: str) -> str:
    """Return a slice's key as it is written in overrides."""
    if key == "decontaminate":  # done in the text stage, said of the corpus
        return f"corpus.{key}"
    return key if stage == "training" or key in ("source", "target", "format") else f"{stage}.{key}"


def _value(value: Any) -> str:
    return "absent" if value is None else str(value)


def explain_dry_run(workflow: Any, plan: Plan) -> None:
    """Explain the plan at the end of a dry run, below Snakemake's list of jobs.

    Args:
        workflow: Snakemake's; it knows only after reading the rules that it makes a dry run, and calls no hook in one.
        plan: what this call is asked for.
    """
    here = os.getcwd()

    def say() -> None:
        if workflow.dryrun:
            os.chdir(here)  # by now Snakemake is back where it was called
            print(f"\n{explain(plan, planned_folders(workflow), columns(sys.stderr))}", file=sys.stderr)

    atexit.register(say)
