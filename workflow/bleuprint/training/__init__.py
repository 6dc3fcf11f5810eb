"""The training stage: fairseq-train followed as it runs, then one checkpoint picked or averaged."""

from bleuprint.flags import shell
from bleuprint.schema import Training


def length_flags(training: Training) -> str:
    """The training's end, for `bleuprint.training.progress`."""
    return shell({"max_epoch": training.max_epoch, "max_update": training.max_update})


def kind_flags(training: Training) -> str:
    """Which kind of checkpoint the model is made of, for `bleuprint.training.resume`."""
    return shell({"choose": training.checkpoint})


def choice_flags(training: Training) -> str:
    """Which checkpoint becomes the model, for `bleuprint.training.checkpoint`."""
    return shell({"choose": training.checkpoint, "last": training.average_last})
