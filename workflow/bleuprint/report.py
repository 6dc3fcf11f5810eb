"""The report stage: `run` gathers what belongs to one run, `table` puts all runs side by side."""

import argparse
import csv
import json
import os
import sys
from pathlib import Path
from typing import Any

import yaml
from tabulate import tabulate

from bleuprint.files import DataError, read_lines, replacing, write_json, write_lines

FORMAT = 1  # of a run's scores.json
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
        description: `run`, `recipe`, `corpus`, `model`, `seed`, `overrides`, `config` (all resolved) and `stages`
            (stage → folder).
    """
    config, stages = description.pop("config"), {name: Path(path) for name, path in description.pop("stages").items()}
    folder = Path("results/runs", description["run"])
    with replacing(folder / "config.yaml") as file:
        yaml.safe_dump(config, file, sort_keys=False, allow_unicode=True)
    for stage, name in LINKS:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(os.path.relpath(stages[stage] / name, folder))
    write_lines(folder / "commands.sh", commands([stages[stage] / log for stage, log in LOGS]))
    scores = json.loads((stages["scoring"] / "scores.json").read_text(encoding="utf-8"))
    write_json(folder / "scores.json", {"format": FORMAT} | description | scores)


def commands(logs: list[Path]) -> list[str]:
    """The commands that the stages' logs begin with, as the shell traced them, each with its log's name."""
    lines = ["#!/usr/bin/env bash", "# The commands of this run as they ran, to be typed in the folder of results/."]
    for log in logs:
        lines += ["", f"# {log}"]
        lines += [line.removeprefix("+ ") for line in read_lines(log) if line.startswith("+ ")]
    return lines


def read_run(path: Path) -> dict[str, Any]:
    """A run's scores.json.

    Raises:
        DataError: it was written by another version.
    """
    row: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if row.get("format") != FORMAT:
        raise DataError(f"{path} was written by another version of bleuprint; move {path.parent} away and start again.")
    return {key: value for key, value in row.items() if key != "format"}


def rows(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One flat row a run: names, sentences, each metric's score, brevity penalty and length ratio of the first BLEU."""
    table = []
    for run in runs:
        row = {key: run[key] for key in ("run", "recipe", "corpus", "model", "seed", "sentences")}
        row["overrides"] = " ".join(run["overrides"])
        row |= {name: metric["score"] for name, metric in run["metrics"].items()}
        bleu: dict[str, Any] = next((metric for metric in run["metrics"].values() if "brevity_penalty" in metric), {})
        table.append(row | {key: bleu[key] for key in ("brevity_penalty", "length_ratio") if key in bleu})
    return table


def show(table: list[dict[str, Any]]) -> str:
    """The table for a terminal: a column is left out where it says the same as the run's name."""
    hidden = {"recipe", "model", "seed"} | ({"overrides"} if not any(row["overrides"] for row in table) else set())
    short = {"brevity_penalty": "BP", "length_ratio": "length"}
    shown = [{short.get(key, key): value for key, value in row.items() if key not in hidden} for row in table]
    return tabulate(shown, headers="keys", floatfmt=".2f")


def write_table(folder: Path, runs: list[dict[str, Any]]) -> None:
    """scores.json, scores.tsv and the terminal's table, scores.txt."""
    table = rows(runs)
    write_json(folder / "scores.json", runs)
    columns = list(dict.fromkeys(key for row in table for key in row))
    with replacing(folder / "scores.tsv") as file:
        writer = csv.DictWriter(file, columns, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    write_lines(folder / "scores.txt", [show(table), "", f"{folder}/scores.tsv and scores.json hold these figures."])


def last_words(logs: list[str]) -> str:
    """The sentences that bleuprint's commands ended with, out of the many lines of Snakemake's logs."""
    lines = [line for log in logs for line in read_lines(Path(log))]
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith("bleuprint: ")))


def main() -> None:
    """Entry point; a foreign file ends in one sentence."""
    parser = argparse.ArgumentParser(prog="bleuprint.report", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    run = steps.add_parser("run", help="gather one run")
    run.add_argument("description", type=json.loads, help="JSON of the run's names, resolved config and stage folders")
    table = steps.add_parser("table", help="write the report")
    table.add_argument("scores", nargs="+", type=Path, help="the runs' scores.json")
    table.add_argument("--folder", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        if arguments.step == "table":
            write_table(arguments.folder, [read_run(path) for path in arguments.scores])
        else:
            gather(arguments.description)
    except DataError as error:
        sys.exit(f"bleuprint: {error}")


if __name__ == "__main__":
    main()
