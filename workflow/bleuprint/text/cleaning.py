"""Leave out training pairs by the rules of Moses' clean-corpus-n, and stop where they do not suit the text."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bleuprint.files import DataError, visible

MAX_TOKEN = 1000  # characters; clean-corpus-n drops pairs with longer tokens
EXAMPLES = 3  # pairs that are shown where a rule leaves out too many
WIDTH = 80  # characters of a side in an example
# Rule → why a pair was left out
REASONS = {
    "empty": "a side is empty",
    "min_tokens": "a side has fewer tokens than text.min_tokens={min_tokens}",
    "max_tokens": "a side has more tokens than text.max_tokens={max_tokens}",
    "max_ratio": "one side has more than text.max_ratio={max_ratio} times as many tokens as the other",
    "long_token": f"a token has more than {MAX_TOKEN:,} characters",
    "symbol": "the model wrote <unk> for a word that it does not know, or a token is like a symbol of fairseq",
}
# Rule → what to do if it leaves out good pairs
ADVICE = {
    "empty": "check the files",
    "min_tokens": "lower text.min_tokens",
    "max_tokens": "raise text.max_tokens",
    "max_ratio": "raise text.max_ratio (1.5 suits languages like German and English)",
    "long_token": "check the files, or segment the text into words",
    "symbol": "translate with a model that knows these words",
}
BETTER_MODEL = "train the model that translates for longer or on more text"

Pair = tuple[str, str]


@dataclass(frozen=True)
class Limits:
    """The keys of the text stage that decide which training pairs are left out."""

    min_tokens: int
    max_tokens: int
    max_ratio: float | None


def fault(source: str, target: str, limits: Limits) -> str | None:
    """Return the rule by which a tokenised pair is left out; None if it is kept."""
    if not (source and target):
        return "empty"
    pair = source.split(" "), target.split(" ")
    shorter, longer = sorted(map(len, pair))
    if shorter < limits.min_tokens:
        return "min_tokens"
    if longer > limits.max_tokens:
        return "max_tokens"
    if limits.max_ratio is not None and longer > limits.max_ratio * shorter:
        return "max_ratio"
    return "long_token" if any(len(token) > MAX_TOKEN for tokens in pair for token in tokens) else None


def figures(faults: Sequence[str | None], **others: int) -> dict[str, Any]:
    """Return the number of `pairs`, and of those `left_out` by each rule, the most frequent first.

    Args:
        faults: for each training pair the rule by which it is left out; None if it is kept.
        others: the number of pairs that were left out by a rule that is not of this module, such as `decontaminated`.
    """
    left_out = Counter(rule for rule in faults if rule is not None) + Counter(others)
    return {"pairs": len(faults), "left_out": dict(left_out.most_common())}


def examples(pairs: Sequence[Pair], faults: Sequence[str | None], rule: str) -> Iterator[str]:
    """Yield a line for each of the worst pairs that a rule leaves out, with its line number."""

    def severity(number: int) -> float:
        shorter, longer = sorted(len(side.split()) for side in pairs[number - 1])
        return {"max_ratio": longer / max(1, shorter), "max_tokens": longer, "min_tokens": -shorter}.get(rule, 0)

    numbers = [number for number, why in enumerate(faults, 1) if why == rule]
    for number in sorted(numbers, key=severity, reverse=True)[:EXAMPLES]:
        sides = (f"{_short(side)} ({len(side.split())} tokens)" for side in pairs[number - 1])
        yield f"left out by {rule}: line {number:,}: {' = '.join(sides)}"


def check_kept(
    pairs: Sequence[Pair], faults: Sequence[str | None], limits: Limits, least: float, made: bool = False
) -> None:
    """Check that cleaning keeps enough training pairs; if not, print some that it leaves out.

    Args:
        pairs: the tokenised training pairs.
        faults: for each training pair the rule by which it is left out; None if it is kept.
        limits: the rules' limits.
        least: the share of the pairs that must be kept, 0 to 1.
        made: whether a model has made the pairs, so that it, and not the limits, is what may be wrong.

    Raises:
        DataError: fewer are kept; the message names the most frequent rule and the ways out.
    """
    counts = figures(faults)
    kept = counts["pairs"] - sum(counts["left_out"].values())
    if kept >= least * counts["pairs"]:
        return
    rule, number = next(iter(counts["left_out"].items()))
    for line in examples(pairs, faults, rule):
        print(line)
    kind, advice = ("pairs made by a model", BETTER_MODEL) if made else ("training pairs", ADVICE[rule])
    raise DataError(
        f"cleaning keeps only {kept:,} of {counts['pairs']:,} {kind}; in {number:,} of the others "
        f"{REASONS[rule].format(**vars(limits))}: {advice}, or train on what is left with "
        f'overrides="runtime.min_kept=0".'
    )


def _short(line: str) -> str:
    return visible(line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…")
