"""What fairseq loads with --user-dir.

It lets torch load fairseq's checkpoints, registers the criterion SimCut, corrects that of R-Drop and makes DynamicConv
fast on a CPU. In fairseq-train it also lets a training be stopped and resumed at any moment, ends it when the memory
does not suffice for a batch, and reads its options from plugin.json in the --save-dir. fairseq has no hooks for most of
this, so functions of fairseq's are replaced: each one stands in an `install`, with its reason. fairseq's version is
pinned.
"""

import os
import sys

import torch

from bleuprint.machine import cuda
from bleuprint.training import checkpoints

checkpoints.allow()

if {"fairseq_cli.train", "fairseq_cli.generate"} & sys.modules.keys():
    cuda.confirm()  # fairseq computes on the CPU where torch finds no GPU, and does not say so

if "fairseq" in sys.modules:  # not where only checkpoints are read
    from . import convolutions, rdrop
    from . import simcut as simcut  # registers itself

    convolutions.install()
    rdrop.install()

if "fairseq_cli.train" in sys.modules:
    from . import dropout, early_stopping, freezing, half, out_of_memory, ranks, resumable, start

    early_stopping.install()
    resumable.install()
    freezing.install()
    half.install()
    out_of_memory.install()
    dropout.install()
    start.install()
    ranks.install()

if "fairseq_cli.generate" in sys.modules:
    from . import shards

    shards.install()

# A decoding has no --save-dir to read options from. The launcher sets cuBLAS's own variable, and only where
# training.deterministic asks for the same bits; also commands that a decoding starts inherit it.
if "fairseq_cli.generate" in sys.modules and "CUBLAS_WORKSPACE_CONFIG" in os.environ:
    torch.use_deterministic_algorithms(True, warn_only=True)  # the log names operations that have no such algorithm
