"""Train with fairseq in processes that kill themselves at chosen moments, for test_early_stopping.py.

A process that has loaded fairseq forks one for each session, so that a session takes a second and not five.
"""

import io
import json
import logging
import os
import sys
import traceback
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import fairseq.utils
import fairseq_cli.train as program
import torch
import torch._dynamo  # the first optimizer imports it, in a second
from fairseq import checkpoint_utils, options
from fairseq.trainer import Trainer
from fairseq_cli import preprocess

from bleuprint.config.flags import argv
from bleuprint.plan.fairseq_flags import PLUGIN

USER_DIR = str(PLUGIN.absolute())
LAYER = {"layers": 1, "embed_dim": 16, "ffn_embed_dim": 32, "attention_heads": 2}
FLAGS: dict[str, Any] = {
    **{f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in LAYER.items()},
    **{"arch": "transformer_iwslt_de_en", "criterion": "label_smoothed_cross_entropy", "optimizer": "adam"},
    **{"max_tokens": 200, "lr": 0.03, "update_epoch_batch_itr": "True", "cpu": True, "num_workers": 0},
    **{"max_epoch": 30, "keep_last_epochs": 1, "log_format": "json", "user_dir": USER_DIR},
}


def kill_at(moment: str, update: int, number: int) -> None:
    """Let this process send itself a signal at the first such moment after so many updates."""

    def reached(trainer: Any) -> None:
        if trainer.get_num_updates() >= update:
            os.kill(os.getpid(), number)

    step, validate, save = Trainer.train_step, program.validate, program.validate_and_save
    write = checkpoint_utils._torch_persistent_save

    def train_step(trainer: Any, *arguments: Any, **options: Any) -> Any:
        if moment == "updating":
            reached(trainer)
        return step.__get__(trainer)(*arguments, **options)

    def validation(cfg: Any, trainer: Any, *arguments: Any) -> Any:
        losses = validate(cfg, trainer, *arguments)
        if moment == "validated":
            reached(trainer)
        return losses

    def after(cfg: Any, trainer: Any, task: Any, epoch_itr: Any, subsets: Any, end_of_epoch: bool) -> Any:
        result = save(cfg, trainer, task, epoch_itr, subsets, end_of_epoch)
        if moment == "saved" and end_of_epoch:
            reached(trainer)
        return result

    def half(state: dict[str, Any], file: BinaryIO) -> None:
        if moment == "writing" and state["optimizer_history"][-1]["num_updates"] >= update:
            whole = io.BytesIO()
            torch.save(state, whole)
            file.write(whole.getvalue()[: len(whole.getvalue()) // 2])
            file.flush()
            os.kill(os.getpid(), number)
        write(state, file)

    Trainer.train_step, program.validate, program.validate_and_save = train_step, validation, after
    checkpoint_utils._torch_persistent_save = half


def session(folder: Path, name: str, flags: dict[str, Any], kill: tuple[str, int, int] | None, often: bool) -> int:
    """Train in a process of its own, and return its exit status: minus the signal, where one has ended it.

    Args:
        folder: of the binarised text in `bin`, the save-dirs, and their logs.
        name: of the save-dir.
        flags: that differ from FLAGS; with `user_dir` null fairseq trains without bleuprint's plugin.
        kill: the moment, after how many updates, and the signal.
        often: save a checkpoint after each update, not at the ends of epochs only.
    """
    child = os.fork()
    if child == 0:
        exit_status(folder / f"{name}.log", folder, name, FLAGS | flags, kill, often)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def exit_status(log: Path, *arguments: Any) -> NoReturn:
    """Train in this process, write to a log, and end.

    Args:
        log: appended to.
        arguments: of `train`.
    """
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    status = 1
    try:
        status = train(*arguments)
    except SystemExit as end:
        status = int(end.code or 0)
    except Exception:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def train(folder: Path, name: str, flags: dict[str, Any], kill: tuple[str, int, int] | None, often: bool) -> int:
    """Call fairseq-train in this process, and return its exit status."""
    if flags["user_dir"]:
        fairseq.utils.import_user_module(Namespace(user_dir=USER_DIR))
        sys.modules["fairseq_plugin.resumable"].SHARE = 0 if often else 1_000_000  # type: ignore[attr-defined]
    else:
        torch.serialization.add_safe_globals([Namespace])  # torch loads no other classes than those named to it
    if kill:
        kill_at(*kill)
    sys.argv = ["fairseq-train", str(folder / "bin"), *argv(flags | {"save_dir": folder / name})]
    program.cli_main()
    return 0


def main(session: Callable[..., Any]) -> None:
    """Run the sessions that standard input lists, and print what `session` returns of each."""
    folder, sessions = Path(sys.argv[1]), json.load(sys.stdin)
    pair = {"source_lang": "de", "target_lang": "en"}
    prefixes = {f"{part}pref": folder / part for part in ("train", "valid")}
    preprocess.main(options.get_preprocessing_parser().parse_args(argv(pair | prefixes | {"destdir": folder / "bin"})))
    logging.getLogger().handlers[0].setStream(sys.stdout)  # type: ignore[attr-defined]
    print(json.dumps([session(folder, *words) for words in sessions]))


if __name__ == "__main__":
    main(session)
