"""Compare a replay with the recorded run: scores, text, model and translations."""

import re
from pathlib import Path
from typing import Any

from tabulate import tabulate

from bleuprint.config.differences import differing, flat
from bleuprint.files import read_json
from bleuprint.record.provenance import RUNS, Record, read, shown
from bleuprint.training.checkpoints import load

PROMISE = "Equal bits are promised on the same kind of processor with the same versions and thread count, without a GPU"
# The facts of an environment that equal bits depend on; others, for instance the commit, may differ
BITS = ("processor", "threads", "packages.torch", "packages.numpy", "packages.ve-fairseq", "python")
COMMANDS = re.compile(r"\bfairseq-(train|generate) ")


def compared(known: Record, root: Path, folder: Path) -> tuple[list[str], bool]:
    """Compare the results of a replay with the recorded ones.

    Args:
        known: the run's record.
        root: the folder that holds its results/.
        folder: the replay's folder.

    Returns:
        Lines to print, and whether all scores are equal.
    """
    name = known["run"]
    new = read(folder / RUNS / name)
    recorded_scores, new_scores = (_scores(read_json(where / RUNS / name / "scores.json")) for where in (root, folder))
    rows = []
    for metric, score in recorded_scores.items():
        word = "same" if score == new_scores[metric] else "DIFFERENT"
        rows.append([metric, f"{score:.4f}", f"{new_scores[metric]:.4f}", word])
    text = next((line for line in (_first_changed(known, new, stage) for stage in ("corpus", "text")) if line), None)
    hypotheses = {"hypotheses": _equal_hypotheses(known["stages"], new["stages"])}
    for test, stages in known.get("tests", {}).items():
        hypotheses[f"hypotheses on {test}"] = _equal_hypotheses(stages, new["tests"][test])
    models = [f"model: {_models(known['stages']['training'], new['stages']['training'], root, folder)}"]
    for recorded, replayed in zip(known.get("ensemble", []), new.get("ensemble", []), strict=True):
        model = Path(recorded["folder"]).name
        models.append(f"model of the ensemble, {model}: {_models(recorded, replayed, root, folder)}")
    for recorded, replayed in zip(known.get("ancestors", []), new.get("ancestors", []), strict=True):
        if recorded["stage"] == "training":
            name = Path(recorded["folder"]).name
            models.append(f"model that it builds on, {name}: {_models(recorded, replayed, root, folder)}")
    lines = [
        tabulate(rows, headers=["metric", "recorded", "replayed", "same?"], disable_numparse=True),
        "",
        "text: the same bytes" if text is None else f"text: differs, first in {text}",
        *models,
        *(f"{label}: {'the same bytes' if equal else 'differ'}" for label, equal in hypotheses.items()),
        "",
        promise(known, new),
    ]
    return lines, all(row[3] == "same" for row in rows)


def _scores(run: dict[str, Any]) -> dict[str, float]:
    """Return all scores of a run, those on further test sets too."""
    scores = {name: metric["score"] for name, metric in run["metrics"].items()}
    for test, scored in run.get("tests", {}).items():
        scores |= {f"{name} on {test}": metric["score"] for name, metric in scored["metrics"].items()}
    return scores


def _equal_hypotheses(known: dict[str, Any], new: dict[str, Any]) -> bool:
    """Tell whether the decodings of two runs, each among the stages of one test set, left the same translations."""
    files = [stages["decoding"]["files"].get("hypotheses.txt") for stages in (known, new)]
    return files[0] is not None and files[0] == files[1]


def _first_changed(known: Record, new: Record, stage: str) -> str | None:
    """Return the first file of a stage that differs, except downloads, which may come from another source."""
    files = known["stages"][stage]["files"]
    changed = [
        name
        for name in files
        if not name.startswith("downloads/") and files[name] != new["stages"][stage]["files"].get(name)
    ]
    return f"{known['stages'][stage]['folder']}/{changed[0]}" if changed else None


def _models(known: Record, new: Record, root: Path, folder: Path) -> str:
    """Compare the parameters in the checkpoints of two trainings; the files differ anyway, in times and paths.

    Args:
        known: the recorded run's entry for the training.
        new: the replay's entry.
        root: the folder that holds the recorded run's results/.
        folder: the replay's folder.
    """
    files = [record["files"].get("checkpoint.pt") for record in (known, new)]
    if files[0] is not None and files[0] == files[1]:
        return "the same bytes"
    paths = [where / record["folder"] / "checkpoint.pt" for where, record in ((root, known), (folder, new))]
    if not paths[0].exists():
        return "not compared, the recorded checkpoint does not exist any more"
    old, replayed = map(_parameters, paths)
    import torch

    def equal(name: str) -> bool:
        return name in old and name in replayed and torch.equal(old[name], replayed[name])

    changed = [name for name in old | replayed if not equal(name)]
    return f"{len(changed)} of {len(old)} tensors differ" if changed else f"all {len(old)} tensors equal, bit for bit"


def _parameters(path: Path) -> dict[str, Any]:
    parameters: dict[str, Any] = load(path)["model"]
    return parameters


def promise(known: Record, new: Record) -> str:
    """Return whether equal bits were promised, given the differences between the trainings and decodings."""
    unlike: dict[str, None] = {}  # a set that keeps its order
    for stage in ("training", "decoding"):
        pair = [record["stages"][stage] for record in (known, new)]
        for key, (then, now) in differing([flat(entry["environment"]) for entry in pair]).items():
            if key in BITS:
                unlike[f"{key.removeprefix('packages.')} {shown(then)} → {shown(now)}"] = None
        layers = [
            list({layer: None for job in entry["jobs"] for layer in job.get("implementations", [])}) for entry in pair
        ]
        if layers[0] != layers[1]:
            unlike[f"layers {shown(layers[0])} → {shown(layers[1])}"] = None
        commands = [command for entry in pair for job in entry["jobs"] for command in job["commands"]]
        if any(COMMANDS.search(command) and " --cpu" not in command for command in commands):
            unlike["a GPU"] = None
    return f"{PROMISE}. Not the case here: {', '.join(unlike)}." if unlike else f"{PROMISE}: that was the case here."
