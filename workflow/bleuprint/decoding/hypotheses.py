"""Turn the engines' output into hypotheses without BPE, in the order of the source."""

import re
from pathlib import Path

from bleuprint.files import DataError, write_lines
from bleuprint.text.tokenisers import TOKENISERS

HYPOTHESIS = re.compile(r"H-(\d+)\t[^\t]*\t(.*)")


def hypotheses(generated: list[str], sentences: int) -> list[str]:
    """Return the best hypothesis of each sentence in the order of the source; fairseq sorts them by length.

    Args:
        generated: the lines of fairseq-generate's output file, for instance `generate-test.txt`.
        sentences: the number of sentences in that set.

    Raises:
        DataError: a sentence is missing or unknown, or a BPE marker is left.
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
    for number, tokens in enumerate(ordered, 1):
        if "@@ " in tokens + " ":
            raise DataError(f"hypothesis {number} still has a BPE marker ({tokens!r}); remove_bpe must be true.")
    return ordered


def without_bpe(tokens: list[str]) -> str:
    """Join the tokens to a line and undo BPE, as fairseq's `post_process` does."""
    return (" ".join(tokens) + " ").replace("@@ ", "").rstrip()


def write(hypotheses: list[str], language: str, tokenizer: str, tokens: Path, text: Path) -> None:
    """Write the hypotheses as tokens and as running text.

    Args:
        hypotheses: lines of tokens without BPE.
        language: the target language.
        tokenizer: what the text stage used, of text/tokenisers.py.
        tokens: output, tokens.
        text: output, detokenised; written last, so that where it exists both do.
    """
    write_lines(tokens, hypotheses)
    write_lines(text, (TOKENISERS[tokenizer].detokenise(line, language) for line in hypotheses))
    print(f"{len(hypotheses):,} hypotheses")
