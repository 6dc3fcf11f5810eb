"""Make the training text of genuine pairs and pairs that a model has made, in one direction or both."""

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bleuprint.corpus.leaks import normal
from bleuprint.files import DataError, read_lines
from bleuprint.text import cleaning
from bleuprint.text.cleaning import Limits, Pair

UNKNOWN = "<unk>"  # what fairseq writes where a model knows no word


@dataclass(frozen=True)
class Mixture:
    """The training pairs in the order in which they are written: genuine ones, copy after copy, then made ones.

    With `bidirectional` the same lines follow once more with their sides exchanged.
    """

    genuine: Sequence[Pair]
    made: Sequence[Pair] = ()
    copies: int = 1
    bidirectional: bool = False

    def __len__(self) -> int:
        """Return the number of lines of each side."""
        return (len(self.genuine) * self.copies + len(self.made)) * (2 if self.bidirectional else 1)

    def lines(self, side: int) -> Iterator[str]:
        """Yield the lines of one side: 0 for the source, 1 for the target."""
        for column in (side, 1 - side) if self.bidirectional else (side,):
            for _ in range(self.copies):
                yield from (pair[column] for pair in self.genuine)
            yield from (pair[column] for pair in self.made)

    def once(self) -> Iterator[str]:
        """Yield what a segmenter is learnt on: each pair once, all source lines before all target lines.

        So did prepare-iwslt14.sh. Copies would only change how much the genuine pairs count. Genuine pairs that are not
        trained on are left out.
        """
        for side in (0, 1):
            yield from (pair[side] for pair in (self.genuine if self.copies else ()))
            yield from (pair[side] for pair in self.made)

    def figures(self) -> dict[str, Any]:
        """Return how many pairs are `genuine`, their `copies`, how many are `made`, and where the made ones begin.

        `made_lines` are numbers from 1: one, or with `bidirectional` two.
        """
        length = len(self.genuine) * self.copies + len(self.made)
        first = len(self.genuine) * self.copies + 1
        lines = [first, first + length] if self.bidirectional else [first]
        counts = {"genuine": len(self.genuine), "copies": self.copies, "made": len(self.made)}
        return counts | {"bidirectional": self.bidirectional, "made_lines": lines if self.made else []}

    def without(self, held: Iterable[Pair], translated: Mapping[str, Any]) -> tuple["Mixture", dict[str, int]]:
        """Leave out made pairs whose genuine side is a held-out pair's after normalising, and those over the ratio.

        The other side is a translation by a model, which seldom equals that of the held-out pair. Of the pairs over the
        ratio the last ones go.

        Args:
            held: the pairs that are not for training.
            translated: of the text stage's slice: `side`, which is genuine, and perhaps `ratio`.

        Returns:
            The mixture, and the number of pairs that were left out as `held_out` and for the `ratio`.
        """
        side, ratio = ("source", "target").index(translated["side"]), translated.get("ratio")
        keys = {normal(pair[side]) for pair in held}
        made = [pair for pair in self.made if normal(pair[side]) not in keys] if keys else self.made
        kept = made if ratio is None else made[: int(ratio * len(self.genuine))]
        left_out = {"held_out": len(self.made) - len(made), "ratio": len(made) - len(kept)}
        return replace(self, made=kept), left_out

    def sentence(self) -> str:
        """Return how many pairs of which kind there are."""
        times = "" if self.copies == 1 else f" (× {self.copies})"
        made = f", {len(self.made):,} made" if self.made else ""
        return f"{len(self.genuine):,} genuine pairs{times}{made}{', in both directions' if self.bidirectional else ''}"


def mixed(genuine: Sequence[Pair], made: Sequence[Pair], config: Mapping[str, Any]) -> Mixture:
    """Return the training pairs that the text stage's slice asks for."""
    translated = config.get("translated", {})
    return Mixture(genuine, made, translated.get("copies", 1), config.get("bidirectional", False))


def read_made(files: Sequence[Path]) -> tuple[list[str], list[str]]:
    """Return the raw lines of the source and the target of the made pairs.

    Raises:
        DataError: the two files differ in their numbers of lines.
    """
    source, target = map(read_lines, files)
    if len(source) != len(target):
        raise DataError(
            f"{files[0]} has {len(source):,} lines and {files[1]} has {len(target):,}; "
            f"delete the folder of the translation and run the same command again."
        )
    return source, target


def with_unknown_words(*sides: Sequence[str]) -> set[int]:
    """Return the indices of the pairs with a word that the model did not know.

    Args:
        sides: the raw lines of each side; a tokeniser may take `<unk>` apart.
    """
    return {number for lines in sides for number, line in enumerate(lines) if UNKNOWN in line}


def cleaned(
    pairs: Sequence[Pair], limits: Limits, min_kept: float, unknown: Container[int], refused: re.Pattern[str] | None
) -> tuple[list[Pair], list[str | None]]:
    """Return the made pairs that cleaning keeps, and for each pair the rule by which it is left out, or None.

    Args:
        pairs: tokenised.
        limits: those of genuine pairs.
        min_kept: the share of the pairs that must be kept, 0 to 1.
        unknown: as `with_unknown_words` returns it.
        refused: tokens that no pair may have; None: all may be.

    Raises:
        DataError: too few pairs are kept.
    """
    faults = [
        "symbol" if number in unknown or (refused and any(map(refused.search, pair))) else cleaning.fault(*pair, limits)
        for number, pair in enumerate(pairs)
    ]
    cleaning.check_kept(pairs, faults, limits, min_kept, made=True)
    return [pair for pair, reason in zip(pairs, faults, strict=True) if reason is None], faults
