"""Turn the engines' output into hypotheses of whole words, in the order of the source."""

import re
from pathlib import Path

from bleuprint.files import DataError, write_lines
from bleuprint.text.segmenters import module
from bleuprint.text.tokenisers import TOKENISERS

HYPOTHESIS = re.compile(r"H-(\d+)\t[^\t]*\t(.*)")


def hypotheses(
    generated: list[str], sentences: int, segmenter: str = "subword_nmt", byte_fallback: bool = True
) -> list[str]:
    """Return the best hypothesis of each sentence in the order of the source; fairseq sorts them by length.

    Args:
        generated: the lines of fairseq-generate's output file, for instance `generate-test.txt`.
        sentences: the number of sentences in that set.
        segmenter: what the text stage used; fairseq has joined its subwords.
        byte_fallback: it spells characters that no subword has in bytes, if it is SentencePiece.

    Raises:
        DataError: a sentence is missing or unknown, or subwords are left.
    """
    best: dict[int, str] = {}
    for line in generated:
        if match := HYPOTHESIS.fullmatch(line):
            best.setdefault(int(match[1]), match[2])  # the first of an n-best list is the best
    missing = [number for number in range(sentences) if number not in best]
    if missing or len(best) != sentences:
        raise DataError(
            f"fairseq-generate translated {len(best) - len(best.keys() - set(range(sentences)))} of {sentences} "
            f"sentences (missing: {missing[:5]}); required_batch_size_multiple must be 1."
        )
    ordered = [best[number] for number in range(sentences)]
    joined = module(segmenter)
    for number, line in enumerate(ordered, 1):
        if joined.LEFT.search(line):
            raise DataError(f"hypothesis {number} still has subwords ({line!r}); decoding.remove_bpe must be auto.")
    return [joined.restore(line, byte_fallback) for line in ordered]


def write(hypotheses: list[str], language: str, tokenizer: str, tokens: Path, text: Path) -> None:
    """Write the hypotheses as tokens and as running text.

    Args:
        hypotheses: lines of tokens.
        language: the target language.
        tokenizer: what the text stage used, of text/tokenisers.py.
        tokens: output, tokens.
        text: output, detokenised; written last, so that where it exists both do.
    """
    write_lines(tokens, hypotheses)
    write_lines(text, (TOKENISERS[tokenizer].detokenise(line, language) for line in hypotheses))
    print(f"{len(hypotheses):,} hypotheses")
