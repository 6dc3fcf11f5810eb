"""What fairseq loads with --user-dir.

torch >= 2.6 loads checkpoints with weights_only, which refuses any class that is not allow-listed. fairseq's
checkpoints need just this one; allow-listing it keeps loading safe.
"""

import argparse

import torch

torch.serialization.add_safe_globals([argparse.Namespace])
