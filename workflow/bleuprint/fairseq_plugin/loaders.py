"""End the processes that load batches together with their epoch.

fairseq's outlive it: they are persistent, and with `update_epoch_batch_itr` each epoch has a loader of its own. The
loaders of earlier epochs are parts of reference cycles. They wait for Python's cycle collector, which seldom runs, and
which then closes the queue that would tell their processes to end. Each is a fork of the training, so that it holds a
copy of all memory that the training has written since.
"""

import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import torch

SIGNALS = (signal.SIGINT, signal.SIGTERM)
OPEN: list[Any] = []  # generators of batches, each of which holds the only reference to its processes


class Loader(torch.utils.data.DataLoader[Any]):
    """Load batches in processes that `close` ends, and that ignore the signals that end a training."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"worker_init_fn": ignore_signals} | options | {"persistent_workers": False})

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Start the processes."""
        batches = (batch for batch in super().__iter__())
        OPEN.append(batches)
        return batches


def close(first: int = 0) -> None:
    """End the processes of all loaders since the one numbered `first` in OPEN."""
    for batches in OPEN[first:]:
        with suppress(ValueError):  # its thread is still running, as where a training ends within an epoch
            batches.close()
    del OPEN[first:]


def kill() -> None:
    """Kill the processes that are left when the training ends."""
    for process in multiprocessing.active_children():
        process.kill()


def ignore_signals(worker: int) -> None:
    """Ignore the signals that end a training, in a process that it still needs."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
