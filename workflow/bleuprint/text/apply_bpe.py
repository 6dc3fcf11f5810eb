"""python -m bleuprint.text.apply_bpe: do what `subword-nmt apply-bpe` does, but segment each word only once."""

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path

from subword_nmt.apply_bpe import BPE

from bleuprint.files import replacing_folder, write_lines


class Segments(dict[str, str]):
    """Word → its subwords, separated by spaces, all but the last marked with @@; computed when first asked for."""

    def __init__(self, codes: Path) -> None:
        super().__init__()
        with open(codes, encoding="utf-8", newline="\n") as file:
            self._bpe = BPE(file)

    def __missing__(self, word: str) -> str:
        subwords: str = self._bpe.segment(word)
        self[word] = subwords
        return subwords


@cache
def _segments(codes: Path) -> Segments:
    return Segments(codes)


def apply(path: Path, codes: Path, output: Path) -> None:
    """Segment a file of tokens separated by single spaces; write the result under the same name into `output`."""
    segments = _segments(codes)
    with open(path, encoding="utf-8", newline="\n") as file:
        lines = (" ".join(map(segments.__getitem__, line.removesuffix("\n").split(" "))) for line in file)
        write_lines(output / path.name, lines)


def main() -> None:
    """Segment files from the command line."""
    parser = argparse.ArgumentParser(prog="bleuprint.text.apply_bpe", description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", help="tokenised text")
    parser.add_argument("--codes", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="folder")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    with replacing_folder(arguments.output) as folder, ProcessPoolExecutor(arguments.workers) as pool:
        list(pool.map(partial(apply, codes=arguments.codes, output=folder), arguments.files))


if __name__ == "__main__":
    main()
