"""What a training costs before it has run."""

from typing import Any

from bleuprint.config.schema import Experiment
from bleuprint.machine.device import uses_gpu, weights

PROCESS = 2**29  # bytes of a process that has loaded torch and fairseq
WORKING = 16  # bytes of a weight while training: itself, Adam's two moments and the gradient, in float32
# Bytes that a token of a batch takes until the backward pass: for each type of the vocabulary (logits, their logarithms
# and gradients, in float32), and for each channel of each layer. Measured on a CPU: 1.0 GiB for transformer_tiny, 3.3
# for the IWSLT Transformer.
VOCABULARY = 12
CHANNEL = 60
CROSS = 1.5  # a decoder layer, which also attends to the source, as a multiple of an encoder layer


def training_memory(experiment: Experiment) -> float:
    """Return about how many bytes of this machine's memory a training needs at least, its loaders included."""
    flags: dict[str, Any] = experiment.model.flags() | experiment.training.flags()
    on_gpu = uses_gpu(experiment.runtime)
    processes = 1.0 + float(flags.get("num_workers", on_gpu))  # itself and its loaders
    if on_gpu:  # the model is in the GPU's memory
        return PROCESS * processes
    channels = 1.0 * (experiment.model.encoder_layers or 6) * (experiment.model.encoder_embed_dim or 512)
    channels += CROSS * (experiment.model.decoder_layers or 6) * (experiment.model.decoder_embed_dim or 512)
    batch = experiment.training.max_tokens * (VOCABULARY * experiment.text.merges + CHANNEL * channels)
    # A loader is a copy of the training, as the training rewrites the memory that they share at first
    return (PROCESS + WORKING * weights(experiment) + batch) * processes
