"""python -m bleuprint.decoding: fairseq-generate's output → hypotheses in test order, tokens and running text."""

import argparse
import re
import sys
from pathlib import Path

from bleuprint.files import DataError, read_lines, write_lines
from bleuprint.text.moses import detokenize

HYPOTHESIS = re.compile(r"H-(\d+)\t[^\t]*\t(.*)")


def hypotheses(generated: list[str], sentences: int) -> list[str]:
    """The best hypothesis of each test sentence, in test order; fairseq writes them sorted by length.

    Args:
        generated: lines of `generate-test.txt`.
        sentences: how many the test set has.

    Raises:
        DataError: a sentence is missing or unknown, or a BPE marker is left.
    """
    best: dict[int, str] = {}
    for line in generated:
        if match := HYPOTHESIS.fullmatch(line):
            best.setdefault(int(match[1]), match[2])  # of an n-best list the first is the best
    missing = [number for number in range(sentences) if number not in best]
    if missing or len(best) != sentences:
        raise DataError(
            f"fairseq-generate translated {len(best) - len(best.keys() - set(range(sentences)))} of {sentences} "
            f"test sentences (missing: {missing[:5]}); required_batch_size_multiple must be 1."
        )
    ordered = [best[number] for number in range(sentences)]
    for number, tokens in enumerate(ordered, 1):
        if "@@ " in tokens + " ":
            raise DataError(f"hypothesis {number} still has a BPE marker ({tokens!r}); remove_bpe must be true.")
    return ordered


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
    write_lines(arguments.tokens, tokens)
    text = (detokenize(line, arguments.language) for line in tokens) if arguments.tokenizer == "moses" else tokens
    write_lines(arguments.text, text)
    print(f"{len(tokens):,} hypotheses")


if __name__ == "__main__":
    main()
