"""Say in one sentence that the model that a training starts from has another shape: fairseq ends with a traceback."""

import sys
from collections.abc import Callable
from typing import Any

from fairseq import checkpoint_utils

MISMATCH = "Cannot load model parameters"  # how fairseq's exception begins


def loading(load: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap fairseq's function that loads the checkpoint which a training starts or resumes from."""

    def wrapped(cfg: Any, trainer: Any, **arguments: Any) -> Any:
        try:
            return load(cfg, trainer, **arguments)
        except Exception as error:
            if not str(error).startswith(MISMATCH):
                raise
            reason = " ".join(str(error.__context__ or error).split())
            print(
                f"bleuprint: {cfg.finetune_from_model or 'the checkpoint'}: the model that the training starts from "
                f"has another shape; choose the same model and sizes ({reason[:300]})",
                flush=True,
            )
            sys.exit(1)

    return wrapped


def install() -> None:
    """Wrap the function in this process, which is fairseq-train: it has no check of its own."""
    checkpoint_utils.load_checkpoint = loading(checkpoint_utils.load_checkpoint)
