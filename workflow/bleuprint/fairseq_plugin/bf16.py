"""training.bf16: matrix products in bfloat16, all else in float32, by torch's autocast.

fairseq's own --bf16 is no way to this: it implies --tpu, and keeps the weights themselves in bfloat16.
"""

from collections.abc import Callable
from typing import Any

import torch
from fairseq.tasks import FairseqTask


def in_bf16(train_step: Callable[..., Any]) -> Callable[..., Any]:
    """fairseq's step of forward and backward, with the forward's matrix products in bfloat16 on any device.

    The backward's products have the type of the forward's. Weights, gradients, optimizer, residual stream and loss are
    float32, and so is all that is no training step: validation, its translations, and checkpoints.
    """

    def step(task: Any, sample: Any, model: Any, criterion: Any, *arguments: Any, **options: Any) -> Any:
        def loss(model: Any, sample: Any) -> Any:
            with torch.autocast(sample["target"].device.type, torch.bfloat16):
                return criterion(model, sample)

        return train_step(task, sample, model, loss, *arguments, **options)

    return step


def install() -> None:
    """Wrap the training step of fairseq's tasks."""
    FairseqTask.train_step = in_bf16(FairseqTask.train_step)
