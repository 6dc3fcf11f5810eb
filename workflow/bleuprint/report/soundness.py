"""Collect what the page says about each text: its checks, what cleaning left out, subwords unknown to the model."""

from pathlib import Path
from typing import Any

from bleuprint.corpus.checks import KEPT, RULES, doubts
from bleuprint.corpus.leaks import leak
from bleuprint.report.facts import checks, fingerprint
from bleuprint.report.groups import Run
from bleuprint.text.unknown import LOUD


def texts(runs: list[Run], names: dict[str, str]) -> list[dict[str, Any]]:
    """Return each checked text.

    Args:
        runs: the runs.
        names: each run's label.

    Returns:
        For each text its folder's `name`, the labels of the `runs` that share it, its `checks`, the sentences `doubts`
        and `leaks`, what `cleaning` and `unknown_subwords` return as `cleaning` and `unknown`, and `many_unknown`: they
        are enough to be a warning.
    """
    shared: dict[str, list[Run]] = {}
    for run in runs:
        shared.setdefault(run["stages"]["text"], []).append(run)
    return [
        {
            "name": Path(folder).name,
            "runs": [names[run["run"]] for run in sharing],
            "checks": checked,
            "doubts": doubts({key: value for key, value in checked.items() if key != "cleaning"}),
            "leaks": [sentence for part, counts in checked["parts"].items() if (sentence := leak(part, counts))],
            "cleaning": cleaning(checked),
            "unknown": unknown_subwords(unknown),
            "many_unknown": max(unknown.values(), default=0) > LOUD,
        }
        for folder, sharing in shared.items()
        if (checked := checks(sharing[0]))
        for unknown in [fingerprint(sharing[0]).get("unknown", {})]
    ]


def cleaning(checked: dict[str, Any]) -> dict[str, Any] | None:
    """Return what cleaning left out; None if it was not recorded.

    Returns:
        `sentence`; `left_out`, (rule, pairs, share) of each rule; `much`, more than cleaning should leave out.
    """
    if "cleaning" not in checked:
        return None
    pairs, left_out = checked["cleaning"]["pairs"], checked["cleaning"]["left_out"]
    if not any(left_out.values()):
        return {"sentence": f"Cleaning kept all {pairs:,} training pairs.", "left_out": [], "much": False}
    kept = pairs - sum(left_out.values())
    return {
        "sentence": f"Cleaning kept {kept:,} of {pairs:,} training pairs ({kept / pairs:.1%}).",
        "left_out": [(RULES[rule], f"{count:,}", f"{count / pairs:.2%}") for rule, count in left_out.items()],
        "much": kept < KEPT * pairs,
    }


def unknown_subwords(shares: dict[str, float]) -> str:
    """Return a sentence on the share of each file's subwords that the model's dictionary lacks; empty if unrecorded."""
    if not shares:
        return ""
    lacking = [f"{share:.2%} of {name}" for name, share in shares.items() if share]
    if not lacking:
        return "The model's dictionaries have all subwords of all files."
    others = "; none of the other files" if len(lacking) < len(shares) else ""
    return f"Subwords that the model's dictionaries lack: {', '.join(lacking)}{others}."
