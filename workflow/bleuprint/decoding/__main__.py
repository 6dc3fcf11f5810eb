"""python -m bleuprint.decoding: read fairseq-generate's output, write the hypotheses in the test set's order.

The translation of an empty line is empty.
"""

import argparse
from pathlib import Path

from bleuprint.config.segmenters import SEGMENTERS
from bleuprint.decoding.hypotheses import hypotheses, write
from bleuprint.files import exit_with_message, read_lines
from bleuprint.text.tokenisers import TOKENISERS


@exit_with_message()
def main() -> None:
    """Write both outputs; a missing hypothesis ends in one sentence."""
    parser = argparse.ArgumentParser(prog="bleuprint.decoding", description=__doc__)
    parser.add_argument("--generated", type=Path, required=True, help="fairseq-generate's generate-test.txt")
    parser.add_argument("--references", type=Path, required=True, help="the tokenised test set's target side")
    parser.add_argument("--source", type=Path, required=True, help="the tokenised test set's source side")
    parser.add_argument("--language", required=True, help="the target language")
    parser.add_argument("--tokenizer", choices=list(TOKENISERS), default="moses", help="what the text stage used")
    parser.add_argument("--segmenter", choices=list(SEGMENTERS), default="subword_nmt", help="likewise")
    parser.add_argument("--no-byte-fallback", action="store_true", help="of SentencePiece: <0x41> is text")
    parser.add_argument("--tokens", type=Path, required=True, help="output: hypotheses as tokens")
    parser.add_argument("--text", type=Path, required=True, help="output: hypotheses detokenised")
    arguments = parser.parse_args()
    sentences = len(read_lines(arguments.references))
    tokens = hypotheses(read_lines(arguments.generated), sentences, arguments.segmenter, not arguments.no_byte_fallback)
    tokens = [line if source else "" for line, source in zip(tokens, read_lines(arguments.source), strict=True)]
    write(tokens, arguments.language, arguments.tokenizer, arguments.tokens, arguments.text)


if __name__ == "__main__":
    main()
