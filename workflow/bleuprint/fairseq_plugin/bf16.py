"""training.bf16: compute matrix products in bfloat16 and all else in float32, by torch's autocast.

fairseq's own --bf16 does something else: it implies --tpu, and keeps the weights themselves in bfloat16.
"""

from collections.abc import Callable
from typing import Any

import torch


def in_bf16(train_step: Callable[..., Any]) -> Callable[..., Any]:
    """Return a task's step of forward and backward with the forward's matrix products in bfloat16, on any device.

    The backward's products have the type of the forward's. Weights, gradients, optimizer, residual stream and loss stay
    in float32, and so does all that is not a training step: validation, its translations, and checkpoints.
    """

    def step(sample: Any, model: Any, criterion: Any, *arguments: Any, **options: Any) -> Any:
        def loss(model: Any, sample: Any) -> Any:
            with torch.autocast(sample["target"].device.type, torch.bfloat16):
                return criterion(model, sample)

        return train_step(sample, model, loss, *arguments, **options)

    return step


def install(task: Any) -> None:
    """Wrap the training step of one of fairseq's tasks.

    autocast must surround the forward pass alone, and `train_step` is the only method that has both the model and the
    criterion in its hands; a task of one's own would be stored in the checkpoints.
    """
    task.train_step = in_bf16(task.train_step)
