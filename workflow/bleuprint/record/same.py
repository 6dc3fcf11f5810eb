"""Whether a replay came out as what was recorded: scores, text, model and translations."""

import re
from pathlib import Path
from typing import Any

from tabulate import tabulate

from bleuprint.config.differences import differing, flat
from bleuprint.files import read_json
from bleuprint.record.provenance import RUNS, Record, read, shown
from bleuprint.training.checkpoints import load

PROMISE = "Equal bits are promised on the same kind of processor with the same versions and thread count, without a GPU"
# Facts of an environment on which bits hang; the others, a commit say, may differ without harm
BITS = ("processor", "threads", "packages.torch", "packages.numpy", "packages.ve-fairseq", "python")
COMMANDS = re.compile(r"\bfairseq-(train|generate) ")


def compared(known: Record, root: Path, folder: Path) -> tuple[list[str], bool]:
    """What came out beside what was recorded.

    Args:
        known: the run's record.
        root: the folder of its results/.
        folder: the replay's.

    Returns:
        Lines to print, and whether all scores are equal.
    """
    name = known["run"]
    new = read(folder / RUNS / name)
    scores = [read_json(where / RUNS / name / "scores.json")["metrics"] for where in (root, folder)]
    rows = [
        [metric, *(f"{one[metric]['score']:.4f}" for one in scores), _same(*(one[metric]["score"] for one in scores))]
        for metric in scores[0]
    ]
    text = next((line for line in (_first_changed(known, new, stage) for stage in ("corpus", "text")) if line), None)
    hypotheses = _equal_files(known, new, "decoding", "hypotheses.txt")
    models = [f"model: {_models(known['stages']['training'], new['stages']['training'], root, folder)}"]
    for one, other in zip(known.get("ensemble", []), new.get("ensemble", []), strict=True):
        models.append(f"model of the ensemble, {Path(one['folder']).name}: {_models(one, other, root, folder)}")
    lines = [
        tabulate(rows, headers=["metric", "recorded", "replayed", "same?"], disable_numparse=True),
        "",
        "text: the same bytes" if text is None else f"text: differs, first in {text}",
        *models,
        f"hypotheses: {'the same bytes' if hypotheses else 'differ'}",
        "",
        promise(known, new),
    ]
    return lines, all(row[3] == "same" for row in rows)


def _same(one: float, other: float) -> str:
    return "same" if one == other else "DIFFERENT"


def _equal_files(known: Record, new: Record, stage: str, name: str) -> bool:
    files = [record["stages"][stage]["files"].get(name) for record in (known, new)]
    return files[0] is not None and files[0] == files[1]


def _first_changed(known: Record, new: Record, stage: str) -> str | None:
    """The first file of a stage that is not the same; downloads may have come another way."""
    files = known["stages"][stage]["files"]
    changed = [
        name
        for name in files
        if not name.startswith("downloads/") and files[name] != new["stages"][stage]["files"].get(name)
    ]
    return f"{known['stages'][stage]['folder']}/{changed[0]}" if changed else None


def _models(known: Record, new: Record, root: Path, folder: Path) -> str:
    """Whether the checkpoints of two trainings hold the same parameters; their files differ anyhow, in times and paths.

    Args:
        known: the recorded run's entry for the training.
        new: the replay's.
        root: the folder of the recorded run's results/.
        folder: the replay's.
    """
    files = [record["files"].get("checkpoint.pt") for record in (known, new)]
    if files[0] is not None and files[0] == files[1]:
        return "the same bytes"
    paths = [where / record["folder"] / "checkpoint.pt" for where, record in ((root, known), (folder, new))]
    if not paths[0].exists():
        return "not compared, the recorded one is not there any more"
    one, other = map(_parameters, paths)
    import torch

    changed = [
        name for name in one | other if name not in one or name not in other or not torch.equal(one[name], other[name])
    ]
    return f"{len(changed)} of {len(one)} tensors differ" if changed else f"all {len(one)} tensors equal, bit for bit"


def _parameters(path: Path) -> dict[str, Any]:
    parameters: dict[str, Any] = load(path)["model"]
    return parameters


def promise(known: Record, new: Record) -> str:
    """What could be expected, by what differs between the two trainings and decodings."""
    unlike: dict[str, None] = {}  # a set that keeps its order
    for stage in ("training", "decoding"):
        pair = [record["stages"][stage] for record in (known, new)]
        for key, (then, now) in differing([flat(one["environment"]) for one in pair]).items():
            if key in BITS:
                unlike[f"{key.removeprefix('packages.')} {shown(then)} → {shown(now)}"] = None
        layers = [list({word: None for job in one["jobs"] for word in job.get("implementations", [])}) for one in pair]
        if layers[0] != layers[1]:
            unlike[f"layers {shown(layers[0])} → {shown(layers[1])}"] = None
        commands = [command for one in pair for job in one["jobs"] for command in job["commands"]]
        if any(COMMANDS.search(command) and " --cpu" not in command for command in commands):
            unlike["a GPU"] = None
    return f"{PROMISE}. Here not: {', '.join(unlike)}." if unlike else f"{PROMISE}: that was the case here."
