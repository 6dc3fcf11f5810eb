"""Count the odd pairs of a parallel text.

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

Normalising (leaks.py) leaves only letters, marks and digits, without case. In a large text, the
usual words and lengths are learnt from 200,000 to 400,000 evenly spaced training pairs; all pairs are counted.
"""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bleuprint.corpus.leaks import EXAMPLES, Examples, Figures, Pair, example, words

LETTERS = 10  # a copy has at least so many letters
EVIDENCE = 5.0  # log odds from which a line is of the other language
KNOWN = 2  # known words that a line needs to be judged
DEVIATIONS, SPREAD, CUSHION = 4, 0.1, 10  # length ratios: limit, least standard deviation, characters added


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
