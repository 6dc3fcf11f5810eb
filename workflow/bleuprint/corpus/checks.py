"""python -m bleuprint.corpus.checks: what is odd in a parallel text, and which held-out pairs stand in train.

Of each part it counts pairs, and among them (one pair may count several times)

- `duplicates`: pairs that repeat an earlier one of the same part, character by character;
- `copies`: source and target are the same after normalising and have ten letters or more, so that numbers,
  exclamations and most names do not count;
- `wrong_source`, `wrong_target`: lines that read like the other side's language. Of each word that is no number the
  training text says how much likelier it is on one side than on the other (relative frequencies, 0.5 added to each
  count); a line is wrong where the logarithms of these odds sum to more than 5 (about 150 to 1) for the other side,
  over two known words or more. No language need be known; a third language, a line of unknown words, or a text
  without spaces between words is not seen;
- `outliers`: the logarithm of (source + 10) / (target + 10) characters, normalised, lies more than 4 standard
  deviations from the training text's mean; one of less than 0.1 counts as 0.1. The 10 let short lines vary;

and of validation and test set the pairs that stand in train, `in_train` character by character,
`in_train_normalised` after normalising, and `source_in_train` of which a normalised source does, whatever its
translation.

Normalising undoes Moses' escapes, composes by NFKC, folds case and keeps only letters, marks and digits.
Of a large text up to 400,000 training pairs say what is usual; all else is counted in full.
"""

import argparse
import html
import math
import statistics
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from bleuprint.files import write_json

LETTERS = 10  # of a copy, at least
EVIDENCE = 5.0  # log odds for the other language, over so many
KNOWN = 2  # words or more
DEVIATIONS, SPREAD, CUSHION = 4, 0.1, 10  # of length ratios: how far is odd, the least deviation, characters added
SAMPLE = 200_000  # training pairs that what is usual is learnt from: so many or up to twice as many
EXAMPLES = 3
FEW = 0.005  # share of a part up to which leaks hardly move a figure

Pair = tuple[str, str]
Figures = dict[str, int]
Examples = dict[str, list[dict[str, Any]]]


class _Letters(dict[int, int | None]):
    """For str.translate: all goes but letters, marks, digits and white space."""

    def __missing__(self, code: int) -> int | None:
        kept = unicodedata.category(chr(code))[0] in "LMN" or chr(code).isspace()
        self[code] = code if kept else None
        return self[code]


_LETTERS = _Letters()


def words(line: str) -> list[str]:
    """The words of a line, folded: compatibility forms and case are one, punctuation and escapes are gone."""
    return unicodedata.normalize("NFKC", html.unescape(line)).casefold().translate(_LETTERS).split()


def normal(line: str) -> str:
    """The letters, marks and digits of a line, folded; a line that has none stays as it is."""
    return "".join(words(line)) or line


def normal_pair(pair: Pair) -> Pair:
    """Both sides of a pair, normalised."""
    return normal(pair[0]), normal(pair[1])


@dataclass(frozen=True)
class Usual:
    """What is usual in a training text."""

    odds: dict[str, float]  # word → log of how much likelier it is on the source side
    ratio: float  # mean log length ratio
    spread: float  # its standard deviation


def learn(pairs: Iterable[Pair]) -> Usual:
    """What is usual in these pairs, of which there must be one."""
    counts: tuple[Counter[str], Counter[str]] = Counter(), Counter()
    ratios = []
    for pair in pairs:
        sides = words(pair[0]), words(pair[1])
        for count, side in zip(counts, sides, strict=True):
            count.update(side)
        ratios.append(_ratio(*sides))
    totals = [math.log(count.total() + 0.5) for count in counts]
    odds = {
        word: math.log(counts[0][word] + 0.5) - totals[0] - math.log(counts[1][word] + 0.5) + totals[1]
        for word in counts[0].keys() | counts[1].keys()
        if not word.isdigit()
    }
    return Usual(odds, statistics.fmean(ratios), max(statistics.pstdev(ratios), SPREAD))


def _ratio(source: list[str], target: list[str]) -> float:
    lengths = [sum(map(len, side)) + CUSHION for side in (source, target)]
    return math.log(lengths[0] / lengths[1])


def oddities(pair: Pair, usual: Usual) -> Iterator[str]:
    """The names of the figures that a pair counts in, `duplicates` apart."""
    source, target = words(pair[0]), words(pair[1])
    if (line := "".join(source)) == "".join(target) and sum(map(str.isalpha, line)) >= LETTERS:
        yield "copies"
    if _evidence(source, usual) < -EVIDENCE:
        yield "wrong_source"
    if _evidence(target, usual) > EVIDENCE:
        yield "wrong_target"
    if abs(_ratio(source, target) - usual.ratio) > DEVIATIONS * usual.spread:
        yield "outliers"


def _evidence(line: list[str], usual: Usual) -> float:
    """Log odds that a line is of the source side; 0 where too few of its words are known."""
    known = [usual.odds[word] for word in line if word in usual.odds]
    return sum(known) if len(known) >= KNOWN else 0.0


def figures(pairs: Iterable[Pair], usual: Usual) -> tuple[Figures, Examples]:
    """One part's figures and the first pairs that count in each, with their line numbers."""
    found: Figures = dict.fromkeys(("pairs", "duplicates", "copies", "wrong_source", "wrong_target", "outliers"), 0)
    examples: Examples = {}
    seen: set[int] = set()  # hashes: the text of a large corpus would not fit
    for number, pair in enumerate(pairs, 1):
        names = [*oddities(pair, usual)]
        key = hash(pair)
        if key in seen:
            names.append("duplicates")
        seen.add(key)
        for name in names:
            found[name] += 1
            if found[name] <= EXAMPLES:
                examples.setdefault(name, []).append(_example(number, pair))
        found["pairs"] = number
    return found, examples


def _example(number: int, pair: Pair) -> dict[str, Any]:
    return {"line": number, "source": pair[0], "target": pair[1]}


def leaks(train: Iterable[Pair], held: Mapping[str, list[Pair]]) -> dict[str, tuple[Figures, Examples]]:
    """For each held-out part how many of its pairs stand in train, and the longest of these pairs."""
    sources = {normal(source) for pairs in held.values() for source, _ in pairs}
    exact, normalised, met = set(), set(), set()
    for pair in train:
        if (source := normal(pair[0])) in sources:
            met.add(source)
            exact.add(pair)
            normalised.add((source, normal(pair[1])))
    found = {}
    for part, pairs in held.items():
        leaking = [(number, pair) for number, pair in enumerate(pairs, 1) if normal_pair(pair) in normalised]
        longest = sorted(leaking, key=lambda one: -len(one[1][0]))[:EXAMPLES]
        counts = {
            "in_train": sum(pair in exact for pair in pairs),
            "in_train_normalised": len(leaking),
            "source_in_train": sum(normal(source) in met for source, _ in pairs),
        }
        found[part] = counts, {"in_train_normalised": [_example(*one) for one in longest]} if longest else {}
    return found


def without(train: list[Pair], held: Iterable[Pair]) -> list[Pair]:
    """The training pairs that equal no held-out pair after normalising."""
    keys = set(map(normal_pair, held))
    return [pair for pair in train if normal_pair(pair) not in keys]


def check(parts: Mapping[str, Iterable[str]], source: str, target: str) -> dict[str, Any]:
    """All figures of a parallel text.

    Args:
        parts: `train.de` and so on → lines, which are read several times.
        source: the source language.
        target: the target language.

    Returns:
        `languages`; `parts`, part → figures as above; `examples`, part → figure → at most three pairs with their
        lines' numbers (of `in_train_normalised` the longest, else the first).
    """

    def pairs(part: str) -> Iterator[Pair]:
        return zip(parts[f"{part}.{source}"], parts[f"{part}.{target}"], strict=True)

    names = [part for part in ("train", "valid", "test") if f"{part}.{source}" in parts]
    size = sum(1 for _ in pairs("train"))
    usual = learn(islice(pairs("train"), 0, None, max(1, size // SAMPLE)))
    found = {part: figures(pairs(part), usual) for part in names}
    for part, (counts, examples) in leaks(pairs("train"), {part: [*pairs(part)] for part in names[1:]}).items():
        found[part] = found[part][0] | counts, found[part][1] | examples
    return {
        "languages": [source, target],
        "parts": {part: counts for part, (counts, _) in found.items()},
        "examples": {part: examples for part, (_, examples) in found.items()},
    }


def leak(part: str, counts: Figures) -> str:
    """How many pairs of a held-out part stand in train and what that means, as the begin of a sentence; or nothing."""
    leaking, size = counts.get("in_train_normalised", 0), counts.get("pairs", 0)
    if not leaking:
        return ""
    means = {
        "test": "the model has seen their translations, and its scores are too good",
        "valid": "validation figures are too good, and may choose the wrong checkpoint",
    }[part]
    if leaking <= FEW * size:
        means = "so few hardly move its figures"
    share = f"{leaking:,} of {size:,} {part} pairs ({100 * leaking / size:.2f} %)"
    return f"{share} are in train too, {counts['in_train']:,} of them character by character: {means}"


def warnings(found: dict[str, Any]) -> list[str]:
    """A sentence for each part that leaks, with its longest pair and the way out; loud, unless valid leaks little."""
    said = []
    for part, counts in found["parts"].items():
        if sentence := leak(part, counts):
            quiet = part == "valid" and counts["in_train_normalised"] <= FEW * counts["pairs"]
            (example, *_) = found["examples"][part]["in_train_normalised"]
            quoted = " = ".join(f"“{_short(example[side])}”" for side in ("source", "target"))
            said.append(
                f"{'Note' if quiet else 'WARNING'}: {sentence}. The longest is line {example['line']:,}, {quoted}. "
                f'overrides="corpus.decontaminate=true" leaves them out of train.'
            )
    return said


def _short(line: str, width: int = 80) -> str:
    return line if len(line) <= width else f"{line[: width - 1]}…"


class Lines:
    """The lines of a file, read anew at each pass, so that a large text never lies in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[str]:
        with open(self.path, encoding="utf-8", newline="\n") as file:
            for line in file:
                yield line.removesuffix("\n")


def main() -> None:
    """Entry point: leaks are a warning, on standard error."""
    parser = argparse.ArgumentParser(prog="bleuprint.corpus.checks", description="Check a parallel text.")
    parser.add_argument("--text", type=Path, required=True, help="folder of PART.LANGUAGE files")
    parser.add_argument("--source", required=True, help="source language")
    parser.add_argument("--target", required=True, help="target language")
    parser.add_argument("--output", type=Path, required=True, help="JSON file for the figures")
    arguments = parser.parse_args()
    parts = {path.name: Lines(path) for path in arguments.text.iterdir() if not path.name.startswith(".")}
    found = check(parts, arguments.source, arguments.target)
    write_json(arguments.output, found)
    for line in warnings(found):
        print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
