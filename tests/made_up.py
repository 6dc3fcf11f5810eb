"""Results folders as the pipeline leaves them, with made-up hypotheses, really scored: what the report is tested on."""

import json
import random
from pathlib import Path
from typing import Any

from bleuprint.corpus.checks import check
from bleuprint.files import write_json, write_lines
from bleuprint.record.seal import ENVIRONMENT, PARENTS, seal
from bleuprint.report.gather import gather
from bleuprint.scoring.metrics import score

METRICS: dict[str, dict[str, Any]] = {
    "bleu_tok_lc": {"metric": "bleu", "text": "tokens", "lowercase": True, "tokenize": "none"},
    "chrf": {"metric": "chrf", "text": "detokenised", "lowercase": True, "tokenize": None},
}
REFERENCES = [f"the {noun} number {n} sees a {noun} ." for n in range(20) for noun in ("cat", "dog", "old house")]


def noisy(lines: list[str], share: float, seed: int) -> list[str]:
    """The lines with a share of their words replaced."""
    draw = random.Random(seed)
    return [" ".join("x" if draw.random() < share else word for word in line.split()) for line in lines]


def make_run(
    model: str = "transformer",
    seed: int = 1,
    hypotheses: list[str] | None = None,
    references: list[str] = REFERENCES,
    source: list[str] | None = None,
    resamples: int = 100,
    metrics: dict[str, dict[str, Any]] = METRICS,
    corpus: str = "demo",
    leaking: int = 0,
    further: tuple[list[str], ...] = (),
    **changes: Any,
) -> dict[str, Any]:
    """Write one finished run into results/ of the working directory; its scores.json.

    `leaking` test pairs are in train, and `further` are other references of the test set.
    """
    hypotheses = noisy(references, 0.2, seed) if hypotheses is None else hypotheses
    name = changes.get("run", f"{changes.get('recipe', 'demo')}-{model}-seed{seed}")
    folders = {"corpus": f"results/corpus/{corpus}", "text": f"results/text/{corpus}"}
    folders |= {stage: f"results/{stage}/{name}" for stage in ("training", "decoding", "scoring")}
    folders |= changes.get("stages", {})
    paths = {stage: Path(folder) for stage, folder in folders.items()}
    for language, lines in (("de", source or references), ("en", references)):
        write_lines(paths["corpus"] / f"raw/test.{language}", lines)
        write_lines(paths["text"] / f"tokenized/test.{language}", lines)
    for number, lines in enumerate(further, 1):
        write_lines(paths["corpus"] / f"raw/test.en.{number}", lines)
        write_lines(paths["text"] / f"tokenized/test.en.{number}", lines)
    for file in ("hypotheses.tok", "hypotheses.txt"):
        write_lines(paths["decoding"] / file, hypotheses)
    write_json(
        paths["text"] / "fingerprint.json", {"lines": {"test": len(references)}, "dictionary": {"en": 10}, "sha256": {}}
    )
    parts = {f"test.{language}": lines for language, lines in (("de", source or references), ("en", references))}
    train = {f"train.{language}": [f"{language} {n}" for n in range(100)] for language in ("de", "en")}
    train = {name: lines + parts[f"test{name[5:]}"][:leaking] for name, lines in train.items()}
    write_json(paths["text"] / "checks.json", check(parts | train, "de", "en"))
    logs = {"corpus": "corpus", "training": "train", "decoding": "translate", "scoring": "score"}
    for stage, log in logs.items():
        write_lines(paths[stage] / f"{log}.log", [f"+ {stage}-command --seed {seed}"])
        write_lines(paths[stage] / f"{log}.benchmark.tsv", ["s\tmax_pss", "12.5\t300.0"])
    for log in ("tokenise", "check_text", "learn_bpe", "apply_bpe", "binarise"):
        write_lines(paths["text"] / f"{log}.log", [f"+ {log}"])
        write_lines(paths["text"] / f"{log}.benchmark.tsv", ["s\tmax_pss", "1.5\tNA"])
    write_lines(
        paths["training"] / "train.log", ["+ fairseq-train", "num. shared model params: 1,234 (num. trained: 1,234)"]
    )
    write_lines(paths["training"] / "metrics.jsonl", map(json.dumps, curve(seed)))
    scored = {name: score(metric, hypotheses, [references, *further], resamples) for name, metric in metrics.items()}
    scores = {"sentences": len(references), "metrics": {name: row for name, (row, _) in scored.items()}}
    write_json(paths["scoring"] / "scores.json", scores)
    write_json(paths["scoring"] / "sentences.json", {name: singles for name, (_, singles) in scored.items()})
    machine = {"processor": "A CPU", "cores": 2, "packages": {"torch": "2.13.0"}}
    for stage, path in paths.items():
        write_json(path / ENVIRONMENT, machine if stage == "training" else {})
        write_json(path / PARENTS, {})
        seal(path)
    training = {"lr": 0.001, "max_update": 200, "checkpoint": "best"}
    config = {"model": {"arch": model}, "training": training, "seed": seed, "corpus": {"expected": None}}
    description: dict[str, Any] = {
        "run": name,
        "group": f"{model}-group",
        "recipe": "demo",
        "corpus": corpus,
        "model": model,
        "seed": seed,
        "source": "de",
        "target": "en",
        "overrides": [],
        "expected": None,
        "config": config | {"scoring": {"resamples": resamples}},
        "stages": folders,
    }
    gather(description | changes, {"words": [], "groups": {}})
    found: dict[str, Any] = json.loads(Path("results/runs", name, "scores.json").read_text())
    return {key: value for key, value in found.items() if key != "format"}


def curve(seed: int) -> list[dict[str, Any]]:
    """The rows of a little training: 200 updates in two epochs."""
    rows: list[dict[str, Any]] = []
    for updates in range(50, 201, 50):
        row = {"updates": updates, "epoch": updates / 100, "loss": 9 - updates / 50 - seed / 10, "lr": updates / 1e5}
        clock = {"words_per_second": 1000.0, "words_per_batch": 500.0, "wall_seconds": updates / 2}
        rows.append({"split": "train"} | row | clock)
        if updates % 100 == 0:
            rows.append({"split": "train_epoch"} | row | clock)
            rows.append({"split": "valid", "bleu": updates / 10} | row)
    return rows
