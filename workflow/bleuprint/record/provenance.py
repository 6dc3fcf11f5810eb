"""Write and read provenance.json: how a run was made, and the hashes of all its files."""

import csv
import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from bleuprint.config.stages import ALL, STAGES
from bleuprint.files import DataError, read_json, read_lines, short_hash
from bleuprint.machine.cuda import computed_on
from bleuprint.record import own, seal
from bleuprint.training.save_dir import read_implementations
from bleuprint.training.stopped import frozen, stopped_early

FORMAT = 1
NAME = "provenance.json"
LONGEST = 1000  # lines of one traced command
RUNS = Path("results/runs")
NO_TESTS: Mapping[str, Mapping[str, Path]] = {}
RUN_FILES = ("config.yaml", "commands.sh", "scores.json")

Record = dict[str, Any]  # a run's provenance.json


def record(
    run: str,
    stages: dict[str, Path],
    asked: dict[str, Any],
    ensemble: Sequence[Path] = (),
    tests: Mapping[str, Mapping[str, Path]] = NO_TESTS,
    ancestors: Sequence[Path] = (),
) -> Record:
    """Return what provenance.json says of a run.

    Args:
        run: its name; its folder holds all but provenance.json.
        stages: stage → folder.
        asked: `words`, the overrides that ask for this run, and `groups`, the file of each config group.
        ensemble: the folders of the other trainings whose models took part in decoding.
        tests: further test set → stage → folder.
        ancestors: the folders of the stages of other runs that it builds on.

    Returns:
        `format`, `run`, `asked`, `files` (of the run's folder: name → `sha256` and `bytes`) and `stages`, each with its
        `folder`, `slice` and that slice's `hash`, `jobs`, and of its seal when it was `sealed`, `environment` and
        `files`; with an ensemble also `ensemble`, the same of each of its other trainings, and
        with further test sets `tests`, the same of each of their stages, and of a run that builds on others
        `ancestors`, the same of each of their stages, with its `stage`.

    Raises:
        DataError: a stage is not sealed.
    """
    further: dict[str, Any] = {"ensemble": [_stage("training", folder) for folder in ensemble]} if ensemble else {}
    if tests:
        further["tests"] = {
            name: {stage: _stage(stage, folder) for stage, folder in folders.items()} for name, folders in tests.items()
        }
    if ancestors:
        further["ancestors"] = [
            {"stage": folder.parent.name} | _stage(folder.parent.name, folder) for folder in ancestors
        ]
    return {
        "format": FORMAT,
        "run": run,
        "asked": asked,
        "files": {name: seal.entry(RUNS / run / name) for name in (*RUN_FILES, *own.names(RUNS / run))},
        "stages": {stage: _stage(stage, stages[stage]) for stage in STAGES},
    } | further


def logs(stage: str, folder: Path) -> list[Path]:
    """Return the logs of a stage's jobs."""
    paths = {job: folder / f"{job}.log" for job in ALL[stage].jobs}
    return [path for job, path in paths.items() if job not in ALL[stage].optional or path.exists()]


def parts(known: Record) -> list[Any]:
    """Return all stages of a record, also those of further test sets, of an ensemble's models and of other runs."""
    # In scores.json a further test set also has its scores
    tests = [stage for test in known.get("tests", {}).values() for stage in test.get("stages", test).values()]
    return [*known["stages"].values(), *known.get("ensemble", []), *known.get("ancestors", []), *tests]


def _stage(stage: str, folder: Path) -> dict[str, Any]:
    slice_, sealed = read_slice(folder), seal.read(folder) or {}  # none where the folder was deleted
    return {
        "folder": str(folder),
        "slice": slice_,
        "hash": short_hash(slice_),
        "sealed": sealed.get("sealed"),
        "environment": sealed.get("environment", {}),
        "jobs": [job(log) for log in logs(stage, folder)],
        "files": sealed.get("files", {}),
    }


def job(log: Path) -> dict[str, Any]:
    """Return what one job did and cost.

    Returns:
        Its `log`, its `commands` as the shell traced them, `seconds` and peak `memory` in MiB, or None, and, of a
        training whose plugin has noted them, the `implementations` of the model's layers, how many parameters were
        `frozen`, and when and why it `stopped` early; on GPUs also these `gpus`, each with its UUID and driver.
    """
    seconds, memory = benchmark(log.with_suffix(".benchmark.tsv"))
    metrics = log.with_name("metrics.jsonl")
    if log.stem == "train" and metrics.exists():
        seconds = training_seconds([json.loads(line) for line in read_lines(metrics)]) or seconds
    facts = {"log": str(log), "commands": traced(log), "seconds": seconds, "memory": memory}
    lines = _lines(log)
    noted: dict[str, Any] = {"gpus": computed_on(lines)}
    if log.stem == "train":
        text = "\n".join(lines)
        noted |= {"implementations": read_implementations(log.with_name("checkpoints"))}
        noted |= {"frozen": frozen(text), "stopped": stopped_early(text)}
    return facts | {name: value for name, value in noted.items() if value}


def traced(log: Path) -> list[str]:
    """Return the commands in a log, as the shell traced them; those that a training's sessions repeat once."""
    return list(dict.fromkeys(_traced(_lines(log))))


def _lines(log: Path) -> list[str]:
    """Return the lines of a log; none if someone has deleted it, which changes no result."""
    return read_lines(log) if log.exists() else []


def _traced(log: list[str]) -> Iterator[str]:
    """Yield the traced commands, each whole: a quoted argument may hold line feeds and seeming commands."""
    number = 0
    while number < len(log):
        length = 1
        if log[number].startswith("+ "):
            length = _closed(log[number : number + LONGEST])
            yield "\n".join(log[number : number + length]).removeprefix("+ ")
        number += length


def _closed(lines: list[str]) -> int:
    """Return how many of `lines` it takes until every quote is closed; 1 if all are not enough."""
    for length in range(1, len(lines) + 1):
        with suppress(ValueError):  # shlex's: no closing quotation
            shlex.split("\n".join(lines[:length]))
            return length
    return 1


def training_seconds(rows: Sequence[dict[str, Any]]) -> float:
    """Return the seconds on fairseq's clock over all sessions, from the rows of metrics.jsonl; 0 if they have none.

    Snakemake's clock counts the last session only, and also the time in which a job waits for a GPU.
    """
    return max((row.get("wall_seconds", 0.0) for row in rows), default=0.0)


def benchmark(path: Path) -> tuple[float | None, float | None]:
    """Return a job's seconds, and the peak memory of all its processes in MiB (PSS, as sampled); None if unknown."""
    if not path.exists():
        return None, None
    with open(path, encoding="utf-8") as file:
        row = next(csv.DictReader(file, delimiter="\t"), {})
    return _number(row.get("s")), _number(row.get("max_pss"))


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:  # Snakemake writes NA or - if a job was too short to be sampled
        return None


def read_slice(folder: Path) -> Any:
    """Return the keys that a stage's folder was made for; None if they cannot be read."""
    try:
        return yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return None


def read(folder: Path) -> Record:
    """Return a run's record.

    Raises:
        DataError: there is none, or another version wrote it.
    """
    path = folder / NAME
    if not path.exists():
        raise DataError(f"{path} is missing; Snakemake's call for that run with -R gather_run added writes it.")
    try:
        known: Record = read_json(path)
    except ValueError:
        message = f"{path} is damaged; Snakemake's call for that run with -R gather_run added rewrites it."
        raise DataError(message) from None
    if known.get("format") != FORMAT:
        raise DataError(f"{path} was written by another version of bleuprint; use that version to read it.")
    return known


def find(word: str) -> Path:
    """Return the folder of the run that `word` means: its folder, its name, or a part of its name that is unique.

    Raises:
        DataError: no run or several are meant.
    """
    if any((Path(word) / name).exists() for name in ("scores.json", NAME)):
        return Path(word)
    names = [folder.name for folder in run_folders()]
    meant = [name for name in names if name == word] or [name for name in names if word in name]
    if len(meant) != 1:
        problem = "names no run" if not meant else f"names {len(meant)} runs"
        choices = f"{RUNS} has: {', '.join(meant or names)}" if names else f"there is no {RUNS} here"
        raise DataError(f"{word} {problem}; {choices}.")
    return RUNS / meant[0]


def run_folders() -> list[Path]:
    """Return the folders of all gathered runs here."""
    return sorted({path.parent for name in ("scores.json", NAME) for path in RUNS.glob(f"*/{name}")})


def base(folder: Path) -> Path:
    """Return the folder that holds the results/ of a run's folder, whatever links and dots lead there.

    Raises:
        DataError: the folder lies in no results/runs.
    """
    # The shell knows the links by which it came here, the operating system does not
    starts = [Path.cwd(), Path(os.environ.get("PWD", "/"))]
    for path in [*(Path(os.path.normpath(start / folder)) for start in starts), folder.resolve()]:
        root = Path(*path.parts[:-3])
        if (root / RUNS / path.name).is_dir() and (root / RUNS / path.name).samefile(folder):
            return root
    raise DataError(f"{folder} lies in no {RUNS}; name the run in the folder that holds results/.")


def shown(value: Any) -> str:
    """Return a fact of an environment as text for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "unknown" if value is None else str(value)
