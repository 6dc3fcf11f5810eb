"""Gather a run's folder, results/runs/<run>/, from its stages' folders, and read its scores."""

import os
from pathlib import Path
from typing import Any

import yaml

from bleuprint.config.stages import STAGES
from bleuprint.files import Damaged, DataError, load_yaml, read_json, replacing, write_json, write_lines
from bleuprint.record import own
from bleuprint.record.provenance import NAME, RUNS, job, logs, record
from bleuprint.report.groups import Run

FORMAT = 2  # version of a run's scores.json
LINKS = [
    ("training", "checkpoint.pt"),
    ("training", "metrics.jsonl"),
    ("training", "train.log"),
    ("decoding", "hypotheses.tok"),
    ("decoding", "hypotheses.txt"),
]


def gather(description: dict[str, Any], asked: dict[str, Any]) -> None:
    """Write `results/runs/<run>/`: resolved config, commands as run, links to the stages' files, scores, provenance.

    Args:
        description: `run`, `group`, `recipe`, `corpus`, `model`, `seed`, `source`, `target`, `overrides`, `expected`,
            `config` (resolved), `stages` (stage → folder) and, with an ensemble, `ensemble` (the folders of its
            other trainings), with further test sets `tests` (test set → stage → folder) and, where it builds on other
            runs, `family` (who they are) and `ancestors` (the folders of their stages).
        asked: `words` and `groups`, as `provenance.record` takes them, and `config`, if files of the user's own took
            part: their text by their paths in the user's folder.
    """
    config, stages = description.pop("config"), {name: Path(path) for name, path in description["stages"].items()}
    folder, others = Path("results/runs", description["run"]), list(map(Path, description.get("ensemble", [])))
    if (tuned := stages["decoding"] / "tuned.json").exists() or config.get("decoding", {}).get("tune"):
        description["tuned"] = read_json(tuned, keys=("picked", "points", "bleu"))
        config["decoding"] |= description["tuned"]["picked"]  # the values that really decoded
    with replacing(folder / "config.yaml") as file:
        yaml.safe_dump(config, file, sort_keys=False, allow_unicode=True)
    for stage, name in LINKS:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(os.path.relpath(stages[stage] / name, folder))
    ancestors = list(map(Path, description.get("ancestors", [])))
    order = [(path.parent.name, path) for path in ancestors]
    order += [(stage, path) for stage in STAGES for path in [stages[stage], *(others if stage == "training" else [])]]
    tests = {
        name: {stage: Path(path) for stage, path in one.items()} for name, one in description.get("tests", {}).items()
    }
    order += [item for folders in tests.values() for item in folders.items()]
    write_lines(folder / "commands.sh", commands([log for stage, path in order for log in logs(stage, path)]))
    for name, folders in tests.items():
        description["tests"][name] = {"stages": description["tests"][name]} | _scores(folders["scoring"])
    write_json(folder / "scores.json", {"format": FORMAT} | description | _scores(stages["scoring"]))
    own.keep(folder, asked.pop("config", {}))
    write_json(folder / NAME, record(description["run"], stages, asked, others, tests, ancestors))


def _scores(folder: Path) -> dict[str, Any]:
    """Read what scoring left: `sentences` and `metrics`."""
    scores: dict[str, Any] = read_json(folder / "scores.json", keys=("sentences", "metrics"))
    read_json(folder / "sentences.json", keys=scores["metrics"])  # the report will need it
    return scores


def commands(logs: list[Path]) -> list[str]:
    """Return the lines of commands.sh: the commands in each log, under its name, seconds and peak memory (PSS)."""
    lines = ["#!/usr/bin/env bash", "# The commands of this run as they ran; start them where results/ is."]
    for entry in map(job, logs):
        seconds = [] if entry["seconds"] is None else [f"{entry['seconds']:,.1f} s"]
        memory = [] if entry["memory"] is None else [f"{entry['memory']:,.0f} MiB"]
        lines += ["", f"# {entry['log']}: {', '.join(seconds + memory) or 'not measured'}", *entry["commands"]]
    return lines


def read_run(path: Path) -> Run:
    """Read a run's scores.json.

    Raises:
        DataError: the file was written by another version.
    """
    run: Run = read_json(path)
    if run.get("format") != FORMAT:
        raise DataError(f"{path} was written by another version of bleuprint; move {path.parent} away and start again.")
    return {key: value for key, value in run.items() if key != "format"}


def placed(run: Run, root: Path) -> Run:
    """Return a run with the folders of its stages as they are reached from here.

    Args:
        run: as `read_run` returns it; its folders are named as in the folder that holds its results/.
        root: that folder.
    """
    others: dict[str, Any] = {}
    for key in run.keys() & {"ensemble", "ancestors"}:
        others[key] = [str(root / folder) for folder in run[key]]
    if "family" in run:
        others["family"] = _members(run["family"], root)
    if "tests" in run:
        others["tests"] = {
            name: test | {"stages": _placed(test["stages"], root)} for name, test in run["tests"].items()
        }
    return run | {"stages": _placed(run["stages"], root)} | others


def _members(family: list[dict[str, Any]], root: Path) -> list[dict[str, Any]]:
    """Return the models that a run builds on, with their folders and files as they are reached from here."""
    return [
        member
        | {key: str(root / member[key]) for key in ("folder", "file") if key in member}
        | ({"family": _members(member["family"], root)} if "family" in member else {})
        for member in family
    ]


def _placed(stages: dict[str, str], root: Path) -> dict[str, str]:
    return {stage: str(root / folder) for stage, folder in stages.items()}


def run_folder(run: Run) -> Path:
    """Return a run's folder in results/runs, which lies beside the folders of its stages."""
    root: Path = Path(next(iter(run["stages"].values()))).parents[2]
    return root / RUNS / str(run["run"])


def read_config(run: Run) -> dict[str, Any]:
    """Read a run's resolved config.

    Raises:
        Damaged: it is empty or no config.
    """
    path = run_folder(run) / "config.yaml"
    try:
        config = load_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError):
        raise Damaged(path) from None
    if not isinstance(config, dict):
        raise Damaged(path)
    return config
