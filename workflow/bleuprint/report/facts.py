"""The facts of a run, such as its costs, read from the files that its stages left."""

import json
import re
from pathlib import Path
from typing import Any

from bleuprint.files import Damaged, read_json, read_lines
from bleuprint.record.provenance import benchmark, training_seconds
from bleuprint.report.groups import Run
from bleuprint.scoring import in_form, reference_files
from bleuprint.training.stopped import frozen, stopped_early

CONTINUED = re.compile(r"Loaded checkpoint .* \(epoch \d+ @ (\d+) updates\)")  # the first is the other training's
PARAMETERS = re.compile(r"num\. shared model params: ([\d,]+)")
GPU = re.compile(r"rank +(\d+): capabilities = +[\d.]+ +; total memory = +[\d.]+ GB ; name = (.*?) *$", re.MULTILINE)


def curves(run: Run) -> list[dict[str, Any]]:
    """Read the rows of the training's metrics.jsonl."""
    return _rows(run["stages"]["training"])


def _rows(training: str) -> list[dict[str, Any]]:
    path = Path(training, "metrics.jsonl")
    try:
        rows = [json.loads(line) for line in read_lines(path)]
    except ValueError:
        raise Damaged(path) from None
    if not rows or not all(isinstance(row, dict) and row.keys() >= {"split", "updates", "epoch"} for row in rows):
        raise Damaged(path)
    return rows


def test_lines(run: Run, stage: str, name: str) -> list[str]:
    """Read a file of a stage that has a line for each sentence of the run's test set.

    Raises:
        Damaged: it has more or fewer lines.
    """
    path = Path(run["stages"][stage], name)
    lines = read_lines(path)
    if len(lines) != run["sentences"]:
        raise Damaged(path, f"has {len(lines):,} lines, and {run['sentences']:,} sentences were scored")
    return lines


def sentence_scores(run: Run) -> dict[str, list[float]]:
    """Read the scores of all sentences, by metric.

    Raises:
        Damaged: a metric or a sentence is missing.
    """
    path = Path(run["stages"]["scoring"]) / "sentences.json"
    scores: dict[str, list[float]] = read_json(path, keys=run["metrics"])
    if any(len(scores[metric]) != run["sentences"] for metric in run["metrics"]):
        raise Damaged(path)
    return scores


def on_test(run: Run, name: str) -> Run:
    """Return a run as it was scored on one of its further test sets."""
    test: Run = run["tests"][name]
    return run | test | {"stages": run["stages"] | test["stages"]}


def test_source(run: Run, kind: str) -> list[str]:
    """Read the source of the run's test set; `kind` is raw or tokenized."""
    return test_lines(run, _test_stage(run, kind), f"{kind}/test.{run['source']}")


def references(run: Run, kind: str) -> list[list[str]]:
    """Read all references of the run's test set, a list for each; `kind` is raw or tokenized."""
    stage = _test_stage(run, kind)
    paths = reference_files(Path(run["stages"][stage], kind, f"test.{run['target']}"))
    # Scoring brought raw references into the form of the hypotheses
    form = run.get("unicode_normalization") if kind == "raw" else None
    return [in_form(test_lines(run, stage, f"{kind}/{path.name}"), form) for path in paths]


def _test_stage(run: Run, kind: str) -> str:
    """Return the stage that prepared the run's test set: a further one has a stage of its own."""
    own = "corpus" if kind == "raw" else "text"
    return "testset" if "testset" in run["stages"] else own


def target_tokens(rows: list[dict[str, Any]], before: int = 0) -> float | None:
    """Compute the number of target tokens trained on; None if the rows do not show it.

    It is the sum over the epochs of an epoch's updates times their mean number of target tokens.

    Args:
        rows: of metrics.jsonl.
        before: the updates of the training that this one continues.
    """
    total = 0.0
    for row in rows:
        if row["split"] == "train_epoch":
            if "words_per_batch" not in row:
                return None
            total += (row["updates"] - before) * row["words_per_batch"]
            before = row["updates"]
    return total or None


def benchmarks(folder: Path) -> tuple[float | None, float | None]:
    """Return the total seconds of a stage's jobs and their peak memory in MiB (sampled PSS of all processes)."""
    measured = [benchmark(path) for path in sorted(folder.glob("*.benchmark.tsv"))]
    seconds = [time for time, _ in measured if time is not None]
    peaks = [memory for _, memory in measured if memory is not None]
    return (sum(seconds) if seconds else None), (max(peaks) if peaks else None)


def costs(run: Run) -> dict[str, Any]:
    """Collect parameters, updates, tokens, words/s, seconds and peak memory of each stage, device; None if unknown.

    `tokens_per_update` is a mean, over the batches of all processes and of `update_freq`.
    `frozen` is the number of parameters that were not trained, `stopped` when and why the training stopped early; None
    where there is no such thing. Updates and epochs count on from those of a training that this one continues; tokens
    and seconds are its own. For an ensemble the seconds of training are those of all its models; all other figures are
    its first model's.
    """
    rows = curves(run)
    path = Path(run["stages"]["training"], "train.log")
    log = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    parameters = PARAMETERS.findall(log)
    stages = {stage: benchmarks(Path(folder)) for stage, folder in run["stages"].items()}
    seconds = {stage: time for stage, (time, _) in stages.items()}
    trained = training_seconds(rows)
    seconds["training"] = trained or seconds["training"]
    for other in run.get("ensemble", []):
        seconds["training"] = (seconds["training"] or 0.0) + training_seconds(_rows(other))
    continues = any(member["role"] == "continues" for member in run.get("family", []))
    begun = CONTINUED.search(log) if continues else None
    before = int(begun[1]) if begun else 0
    tokens, updates = target_tokens(rows, before), max((row["updates"] for row in rows), default=0)
    return {
        "parameters": int(parameters[-1].replace(",", "")) if parameters else None,
        "frozen": frozen(log),
        "stopped": stopped_early(log),
        "updates": updates if rows else None,
        "epochs": max((row["epoch"] for row in rows if row["split"] == "train_epoch"), default=None),
        "tokens": tokens,
        "tokens_per_update": tokens / (updates - before) if tokens and updates > before else None,
        "words_per_second": tokens / trained if tokens and trained else None,
        "seconds": seconds,
        "memory": {stage: peak for stage, (_, peak) in stages.items()},
        "device": device(log, environment(run)),
    }


def environment(run: Run) -> dict[str, Any]:
    """Read the environment.json of a run's training; empty if it is missing."""
    return _read(run, "training", "environment.json")


def device(log: str, facts: dict[str, Any]) -> str | None:
    """Return the GPU as fairseq's log names it, and how many there were, else the processor."""
    if gpus := GPU.findall(log):
        number, name = int(gpus[-1][0]) + 1, str(gpus[-1][1])  # ranks count from 0
        return f"{number} × {name}" if number > 1 else name
    processor: str | None = facts.get("processor")
    return processor


def checks(run: Run) -> dict[str, Any]:
    """Read the text stage's checks, `parts` and `examples`; empty if they are missing, as in runs of older versions."""
    return _read(run, "text", "checks.json", "parts", "examples")


def fingerprint(run: Run) -> dict[str, Any]:
    """Read the text stage's fingerprint: lines, dictionary sizes, SHA-256; empty if it is missing."""
    return _read(run, "text", "fingerprint.json")


def _read(run: Run, stage: str, name: str, *keys: str) -> dict[str, Any]:
    path = Path(run["stages"][stage], name)
    values: dict[str, Any] = read_json(path, keys=keys) if path.exists() else {}
    return values
