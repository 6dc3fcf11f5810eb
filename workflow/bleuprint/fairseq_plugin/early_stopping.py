"""Keep the counts of early stopping in checkpoints, so that a resumed training stops where it would have stopped.

fairseq counts the validations without a better score (`--patience`) in attributes of a function, and the scheduler
reduce_lr_on_plateau its epochs without one in an object that it saves in part. It also tells that scheduler an epoch's
score only after it has written the epoch's checkpoint, so that a training that resumes from there leaves it out.
"""

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fairseq_cli.train as program
from fairseq import checkpoint_utils
from fairseq.optim.lr_scheduler.reduce_lr_on_plateau import ReduceLROnPlateauLRSchedule
from fairseq.trainer import Trainer

from bleuprint.training.stopped import sentence

LOGGER = logging.getLogger(__name__)
KEY = "bleuprint"  # in the checkpoint's extra_state; fairseq reads the keys that it knows
BAD = "num_bad_epochs"  # of torch's scheduler, and in the state of fairseq's


class Scores:
    """The scores of the validations that decide when the training stops, and how its learning rate changes."""

    def __init__(self) -> None:
        self.last: float | None = None  # of the last validation
        self.updates = -1  # after how many updates it was

    def noting(self, validate: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap fairseq's validation: note its score, which is that of the first validation set."""

        def validation(cfg: Any, trainer: Any, *arguments: Any) -> Any:
            scores = validate(cfg, trainer, *arguments)
            self.last, self.updates = float(scores[0]), trainer.get_num_updates()
            return scores

        return validation

    def saving(self, save: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap the writing of a checkpoint: add fairseq's counts, and the score that was found just now."""

        def write(trainer: Any, filename: str, extra_state: dict[str, Any]) -> Any:
            now = self.last if self.updates == trainer.get_num_updates() else None
            return save(trainer, filename, {**extra_state, KEY: {"stopping": _counts(), "score": now}})

        return write

    def loading(self, load: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap the loading of a checkpoint: restore the counts of a training that is resumed, or begin at zero.

        At the end of an epoch the learning rate then changes by its score, as it does in an undisturbed training.
        """

        def read(cfg: Any, trainer: Any, **arguments: Any) -> Any:
            resumed = Path(cfg.save_dir, "checkpoint_last.pt").exists()  # it may start from another model instead
            extra_state, epochs = load(cfg, trainer, **arguments)
            saved = (extra_state or {}).get(KEY) if resumed else None
            _restore(saved["stopping"] if saved else {})
            if saved and saved["score"] is not None and extra_state["train_iterator"]["iterations_in_epoch"] == 0:
                trainer.lr_step(epochs.epoch - 1, saved["score"])
            return extra_state, epochs

        return read


def _counts() -> dict[str, Any]:
    """Return fairseq's `best` score and `num_runs`, the validations since; empty before the first one."""
    return {name: float(value) if name == "best" else value for name, value in vars(program.should_stop_early).items()}


def _restore(counts: dict[str, Any]) -> None:
    vars(program.should_stop_early).clear()
    vars(program.should_stop_early).update(counts)


def stopped(cfg: Any) -> bool:
    """Tell whether the last validations were too many without a better score."""
    patience, validations = cfg.checkpoint.patience, _counts().get("num_runs", 0)
    return bool(0 < patience <= validations)


def early(cfg: Any, trainer: Any, next_epoch: int) -> bool:
    """Tell whether a training that stops now would otherwise go on, with that epoch next."""
    updates, epochs = (limit or math.inf for limit in (cfg.optimization.max_update, cfg.optimization.max_epoch))
    return stopped(cfg) and trainer.get_num_updates() < updates and next_epoch <= epochs


def note_stop(cfg: Any, trainer: Any, epoch_itr: Any) -> None:
    """Write to the log that and when the training stopped early."""
    epoch = epoch_itr.epoch - (epoch_itr.iterations_in_epoch == 0)  # resumed at the end of an epoch it is in the next
    metric, best = cfg.checkpoint.best_checkpoint_metric, _counts()["best"]
    LOGGER.info(sentence(trainer.get_num_updates(), epoch, metric, cfg.checkpoint.patience, best))


def saving_plateau(state_dict: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the function that returns the state of reduce_lr_on_plateau."""

    def save(scheduler: Any) -> dict[str, Any]:
        return {**state_dict(scheduler), BAD: scheduler.lr_scheduler.num_bad_epochs}

    return save


def loading_plateau(load_state_dict: Callable[..., None]) -> Callable[..., None]:
    """Wrap the function that restores it; checkpoints of fairseq itself have no count."""

    def load(scheduler: Any, state: dict[str, Any]) -> None:
        load_state_dict(scheduler, state)
        scheduler.lr_scheduler.num_bad_epochs = state.get(BAD, 0)

    return load


def install() -> None:
    """Wrap the functions that validate, and that save and restore: fairseq's checkpoints have no other place."""
    scores = Scores()
    program.validate = scores.noting(program.validate)
    Trainer.save_checkpoint = scores.saving(Trainer.save_checkpoint)
    checkpoint_utils.load_checkpoint = scores.loading(checkpoint_utils.load_checkpoint)
    plateau = ReduceLROnPlateauLRSchedule
    plateau.state_dict = saving_plateau(plateau.state_dict)
    plateau.load_state_dict = loading_plateau(plateau.load_state_dict)
