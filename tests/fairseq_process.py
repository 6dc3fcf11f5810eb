"""What tests ask fairseq itself, in a process of its own: importing it changes the state of Hydra and of logging."""

import logging
import multiprocessing
from pathlib import Path

from bleuprint.flags import argv


def without_bpe(lines: list[str]) -> list[str]:
    """What --remove-bpe makes of translations."""
    from fairseq.data import data_utils

    return [data_utils.post_process(line, "@@ ") for line in lines]


def binarised(folder: Path, parts: list[str], workers: int) -> tuple[dict[str, int], dict[str, list[list[int]]]]:
    """fairseq-preprocess of each PART.de in `folder`, read again: the dictionary's index, and the ids of each line."""
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
