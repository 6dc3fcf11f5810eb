"""Load fairseq's checkpoints safely: the only place that reads one.

torch >= 2.6 loads checkpoints with weights_only, which refuses any class that is not allow-listed. fairseq's
checkpoints need the namespace of their flags, and with eval_bleu the counts of BLEU as numpy arrays of numbers. None of
these can run code, so loading stays safe.
"""

import argparse
from functools import cache
from pathlib import Path
from typing import Any


@cache
def allow() -> None:
    """Allow-list the classes in fairseq's checkpoints, in this process."""
    import numpy
    import torch

    rebuild: Any = numpy.array(0).__reduce__()[0]  # the function that restores an array; it has no public name
    numbers = [numpy.ndarray, numpy.dtype, numpy.dtypes.Int64DType, numpy.dtypes.Float64DType]
    torch.serialization.add_safe_globals([argparse.Namespace, rebuild, *numbers])


def load(path: Path, mmap: bool = False) -> dict[str, Any]:
    """Return what a checkpoint holds, on the CPU.

    Args:
        path: the file.
        mmap: read a tensor only when it is used, which is fast if only other values are wanted.

    Raises:
        Exception: the file is damaged; torch raises one of a dozen kinds.
    """
    import torch  # slow to load

    allow()
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    return state
