"""What fairseq loads with --user-dir.

It lets torch load fairseq's checkpoints, registers the criterion SimCut, corrects that of R-Drop and makes DynamicConv
fast on a CPU. In fairseq-train it also lets a training be stopped and resumed at any moment.
"""

import os
import sys

import torch

from bleuprint.training import checkpoints

checkpoints.allow()

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
