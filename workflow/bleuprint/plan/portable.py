"""Words that ask for a run in a folder that has none of the runs that it builds on."""

from pathlib import Path

from bleuprint.config.compose import Choice
from bleuprint.config.stages import member
from bleuprint.config.words import as_hydra, as_item
from bleuprint.plan.ancestors import BY, START


def portable(choice: Choice, root: Path | None = None) -> list[str]:
    """Return words that ask for a choice in a folder that has none of the runs that it builds on.

    Args:
        choice: with its parents.
        root: where relative paths start; None: leave them as they are.
    """
    words = list(choice.overrides)
    if root is not None:
        words += [f"corpus.{key}={as_item(value)}" for key, value in choice.experiment.corpus.relocated(root).items()]
        if (path := choice.experiment.training.start_file) is not None:
            words.append(f"training.start_from={as_item(str(root / path))}")
        if folders := choice.experiment.model.plugin:
            words.append(f"model.plugin={as_hydra([str(root / folder) for folder in folders])}")
    for key, role in ((START, "start"), (BY, "translator")):
        if (other := choice.parents.get(role)) is not None:
            words = [word for word in words if word.partition("=")[0].lstrip("+") != key]
            words.append(f"{key}={as_hydra(_for_each_seed(choice, role, portable(other, root)))}")
    return words


def _for_each_seed(choice: Choice, role: str, words: list[str]) -> list[str]:
    """Return words that ask for a parent, so that each model of an ensemble gets the parent of its own seed."""
    own = choice.parents[role].overrides
    members = [choice.parents[member(seed)] for seed in choice.experiment.decoding.ensemble]
    if all(other.parents[role].overrides == own for other in members):
        return words
    return ["seed=${seed}" if word == f"seed={choice.experiment.seed}" else word for word in words]
