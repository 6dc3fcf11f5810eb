"""Groups: the runs that differ only in their seed, and what their scores are together."""

import json
import statistics
import sys
from dataclasses import dataclass
from typing import Any

from bleuprint.files import DataError

Run = dict[str, Any]  # a run's scores.json


@dataclass(frozen=True)
class Group:
    """Runs that differ only in their seed; `label` tells the groups of one report apart."""

    label: str
    words: tuple[str, ...]  # recipe, model, corpus and overrides: what a baseline may be named by
    runs: tuple[Run, ...]

    @property
    def seeds(self) -> dict[int, Run]:
        """The runs by seed."""
        return {run["seed"]: run for run in self.runs}

    def scores(self, metric: str) -> list[float]:
        """The runs' scores; empty if not all of them have that metric."""
        found = [run["metrics"][metric]["score"] for run in self.runs if metric in run["metrics"]]
        return found if len(found) == len(self.runs) else []


def summary(scores: list[float]) -> dict[str, float | None]:
    """`mean`, `sd` (standard deviation of a sample, n − 1; None for one run), `min`, `max` and `n` of some scores."""
    return {
        "mean": statistics.fmean(scores),
        "sd": statistics.stdev(scores) if len(scores) > 1 else None,
        "min": min(scores),
        "max": max(scores),
        "n": len(scores),
    }


def interval(metric: dict[str, Any]) -> tuple[float, float]:
    """The 95 % interval of a run's metric: sacrebleu's mean ± ci, cut off where no score can be."""
    high = float("inf") if metric["config"]["metric"] == "ter" else 100.0
    return max(0.0, metric["mean"] - metric["ci"]), min(high, metric["mean"] + metric["ci"])


def metrics(runs: list[Run]) -> list[str]:
    """The names of all metrics; the first is the one that the report goes by."""
    return list(dict.fromkeys(name for run in runs for name in run["metrics"]))


def groups(runs: list[Run]) -> list[Group]:
    """The groups in the order of their first runs."""
    members: dict[str, list[Run]] = {}
    for run in runs:
        members.setdefault(run["group"], []).append(run)
    words = [_words(found[0]) for found in members.values()]
    common = set(words[0]).intersection(*words)
    # Alone, or told apart by nothing that has a name: the model's name, and the hash where that is not enough
    labels = [" ".join(word for word in one if word not in common) or one[2] for one in words]
    unique = [
        label if labels.count(label) == 1 else f"{label} {key}" for label, key in zip(labels, members, strict=True)
    ]
    return [
        Group(label, one, tuple(sorted(found, key=lambda run: int(run["seed"]))))
        for label, one, found in zip(unique, words, members.values(), strict=True)
    ]


def _words(run: Run) -> tuple[str, ...]:
    return (run["recipe"], run["corpus"], run["model"], *run["overrides"])


def baseline(found: list[Group], wanted: str | None) -> Group:
    """The group that the others are compared with.

    Args:
        found: all groups.
        wanted: `report.baseline`: a group's label, recipe, corpus, model, override, or a run of it; None: the first.

    Raises:
        DataError: it names no group, or several.
    """
    if wanted is None:
        return found[0]
    named = [group for group in found if wanted == group.label] or [
        group for group in found if wanted in (*group.words, *(run["run"] for run in group.runs))
    ]
    if len(named) != 1:
        problem = "names no group" if not named else f"names {len(named)} groups"
        there = ", ".join(group.label for group in found)
        raise DataError(f"report.baseline={wanted} {problem}; the groups are: {there}.")
    return named[0]


def checked(descriptions: list[str], wanted: str | None) -> str:
    """The label of the baseline, found before any job from the runs' descriptions.

    Args:
        descriptions: JSON of each planned run, as `plan.Run.description`.
        wanted: `report.baseline`.

    Raises:
        SystemExit: with one sentence, if it names no group, or several.
    """
    try:
        return baseline(groups([json.loads(description) for description in descriptions]), wanted).label
    except DataError as error:
        sys.exit(f"bleuprint: {error}")
