"""fairseq-train made to go on, after any end, exactly where it was.

fairseq saves at the end of an epoch, or in its midst only with a validation that may change which model is best; it
knows no signals, copies checkpoints byte by byte over the old ones, and trains one update too many when a finished
training is started again. It has no hooks for these, so its functions are wrapped; its version is pinned.
"""

import atexit
import errno
import os
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

from bleuprint.files import full, link
from bleuprint.training.epochs import prune
from bleuprint.training.resume import BEFORE

from . import loaders

SHARE = 100  # mid-epoch checkpoints take at most one part in so many of the time
FIRST = 0.02  # seconds that the first is taken to cost


class Keeper:
    """Saves now and then in mid-epoch, and once more when a signal asks the training to end."""

    def __init__(self) -> None:
        self.cost, self.saved = FIRST, time.monotonic()
        self.training = False  # whether updates are being made, so that a signal must wait for the present one
        self.asked: int | None = None  # the signal

    def signalled(self, number: int, frame: FrameType | None) -> None:
        """End now where no update would be lost, else after the update that is under way."""
        self.asked = number
        if not self.training:
            self.leave()

    def leave(self, saved: str = "") -> None:
        """End with the status of a process that the signal has ended."""
        assert self.asked is not None
        name = signal.Signals(self.asked).name
        said = f"bleuprint: training stopped by {name}{saved}; the same command goes on from its last checkpoint."
        print(said, flush=True)
        sys.exit(128 + self.asked)

    def due(self) -> bool:
        """Whether another checkpoint keeps their share of the time."""
        return time.monotonic() - self.saved >= SHARE * self.cost

    def train(self, train: Callable[..., Any]) -> Callable[..., Any]:
        """fairseq's loop over an epoch; none if all updates have been made already."""

        def epoch(cfg: Any, trainer: Any, task: Any, epoch_itr: Any) -> Any:
            if trainer.get_num_updates() >= (cfg.optimization.max_update or float("inf")):
                return [None], True
            self.training = True
            try:
                losses = train(cfg, trainer, task, epoch_itr)
                loaders.close()
                return losses
            finally:
                self.training = False

        return epoch

    def validate(self, validate: Callable[..., Any]) -> Callable[..., Any]:
        """fairseq's validation, which a signal ends at once: it is made again from the last checkpoint."""

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
        """What fairseq does after each update, and in mid-epoch a checkpoint where one is due."""

        def after(cfg: Any, trainer: Any, task: Any, epoch_itr: Any, subsets: Any, end_of_epoch: bool) -> Any:
            losses, should_stop = validate_and_save(cfg, trainer, task, epoch_itr, subsets, end_of_epoch)
            epoch_saved = end_of_epoch and epoch_itr.epoch % cfg.checkpoint.save_interval == 0
            if should_stop or epoch_saved:  # by fairseq
                keep(cfg.checkpoint)
                self.saved = time.monotonic()
            elif self.asked is not None or self.due():
                began = time.monotonic()
                # Without a loss, in mid-epoch, it writes checkpoint_last.pt and nothing else
                checkpoint_utils.save_checkpoint(cfg.checkpoint, trainer, epoch_itr, None)
                self.saved = time.monotonic()
                self.cost = self.saved - began
            if self.asked is not None:
                self.leave(f" and saved after update {trainer.get_num_updates():,}")
            return losses, should_stop

        return after


def keep(cfg: Any) -> None:
    """Remove epochs that are not to be averaged, by the name of the choice and the number in $BLEUPRINT_KEEP."""
    if "BLEUPRINT_KEEP" in os.environ:
        choice, _, count = os.environ["BLEUPRINT_KEEP"].partition(":")
        prune(Path(cfg.save_dir), choice, int(count), cfg.maximize_best_checkpoint_metric)


def whole(save: Callable[..., None]) -> Callable[..., None]:
    """fairseq's writing of a checkpoint; on a full disk it leaves no half file, and ends in one sentence.

    Raises:
        SystemExit: the disk is full.
    """

    def write(state: Any, filename: str, async_write: bool = False) -> None:
        try:
            save(state, filename, async_write)
        except (OSError, RuntimeError) as error:  # torch's own writer knows no errno
            free = shutil.disk_usage(Path(filename).parent).free
            no_space = getattr(error, "errno", None) == errno.ENOSPC or free == 0
            Path(f"{filename}.tmp").unlink(missing_ok=True)
            if no_space:
                print(f"bleuprint: {full(Path(filename).parent)}", flush=True)
                sys.exit(1)
            raise

    return write


def copied(source: str, target: str, overwrite: bool = False) -> str:
    """Give a checkpoint a second name at once, where fairseq would copy it over the old file byte by byte."""
    last = Path(target)
    if last.name == "checkpoint_last.pt" and last.exists():  # the one before it, should the new one be damaged
        link(last, last.with_name(BEFORE))
    link(Path(source), last)
    return target


def install() -> None:
    """Wrap the functions of the fairseq-train that this process is."""
    keeper = Keeper()
    program.train = keeper.train(program.train)
    program.validate = keeper.validate(program.validate)
    program.validate_and_save = keeper.after_update(program.validate_and_save)
    checkpoint_utils.torch_persistent_save = whole(checkpoint_utils.torch_persistent_save)
    PathManager.copy = staticmethod(copied)
    torch.utils.data.DataLoader = loaders.Loader  # type: ignore[misc]
    atexit.register(loaders.kill)
    for number in loaders.SIGNALS:
        signal.signal(number, keeper.signalled)
