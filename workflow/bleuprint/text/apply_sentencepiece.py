"""python -m bleuprint.text.apply_sentencepiece: split text into SentencePiece's pieces, as `spm_encode` does."""

import argparse
from itertools import islice
from pathlib import Path

from bleuprint.files import replacing_folder, write_lines
from bleuprint.text.pieces import Segmenter

LINES = 100_000  # that are in memory at once


def apply(path: Path, segmenter: Segmenter, output: Path, workers: int) -> None:
    """Segment a file of text; write the pieces, separated by spaces, under the same name into `output`."""
    with open(path, encoding="utf-8", newline="\n") as file:
        lines = (line.removesuffix("\n") for line in file)
        chunks = iter(lambda: list(islice(lines, LINES)), [])
        write_lines(
            output / path.name, (" ".join(pieces) for chunk in chunks for pieces in segmenter.all(chunk, workers))
        )


def main() -> None:
    """Segment files from the command line."""
    parser = argparse.ArgumentParser(prog="bleuprint.text.apply_sentencepiece", description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", help="text")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="folder")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    segmenter = Segmenter(arguments.model)
    with replacing_folder(arguments.output) as folder:
        for path in arguments.files:
            apply(path, segmenter, folder, arguments.workers)


if __name__ == "__main__":
    main()
