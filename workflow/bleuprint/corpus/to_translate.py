"""python -m bleuprint.corpus.to_translate: write text that a model shall translate as a test set without references.

The references are blank lines, which fairseq's programs need; nothing is scored by them.
"""

import argparse
from pathlib import Path

from bleuprint.corpus.lines import in_share
from bleuprint.corpus.own_text import read_side
from bleuprint.files import DataError, exit_with_message, replacing_folder, write_lines


def text(files: list[Path], share: tuple[float, float] | None) -> list[str]:
    """Return the lines to translate.

    Args:
        files: of text in one language.
        share: which part of all their lines, 0 to 1; None: all.

    Raises:
        DataError: a file is wrong, or no line is left.
    """
    lines = [line for path in files for line in read_side(path)]
    chosen = in_share(lines, share)
    if not any(line.strip() for line in chosen):
        raise DataError(f"{files[0]}: no text to translate; check corpus.translated.text and corpus.translated.share")
    return chosen


@exit_with_message(OSError)
def main() -> None:
    """Write the text from the command line; bad input ends in one sentence."""
    parser = argparse.ArgumentParser(prog="bleuprint.corpus.to_translate", description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", help="text in the source language")
    parser.add_argument("--share", type=float, nargs=2, help="which part of the lines, from and to, 0 to 1")
    parser.add_argument("--source", required=True, help="the language of the text")
    parser.add_argument("--target", required=True, help="the language that it is translated into")
    parser.add_argument("--output", type=Path, required=True, help="folder for test.SOURCE and test.TARGET")
    arguments = parser.parse_args()
    lines = text(arguments.files, arguments.share)
    with replacing_folder(arguments.output) as folder:
        write_lines(folder / f"test.{arguments.source}", lines)
        write_lines(folder / f"test.{arguments.target}", [""] * len(lines))
    print(f"{len(lines):,} lines to translate")


if __name__ == "__main__":
    main()
