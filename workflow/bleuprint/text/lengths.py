"""python -m bleuprint.text.lengths: warn of lines that are too long for fairseq's models, before the training."""

import argparse
import sys
from pathlib import Path

from bleuprint.files import read_lines

POSITIONS = 1024  # fairseq's max_source_positions and max_target_positions, unless the model sets others


def too_long(lines: list[str]) -> list[int]:
    """Return the numbers, from 1, of the lines with more subwords than fit; the end of the sentence counts, too."""
    return [number for number, line in enumerate(lines, 1) if line.count(" ") + 2 > POSITIONS]


def main() -> None:
    """Check files from the command line; each one with such lines gives a warning on standard error."""
    parser = argparse.ArgumentParser(prog="bleuprint.text.lengths", description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", help="PART.LANGUAGE files, segmented by BPE")
    for path in parser.parse_args().files:
        if numbers := too_long(read_lines(path)):
            effect = (
                "fairseq-train leaves them out" if path.stem.startswith("train") else "no training on this text starts"
            )
            readers = ("model", "decoding") if path.stem == "test" else ("model",)
            keys = [f"+{reader}.max_{side}_positions" for reader in readers for side in ("source", "target")]
            print(
                f"WARNING: {path}: {len(numbers):,} lines of {POSITIONS:,} subwords or more, the first is line "
                f"{numbers[0]}; {effect}: shorten them, or raise {', '.join(keys[:-1])} and {keys[-1]}.",
                file=sys.stderr,
            )


if __name__ == "__main__":
    main()
