"""Read and check line-aligned text files, published ones (Multi30k) and the user's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from bleuprint.corpus.packed import unpacked
from bleuprint.files import DataError, decode_lines

T = TypeVar("T")
Parts = dict[str, list[str]]  # "train.de" → lines


def read_text(path: Path) -> list[str]:
    """Return the lines of a UTF-8 file, compressed or not, without byte order mark and CRs at line ends.

    Raises:
        DataError: the file is damaged, is not UTF-8, is no plain text, or unpacks to more than packed.LIMIT bytes.
    """
    return text_lines(unpacked(path), path)


def text_lines(data: bytes, path: Path) -> list[str]:
    """Return the lines of the content of a text file, without CRs at line ends.

    Raises:
        DataError: it is not UTF-8.
    """
    return [line.removesuffix("\r") for line in decode_lines(data, path)]


def check_aligned(parts: Parts, languages: tuple[str, str], where: str) -> None:
    """Check that every part exists in both languages, is not empty, and has as many lines in both.

    Raises:
        DataError: a part does not; the message names it.
    """
    first, second = languages
    for part in sorted({name.split(".")[0] for name in parts}):
        for language in languages:
            if f"{part}.{language}" not in parts:
                raise DataError(f"{where}: {part}.{language} is missing.")
        counts = {language: len(parts[f"{part}.{language}"]) for language in languages}
        for language, count in counts.items():
            if count == 0 or not any(map(str.strip, parts[f"{part}.{language}"])):
                raise DataError(f"{where}: {part}.{language} is empty.")
        if counts[first] != counts[second]:
            raise DataError(
                f"{where}: {part}.{first} has {counts[first]:,} lines and {part}.{second} has {counts[second]:,}; "
                f"line n of one must translate line n of the other."
            )


def blank_lines(parts: Parts) -> list[str]:
    """Return a sentence for each file of a validation or test set that has blank lines; they stay in it."""
    sentences = []
    for name, lines in parts.items():
        blank = sum(not line.strip() for line in lines)
        if blank and not name.startswith("train."):
            which = "1 line is" if blank == 1 else f"{blank:,} lines are"
            sentences.append(f"{name}: {which} blank, of {len(lines):,}; the set keeps them")
    return sentences


def in_share(lines: Sequence[T], share: tuple[float, float] | None) -> list[T]:
    """Return a part of the lines: `(0.5, 1)` is the second half; None: all."""
    start, end = share or (0, 1)
    return list(lines[int(start * len(lines)) : int(end * len(lines))])


def hold_out(parts: Parts, languages: tuple[str, str], every: int) -> Parts:
    """Move every `every`-th distinct pair of train to test, and remove all its copies from train.

    Raises:
        DataError: there are fewer distinct pairs than that.
    """
    pairs = list(zip(*(parts[f"train.{language}"] for language in languages), strict=True))
    distinct = list(dict.fromkeys(pairs))
    held = distinct[every - 1 :: every]
    if not held:
        raise DataError(
            f"train has only {len(distinct)} distinct pairs, too few to hold out every {every}th for test; "
            f"name a test set with corpus.test or lower corpus.test_every."
        )
    taken = set(held)
    kept = [pair for pair in pairs if pair not in taken]
    return parts | {
        f"{part}.{language}": [pair[side] for pair in chosen]
        for part, chosen in (("train", kept), ("test", held))
        for side, language in enumerate(languages)
    }
