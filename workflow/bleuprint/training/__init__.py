"""The training stage: follow fairseq-train as it runs, then pick one checkpoint or average several."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bleuprint.config.flags import shell

if TYPE_CHECKING:  # slow to load, and no job's program needs it
    from bleuprint.config.schema import Training


def resume_flags(training: Training, bf16: bool, deterministic: bool) -> str:
    """Return the flags of `bleuprint.training.resume`: the checkpoint that is chosen, and the plugin's options.

    Args:
        training: the config.
        bf16: whether matrix products are computed in bfloat16 on this machine.
        deterministic: whether torch must use deterministic algorithms on this machine.
    """
    epochs = training.average_epochs if training.by_score else None
    freeze = None if training.freeze is None else json.dumps(training.freeze, ensure_ascii=False)
    options = {"bf16": bf16, "deterministic": deterministic, "freeze": freeze}
    return shell({"choose": training.checkpoint, "epochs": epochs} | options)


def progress_flags(training: Training) -> str:
    """Return the flags of `bleuprint.training.progress`: where the training ends, and whether it may end earlier."""
    at_most = training.patience is not None
    return shell({"max_epoch": training.max_epoch, "max_update": training.max_update, "at_most": at_most})


def checkpoint_flags(training: Training) -> str:
    """Return the flags of `bleuprint.training.checkpoint`: which checkpoint becomes the model."""
    if training.by_score:
        highest = bool(training.maximize_best_checkpoint_metric)
        return shell({"choose": training.checkpoint, "epochs": training.average_epochs, "maximise": highest})
    return shell({"choose": training.checkpoint, "last": training.average_last})


def kept(training: Training) -> int:
    """Return how many epochs' checkpoints there are at most when an epoch has ended."""
    if training.checkpoint == "average_around_best":  # those around the best so far, and the last ones
        return 2 * training.average_epochs
    return {"average": training.average_last, "average_best": training.average_epochs + 1}.get(training.checkpoint, 1)
