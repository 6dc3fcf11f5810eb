"""Dropout on a CPU with 16 random bits an element.

torch draws 64 bits for each element, one after the other in a single thread: a tenth of a training step here.
"""

import functools
import logging
from types import SimpleNamespace

import torch
from torch.nn import functional

LOGGER = logging.getLogger(__name__)  # provenance.py looks for its line in the log
STEPS = 2**16  # the share that is dropped is rounded to one part in so many


def dropout(x: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
    """As torch.nn.functional.dropout, with other random bits where `x` lies on a CPU; `inplace` is not heeded there.

    The kept elements are scaled by the share that is really kept, so that the mean stays the same.
    """
    dropped = round(p * STEPS)
    if x.device.type != "cpu" or not training or not 0 < dropped < STEPS:
        return functional.dropout(x, p, training, inplace)
    _say_so()
    bits = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    kept = bits.view(torch.int16)[: x.numel()].view(x.shape) >= dropped - STEPS // 2
    return x * kept.to(x.dtype).mul_(STEPS / (STEPS - dropped))


@functools.cache
def _say_so() -> None:
    LOGGER.info("dropout by bleuprint's 16 random bits an element")


def install() -> None:
    """Let fairseq's dropout modules use it, by the name that they know torch's by."""
    from fairseq.modules import fairseq_dropout

    fairseq_dropout.F = SimpleNamespace(dropout=dropout)
