"""What a training's log says of its early stop and of its frozen parameters: written by the plugin, read by others."""

import re

STOPPED = "stopped early after update "
EARLY = re.compile(rf"^.* \| {STOPPED}(.+)$", re.MULTILINE)
FROZEN = re.compile(r"^.* \| frozen: ([\d,]+) of ([\d,]+) parameters", re.MULTILINE)


def sentence(updates: int, epoch: int, metric: str, validations: int, best: float) -> str:
    """Return the line on a training that `training.patience` ended.

    Args:
        updates: after how many it ended.
        epoch: in which.
        metric: what the validations were compared by.
        validations: how many had no better score.
        best: the best score.
    """
    often = f"{validations} validations" if validations > 1 else "1 validation"
    return f"{STOPPED}{updates:,} (epoch {epoch}): no better {metric} than {best:g} for {often}"


def stopped_early(log: str) -> str | None:
    """Return when and why a training stopped early, by its log; None if it did not."""
    sentences = EARLY.findall(log)
    return f"after update {sentences[-1]}" if sentences else None


def frozen_line(frozen: int, parameters: int, tensors: int, patterns: list[str]) -> str:
    """Return the line on parameters that are not trained.

    Args:
        frozen: how many, single numbers.
        parameters: how many the model has.
        tensors: how many tensors are frozen.
        patterns: of training.freeze.
    """
    return f"frozen: {frozen:,} of {parameters:,} parameters ({tensors} tensors; training.freeze={','.join(patterns)})"


def frozen(log: str) -> int | None:
    """Return how many parameters were not trained, by a training's log; None if all were."""
    lines = FROZEN.findall(log)
    return int(lines[-1][0].replace(",", "")) if lines else None
