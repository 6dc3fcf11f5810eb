"""What the engines put out → hypotheses without BPE, in the order of what was translated."""

import re
from pathlib import Path

from bleuprint.files import DataError, write_lines

HYPOTHESIS = re.compile(r"H-(\d+)\t[^\t]*\t(.*)")


def hypotheses(generated: list[str], sentences: int) -> list[str]:
    """The best hypothesis of each sentence, in their order; fairseq writes them sorted by length.

    Args:
        generated: lines of `generate-test.txt`, or of another set's.
        sentences: how many that set has.

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
            f"sentences (missing: {missing[:5]}); required_batch_size_multiple must be 1."
        )
    ordered = [best[number] for number in range(sentences)]
    for number, tokens in enumerate(ordered, 1):
        if "@@ " in tokens + " ":
            raise DataError(f"hypothesis {number} still has a BPE marker ({tokens!r}); remove_bpe must be true.")
    return ordered


def without_bpe(tokens: list[str]) -> str:
    """The tokens as a line, BPE undone; as fairseq's `post_process` does."""
    return (" ".join(tokens) + " ").replace("@@ ", "").rstrip()


def write(hypotheses: list[str], language: str, tokenizer: str, tokens: Path, text: Path) -> None:
    """Write the hypotheses as tokens and as running text.

    Args:
        hypotheses: lines of tokens without BPE.
        language: the target language.
        tokenizer: what the text stage used, `moses` or `none`.
        tokens: output.
        text: output, detokenised; last, so that it stands for both.
    """
    from bleuprint.text.moses import detokenize  # slow to load

    write_lines(tokens, hypotheses)
    write_lines(text, (detokenize(line, language) for line in hypotheses) if tokenizer == "moses" else hypotheses)
    print(f"{len(hypotheses):,} hypotheses")
