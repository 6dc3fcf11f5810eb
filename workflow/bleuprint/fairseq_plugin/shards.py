"""Divide the batches of fairseq-generate among processes, which machine/shards.py starts.

fairseq divides them itself (`--distributed-world-size`, `--distributed-rank`), but then each process writes an output
of its own, and the order of the batches cannot be told from these. Here the process of rank 0 goes through all batches
and takes those of the others from files, so that it writes the output and fairseq's score of all of them.
"""

import itertools
import json
import os
import time
from pathlib import Path
from typing import Any

import torch
from fairseq.tasks.fairseq_task import FairseqTask

from bleuprint.machine.shards import SHARD

LOOK = 0.02  # seconds between two looks for a batch of another process


def install() -> None:
    """Replace the task's inference step, if this process is one of several."""
    if SHARD not in os.environ:
        return
    rank, number, folder = json.loads(os.environ[SHARD])
    compute, calls = FairseqTask.inference_step, itertools.count()  # fairseq makes one call for each batch

    def inference_step(self: FairseqTask, generator: Any, models: Any, sample: Any, **options: Any) -> Any:
        call = next(calls)
        if rank == 0 and call % number:
            return receive(Path(folder, f"{call}.pt"), sample["id"].device)
        hypotheses = compute(self, generator, models, sample, **options)
        if rank:
            send(Path(folder, f"{rank + call * number}.pt"), hypotheses)
        return hypotheses

    FairseqTask.inference_step = inference_step


def send(path: Path, hypotheses: Any) -> None:
    """Write a batch's hypotheses, whole or not at all."""
    part = path.with_suffix(".part")
    torch.save(hypotheses, part)
    part.rename(path)


def receive(path: Path, device: torch.device) -> Any:
    """Wait for a batch's hypotheses, read them, and remove their file."""
    while not path.exists():
        time.sleep(LOOK)
    hypotheses = torch.load(path, map_location=device, weights_only=True)
    path.unlink()
    return hypotheses
