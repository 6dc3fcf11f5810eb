"""Describe what is odd about a text, in sentences of three kinds: its scores are meaningless, a warning, or a note."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bleuprint.corpus.leaks import FEW, leak
from bleuprint.corpus.monolingual import ENOUGH
from bleuprint.files import visible

LOUD = 0.05  # share of odd pairs, or of lines of another language, from which they are no accident
KEPT = 0.8  # share of the training pairs that cleaning should at least keep
STAINED = 0.005  # share of lines with markup or mojibake from which a warning is due; real corpora had 0.07 % at most
MOST = 0.5  # share of lines from which a file is not what it should be, beyond doubt
MIXED = 0.2  # by so much must the shares of lines in a Unicode form differ between two parts
SMALL = 100  # pairs of a validation or test set from which on its figures are worth something
RULES = {
    "empty": "a side is empty",
    "min_tokens": "text.min_tokens",
    "max_tokens": "text.max_tokens",
    "max_ratio": "text.max_ratio, which is for languages with about as many tokens",
    "long_token": "a token is longer than 1,000 characters",
    "decontaminated": "in the validation set or a test set too, corpus.decontaminate",
    "symbol": "the model wrote <unk>, or a token is like a symbol of fairseq",
    "held_out": "the genuine side is in the validation set, or with corpus.decontaminate in the test set",
    "ratio": "corpus.translated.ratio",
}
NAMES = {"valid": "validation"}  # of a part, where it is not the word itself
INSIST = 'Correct the files, or train all the same: overrides="runtime.doubts=warning".'

Checked = Mapping[str, Any]
Level = Literal["meaningless", "warning", "note"]  # meaningless: whatever score the text gives, it says nothing


@dataclass(frozen=True)
class Doubt:
    """A sentence on the text, without a full stop."""

    level: Level
    sentence: str

    def line(self) -> str:
        """Return the sentence as it is printed."""
        return f"{'Note' if self.level == 'note' else 'WARNING'}: {self.sentence}"


def of_test_set(name: str, found: Sequence[Doubt]) -> list[Doubt]:
    """Return doubts that name the further test set that they are about."""
    return [Doubt(doubt.level, f"further test set {name}: {doubt.sentence}") for doubt in found]


def tell(found: Sequence[Doubt], meaningless: str = "warning") -> None:
    """Print doubts on standard error, and end the process where one makes scores meaningless and that is an error.

    Args:
        found: the doubts.
        meaningless: the key `runtime.doubts`, `error` or `warning`.
    """
    fatal = [doubt for doubt in found if doubt.level == "meaningless" and meaningless == "error"]
    for doubt in found:
        if doubt not in fatal:
            print(doubt.line(), file=sys.stderr)
    if fatal:
        sentences = "".join(f"\n  - {doubt.sentence}" for doubt in fatal)
        sys.exit(f"bleuprint: scores of this text would be meaningless:{sentences}\n  {INSIST}")


def doubts(checked: Checked) -> list[Doubt]:
    """Return what is odd about a text, by the figures of checks.json; those of older versions have fewer."""
    return [
        *_cleaned(checked),
        *_sizes(checked),
        *_exchanged(checked),
        *_other_languages(checked),
        *_stains(checked),
        *_unicode_forms(checked),
    ]


def leak_doubts(checked: Checked) -> Iterator[Doubt]:
    """Yield a sentence for each part that has pairs of train, with the longest of them and the way out.

    It is a warning, or a note where only few pairs of the validation set leak.
    """
    for part, counts in checked["parts"].items():
        if sentence := leak(part, counts):
            quiet = part == "valid" and counts["in_train_normalised"] <= FEW * counts["pairs"]
            (longest, *_) = checked["examples"][part]["in_train_normalised"]
            yield Doubt(
                "note" if quiet else "warning",
                f"{sentence}. The longest is line {longest['line']:,}, {_quoted(longest)}. "
                f'To leave them out of train: overrides="corpus.decontaminate=true".',
            )


def _cleaned(checked: Checked) -> Iterator[Doubt]:
    cleaning = checked.get("cleaning", {})
    for kind, counts in (("training pairs", cleaning), ("pairs made by a model", cleaning.get("made", {}))):
        pairs = counts.get("pairs", 0)
        left_out = {rule: count for rule, count in counts.get("left_out", {}).items() if rule != "ratio"}
        if (kept := pairs - sum(left_out.values())) < KEPT * pairs:
            reasons = ", ".join(f"{count:,} ({RULES[rule]})" for rule, count in left_out.items())
            yield Doubt("warning", f"cleaning keeps only {kept:,} of {pairs:,} {kind}; left out: {reasons}")


def _sizes(checked: Checked) -> Iterator[Doubt]:
    for part, counts in checked["parts"].items():
        if part != "train" and 0 < counts.get("pairs", 0) < SMALL:
            purpose = "choose a checkpoint well" if part == "valid" else "compare two systems"
            sentence = f"the {NAMES.get(part, part)} set has only {counts['pairs']:,} pairs, too few to {purpose}"
            yield Doubt("note", f"{sentence}; 1,000 are usual")


def _exchanged(checked: Checked) -> Iterator[Doubt]:
    source, target = checked.get("languages", ("source", "target"))
    for part, counts in checked["parts"].items():
        wrong = [_wrong(checked, part, side) for side in ("source", "target")]
        if max(wrong) > LOUD * counts["pairs"]:
            beyond = part != "train" and counts["pairs"] >= ENOUGH and max(wrong) > MOST * counts["pairs"]
            name = "wrong_source" if wrong[0] >= wrong[1] else "wrong_target"
            examples = checked.get("examples", {}).get(part, {}).get(name, [])
            instance = f" (line {examples[0]['line']:,}: {_quoted(examples[0])})" if examples else ""
            yield Doubt(
                "meaningless" if beyond else "warning",
                f"of {counts['pairs']:,} {part} pairs {wrong[0]:,} have a line in {source} that looks like {target}, "
                f"and {wrong[1]:,} a line in {target} that looks like {source}{instance}: "
                f"are the two files exchanged, or mixed?",
            )
        if (copies := counts.get("copies", 0)) > LOUD * counts["pairs"]:
            yield Doubt("warning", f"{copies:,} of {counts['pairs']:,} {part} pairs are the same on both sides")


def _wrong(checked: Checked, part: str, side: str) -> int:
    """Return how many lines of a side look like the other language; 0 where py3langid finds no other language there."""
    source, target = checked.get("languages", ("source", "target"))
    figures = checked.get("files", {}).get(f"{part}.{source if side == 'source' else target}", {})
    if figures.get("judged", 0) >= ENOUGH and sum(figures["languages"].values()) <= LOUD * figures["judged"]:
        return 0
    wrong: int = checked["parts"].get(part, {}).get(f"wrong_{side}", 0)
    return wrong


def _other_languages(checked: Checked) -> Iterator[Doubt]:
    """Yield one sentence for all files whose language is wrong beyond doubt, and one for all that are mixed.

    Files that `_exchanged` tells of are left out.
    """
    levels: dict[Level, list[tuple[str, str]]] = {}
    for name, figures in checked.get("files", {}).items():
        part, language = name.split(".")[:2]
        side = "target" if [*checked["languages"]].index(language) else "source"
        pairs = checked["parts"].get(part, {}).get("pairs", 0)
        judged, languages = figures.get("judged", 0), figures.get("languages", {})
        wrong = sum(languages.values())
        if judged >= ENOUGH and wrong > LOUD * judged and _wrong(checked, part, side) <= LOUD * pairs:
            likely = ", ".join(f"{language} {count:,}" for language, count in [*languages.items()][:3])
            level: Level = "meaningless" if wrong > MOST * judged else "warning"
            levels.setdefault(level, []).append((name, f"{wrong:,} of {judged:,} of {name} ({likely})"))
    for level, files in levels.items():
        yield Doubt(
            level,
            f"lines look like another language: {', '.join(share for _, share in files)}"
            f"{_instance(checked, files[0][0], 'languages')}: do the files hold the languages that they are named for?",
        )


def _stains(checked: Checked) -> Iterator[Doubt]:
    for name, figures in checked.get("files", {}).items():
        if figures.get("markup", 0) > STAINED * figures["lines"]:
            yield Doubt(
                "warning",
                f"{figures['markup']:,} of {figures['lines']:,} lines of {name} have HTML or XML markup"
                f"{_instance(checked, name, 'markup')}: take it out of the files, or the model learns it",
            )
        if figures.get("mojibake", 0) > STAINED * figures.get("mojibake_of", 0):
            beyond = figures["mojibake"] > MOST * figures["mojibake_of"] and figures["mojibake_of"] >= ENOUGH
            yield Doubt(
                "meaningless" if beyond else "warning",
                f"{figures['mojibake']:,} of {figures['mojibake_of']:,} lines of {name} were decoded wrongly once"
                f"{_instance(checked, name, 'mojibake')}: the program ftfy mends such text",
            )


def _unicode_forms(checked: Checked) -> Iterator[Doubt]:
    """Yield a sentence for each language whose text is in two Unicode forms, within train or between the parts."""
    files: Mapping[str, Mapping[str, int]] = checked.get("forms", {})
    shares = {
        name: figures["decomposed"] / figures["two_forms"]
        for name, figures in files.items()
        if figures["two_forms"] >= ENOUGH
    }
    way_out = 'bring all text into one form with overrides="text.unicode_normalization=NFC"'
    for name, share in shares.items():
        part, _, language = name.partition(".")
        train = shares.get(f"train.{language}", share)
        if part == "train" and LOUD < share < 1 - LOUD:
            sentence = f"train.{language} mixes Unicode's composed form (NFC) with others, in {share:.0%} of the lines"
            yield Doubt("warning", f"{sentence} with accents or the like: {way_out}")
        if abs(share - train) > MIXED:
            yield Doubt(
                "warning",
                f"of the lines with accents or the like {1 - train:.0%} of train.{language} and {1 - share:.0%} of "
                f"{name} are in Unicode's composed form (NFC): {way_out}",
            )


def _instance(checked: Checked, name: str, figure: str) -> str:
    """Return the first example of a file's figure, as part of a sentence."""
    for example in checked.get("file_examples", {}).get(name, {}).get(figure, [])[:1]:
        return f", for instance line {example['line']:,} of {name}, “{_short(example['text'].strip())}”"
    return ""


def _quoted(pair: Mapping[str, Any]) -> str:
    return " = ".join(f"“{_short(pair[side])}”" for side in ("source", "target"))


def _short(line: str, width: int = 80) -> str:
    return visible(line if len(line) <= width else f"{line[: width - 1]}…")
