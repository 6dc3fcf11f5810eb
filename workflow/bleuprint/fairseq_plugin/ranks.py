"""Train one model in several processes (`training.gpus`): what fairseq lacks for that.

torch's launcher starts them, and numbers them by ranks; rank 0 writes the checkpoints and the log.
"""

import os
import signal
from functools import cache
from typing import Any

import torch
from fairseq.distributed import utils as distributed
from torch import distributed as processes

from bleuprint.machine.shards import end_with_parent

STARTED = "TORCHELASTIC_RUN_ID"  # set by torch's launcher


def several() -> bool:
    """Tell whether this process trains together with others."""
    return STARTED in os.environ


def first() -> bool:
    """Tell whether this process is the one that writes files: rank 0, or the only one."""
    return not several() or os.environ["RANK"] == "0"


@cache
def _group() -> Any:
    """Return the group of all processes for numbers on the CPU: None, the usual one, unless that is for GPUs only."""
    return None if processes.get_backend() == "gloo" else processes.new_group(backend="gloo")


def highest(*numbers: int) -> list[int]:
    """Return the highest value over all processes of each number; it waits until all have called it."""
    if not several():
        return list(numbers)
    values = torch.tensor(numbers)
    processes.all_reduce(values, processes.ReduceOp.MAX, group=_group())
    return [int(value) for value in values]


def from_environment(cfg: Any) -> None:
    """Read from the launcher's variables which of the processes this is.

    Args:
        cfg: fairseq's, of distributed training.
    """
    cfg.distributed_init_method, cfg.distributed_no_spawn = "env://", True
    cfg.distributed_world_size, cfg.distributed_rank = int(os.environ["WORLD_SIZE"]), int(os.environ["RANK"])
    cfg.device_id = 0 if cfg.distributed_backend == "gloo" else int(os.environ["LOCAL_RANK"])  # gloo: on a CPU


def install() -> None:
    """Replace a function of fairseq's, which divides by the number of GPUs, and let this process end with its launcher.

    A launcher that is killed would leave its processes at work, without the lock on the training's folder.
    """
    if several():
        distributed._infer_torch_distributed_launch_init = from_environment
        end_with_parent(signal.SIGKILL)
