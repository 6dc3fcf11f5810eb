"""python -m bleuprint.text.learn_bpe: learn the same merges as `subword-nmt learn-bpe`, to the byte, but faster.

Byte pair encoding (Sennrich, Haddow and Birch 2016) merges the most frequent pair of neighbouring symbols into one
symbol, again and again. Pairs are counted and pruned as in subword-nmt 0.3.8, even where its counts are not exact (a
symbol that arises in two ways), since that also decides merges. subword-nmt searches all pairs for each maximum; here
most maxima are found among the few pairs that were near the last one.
"""

import argparse
import gc
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from subword_nmt.learn_bpe import get_pair_statistics, prune_stats

from bleuprint.files import read_lines, write_lines

Pair = tuple[str, str]
Word = tuple[tuple[str, ...], int]  # its symbols, and how often it occurs
Index = dict[Pair, dict[int, int]]  # pair → number of a word → how often the pair occurs in it
NEAR = 0.95  # share of the maximum from which a count is near it
MIN_FREQUENCY = 2  # of a pair that is merged
PRUNE_EVERY = 100  # merges


def learn(occurrences: Counter[str], number: int) -> Iterator[Pair]:
    """Yield at most `number` merges: each time the most frequent pair, of equally frequent ones the greatest."""
    words = [((*word[:-1], f"{word[-1]}</w>"), count) for word, count in occurrences.items()]
    counts, index = get_pair_statistics(words)
    all_counts = counts.copy()  # also of the pairs that are pruned from `counts`
    threshold = max(counts.values(), default=0) / 10
    near: dict[Pair, int] = {}
    for done in range(number):
        if not near:
            near, bar = _near(counts)
        count, pair = _most(near)
        if done and count < threshold:  # a pruned pair may be more frequent
            prune_stats(counts, all_counts, threshold)
            counts = all_counts.copy()
            near, bar = _near(counts)
            count, pair = _most(near)
            threshold = count * done / (done + 10000)
            prune_stats(counts, all_counts, threshold)
        if count < MIN_FREQUENCY:
            return
        yield pair
        for changed, change in _merge(pair, words, index).items():
            counts[changed] += change
            if counts[changed] >= bar:
                near[changed] = counts[changed]
            else:
                near.pop(changed, None)
        counts[pair] = 0
        near.pop(pair, None)
        if done % PRUNE_EVERY == 0:
            prune_stats(counts, all_counts, threshold)
            near = {}


def _near(counts: dict[Pair, int]) -> tuple[dict[Pair, int], float]:
    """Return the pairs that are nearly as frequent as the most frequent one, and the least count of such a pair."""
    bar = NEAR * max(counts.values(), default=0)
    return {pair: count for pair, count in counts.items() if count >= bar}, bar


def _most(counts: dict[Pair, int]) -> tuple[int, Pair]:
    return max(zip(counts.values(), counts, strict=True), default=(0, ("", "")))


def _merge(pair: Pair, words: list[Word], index: Index) -> dict[Pair, int]:
    """Merge `pair` into one symbol in all words; return by how much the count of each neighbouring pair changes."""
    first, second = pair
    merged = first + second
    changes: dict[Pair, int] = defaultdict(int)
    for number, times in index.pop(pair).items():
        if times < 1:
            continue
        old, count = words[number]
        places = [place for place, neighbours in enumerate(pairwise(old)) if neighbours == pair]
        if first == second:  # of three in a row only two make a pair
            places = _apart(places)
        new = list(old)
        for place in reversed(places):
            new[place : place + 2] = [merged]
            if place:
                before = old[place - 1], first
                changes[before] -= count
                index[before][number] -= 1
            if place + 2 < len(old) and place + 2 not in places:  # else it is the next place's `before`
                after = second, old[place + 2]
                changes[after] -= count
                index[after][number] -= 1
        words[number] = tuple(new), count
        for place, symbol in enumerate(new):
            if symbol == merged:
                if place:
                    before = new[place - 1], merged
                    changes[before] += count
                    index[before][number] += 1
                if place + 1 < len(new) and new[place + 1] != merged:
                    after = merged, new[place + 1]
                    changes[after] += count
                    index[after][number] += 1
    return changes


def _apart(places: list[int]) -> list[int]:
    """Return the places without those that overlap with the one before."""
    kept: list[int] = []
    for place in places:
        if not kept or kept[-1] + 1 < place:
            kept.append(place)
    return kept


def main() -> None:
    """Learn merges from the command line."""
    parser = argparse.ArgumentParser(prog="bleuprint.text.learn_bpe", description=__doc__)
    parser.add_argument("--input", type=Path, required=True, help="tokenised text")
    parser.add_argument("--output", type=Path, required=True, help="the merges, for subword-nmt apply-bpe")
    parser.add_argument("--symbols", type=int, required=True, help="merges, at most")
    parser.add_argument("--given", type=Path, help="the merges of another text, to take instead of learning some")
    arguments = parser.parse_args()
    if arguments.given:
        write_lines(arguments.output, read_lines(arguments.given))
        return
    gc.disable()  # there are no cycles, but millions of tuples that it would visit again and again
    with open(arguments.input, encoding="utf-8", newline="\n") as file:
        occurrences = Counter(word for line in file for word in line.split())
    merges = learn(occurrences, arguments.symbols)
    write_lines(arguments.output, ("#version: 0.2", *map(" ".join, merges)))


if __name__ == "__main__":
    main()
