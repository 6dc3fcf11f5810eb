"""Say which models a run builds on: the one that its training starts from, and the one that made its text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bleuprint.report.groups import Group, Run, one_line, run_label

TOLD = ("training.start_from=", "corpus.translated.by=")  # words on what stands below in the tree anyway


def tree(members: Sequence[dict[str, Any]], labels: dict[str, str]) -> list[dict[str, Any]]:
    """Return the models that a run builds on, each with those that it builds on in turn.

    Args:
        members: `family` of the run's scores.json, or of one of its members.
        labels: the label of each run of the report, by the name of its training's folder.

    Returns:
        For each model its `role`, `name`, what `asks` for it (the label of its run, where the report has that, else
        overrides; empty for a file), and `family`, the same again.
    """
    rows = []
    for member in members:
        path = Path(member.get("folder") or member["file"])
        words = [word for word in member.get("words", "").split(" ") if not word.lstrip("+").startswith(TOLD)]
        asks = labels.get(path.name) or " ".join(words)
        name = path.name if "folder" in member else str(path)
        rows.append(
            {"role": member["role"], "name": name, "asks": asks, "family": tree(member.get("family", ()), labels)}
        )
    return rows


def trainings(labels: dict[str, str], runs: Sequence[Run]) -> dict[str, str]:
    """Return the label of each run by the name of its training's folder."""
    return {Path(run["stages"]["training"]).name: labels[run["run"]] for run in runs}


def lines(groups: Sequence[Group]) -> list[str]:
    """Return a sentence on each run that builds on a model; runs of a group that build on the same one share theirs."""
    labels = {run["run"]: run_label(group, run) for group in groups for run in group.runs}
    known = trainings(labels, [run for group in groups for run in group.runs])
    sentences: dict[tuple[str, str], list[str]] = {}
    for group in groups:
        for run in group.runs:
            if members := tree(run.get("family", ()), known):
                sentences.setdefault((group.label, _sentence(members)), []).append(labels[run["run"]])
    return [
        f"{label if len(sharing) > 1 else sharing[0]}: {sentence}." for (label, sentence), sharing in sentences.items()
    ]


def _sentence(members: Sequence[dict[str, Any]]) -> str:
    parts = []
    for member in members:
        further = [one_line(member["asks"])] if member["asks"] else []
        further += [f"which {_sentence(member['family'])}"] if member["family"] else []
        parts.append(f"{member['role']} {one_line(member['name'])}" + (f" ({', '.join(further)})" if further else ""))
    return " and ".join(parts)
