"""python -m bleuprint.text.apply_bpe: do what `subword-nmt apply-bpe` does, but segment each word only once.

With --dropout merges are left out at random in train (Provilkov et al. 2020, arXiv 1910.13267); then subword-nmt itself
segments each word as often as it occurs. Validation and test text keep all merges.
"""

import argparse
import random
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path

from subword_nmt.apply_bpe import BPE

from bleuprint.files import replacing_folder, write_lines
from bleuprint.text.segmentations import outputs, seed


class Segments(dict[str, str]):
    """Word → its subwords, separated by spaces, all but the last marked with @@; computed when first asked for."""

    def __init__(self, codes: Path) -> None:
        super().__init__()
        self._bpe = read(codes)

    def __missing__(self, word: str) -> str:
        subwords: str = self._bpe.segment(word)
        self[word] = subwords
        return subwords


def read(codes: Path) -> BPE:
    """Return subword-nmt's object of a file of merges."""
    with open(codes, encoding="utf-8", newline="\n") as file:
        return BPE(file)


@cache
def _segments(codes: Path) -> Segments:
    return Segments(codes)


def apply(task: tuple[Path, str], codes: Path, output: Path, dropout: float | None = None) -> None:
    """Segment a file of tokens separated by single spaces.

    Args:
        task: the file, and the name under which the result is written; the name is the seed.
        codes: the merges.
        output: folder of the result.
        dropout: probability with which a merge is left out of the training text; None: none is.
    """
    path, name = task
    with open(path, encoding="utf-8", newline="\n") as file:
        lines = (line.removesuffix("\n") for line in file)
        if dropout and path.stem == "train":
            bpe = read(codes)  # of its own: it remembers words as it last segmented them
            random.seed(seed(name))  # subword-nmt draws from Python's own generator
            write_lines(output / name, (bpe.segment(line, dropout) for line in lines))
        else:
            segments = _segments(codes)
            write_lines(output / name, (" ".join(map(segments.__getitem__, line.split(" "))) for line in lines))


def main() -> None:
    """Segment files from the command line."""
    parser = argparse.ArgumentParser(prog="bleuprint.text.apply_bpe", description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", help="tokenised text")
    parser.add_argument("--codes", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="folder")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--dropout", type=float, help="probability with which a merge of train is left out")
    parser.add_argument("--segmentations", type=int, default=1, help="how many of train")
    arguments = parser.parse_args()
    tasks = outputs(arguments.files, arguments.segmentations)
    with replacing_folder(arguments.output) as folder, ProcessPoolExecutor(arguments.workers) as pool:
        list(pool.map(partial(apply, codes=arguments.codes, output=folder, dropout=arguments.dropout), tasks))


if __name__ == "__main__":
    main()
