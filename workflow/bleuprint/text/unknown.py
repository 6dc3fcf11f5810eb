"""Find the subwords that the dictionaries lack: the model reads, and learns to write, `<unk>` there."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from bleuprint.corpus.monolingual import forms
from bleuprint.files import read_lines, visible

LOUD = 0.01  # share of a validation or test file from which a warning is due
MEANINGLESS = 0.2  # share from which the file is not text of the kind that the model has learnt
EXAMPLES = 5  # subwords that are shown of a file
MANY = 0.2  # by so much must the shares of lines in a Unicode form differ to be named as the cause
# As in: [de] results/…/bpe/test.de: 21 sents, 740 tokens, 0.0% replaced (by <unk>)
REPLACED = re.compile(r"\[(\S+)\] \S*/(train|valid|test)\.\1: .*?, ([\d.e+-]+)% replaced \(by <unk>\)")

Examples = Mapping[str, list[tuple[str, int]]]


def shares(log: Path) -> dict[str, float]:
    """Return the share of unknown subwords of each file, `test.de` → 0 to 1, from fairseq-preprocess' log."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    matches = [match for line in lines if (match := REPLACED.search(line))]
    return {f"{match[2]}.{match[1]}": float(match[3]) / 100 for match in matches}


def many(unknown: Mapping[str, float]) -> list[str]:
    """Return the validation and test files with many more unknown subwords than train has."""
    return [
        name
        for name, share in unknown.items()
        if not name.startswith("train.") and share > max(LOUD, 3 * unknown.get(f"train.{name.split('.')[1]}", 0.0))
    ]


def most_frequent(segmented: Path, dictionary: Path) -> list[tuple[str, int]]:
    """Return the most frequent subwords of a file that a dictionary lacks, and how often they occur.

    Args:
        segmented: a file of subwords, separated by spaces.
        dictionary: fairseq's `dict.LANGUAGE.txt`, a subword and its count on each line.
    """
    known = {line.rsplit(" ", 1)[0] for line in read_lines(dictionary)}
    lacking = Counter(subword for line in read_lines(segmented) for subword in line.split(" ") if subword not in known)
    return lacking.most_common(EXAMPLES)


def warnings(
    unknown: Mapping[str, float], tokenised: Path, examples: Examples | None = None, train: Path | None = None
) -> dict[str, str]:
    """Return a sentence for each validation or test file with many unknown subwords, and why that may be.

    Args:
        unknown: as `shares` returns it.
        tokenised: the folder of the text before subwords.
        examples: of a file, as `most_frequent` returns them.
        train: the folder of the training text before subwords, if it is another.
    """
    sentences = {}
    for name in many(unknown):
        part, _, language = name.partition(".")
        files = ((train or tokenised) / f"train.{language}", tokenised / f"{part}.{language}")
        composed = [*map(_composed, files)]
        cause = "are its spelling, case and tokenisation those of the training text?"
        if abs(composed[0] - composed[1]) > MANY:
            cause = (
                f"{composed[0]:.0%} of the training lines and {composed[1]:.0%} of these are in Unicode's composed form"
                ' (NFC): bring all text into one form with overrides="text.unicode_normalization=NFC".'
            )
        frequent = ", ".join(f"{shown(subword)} {count:,}" for subword, count in (examples or {}).get(name, []))
        most = f" (most often {frequent})" if frequent else ""
        sentences[name] = f"{unknown[name]:.1%} of the subwords of {name} are unknown to the model{most}: {cause}"
    return sentences


def shown(subword: str) -> str:
    """Return a subword in quotation marks; a mark at its beginning, which combines with a letter, gets a circle."""
    circle = "◌" if unicodedata.category(subword[0])[0] == "M" else ""
    return f"“{circle}{visible(subword)}”"


def _composed(path: Path) -> float:
    """Return the share of a file's lines that are in the form NFC."""
    lines = read_lines(path)
    return 1 - forms(lines)["decomposed"] / max(1, len(lines))
