"""End a training when a batch does not fit into the GPU's memory.

fairseq warns in its log and leaves the batch out, so that the training sees other data than it was given.
"""

from functools import partialmethod

from fairseq.trainer import Trainer


def install() -> None:
    """Let fairseq's training step raise the error: it has a parameter for that, which fairseq-train does not pass.

    The step of validation stays as it is: it computes the batch once more with all cached memory freed, then raises.
    """
    Trainer.train_step = partialmethod(Trainer.train_step, raise_oom=True)
