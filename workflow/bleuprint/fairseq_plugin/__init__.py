"""What fairseq loads with --user-dir.

torch >= 2.6 loads checkpoints with weights_only, which refuses any class that is not allow-listed. fairseq's
checkpoints need the namespace of their flags, and with eval_bleu the counts of BLEU as numpy arrays of numbers;
none of these can run code, so loading stays safe. It also brings the criterion SimCut, mends that of R-Drop,
makes DynamicConv fast on a CPU, and in fairseq-train sees to it that the training can be ended and gone on with at any
moment.
"""

import argparse
import os
import sys
from typing import Any

import numpy
import torch

REBUILD: Any = numpy.array(0).__reduce__()[0]  # what makes an array again; it has no public name

torch.serialization.add_safe_globals(
    [
        argparse.Namespace,
        REBUILD,
        numpy.ndarray,
        numpy.dtype,
        numpy.dtypes.Int64DType,
        numpy.dtypes.Float64DType,
    ]
)

if "BLEUPRINT_DETERMINISTIC" in os.environ:  # training.deterministic; what has no such algorithm is named in the log
    torch.use_deterministic_algorithms(True, warn_only=True)

if "fairseq" in sys.modules:  # not where only checkpoints are read
    from . import convolutions, rdrop
    from . import simcut as simcut  # registers itself

    convolutions.install()
    rdrop.install()

if "fairseq_cli.train" in sys.modules:
    from . import bf16, dropout, resumable

    resumable.install()
    dropout.install()
    if "BLEUPRINT_BF16" in os.environ:  # training.bf16
        bf16.install()
