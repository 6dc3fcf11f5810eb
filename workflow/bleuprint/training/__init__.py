"""The training stage: fairseq-train followed as it runs, then one checkpoint picked or averaged."""

from bleuprint.config.flags import shell
from bleuprint.config.schema import Training


def length_flags(training: Training) -> str:
    """The training's end, for `bleuprint.training.progress`."""
    return shell({"max_epoch": training.max_epoch, "max_update": training.max_update})


def kind_flags(training: Training) -> str:
    """Which kind of checkpoint the model is made of, for `bleuprint.training.resume`."""
    return shell({"choose": training.checkpoint})


def choice_flags(training: Training) -> str:
    """Which checkpoint becomes the model, for `bleuprint.training.checkpoint`."""
    if training.by_score:
        highest = bool(training.maximize_best_checkpoint_metric)
        return shell({"choose": training.checkpoint, "epochs": training.average_epochs, "maximise": highest})
    return shell({"choose": training.checkpoint, "last": training.average_last})


def keep(training: Training) -> str:
    """What fairseq-train is preceded by in the shell, so that bleuprint's plugin removes epochs that are not needed."""
    return f"env BLEUPRINT_KEEP={training.checkpoint}:{training.average_epochs} " if training.by_score else ""


def kept(training: Training) -> int:
    """How many epochs' checkpoints there are at most when an epoch has ended."""
    if training.checkpoint == "average_around_best":  # those around the best so far, and the last ones
        return 2 * training.average_epochs
    return {"average": training.average_last, "average_best": training.average_epochs + 1}.get(training.checkpoint, 1)
