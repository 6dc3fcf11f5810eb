"""Choose the epochs whose checkpoints are averaged, and remove those that cannot be needed any more."""

import math
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from bleuprint.training.checkpoints import load

EPOCH = re.compile(r"checkpoint(\d+)\.pt")

Scores = Mapping[int, float | None]  # epoch → fairseq's validation score; None if it has none


def epochs(save_dir: Path) -> dict[int, Path]:
    """Return the checkpoints of whole epochs in fairseq-train's --save-dir."""
    return {int(match[1]): path for path in save_dir.iterdir() if (match := EPOCH.fullmatch(path.name))}


def scores(paths: Mapping[int, Path]) -> dict[int, float | None]:
    """Return the `best_checkpoint_metric` of each epoch, as its checkpoint holds it."""
    return {epoch: _score(path, path.stat().st_mtime_ns) for epoch, path in paths.items()}


@cache
def _score(path: Path, changed: int) -> float | None:
    value = load(path, mmap=True)["extra_state"]["val_loss"]
    return None if value is None or not math.isfinite(value) else float(value)


def chosen(choice: str, scores: Scores, count: int, maximise: bool) -> list[int]:
    """Return the epochs to be averaged, in order.

    Args:
        choice: `average`: the last `count`; `average_best`: those with the best scores; `average_around_best`: as many
            in a row with the best one in their middle, or nearer to an end of the training. Of equal scores the later
            one counts as better, as in fairseq.
        scores: of each epoch.
        count: how many; fewer if there are fewer.
        maximise: whether the highest score is best.
    """
    if choice == "average":
        return sorted(scores)[-count:]
    sign = 1 if maximise else -1
    ranked = sorted((sign * score, epoch) for epoch, score in scores.items() if score is not None)
    best = [epoch for _, epoch in ranked[::-1]]
    if choice == "average_best" or not best:
        return sorted(best[:count])
    first = max(1, min(best[0] - count // 2, max(scores) - count + 1))
    return [epoch for epoch in sorted(scores) if first <= epoch < first + count]


def needed(choice: str, scores: Scores, count: int, maximise: bool) -> set[int]:
    """Return the epochs that may be averaged when training ends, and the last one, from which it may resume."""
    last = sorted(scores)[-count if choice == "average_around_best" else -1 :]
    return {*chosen(choice, scores, count, maximise), *last}


def prune(save_dir: Path, choice: str, count: int, maximise: bool) -> None:
    """Remove the checkpoints of epochs that cannot be averaged any more."""
    paths = epochs(save_dir)
    for epoch in paths.keys() - needed(choice, scores(paths), count, maximise):
        paths[epoch].unlink()
