"""Groups of runs that differ only in their seed, and the statistics of their scores."""

import json
import statistics
from dataclasses import dataclass
from typing import Any

from bleuprint.files import DataError, exit_with_message, visible
from bleuprint.scoring.metrics import by_characters, headline, kind_of

Run = dict[str, Any]  # a run's scores.json


@dataclass(frozen=True)
class Group:
    """Runs that differ only in their seed; `label` is unique among the groups of a report."""

    label: str
    words: tuple[str, ...]  # recipe, corpus, model and overrides: a baseline may be named by any of them
    runs: tuple[Run, ...]

    @property
    def seeds(self) -> dict[int, Run]:
        """Return the runs by seed."""
        return {run["seed"]: run for run in self.runs}

    def scores(self, metric: str) -> list[float]:
        """Return the runs' scores; empty if a run lacks that metric."""
        scores = [run["metrics"][metric]["score"] for run in self.runs if metric in run["metrics"]]
        return scores if len(scores) == len(self.runs) else []


def run_label(group: Group, run: Run) -> str:
    """Return a run's label in the report: its group's label and its seed."""
    return f"{group.label}, seed {run['seed']}"


def summary(scores: list[float]) -> dict[str, float | None]:
    """Compute `mean`, `sd` (of a sample, n − 1; None for one score), `min`, `max` and `n` of scores."""
    return {
        "mean": statistics.fmean(scores),
        "sd": statistics.stdev(scores) if len(scores) > 1 else None,
        "min": min(scores),
        "max": max(scores),
        "n": len(scores),
    }


def interval(metric: dict[str, Any]) -> tuple[float, float]:
    """Return the 95 % interval of a run's metric: sacrebleu's mean ± ci, within the range of possible scores."""
    kind = kind_of(metric["config"])
    return max(kind.lowest, metric["mean"] - metric["ci"]), min(kind.highest, metric["mean"] + metric["ci"])


def metrics(runs: list[Run]) -> list[str]:
    """Return the names of all metrics, first the one by which the report ranks and concludes."""
    configs = _configs(runs)
    return list(dict.fromkeys([headline(configs), *configs])) if configs else []


def _configs(runs: list[Run]) -> dict[str, dict[str, Any]]:
    """Return the entry of config/scoring of each metric, of the first run that has it."""
    configs: dict[str, dict[str, Any]] = {}
    for run in runs:
        configs |= {name: metric["config"] for name, metric in run["metrics"].items() if name not in configs}
    return configs


def titles(runs: list[Run]) -> dict[str, str]:
    """Return each metric's name for people, in the order of `metrics`: a BLEU by characters is called so."""
    configs = _configs(runs)
    return {name: name + (" (characters)" if by_characters(configs[name]) else "") for name in metrics(runs)}


def ranking(runs: list[Run]) -> str:
    """Return a sentence on the metric that ranks, and why; empty if it is BLEU, and there is nothing to rank."""
    configs = _configs(runs)
    name = headline(configs)
    if configs[name]["metric"] == "bleu" and not by_characters(configs[name]):
        several = len({run["group"] for run in runs}) > 1
        return f"Ranked by {name}, the first BLEU." if several else ""
    if names := [other for other in configs if by_characters(configs[other])]:
        return f"Ranked by {name}: {' and '.join(names)} counts characters here, not words."
    return f"Ranked by {name}: the config has no BLEU."


def groups(runs: list[Run]) -> list[Group]:
    """Group the runs; the groups are in the order of their first runs."""
    members: dict[str, list[Run]] = {}
    for run in runs:
        members.setdefault(run["group"], []).append(run)
    words = [_words(group[0]) for group in members.values()]
    common = set(words[0]).intersection(*words)
    # A group without a word of its own is labelled by its model, and by its hash where that is not unique
    labels = [one_line(" ".join(brief(word) for word in own if word not in common) or own[2]) for own in words]
    unique = [
        label if labels.count(label) == 1 else f"{label} {key}" for label, key in zip(labels, members, strict=True)
    ]
    return [
        Group(label, own, tuple(sorted(group, key=lambda run: int(run["seed"]))))
        for label, own, group in zip(unique, words, members.values(), strict=True)
    ]


def brief(word: str) -> str:
    """Return an override without the overrides that it lists, of a run that this one builds on."""
    key, _, value = word.partition("=")
    return f"{key}=[…]" if value.startswith("[") and "=" in value else word


def one_line(text: str) -> str:
    """Return a text that users gave, such as an override, so that it stays in its cell of a table."""
    return visible(text.replace("\n", " "))


def _words(run: Run) -> tuple[str, ...]:
    return (run["recipe"], run["corpus"], run["model"], *run["overrides"])


def baseline(candidates: list[Group], wanted: str | None, option: str = "report.baseline=") -> Group:
    """Return the group that the others are compared with.

    Args:
        candidates: all groups.
        wanted: `report.baseline`: the label, recipe, corpus, model, an override or a run of a group; None: the first.
        option: what gave it, for the message.

    Raises:
        DataError: it names no group or several.
    """
    if wanted is None:
        return candidates[0]
    named = [group for group in candidates if wanted == group.label] or [
        group for group in candidates if wanted in (*group.words, *(run["run"] for run in group.runs))
    ]
    if len(named) != 1:
        problem = "names no group" if not named else f"names {len(named)} groups"
        labels = ", ".join(group.label for group in candidates)
        raise DataError(f"{option}{wanted} {problem}; the groups are: {labels}.")
    return named[0]


@exit_with_message()
def checked(descriptions: list[str], wanted: str | None) -> str:
    """Return the baseline's label, from the runs' descriptions, so that a wrong one is refused before any job.

    Args:
        descriptions: JSON of each planned run, as `plan.Run.description`.
        wanted: `report.baseline`.

    Raises:
        SystemExit: it names no group or several.
    """
    return baseline(groups([json.loads(description) for description in descriptions]), wanted).label
