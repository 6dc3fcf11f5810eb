"""What a training costs, estimated before it has run: time, memory, and whether it should start here at all."""

import ast
import os
from typing import Any

from bleuprint.config.schema import Experiment, Training
from bleuprint.machine import device

# Measured with fairseq on two cores: 550 target tokens/s with the IWSLT Transformer (35 M multiplied weights),
# 15,000 with transformer_tiny (1.2 M): both about 60 GFLOP/s a core at 6 operations per weight and token.
FLOPS_PER_CORE = 60e9
TOKENS_PER_PAIR = 25  # IWSLT14 after BPE
PATIENCE = 12 * 3600  # seconds; a training on CPU that would take longer is refused under device=auto
PROCESS = 2**29  # bytes of a process that has loaded torch and fairseq
WORKING = 16  # bytes of a weight while training: itself, Adam's two moments and the gradient, in float32
# Bytes that a token of a batch takes until the backward pass: for each type of the vocabulary (logits, their logarithms
# and gradients, in float32), and for each channel of each layer. Measured on a CPU: 1.0 GiB for transformer_tiny, 3.3
# for the IWSLT Transformer.
VOCABULARY = 12
CHANNEL = 60
NO_GPU = "runtime.device=cuda: no GPU is visible here; use runtime.device=auto or a machine with one."
NO_NODES = (
    "only SLURM starts a training on several machines; call bleuprint run --on slurm (docs/how-to/clusters.md), or "
    "leave it out."
)
HEADROOM = 2.0  # times what is estimated is asked of a scheduler
LEAST_MB = 8000
SET_UP = 30  # minutes for starting, validating and saving
CROSS = 1.5  # a decoder layer, which also attends to the source, as a multiple of an encoder layer


def training_memory(experiment: Experiment) -> float:
    """Return about how many bytes of this machine's memory a training needs at least, its loaders included."""
    flags: dict[str, Any] = experiment.model.flags() | experiment.training.flags()
    on_gpu = device.uses_gpu(experiment.runtime)
    processes = 1.0 + float(flags.get("num_workers", on_gpu))  # itself and its loaders
    processes *= experiment.training.gpus // (experiment.runtime.nodes or 1)  # on one machine
    if on_gpu:  # the model is in the GPU's memory
        return PROCESS * processes
    channels = 1.0 * (experiment.model.encoder_layers or 6) * (experiment.model.encoder_embed_dim or 512)
    channels += CROSS * (experiment.model.decoder_layers or 6) * (experiment.model.decoder_embed_dim or 512)
    batch = experiment.training.max_tokens * (VOCABULARY * experiment.text.subwords + CHANNEL * channels)
    # A loader is a copy of the training, as the training rewrites the memory that they share at first
    return (PROCESS + WORKING * weights(experiment) + batch) * processes


def memory_mb(experiment: Experiment) -> int:
    """Return the megabytes that a training should ask a scheduler for, with head-room."""
    return max(LEAST_MB, round(HEADROOM * training_memory(experiment) / 2**20))


def minutes(experiment: Experiment, threads: int, continued: Experiment | None = None) -> int:
    """Return the minutes that a training should ask a scheduler for, with head-room; on a GPU all that it may have.

    Args:
        experiment: the training's.
        threads: CPU cores that it has.
        continued: that of the training that it continues.
    """
    most = experiment.runtime.time_limit
    if device.uses_gpu(experiment.runtime):
        return most
    return min(most, SET_UP + round(HEADROOM * cpu_seconds(experiment, threads, continued) / 60))


def weights(experiment: Experiment) -> int:
    """Estimate how many weights the experiment's model multiplies: all but the input embeddings."""
    model = experiment.model
    encoder, decoder = model.encoder_embed_dim or 512, model.decoder_embed_dim or 512
    count = (model.encoder_layers or 6) * (4 * encoder**2 + 2 * encoder * (model.encoder_ffn_embed_dim or 1024))
    count += (model.decoder_layers or 6) * (8 * decoder**2 + 2 * decoder * (model.decoder_ffn_embed_dim or 1024))
    return count + decoder * experiment.text.subwords


def update_freq(training: Training) -> int:
    """Return the batches in an update; if the number changes over the epochs, the last one's."""
    value = ast.literal_eval(str((training.model_extra or {}).get("update_freq") or 1))  # as fairseq reads it
    return int(value[-1] if isinstance(value, list | tuple) else value)


def update_tokens(training: Training) -> int:
    """Return the target tokens of an update at most: a batch of each process, or `update_freq` of them."""
    return training.max_tokens * training.gpus * update_freq(training)


def target_tokens(experiment: Experiment, continued: Experiment | None = None) -> int:
    """Estimate how many target tokens the experiment's training processes, after the one that it continues."""
    training, lengths = experiment.training, []
    if training.max_update:
        lengths.append(training.max_update * update_tokens(training))
    if training.max_epoch:
        lengths.append(training.max_epoch * experiment.corpus.training_pairs() * TOKENS_PER_PAIR)
    return max(0, min(lengths) - (target_tokens(continued) if continued else 0))


def cpu_seconds(experiment: Experiment, threads: int, continued: Experiment | None = None) -> float:
    """Estimate the seconds of the experiment's training on a CPU, without validation.

    Args:
        experiment: for the model's size and the training's length.
        threads: CPU cores used.
        continued: that of the training that it continues.
    """
    return target_tokens(experiment, continued) * 6 * weights(experiment) / (FLOPS_PER_CORE * threads)


def refusal(experiment: Experiment, threads: int, continued: Experiment | None = None) -> str | None:
    """Return why a training should not start here, in one sentence with the way out; None if it may.

    Args:
        experiment: the training's.
        threads: CPU threads that it may have.
        continued: that of the training that it continues.
    """
    wanted, number = experiment.runtime.device, experiment.training.gpus
    if (experiment.runtime.nodes or 1) > 1 and "SLURM_JOB_ID" not in os.environ:
        return f"runtime.nodes={experiment.runtime.nodes}: {NO_NODES}"
    if wanted == "cuda" and not device.gpus():
        return NO_GPU
    if device.uses_gpu(experiment.runtime) and number // (experiment.runtime.nodes or 1) > len(device.gpus()):
        visible = device.gpus()
        here = "1 is visible here" if len(visible) == 1 else f"{len(visible)} are visible here"
        return (
            f"training.gpus={number}: {here} ({','.join(visible)}); lower it, use a machine with more, or train in as "
            'many processes on the CPU with overrides="runtime.device=cpu".'
        )
    if device.uses_gpu(experiment.runtime) or wanted == "cpu":
        return None
    if experiment.training.bf16 is True and not device.has_bf16():
        return (
            "training.bf16=true: this processor has no bf16 units, so that it would train slower than in float32; "
            'set it to auto or false, or insist with overrides="runtime.device=cpu".'
        )
    seconds = cpu_seconds(experiment, threads, continued)
    if seconds <= PATIENCE:
        return None
    about = "at most about" if experiment.training.patience else "about"
    return (
        f"{experiment.model.arch} would train {about} {seconds / 86400:.1f} days on {threads} CPU cores, and no GPU is "
        'visible here; insist with overrides="runtime.device=cpu", or try recipe=cpu_iwslt14, recipe=cpu_small or '
        "recipe=demo."
    )
