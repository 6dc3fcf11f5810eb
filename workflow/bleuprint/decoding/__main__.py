"""python -m bleuprint.decoding: fairseq-generate's output → hypotheses in test order, tokens and running text."""

import argparse
import sys
from pathlib import Path

from bleuprint.decoding.hypotheses import hypotheses, write
from bleuprint.files import DataError, read_lines


def main() -> None:
    """Entry point; a wrong count ends in one sentence."""
    parser = argparse.ArgumentParser(prog="bleuprint.decoding", description=__doc__)
    parser.add_argument("--generated", type=Path, required=True, help="fairseq-generate's generate-test.txt")
    parser.add_argument("--references", type=Path, required=True, help="the tokenised test set's target side")
    parser.add_argument("--language", required=True, help="the target language")
    parser.add_argument("--tokenizer", choices=["moses", "none"], default="moses", help="what the text stage used")
    parser.add_argument("--tokens", type=Path, required=True, help="output: hypotheses as tokens")
    parser.add_argument("--text", type=Path, required=True, help="output: hypotheses detokenised")
    arguments = parser.parse_args()
    try:
        tokens = hypotheses(read_lines(arguments.generated), len(read_lines(arguments.references)))
    except DataError as error:
        sys.exit(f"bleuprint: {error}")
    write(tokens, arguments.language, arguments.tokenizer, arguments.tokens, arguments.text)


if __name__ == "__main__":
    main()
