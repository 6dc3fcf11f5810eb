"""bleuprint explain: which stages each run shares, reuses or computes, and because of which key."""

import atexit
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from tabulate import tabulate

from bleuprint.config.differences import differing, flat
from bleuprint.config.stages import ALL, FURTHER, STAGES
from bleuprint.files import load_yaml, read_json
from bleuprint.plan.graph import Plan, Run, Stage
from bleuprint.record import plugins, seal
from bleuprint.widths import columns, wrapped

RESULTS = Path("results")
Folders = set[tuple[str, str]]  # stage and key
Rows = list[list[str]]
SHARED = re.compile(r", shared by (\d+)")  # in a cell
HASH = re.compile("[0-9a-f]{64}")  # of a file
KEYS = 5  # named at most, of those in which two folders differ
# Keys of a slice that are hashes of stages of other runs, and what a difference in them means
OTHERS = {
    "test.set": "on another test set",
    "tuned.own": "tuned with another training",
    "start.model": "starting from another model",
    "segmenter.of": "with the subwords of another text",
    "translator.by": "with another model's translations",
    "genuine.of": "of another corpus",
    "test_sets": "without the pairs of other further test sets",
}


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
    lines = [_table([row for run in plan.runs for row in _rows(plan, run, missing)], width), ""]
    for stage in ALL:
        known = _known(stage)
        for key, one in plan.stages[stage].items():
            if (stage, key) in missing:
                lines.append(wrapped(f"{stage}/{key}: {_because(stage, one, known)}", width))
            known[key] = flat(one.slice)
    return "\n".join(lines).rstrip()


def _table(rows: list[list[str]], width: int | None) -> str:
    """Render the rows; in two lines each if they would be wider than `width`."""
    longest = max(map(len, rows))
    headers = ["run", *ALL][:longest]
    rows = [row + [""] * (longest - len(row)) for row in rows]
    table = tabulate(rows, headers=headers, disable_numparse=True)
    if width is None or max(map(len, table.splitlines())) <= width:
        return table
    cells = [[SHARED.sub(r"\n(\1 runs)", cell).replace(", ", ",\n") for cell in row] for row in rows]
    others = tabulate([row[1:] for row in cells], headers=headers[1:], disable_numparse=True).splitlines()
    names = max(20, width - max(map(len, others)) - 2)
    return tabulate(cells, headers=headers, disable_numparse=True, maxcolwidths=[names, *[None] * (longest - 1)])


def to_compute(plan: Plan) -> Folders:
    """Return the folders that a run needs and that are not finished, or are made from such a one.

    A run that has been gathered needs none of its stages again, even where a folder was deleted since.
    """
    missing: Folders = set()
    for run in plan.runs:
        if gathered(run.name, run.test_folders):
            continue
        computed = _unfinished(plan, [need for need in run.needs if need[0] != "corpus"])
        # Only these two read the corpus, which may have been deleted
        if computed & {("text", run.keys["text"]), ("scoring", run.keys["scoring"])}:
            computed = _unfinished(plan, run.needs)
        missing |= computed
    return missing


def _unfinished(plan: Plan, needs: Iterable[tuple[str, str]]) -> Folders:
    """Return those of `needs`, each after its parents, that are not finished, or are made from such a one."""
    computed: Folders = set()
    for stage, key in needs:
        if not computed.isdisjoint(_made_from(stage, plan.stage(stage, key))) or not finished(stage, key):
            computed.add((stage, key))
    return computed


def _made_from(name: str, stage: Stage) -> Folders:
    """Return the folders that a stage is directly made from, those of other experiments included."""
    others = {(ALL[name].others[word].stage, key) for word, keys in stage.others.items() for key in keys}
    return others | set(stage.parents.items())


def planned_folders(workflow: Any) -> Folders:
    """Return the folders that the jobs of a call of Snakemake compute, forced ones included."""
    jobs = workflow.dag.needrun_jobs(exclude_finished=False)  # a dry run finishes them
    return {(stage, key) for job in jobs for stage, key in job.wildcards.items() if stage in ALL}


def gathered(run: str, tests: Mapping[str, Mapping[str, str]]) -> bool:
    """Tell whether a run's scores have been gathered.

    Args:
        run: its name.
        tests: the folders of each further test set that it should have been scored on, by stage.
    """
    scores = RESULTS / "runs" / run / "scores.json"
    if not tests:
        return scores.exists()
    try:
        known = read_json(scores).get("tests", {})
        return all(known[name]["stages"] == folders for name, folders in tests.items())
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _rows(plan: Plan, run: Run, missing: Folders) -> list[list[str]]:
    """Return the run's row of the table, and one for each of its further test sets."""
    own = {stage: [(stage, key)] for stage, key in run.keys.items()}
    own["training"] += [("training", key) for key in run.ensemble]
    rows = [[run.name, *(_cell(plan, run, folders, missing) for folders in own.values())]]
    for name, keys in run.tests.items():
        cells = {stage: _cell(plan, run, [(stage, key)], missing) for stage, key in keys.items()}
        rows.append([f"  on {name}", *(cells.get(stage, "") for stage in ALL)])
    return rows + _family_rows(plan, run, run.keys["training"], run.family, missing)


def _family_rows(
    plan: Plan, run: Run, child: str, family: Sequence[Mapping[str, Any]], missing: Folders, depth: int = 1
) -> Rows:
    """Return a row for each model that the training `child` builds on, and for those that it builds on in turn."""
    rows = []
    child_text = plan.stage("text", plan.stage("training", child).parents["text"])
    translations = {
        plan.stage("decoding", key).parents["training"]: key for key in child_text.others.get("translator", ())
    }
    for member in family:
        cells = {}
        if "folder" in member:
            training = Path(member["folder"]).name
            text = plan.stage("training", training).parents["text"]
            keys = {"corpus": plan.stage("text", text).parents["corpus"], "text": text, "training": training}
            if training in translations:
                keys["decoding"] = translations[training]
            cells = {stage: _cell(plan, run, [(stage, key)], missing) for stage, key in keys.items()}
        name = Path(member["folder"]).name if "folder" in member else member["file"]
        # tabulate strips white space
        rows.append([f"└{'──' * (depth - 1)} {member['role']} {name}", *(cells.get(stage, "") for stage in STAGES)])
        if "folder" in member:
            rows += _family_rows(plan, run, training, member.get("family", ()), missing, depth + 1)
    return rows


def _cell(plan: Plan, run: Run, folders: Sequence[tuple[str, str]], missing: Folders) -> str:
    """Return what becomes of one stage's folders: several of an ensemble's trainings, else one."""
    computed = sum(one in missing for one in folders)
    runs = plan.needed[folders[0]]
    shared = f", shared by {runs}" if runs > 1 else ""
    if len(folders) > 1:
        return f"{computed} computed, {len(folders) - computed} reused"
    if not computed and not gathered(run.name, run.test_folders) and not finished(*folders[0]):
        return "not now" + shared  # left out by a target, --until or the like
    return ("computed" if computed else "reused") + shared


def _known(stage: str) -> dict[str, dict[str, Any]]:
    """Return the slices of the finished folders of a stage, each as its leaves by dotted key."""
    slices = {}
    for path in sorted((RESULTS / stage).glob("*/config.yaml")):
        if finished(stage, path.parent.name):
            try:
                slice_ = load_yaml(path.read_text(encoding="utf-8"))
            except (yaml.YAMLError, UnicodeDecodeError):
                continue
            if isinstance(slice_, dict):
                slices[path.parent.name] = flat(slice_)
    return slices


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
    own = flat(one.slice)
    near = _nearest(own, known)
    keys = differing([own, known[near]])
    if not keys:
        return f"the same keys as {near}, under another name"
    notes = OTHERS | {"parent": f"made from another {' or '.join(ALL[stage].parents)}"}
    if stage == "training":
        notes |= plugins.versions(RESULTS / stage / near, one.experiment.model.plugin or ())
    above = [note for key, note in notes.items() if keys.pop(key, None)]
    if files := [
        key for key in keys if key.startswith("vocabulary.")
    ]:  # beside the checkpoint that a training starts from
        keys = {key: values for key, values in keys.items() if key not in files}
        above = [OTHERS["segmenter.of"], *above]
    if stage in FURTHER and keys:  # hashes of files
        above, keys = ["another text", *above], {}
    words = [f"{dotted(stage, key)}={_value(here)} (there {_value(there)})" for key, (here, there) in keys.items()]
    shown = ", ".join(words[:KEYS]) + (f" and {len(words) - KEYS} more keys" if len(words) > KEYS else "")
    return f"unlike {near}: {' and '.join([*([shown] if shown else []), *above])}"


def _nearest(own: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the name of the first of `known` that differs from `own` in the fewest keys; all are leaves by key."""
    name, fewest = "", len(own)
    for key, leaves in known.items():
        unlike = sum(value != leaves.get(word) for word, value in own.items())
        unlike += sum(leaves[word] is not None for word in leaves.keys() - own.keys())
        if unlike < fewest or not name:
            name, fewest = key, unlike
        if fewest <= 1:  # as near as can be: a long sweep is not compared with all of itself
            break
    return name


def dotted(stage: str, key: str) -> str:
    """Return a slice's key as it is written in overrides."""
    if key == "decontaminate":  # done in the text stage, said of the corpus
        return f"corpus.{key}"
    return key if stage == "training" or key in ("source", "target", "format") else f"{stage}.{key}"


def _value(value: Any) -> str:
    if isinstance(value, str) and HASH.fullmatch(value):
        return f"{value[:8]}…"
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
