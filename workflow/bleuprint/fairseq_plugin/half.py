"""Add to the checkpoints of fp16 trainings what fairseq leaves out, so that they resume exactly.

The optimizer updates a float32 copy of the weights. fairseq saves only the float16 weights, from which a resumed
training would begin with rounded ones. It also forgets after how many updates the loss scale is raised again.
"""

import logging
from collections.abc import Callable
from typing import Any

import torch
from fairseq.optim.fp16_optimizer import FP16Optimizer, MemoryEfficientFP16Optimizer

LOGGER = logging.getLogger(__name__)
KEY = "bleuprint"  # in the optimizer's state; fairseq and torch read the keys that they know
COUNTERS = ("_iter", "_last_overflow_iter", "_last_rescale_iter", "_overflows_since_rescale")  # of the loss scale


def copies(optimizer: Any) -> list[torch.Tensor]:
    """Return the float32 copy of the weights, in one tensor or many; none where the optimizer has no copy."""
    tensors = getattr(optimizer, "fp32_params", [])
    return [tensor.data for tensor in (tensors.values() if isinstance(tensors, dict) else tensors)]


def saving(state_dict: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the function that returns the optimizer's state."""

    def save(optimizer: Any) -> dict[str, Any]:
        counters = {name: getattr(optimizer.scaler, name) for name in COUNTERS} if optimizer.scaler else {}
        return {**state_dict(optimizer), KEY: {"weights": copies(optimizer), "counters": counters}}

    return save


def loading(load_state_dict: Callable[..., None]) -> Callable[..., None]:
    """Wrap the function that restores it; the optimizer's copy is then that of the model's float16 weights."""

    def load(optimizer: Any, state: dict[str, Any], optimizer_overrides: Any = None) -> None:
        load_state_dict(optimizer, state, optimizer_overrides)
        saved = state.get(KEY, {"weights": [], "counters": {}})
        for name, value in saved["counters"].items():
            setattr(optimizer.scaler, name, value)
        rounded = copies(optimizer)
        # Not where the model has other weights than the optimizer had, as an average of checkpoints has
        if len(saved["weights"]) == len(rounded) and all(
            torch.equal(weights.half().float().to(copy.device), copy)
            for weights, copy in zip(saved["weights"], rounded, strict=True)
        ):
            for weights, copy in zip(saved["weights"], rounded, strict=True):
                copy.copy_(weights)
        else:
            LOGGER.warning(
                "the checkpoint has no float32 weights of its model: the training resumes with the float16 ones"
            )

    return load


def install() -> None:
    """Wrap what saves and restores fairseq's optimizers for float16: the state has no other place for more."""
    for kind in (FP16Optimizer, MemoryEfficientFP16Optimizer):
        kind.state_dict = saving(kind.state_dict)
        kind.load_state_dict = loading(kind.load_state_dict)
