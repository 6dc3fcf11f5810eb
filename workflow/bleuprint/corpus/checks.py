"""python -m bleuprint.corpus.checks: look for odd pairs in a parallel text, and for held-out pairs that are in train.

In each part it counts pairs, and among them (a pair may count several times)

- `duplicates`: pairs that repeat an earlier one of the same part, character by character;
- `copies`: source and target are the same after normalising and have ten letters or more, so that numbers,
  exclamations and most names do not count;
- `wrong_source`, `wrong_target`: lines that look like the other side's language. The training text tells for each word
  (numbers aside) how much likelier it is on one side than on the other (relative frequencies, 0.5 added to each
  count). A line is wrong where the logarithms of these odds sum to more than 5 (about 150 to 1) for the other side,
  over two known words or more. This needs no knowledge of the languages. It does not notice a third language, a line
  of unknown words, or a text without spaces between words;
- `outliers`: the logarithm of (source + 10) / (target + 10) characters, normalised, lies more than 4 standard
  deviations from the training text's mean; a deviation of less than 0.1 counts as 0.1. The 10 let short lines vary.

Of validation and test set it also counts the pairs that are in train: `in_train` character by character,
`in_train_normalised` after normalising, and `source_in_train` those whose normalised source is in train, with any
translation.

Normalising (leaks.py) leaves only letters, marks and digits, without case. What is usual in a large text is learnt from
200,000 to 400,000 training pairs, evenly spread; all pairs are counted.
"""

import argparse
import math
import statistics
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from bleuprint.corpus.leaks import EXAMPLES, FEW, Examples, Figures, Pair, example, leak, leaks, words
from bleuprint.files import read_json, visible, write_json

LETTERS = 10  # a copy has at least so many letters
EVIDENCE = 5.0  # log odds from which a line is of the other language
LOUD = 0.05  # share of odd pairs from which they are no accident
KEPT = 0.8  # share of the training pairs that cleaning should at least keep
KNOWN = 2  # known words that a line needs to be judged
DEVIATIONS, SPREAD, CUSHION = 4, 0.1, 10  # length ratios: limit, least standard deviation, characters added
SAMPLE = 200_000  # training pairs to learn from, or up to twice as many


@dataclass(frozen=True)
class Usual:
    """What is usual in a training text."""

    odds: dict[str, float]  # word → log of how much likelier it is on the source side
    ratio: float  # mean log length ratio
    spread: float  # its standard deviation


def learn(pairs: Iterable[Pair]) -> Usual:
    """Learn what is usual in these pairs; there must be at least one."""
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
    """Yield the names of the figures that a pair counts in, except `duplicates`."""
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
    """Return the log odds that a line is of the source side; 0 where too few of its words are known."""
    known = [usual.odds[word] for word in line if word in usual.odds]
    return sum(known) if len(known) >= KNOWN else 0.0


def figures(pairs: Iterable[Pair], usual: Usual) -> tuple[Figures, Examples]:
    """Count one part's figures, and keep the first pairs that count in each, with their line numbers."""
    counts: Figures = dict.fromkeys(("pairs", "duplicates", "copies", "wrong_source", "wrong_target", "outliers"), 0)
    examples: Examples = {}
    seen: set[int] = set()  # hashes: the text of a large corpus would not fit
    for number, pair in enumerate(pairs, 1):
        names = [*oddities(pair, usual)]
        key = hash(pair)
        if key in seen:
            names.append("duplicates")
        seen.add(key)
        for name in names:
            counts[name] += 1
            if counts[name] <= EXAMPLES:
                examples.setdefault(name, []).append(example(number, pair))
        counts["pairs"] = number
    return counts, examples


def check(parts: Mapping[str, Iterable[str]], source: str, target: str) -> dict[str, Any]:
    """Return all figures of a parallel text.

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
    checked = {part: figures(pairs(part), usual) for part in names}
    for part, (counts, examples) in leaks(pairs("train"), {part: [*pairs(part)] for part in names[1:]}).items():
        checked[part] = checked[part][0] | counts, checked[part][1] | examples
    return {
        "languages": [source, target],
        "parts": {part: counts for part, (counts, _) in checked.items()},
        "examples": {part: examples for part, (_, examples) in checked.items()},
    }


RULES = {
    "empty": "a side is empty",
    "min_tokens": "text.min_tokens",
    "max_tokens": "text.max_tokens",
    "max_ratio": "text.max_ratio, which is for languages with about as many tokens",
    "long_token": "a token is longer than 1,000 characters",
}


def doubts(checked: dict[str, Any]) -> list[str]:
    """Return a sentence for each sign that the files are not what they should be, as a warning should tell.

    Signs are many lines of the other side's language, many pairs that are not translated, and a cleaning that leaves
    out many training pairs.
    """
    sentences, (source, target) = [], checked.get("languages", ("source", "target"))
    cleaning = checked.get("cleaning", {"pairs": 0, "left_out": {}})
    if (kept := cleaning["pairs"] - sum(cleaning["left_out"].values())) < KEPT * cleaning["pairs"]:
        reasons = ", ".join(f"{count:,} ({RULES[rule]})" for rule, count in cleaning["left_out"].items())
        sentences.append(f"cleaning keeps only {kept:,} of {cleaning['pairs']:,} training pairs; left out: {reasons}")
    for part, counts in checked["parts"].items():
        wrong = [counts.get(f"wrong_{side}", 0) for side in ("source", "target")]
        if max(wrong) > LOUD * counts["pairs"]:
            sentences.append(
                f"of {counts['pairs']:,} {part} pairs {wrong[0]:,} have a line in {source} that looks like {target}, "
                f"and {wrong[1]:,} a line in {target} that looks like {source}: are the two files exchanged, or mixed?"
            )
        if (copies := counts.get("copies", 0)) > LOUD * counts["pairs"]:
            sentences.append(f"{copies:,} of {counts['pairs']:,} {part} pairs are the same on both sides")
    return sentences


def warnings(checked: dict[str, Any]) -> list[str]:
    """Return a sentence for each doubt, and for each part that leaks, with its longest pair and the way out.

    It is a warning, or a note where only few pairs of the validation set leak.
    """
    sentences = [f"WARNING: {sentence}" for sentence in doubts(checked)]
    for part, counts in checked["parts"].items():
        if sentence := leak(part, counts):
            quiet = part == "valid" and counts["in_train_normalised"] <= FEW * counts["pairs"]
            (longest, *_) = checked["examples"][part]["in_train_normalised"]
            quoted = " = ".join(f"“{_short(longest[side])}”" for side in ("source", "target"))
            sentences.append(
                f"{'Note' if quiet else 'WARNING'}: {sentence}. The longest is line {longest['line']:,}, {quoted}. "
                f'To leave them out of train: overrides="corpus.decontaminate=true".'
            )
    return sentences


def _short(line: str, width: int = 80) -> str:
    return visible(line if len(line) <= width else f"{line[: width - 1]}…")


class Lines:
    """The lines of a file, read again at each pass, so that a large text is never held in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[str]:
        with open(self.path, encoding="utf-8", newline="\n") as file:
            for line in file:
                yield line.removesuffix("\n")


def main() -> None:
    """Check a text from the command line; leaks and doubts are warnings on standard error."""
    parser = argparse.ArgumentParser(prog="bleuprint.corpus.checks", description="Check a parallel text.")
    parser.add_argument("--text", type=Path, required=True, help="folder of PART.LANGUAGE files")
    parser.add_argument("--source", required=True, help="source language")
    parser.add_argument("--target", required=True, help="target language")
    parser.add_argument("--cleaning", type=Path, help="JSON file of what tokenising left out")
    parser.add_argument("--output", type=Path, required=True, help="JSON file for the figures")
    arguments = parser.parse_args()
    parts = {path.name: Lines(path) for path in arguments.text.iterdir() if not path.name.startswith(".")}
    checked = check(parts, arguments.source, arguments.target)
    if arguments.cleaning is not None:
        checked["cleaning"] = read_json(arguments.cleaning)
    write_json(arguments.output, checked)
    for line in warnings(checked):
        print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
