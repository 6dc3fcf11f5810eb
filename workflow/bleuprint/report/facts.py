"""What a run cost and how it went, read from the files that its stages left."""

import json
import re
from pathlib import Path
from typing import Any

from bleuprint.files import read_json
from bleuprint.record.provenance import benchmark, training_seconds
from bleuprint.report.groups import Run

PARAMETERS = re.compile(r"num\. shared model params: ([\d,]+)")
GPU = re.compile(r"rank +\d+: capabilities = +[\d.]+ +; total memory = +[\d.]+ GB ; name = (.*?) *$", re.MULTILINE)


def curves(run: Run) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl."""
    return _rows(run["stages"]["training"])


def _rows(training: str) -> list[dict[str, Any]]:
    path = Path(training, "metrics.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def target_tokens(rows: list[dict[str, Any]]) -> float | None:
    """Target tokens trained on: of each epoch its updates times their mean number of tokens; None without figures."""
    total, before = 0.0, 0
    for row in rows:
        if row["split"] == "train_epoch":
            if "words_per_batch" not in row:
                return None
            total += (row["updates"] - before) * row["words_per_batch"]
            before = row["updates"]
    return total or None


def benchmarks(folder: Path) -> tuple[float | None, float | None]:
    """Seconds of a stage's jobs together, and their peak memory in MiB (PSS of all processes, as sampled)."""
    found = [benchmark(path) for path in sorted(folder.glob("*.benchmark.tsv"))]
    seconds = [one for one, _ in found if one is not None]
    memory = [one for _, one in found if one is not None]
    return (sum(seconds) if seconds else None), (max(memory) if memory else None)


def costs(run: Run) -> dict[str, Any]:
    """Parameters, updates, tokens, words/s, seconds and peak memory of each stage, device; None where unknown.

    An ensemble's seconds of training are those of all its models, all else is its own model's.
    """
    rows = curves(run)
    log = Path(run["stages"]["training"], "train.log").read_text(encoding="utf-8", errors="replace")
    parameters = PARAMETERS.findall(log)
    stages = {stage: benchmarks(Path(folder)) for stage, folder in run["stages"].items()}
    seconds = {stage: found[0] for stage, found in stages.items()}
    trained = training_seconds(rows)
    seconds["training"] = trained or seconds["training"]
    for other in run.get("ensemble", []):
        seconds["training"] = (seconds["training"] or 0.0) + training_seconds(_rows(other))
    tokens = target_tokens(rows)
    return {
        "parameters": int(parameters[-1].replace(",", "")) if parameters else None,
        "updates": max((row["updates"] for row in rows), default=None),
        "epochs": max((row["epoch"] for row in rows if row["split"] == "train_epoch"), default=None),
        "tokens": tokens,
        "words_per_second": tokens / trained if tokens and trained else None,
        "seconds": seconds,
        "memory": {stage: found[1] for stage, found in stages.items()},
        "device": device(log, environment(run)),
    }


def environment(run: Run) -> dict[str, Any]:
    """The environment.json of a run's training; empty if there is none."""
    path = Path(run["stages"]["training"], "environment.json")
    found: dict[str, Any] = read_json(path) if path.exists() else {}
    return found


def device(log: str, facts: dict[str, Any]) -> str | None:
    """The GPU as fairseq's log names it, else the processor."""
    if gpus := GPU.findall(log):
        return str(gpus[-1])
    processor: str | None = facts.get("processor")
    return processor


def checks(run: Run) -> dict[str, Any]:
    """The text stage's checks, `parts` and `examples`; empty if there are none, as in runs of older versions."""
    path = Path(run["stages"]["text"], "checks.json")
    found: dict[str, Any] = read_json(path) if path.exists() else {}
    return found


def fingerprint(run: Run) -> dict[str, Any]:
    """The text stage's fingerprint: lines, dictionary sizes, SHA-256; empty if there is none."""
    path = Path(run["stages"]["text"], "fingerprint.json")
    found: dict[str, Any] = read_json(path) if path.exists() else {}
    return found
