"""Call fairseq for tests, in a process of its own: importing it changes the state of Hydra and of logging."""

import logging
import multiprocessing
import sys
from pathlib import Path

from bleuprint.config.flags import argv


def without_bpe(lines: list[str], symbol: str = "@@ ") -> list[str]:
    """Return translations as --remove-bpe leaves them; a value of that flag is the symbol."""
    from fairseq.data import data_utils

    return [data_utils.post_process(line, symbol) for line in lines]


def binarised(folder: Path, parts: list[str], workers: int) -> tuple[dict[str, int], dict[str, list[list[int]]]]:
    """Run fairseq-preprocess on each PART.de in `folder`; return the dictionary's index, and the ids of each line."""
    from fairseq import options
    from fairseq.data import Dictionary, indexed_dataset
    from fairseq_cli import preprocess

    logging.disable()
    multiprocessing.set_start_method("fork", force=True)  # for its workers, as where a shell started it
    flags = {"source_lang": "de", "target_lang": "en", "only_source": True, "workers": workers}
    prefixes = {f"{part}pref": folder / part for part in parts}
    words = argv(flags | prefixes | {"destdir": folder / "bin"})
    preprocess.main(options.get_preprocessing_parser().parse_args(words))
    for handler in list(preprocess.logger.handlers):  # one more log file with each call
        preprocess.logger.removeHandler(handler)
        handler.close()
    index = Dictionary.load(str(folder / "bin/dict.de.txt")).indices
    data = {part: indexed_dataset.make_dataset(str(folder / f"bin/{part}.de-en.de"), "mmap") for part in parts}
    return index, {part: [ids.tolist() for ids in lines] for part, lines in data.items()}


def trained(folder: Path, sessions: list[tuple[str, int]]) -> dict[str, list[str]]:
    """Run fairseq-train with bleuprint's plugin on the made-up `folder`/train.{de,en}, one session after the other.

    Args:
        folder: also for the save-dirs.
        sessions: save-dir and number of updates after which it ends; a second one in a save-dir resumes the first.

    Returns:
        The types that modules of type Linear return, in `training` and `validation`; and the module of `dropout`.
    """
    import torch
    from fairseq import options
    from fairseq.modules import fairseq_dropout
    from fairseq_cli import preprocess, train

    logging.disable()
    pair = {"source_lang": "de", "target_lang": "en"}
    prefixes = {"trainpref": folder / "train", "validpref": folder / "train", "destdir": folder / "bin"}
    if not (folder / "bin").exists():
        preprocess.main(options.get_preprocessing_parser().parse_args(argv(pair | prefixes)))
    found: dict[str, set[str]] = {"training": set(), "validation": set()}

    def note(module: torch.nn.Module, given: object, made: object) -> None:
        if isinstance(module, torch.nn.Linear) and isinstance(made, torch.Tensor):
            found["training" if module.training else "validation"].add(str(made.dtype))

    torch.nn.modules.module.register_module_forward_hook(note)
    plugin = Path(__file__).parents[1] / "workflow/bleuprint/fairseq_plugin"
    layer = {"layers": 1, "embed_dim": 32, "ffn_embed_dim": 64, "attention_heads": 2}
    flags = {f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in layer.items()}
    flags |= {"arch": "transformer_iwslt_de_en", "criterion": "label_smoothed_cross_entropy", "optimizer": "adam"}
    flags |= {"max_tokens": 200, "lr": 0.01, "update_epoch_batch_itr": "True", "cpu": True, "user_dir": plugin}
    for name, updates in sessions:
        words = argv(flags | {"max_update": updates, "save_dir": folder / name, "num_workers": 0})
        sys.argv = ["fairseq-train", str(folder / "bin"), *words]
        train.cli_main()
    found["dropout"] = {fairseq_dropout.F.dropout.__module__}
    return {when: sorted(types) for when, types in found.items()}
