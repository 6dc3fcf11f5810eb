"""python -m bleuprint.text.test_set: prepare a further test set as the text stage prepared its own.

Nothing is left out: line n of each reference translates line n of the source. Of text that is translated for another's
training, lines that are too long for that become blank.
"""

import argparse
from pathlib import Path
from typing import Any

import yaml

from bleuprint.files import read_lines, replacing_folder, write_lines
from bleuprint.scoring import reference_files
from bleuprint.text.tokenise import tokens_of


def prepare(raw: Path, output: Path, config: dict[str, Any], longest: int | None = None) -> int:
    """Tokenise the source and all references.

    Args:
        raw: folder with `test.SOURCE`, `test.TARGET` and, of more references, `test.TARGET.1` and so on.
        output: folder for tokenised files of the same names.
        config: the text stage's slice.
        longest: most tokens of a line; a longer one becomes blank; None: any number.

    Returns:
        The number of lines.
    """
    lines: list[str] = []
    for side, language in enumerate((config["source"], config["target"])):
        for path in reference_files(raw / f"test.{language}"):
            lines = tokens_of(read_lines(path), language, side, config)
            if longest is not None:
                lines = [line if len(line.split()) <= longest else "" for line in lines]
            write_lines(output / path.name, lines)
    return len(lines)


def main() -> None:
    """Prepare a test set from the command line."""
    parser = argparse.ArgumentParser(prog="bleuprint.text.test_set", description=__doc__)
    parser.add_argument("--text", type=Path, required=True, help="the text stage's folder")
    parser.add_argument("--raw", type=Path, required=True, help="folder of the raw test set")
    parser.add_argument("--output", type=Path, required=True, help="folder")
    parser.add_argument("--longest", type=int, help="most tokens of a line; a longer one becomes blank")
    arguments = parser.parse_args()
    config = yaml.safe_load((arguments.text / "config.yaml").read_text(encoding="utf-8"))
    with replacing_folder(arguments.output) as folder:
        print(f"test: {prepare(arguments.raw, folder, config, arguments.longest):,} lines")


if __name__ == "__main__":
    main()
