"""Train only a part of the model: `training.freeze` names the other parameters by patterns."""

import logging
import sys
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from fairseq.trainer import Trainer
from torch import nn

from bleuprint.training.save_dir import read_options
from bleuprint.training.stopped import frozen_line

LOGGER = logging.getLogger(__name__)
SHOWN = 4  # names in a message


class FreezeError(Exception):
    """The patterns of training.freeze do not fit the model."""


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Freeze the parameters that a pattern matches; one with several names, as in shared embeddings, goes by any.

    Args:
        model: fairseq's.
        patterns: as `fnmatch` has them, such as `encoder.*`.

    Raises:
        FreezeError: a pattern matches no parameter, or all are matched.
    """
    named = list(model.named_parameters(remove_duplicate=False))
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name, _ in named):
            raise FreezeError(
                f"training.freeze: {pattern} matches no parameter of the model, which has {_some(named)}; correct it"
            )
    for name, parameter in named:
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            parameter.requires_grad_(False)
    parameters = list(model.parameters())
    frozen = [parameter for parameter in parameters if not parameter.requires_grad]
    if len(frozen) == len(parameters):
        raise FreezeError(
            f"training.freeze: {', '.join(patterns)} freezes all parameters of the model; leave some to be trained"
        )
    sizes = [sum(parameter.numel() for parameter in group) for group in (frozen, parameters)]
    LOGGER.info(frozen_line(sizes[0], sizes[1], len(frozen), list(patterns)))


def _some(named: list[tuple[str, nn.Parameter]]) -> str:
    """Return some names from all parts of the model, and how many there are besides."""
    names = [name for name, _ in named][:: max(1, len(named) // SHOWN)][:SHOWN]
    others = len(named) - len(names)
    return ", ".join(names) + (f" and {others} more" if others else "")


def freezing(init: Callable[..., None]) -> Callable[..., None]:
    """Wrap the trainer's start: it has the model and the config, and builds the optimizer later."""

    def start(trainer: Any, cfg: Any, task: Any, model: Any, *arguments: Any) -> None:
        if patterns := read_options(Path(cfg.checkpoint.save_dir)).freeze:
            try:
                freeze(model, patterns)
            except FreezeError as error:
                print(f"bleuprint: {error}", flush=True)
                sys.exit(1)
        init(trainer, cfg, task, model, *arguments)

    return start


def install() -> None:
    """Wrap fairseq's trainer, whose optimizer gets only parameters that need a gradient."""
    Trainer.__init__ = freezing(Trainer.__init__)
