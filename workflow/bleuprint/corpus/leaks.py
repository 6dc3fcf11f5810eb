"""Find the held-out pairs that are in train, describe them, and take them out of train.

Two pairs are the same if they are equal after normalising, which undoes Moses' escapes, composes by NFKC, folds case
and keeps only letters, marks and digits.
"""

import html
import unicodedata
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

FEW = 0.005  # share of a part up to which leaks hardly change a figure

Pair = tuple[str, str]
Held = tuple[str, ...]  # a source line and its translations, usually one
Figures = dict[str, int]
Examples = dict[str, list[dict[str, Any]]]
EXAMPLES = 3  # that are shown of each figure


class _Letters(dict[int, int | None]):
    """A table for str.translate that keeps only letters, marks, digits and white space."""

    def __missing__(self, code: int) -> int | None:
        kept = unicodedata.category(chr(code))[0] in "LMN" or chr(code).isspace()
        self[code] = code if kept else None
        return self[code]


_LETTERS = _Letters()


def words(line: str) -> list[str]:
    """Return the words of a line, folded: without case, compatibility forms, punctuation and escapes."""
    return unicodedata.normalize("NFKC", html.unescape(line)).casefold().translate(_LETTERS).split()


def normal(line: str) -> str:
    """Return the letters, marks and digits of a line, folded; a line that has none is returned as it is."""
    return "".join(words(line)) or line


def normal_pair(pair: Pair) -> Pair:
    """Return both sides of a pair, normalised."""
    return normal(pair[0]), normal(pair[1])


def example(number: int, pair: Held) -> dict[str, Any]:
    """Return a pair to be shown, with the number of its line."""
    return {"line": number, "source": pair[0], "target": pair[1]}


def leaks(train: Iterable[Pair], held: Mapping[str, Sequence[Held]]) -> dict[str, tuple[Figures, Examples]]:
    """Count for each held-out part how many of its pairs are in train, and return the longest of these pairs.

    A line with several translations is in train if it is there with one of them.
    """
    sources = {normal(pair[0]) for pairs in held.values() for pair in pairs}
    exact, normalised, sources_in_train = set(), set(), set()
    for pair in train:
        if (source := normal(pair[0])) in sources:
            sources_in_train.add(source)
            exact.add(pair)
            normalised.add((source, normal(pair[1])))
    results = {}
    for part, pairs in held.items():
        leaking = [
            (number, (pair[0], target))
            for number, pair in enumerate(pairs, 1)
            if (target := _translation(pair, normalised)) is not None
        ]
        longest = sorted(leaking, key=lambda numbered: -len(numbered[1][0]))[:EXAMPLES]
        counts = {
            "in_train": sum(any((source, target) in exact for target in targets) for source, *targets in pairs),
            "in_train_normalised": len(leaking),
            "source_in_train": sum(normal(pair[0]) in sources_in_train for pair in pairs),
        }
        examples = {"in_train_normalised": [example(*numbered) for numbered in longest]} if longest else {}
        results[part] = counts, examples
    return results


def _translation(pair: Held, train: Container[Pair]) -> str | None:
    """Return the first translation with which a line is in train, whose pairs are normalised; None if it is not."""
    source = normal(pair[0])
    return next((target for target in pair[1:] if (source, normal(target)) in train), None)


def without(train: list[Pair], held: Iterable[Pair]) -> list[Pair]:
    """Return the training pairs that equal no held-out pair after normalising."""
    keys = set(map(normal_pair, held))
    return [pair for pair in train if normal_pair(pair) not in keys]


def leak(part: str, counts: Figures) -> str:
    """Return how many pairs of a held-out part are in train and what that means; empty if none are."""
    leaking, size = counts.get("in_train_normalised", 0), counts.get("pairs", 0)
    if not leaking:
        return ""
    name, meaning = {
        "test": ("test", "the model has seen their translations, and its scores are too good"),
        "valid": ("validation", "validation figures are too good, and may choose the wrong checkpoint"),
    }[part]
    if leaking <= FEW * size:
        meaning = "so few hardly move its figures"
    share = f"{leaking:,} of {size:,} {name} pairs ({100 * leaking / size:.2f} %)"
    return f"{share} are in train too, {counts['in_train']:,} of them character by character: {meaning}"
