"""A line for the terminal as a stage begins or has ended, from the files that its jobs leave."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bleuprint.config.stages import ALL
from bleuprint.files import read_json
from bleuprint.plan.graph import Plan
from bleuprint.scoring.metrics import headline
from bleuprint.training.stopped import stopped_early
from bleuprint.widths import USUAL

RESULTS = Path("results")
WORDS = {"train": "training", "valid": "validation", "test": "test"}  # for the parts of a corpus
PAIRS = re.compile(r"^(\w+): ([\d,]+) pairs$", re.MULTILINE)  # in the corpus stage's log
PICKED = re.compile(r"^(best|last|average\w*): (checkpoint.*)$", re.MULTILINE)  # in a training's log
BEGIN = {"tokenise": "tokenising, learning subwords", "translate": "translating", "translate_converted": "translating"}
BEGIN |= {"tune": "trying beams and length penalties", "convert": "converting the model for CTranslate2"}


def started(rule: str, wildcards: dict[str, str]) -> str:
    """Return a line on a job that begins; empty for those that are short, or show a bar."""
    stage = next((stage for stage in ALL if stage in wildcards), None)
    return line(stage, wildcards[stage], BEGIN[rule]) if stage and rule in BEGIN else ""


def ended(plan: Plan, rule: str, wildcards: dict[str, str]) -> str:
    """Return a line on a stage whose last job has ended; empty after other jobs.

    Args:
        plan: what the call is asked for.
        rule: of the job.
        wildcards: of the job: the stage and the name of its folder.

    Raises:
        OSError, ValueError, LookupError: a file of the stage is missing or not as usual.
    """
    stage, facts = LAST.get(rule, ("", None))
    return line(stage, wildcards[stage], facts(plan, wildcards[stage])) if facts else ""


def line(stage: str, key: str, facts: str) -> str:
    """Return the stage, its folder and its facts; they begin a new line where one would be too wide for a terminal."""
    head = f"{stage:10}{key}:"
    if not facts:
        return head.removesuffix(":")
    first = facts.partition("\n")[0]
    return f"{head} {facts}" if len(head) + 1 + len(first) <= USUAL else f"{head}\n{'':10}{facts}"


def corpus(plan: Plan, key: str) -> str:
    """Return the number of pairs of each part."""
    log = (RESULTS / "corpus" / key / "corpus.log").read_text(encoding="utf-8", errors="replace")
    sizes = dict(PAIRS.findall(log))
    return ", ".join(f"{sizes[part]} {word}" for part, word in WORDS.items() if part in sizes) + " pairs"


def text(plan: Plan, key: str) -> str:
    """Return how many training pairs were kept, the merges, and the sizes of the dictionaries."""
    folder, experiment = RESULTS / "text" / key, plan.stages["text"][key].experiment
    facts = read_json(folder / "fingerprint.json")
    cleaning = read_json(folder / "cleaning.json")
    mixture = cleaning.get("train")  # where train has pairs that a model has made, or both directions
    kept = mixture["genuine"] if mixture else facts["lines"]["train"]
    left_out = sum(cleaning["left_out"].values())
    sizes = [f"{facts['dictionary'][language]:,}" for language in (experiment.source, experiment.target)]
    # SentencePiece learns fewer pieces of a small text than it was asked for
    learnt = f"{experiment.text.merges:,} merges, " if experiment.text.segmenter == "subword_nmt" else ""
    often = experiment.text.segmentations
    learnt += f"{often} segmentations, " if often > 1 else ""
    dropped = f" ({left_out:,} left out)" if left_out else ""
    dropped += f" and {mixture['made']:,} made" if mixture and mixture["made"] else ""
    if experiment.text.joined_dictionary:
        return f"{kept:,} pairs{dropped}, {learnt}{sizes[0]} types"
    return f"{kept:,} pairs{dropped}, {learnt}{' and '.join(sizes)} types"


def training(plan: Plan, key: str) -> str:
    """Return which checkpoint is the model, the validation loss of a single one, and whether it stopped early."""
    folder = RESULTS / "training" / key
    log = (folder / "session.log").read_text(encoding="utf-8", errors="replace")
    picked = PICKED.findall(log)
    if not picked:
        return "finished already"
    when = stopped_early(log)
    stop = f"\n{'':10}stopped early {when}" if when else ""
    return _picked(plan, key, *picked[-1]) + stop


def _picked(plan: Plan, key: str, choice: str, files: str) -> str:
    """Return the checkpoints that make the model."""
    folder = RESULTS / "training" / key
    if choice not in ("best", "last"):
        epochs = [int(epoch) for epoch in re.findall(r"\d+", files)]
        whole = len(epochs) > 2 and epochs == list(range(epochs[0], epochs[-1] + 1))
        named = f"{epochs[0]} to {epochs[-1]}" if whole else ", ".join(map(str, epochs))
        return f"average of {len(epochs)} epochs: {named}" if epochs else "last checkpoint, as no epoch was saved"
    rows = [json.loads(row) for row in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    valid = [row for row in rows if row["split"] == "valid"]
    row = _best(valid, plan.stages["training"][key].experiment.training) if choice == "best" else valid[-1]
    return f"{choice} epoch {row['epoch']:g}, validation loss {row['loss']:.3f}"


def _best(rows: list[dict[str, Any]], settings: Any) -> dict[str, Any]:
    """Return the row that fairseq takes for the best; of equal ones the later."""
    metric, sign = settings.best_checkpoint_metric or "loss", -1 if settings.maximize_best_checkpoint_metric else 1
    return min(reversed(rows), key=lambda row: sign * row[metric])


def decoding(plan: Plan, key: str) -> str:
    """Return how many sentences were translated."""
    with open(RESULTS / "decoding" / key / "hypotheses.txt", "rb") as file:
        return f"{sum(1 for _ in file):,} sentences translated"


def scoring(plan: Plan, key: str) -> str:
    """Return the score by the metric that ranks; a table at the end shows all."""
    metrics = read_json(RESULTS / "scoring" / key / "scores.json")["metrics"]
    name = headline({each: metric["config"] for each, metric in metrics.items()})
    return f"{name} {metrics[name]['score']:.2f}"


Facts = Callable[[Plan, str], str]
LAST: dict[str, tuple[str, Facts]] = {  # the last rule of each stage
    "raw_text": ("corpus", corpus),
    "binarise": ("text", text),
    "binarise_segmentations": ("text", text),
    "train": ("training", training),
    "translate": ("decoding", decoding),
    "translate_converted": ("decoding", decoding),
    "score": ("scoring", scoring),
}
