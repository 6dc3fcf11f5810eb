"""Dropout on a CPU with 16 random bits an element.

torch draws 64 bits for each element, one after the other in a single thread, which takes a tenth of a training step.
"""

from types import SimpleNamespace

import torch
from torch.nn import functional

from .layers import NOTES

STEPS = 2**16  # the share that is dropped is rounded to one part in so many


def dropout(x: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
    """Return what torch.nn.functional.dropout does, but on a CPU by other random bits; `inplace` is ignored there.

    The kept elements are scaled by the share that is really kept, so that the mean stays the same.
    """
    dropped = round(p * STEPS)
    if x.device.type != "cpu" or not training or not 0 < dropped < STEPS:
        return functional.dropout(x, p, training, inplace)
    NOTES.add("dropout by bleuprint's 16 random bits an element")
    bits = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    kept = bits.view(torch.int16)[: x.numel()].view(x.shape) >= dropped - STEPS // 2
    return x * kept.to(x.dtype).mul_(STEPS / (STEPS - dropped))


def install() -> None:
    """Give fairseq's dropout modules this function, under the name by which they call torch's.

    Only that module's name is replaced: dropout elsewhere in the process stays torch's. The modules themselves stay
    fairseq's, too, so that models and their checkpoints do not change.
    """
    from fairseq.modules import fairseq_dropout

    fairseq_dropout.F = SimpleNamespace(dropout=dropout)
