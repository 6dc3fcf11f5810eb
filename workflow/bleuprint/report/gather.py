"""A run's folder, filled from its stages' folders, and read again."""

import os
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from bleuprint.files import DataError, read_json, read_lines, replacing, write_json, write_lines

FORMAT = 2  # of a run's scores.json
LONGEST = 1000  # lines of one traced command
LINKS = [
    ("training", "checkpoint.pt"),
    ("training", "metrics.jsonl"),
    ("training", "train.log"),
    ("decoding", "hypotheses.tok"),
    ("decoding", "hypotheses.txt"),
]
LOGS = [
    ("corpus", "corpus.log"),
    ("text", "tokenise.log"),
    ("text", "learn_bpe.log"),
    ("text", "apply_bpe.log"),
    ("text", "binarise.log"),
    ("training", "train.log"),
    ("decoding", "translate.log"),
    ("scoring", "score.log"),
]


def gather(description: dict[str, Any]) -> None:
    """Fill `results/runs/<run>/`: resolved config, commands as run, links to the stages' files, scores.

    Args:
        description: `run`, `group`, `recipe`, `corpus`, `model`, `seed`, `source`, `target`, `overrides`, `expected`,
            `config` (all resolved) and `stages` (stage → folder).
    """
    config, stages = description.pop("config"), {name: Path(path) for name, path in description["stages"].items()}
    folder = Path("results/runs", description["run"])
    with replacing(folder / "config.yaml") as file:
        yaml.safe_dump(config, file, sort_keys=False, allow_unicode=True)
    for stage, name in LINKS:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(os.path.relpath(stages[stage] / name, folder))
    write_lines(folder / "commands.sh", commands([stages[stage] / log for stage, log in LOGS]))
    scores = read_json(stages["scoring"] / "scores.json")
    write_json(folder / "scores.json", {"format": FORMAT} | description | scores)


def commands(logs: list[Path]) -> list[str]:
    """The commands that the stages' logs begin with, as the shell traced them, each with its log's name."""
    lines = ["#!/usr/bin/env bash", "# The commands of this run as they ran, to be typed in the folder of results/."]
    for log in logs:
        lines += ["", f"# {log}"]
        lines += _traced(read_lines(log))
    return lines


def _traced(log: list[str]) -> Iterator[str]:
    """The traced commands, each whole: a quoted argument may hold line feeds, and what looks like a command."""
    number = 0
    while number < len(log):
        length = 1
        if log[number].startswith("+ "):
            length = _closed(log[number : number + LONGEST])
            yield "\n".join(log[number : number + length]).removeprefix("+ ")
        number += length


def _closed(lines: list[str]) -> int:
    """How many of `lines` it takes until every quote is closed; 1 if none is enough."""
    for length in range(1, len(lines) + 1):
        with suppress(ValueError):  # shlex's: no closing quotation
            shlex.split("\n".join(lines[:length]))
            return length
    return 1


def read_run(path: Path) -> dict[str, Any]:
    """A run's scores.json.

    Raises:
        DataError: it was written by another version.
    """
    row: dict[str, Any] = read_json(path)
    if row.get("format") != FORMAT:
        raise DataError(f"{path} was written by another version of bleuprint; move {path.parent} away and start again.")
    return {key: value for key, value in row.items() if key != "format"}
