"""A run's folder, filled from its stages' folders, and read again."""

import os
from pathlib import Path
from typing import Any

import yaml

from bleuprint.files import DataError, read_json, replacing, write_json, write_lines
from bleuprint.record.provenance import LOGS, NAME, job, logs, record

FORMAT = 2  # of a run's scores.json
LINKS = [
    ("training", "checkpoint.pt"),
    ("training", "metrics.jsonl"),
    ("training", "train.log"),
    ("decoding", "hypotheses.tok"),
    ("decoding", "hypotheses.txt"),
]


def gather(description: dict[str, Any], asked: dict[str, Any]) -> None:
    """Fill `results/runs/<run>/`: resolved config, commands as run, links to the stages' files, scores, provenance.

    Args:
        description: `run`, `group`, `recipe`, `corpus`, `model`, `seed`, `source`, `target`, `overrides`, `expected`,
            `config` (all resolved), `stages` (stage → folder) and, with an ensemble, `ensemble` (the folders of its
            other trainings).
        asked: `words` and `groups`, as `provenance.record` takes them.
    """
    config, stages = description.pop("config"), {name: Path(path) for name, path in description["stages"].items()}
    folder, others = Path("results/runs", description["run"]), list(map(Path, description.get("ensemble", [])))
    if (found := stages["decoding"] / "tuned.json").exists():
        description["tuned"] = read_json(found)
        config["decoding"] |= description["tuned"]["picked"]  # what decoded, for people and for the report
    with replacing(folder / "config.yaml") as file:
        yaml.safe_dump(config, file, sort_keys=False, allow_unicode=True)
    for stage, name in LINKS:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(os.path.relpath(stages[stage] / name, folder))
    order = [("training", one) for one in others]
    order = [pair for stage in LOGS for pair in [(stage, stages[stage]), *(order if stage == "training" else [])]]
    write_lines(folder / "commands.sh", commands([log for stage, one in order for log in logs(stage, one)]))
    scores = read_json(stages["scoring"] / "scores.json")
    write_json(folder / "scores.json", {"format": FORMAT} | description | scores)
    write_json(folder / NAME, record(description["run"], stages, asked, others))


def commands(logs: list[Path]) -> list[str]:
    """The commands in the stages' logs, under each log's name, seconds and peak memory (PSS)."""
    lines = ["#!/usr/bin/env bash", "# The commands of this run as they ran, to be typed in the folder of results/."]
    for one in map(job, logs):
        seconds = [] if one["seconds"] is None else [f"{one['seconds']:,.1f} s"]
        memory = [] if one["memory"] is None else [f"{one['memory']:,.0f} MiB"]
        lines += ["", f"# {one['log']}: {', '.join(seconds + memory) or 'not measured'}", *one["commands"]]
    return lines


def read_run(path: Path) -> dict[str, Any]:
    """A run's scores.json.

    Raises:
        DataError: it was written by another version.
    """
    row: dict[str, Any] = read_json(path)
    if row.get("format") != FORMAT:
        raise DataError(f"{path} was written by another version of bleuprint; move {path.parent} away and start again.")
    return {key: value for key, value in row.items() if key != "format"}
