"""Let fairseq-train resume exactly where it was, however it ended, and give it bleuprint's options.

fairseq saves at the end of an epoch, or within one only with a validation that may change which model is best; it
ignores signals, copies checkpoints byte by byte over the old ones, and trains one update too many when a finished
training is started again. It has no hooks for these, so `install` wraps its functions.
"""

import atexit
import errno
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import fairseq_cli.train as program
import torch
from fairseq import checkpoint_utils
from fairseq.file_io import PathManager
from fairseq.logging import metrics

from bleuprint.files import full, link
from bleuprint.training.epochs import prune
from bleuprint.training.resume import BEFORE
from bleuprint.training.save_dir import Options, read_options

from . import bf16, early_stopping, loaders, ranks
from .layers import NOTES

SHARE = 100  # checkpoints within an epoch take at most one part in so many of the time
FIRST = 0.02  # seconds that the first one is assumed to take


class Keeper:
    """Save now and then within an epoch, and once more when a signal asks the training to end."""

    def __init__(self) -> None:
        self.cost, self.saved = FIRST, time.monotonic()
        self.training = False  # whether an update is being computed, so that a signal must wait for its end
        self.asked: int | None = None  # the signal
        self.task: Any = None  # fairseq's, of this session
        self.options = Options()

    def signalled(self, number: int, frame: FrameType | None) -> None:
        """End now where no update would be lost, else after the current update."""
        self.asked = number
        if not self.training:
            self.leave()

    def leave(self, saved: str = "") -> None:
        """End with the exit status of a process that the signal has ended."""
        assert self.asked is not None
        name = signal.Signals(self.asked).name
        # Of several processes only those that the others wait for can tell that a signal is why they end: without it
        # the launcher ends them because one has failed
        if not ranks.several() or (saved and ranks.first()):
            print(f"bleuprint: training stopped by {name}{saved}; the same command resumes it.", flush=True)
        sys.exit(128 + self.asked)

    def due(self) -> bool:
        """Return whether there is time for another checkpoint within their share of it."""
        return time.monotonic() - self.saved >= SHARE * self.cost

    def train(self, train: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap fairseq's loop over an epoch: skip it if the training had ended before."""

        def epoch(cfg: Any, trainer: Any, task: Any, epoch_itr: Any) -> Any:
            if task is not self.task:
                self.begin(Path(cfg.checkpoint.save_dir), task)
            if trainer.get_num_updates() >= (cfg.optimization.max_update or float("inf")):
                return [None], True
            if early_stopping.stopped(cfg):
                early_stopping.note_stop(cfg, trainer, epoch_itr)
                return [None], True
            self.training = True
            try:
                losses = train(cfg, trainer, task, epoch_itr)
                loaders.close()
                return losses
            finally:
                self.training = False

        return epoch

    def begin(self, save_dir: Path, task: Any) -> None:
        """Read the session's options, before its first update."""
        self.task, self.options = task, read_options(save_dir)
        if ranks.first():
            NOTES.begin(save_dir)
        if metrics.get_meter("default", "wall").start_time is None:  # restored from a checkpoint, and not started again
            metrics.log_start_time("wall", priority=790, round=0)
        if self.options.deterministic:  # the log names operations that have no such algorithm
            torch.use_deterministic_algorithms(True, warn_only=True)
        if self.options.bf16:
            bf16.install(task)

    def validate(self, validate: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap fairseq's validation: a signal ends it at once, as it is repeated from the last checkpoint."""

        def validation(*arguments: Any) -> Any:
            self.training = False
            if self.asked is not None:
                self.leave()
            opened = len(loaders.OPEN)
            losses = validate(*arguments)
            loaders.close(opened)
            self.training = True
            return losses

        return validation

    def after_update(self, validate_and_save: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap what fairseq does after each update: add a checkpoint within the epoch where one is due."""

        def after(cfg: Any, trainer: Any, task: Any, epoch_itr: Any, subsets: Any, end_of_epoch: bool) -> Any:
            losses, should_stop = validate_and_save(cfg, trainer, task, epoch_itr, subsets, end_of_epoch)
            if should_stop and early_stopping.early(cfg, trainer, epoch_itr.epoch + end_of_epoch):
                early_stopping.note_stop(cfg, trainer, epoch_itr)
            epoch_saved = end_of_epoch and epoch_itr.epoch % cfg.checkpoint.save_interval == 0
            # All processes must save and end after the same update: the first decides the former, any one the latter
            asked, due = ranks.highest(self.asked or 0, ranks.first() and self.due())
            if should_stop or epoch_saved:  # by fairseq
                self.remove_epochs(cfg.checkpoint)
                self.saved = time.monotonic()
            elif asked or due:
                began = time.monotonic()
                # Within an epoch and without a loss it writes checkpoint_last.pt and nothing else
                checkpoint_utils.save_checkpoint(cfg.checkpoint, trainer, epoch_itr, None)
                self.saved = time.monotonic()
                self.cost = self.saved - began
            if asked:
                self.asked = asked
                ranks.highest(0)  # wait for the first, which saves
                self.leave(f" and saved after update {trainer.get_num_updates():,}")
            return losses, should_stop

        return after

    def remove_epochs(self, cfg: Any) -> None:
        """Remove the checkpoints of epochs that cannot be averaged any more, if the average goes by scores."""
        if self.options.average is not None and ranks.first():
            highest = cfg.maximize_best_checkpoint_metric
            prune(Path(cfg.save_dir), self.options.average, self.options.epochs, highest)


def whole(save: Callable[..., None]) -> Callable[..., None]:
    """Wrap fairseq's writing of a checkpoint: on a full disk it leaves no half file, and ends in one sentence.

    Raises:
        SystemExit: the disk is full.
    """

    def write(state: Any, filename: str, async_write: bool = False) -> None:
        try:
            save(state, filename, async_write)
        except (OSError, RuntimeError) as error:  # torch's own writer gives no errno
            free = shutil.disk_usage(Path(filename).parent).free
            no_space = getattr(error, "errno", None) == errno.ENOSPC or free == 0
            Path(f"{filename}.tmp").unlink(missing_ok=True)
            if no_space:
                print(f"bleuprint: {full(Path(filename).parent)}", flush=True)
                sys.exit(1)
            raise

    return write


def copied(source: str, target: str, overwrite: bool = False) -> str:
    """Give a checkpoint a second name in one step, and return the name."""
    last = Path(target)
    if last.name == "checkpoint_last.pt" and last.exists():  # kept in case the new one is damaged
        link(last, last.with_name(BEFORE))
    link(Path(source), last)
    return target


def install() -> None:
    """Wrap functions of this process, which is fairseq-train."""
    keeper = Keeper()
    # The loop over an epoch: options are read before the first; a finished training runs none; loaders end with it
    program.train = keeper.train(program.train)
    # Validation: it may take minutes in which a signal need not wait; its loaders end with it
    program.validate = keeper.validate(program.validate)
    # The only place between two updates, where a checkpoint can be saved and a signal obeyed
    program.validate_and_save = keeper.after_update(program.validate_and_save)
    # The writer: fairseq tries a full disk three times, then ends in a traceback and leaves a half-written file
    checkpoint_utils.torch_persistent_save = whole(checkpoint_utils.torch_persistent_save)
    # Second names: fairseq copies byte by byte over the old file, which is lost if the process is killed meanwhile
    PathManager.copy = staticmethod(copied)
    # Loaders: fairseq's processes outlive their epoch (loaders.py); it takes the class from torch's module by this name
    torch.utils.data.DataLoader = loaders.Loader  # type: ignore[misc]
    atexit.register(loaders.kill)
    for number in loaders.SIGNALS:
        signal.signal(number, keeper.signalled)
