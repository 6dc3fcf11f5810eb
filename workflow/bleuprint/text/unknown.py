"""Find the share of subwords that the dictionaries lack: the model reads, and learns to write, `<unk>` there."""

import re
import unicodedata
from pathlib import Path

from bleuprint.files import read_lines

LOUD = 0.01  # share of a validation or test file from which a warning is due
MANY = 0.2  # by so much must the shares of lines in a Unicode form differ to be named as the cause
# As in: [de] results/…/bpe/test.de: 21 sents, 740 tokens, 0.0% replaced (by <unk>)
REPLACED = re.compile(r"\[(\S+)\] \S*/(train|valid|test)\.\1: .*?, ([\d.e+-]+)% replaced \(by <unk>\)")


def shares(log: Path) -> dict[str, float]:
    """Return the share of unknown subwords of each file, `test.de` → 0 to 1, from fairseq-preprocess' log."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    matches = [match for line in lines if (match := REPLACED.search(line))]
    return {f"{match[2]}.{match[1]}": float(match[3]) / 100 for match in matches}


def warnings(unknown: dict[str, float], tokenised: Path) -> list[str]:
    """Return a sentence for each validation or test file with many unknown subwords, and why that may be.

    Args:
        unknown: as `shares` returns it.
        tokenised: the folder of the text before BPE.
    """
    sentences = []
    for name, share in unknown.items():
        part, _, language = name.partition(".")
        if part != "train" and share > max(LOUD, 3 * unknown.get(f"train.{language}", 0.0)):
            forms = [_composed(tokenised / f"{part}.{language}") for part in ("train", part)]
            cause = "are its spelling, case and tokenisation those of the training text?"
            if abs(forms[0] - forms[1]) > MANY:
                cause = (
                    f"{forms[0]:.0%} of the training lines and {forms[1]:.0%} of these are in Unicode's composed form "
                    "(NFC): bring all files into one form."
                )
            sentences.append(f"{share:.1%} of the subwords of {name} are unknown to the model: {cause}")
    return sentences


def _composed(path: Path) -> float:
    """Return the share of a file's lines that are in the form NFC."""
    lines = read_lines(path)
    return sum(unicodedata.is_normalized("NFC", line) for line in lines) / max(1, len(lines))
