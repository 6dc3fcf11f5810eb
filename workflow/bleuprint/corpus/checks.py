"""python -m bleuprint.corpus.checks: look for what is odd in a parallel text, and for held-out pairs that are in train.

The figures of each part are those of oddities.py, and of validation and test set also the pairs that are in train:
`in_train` character by character, `in_train_normalised` after normalising (leaks.py), and `source_in_train` those whose
normalised source is in train, with any translation. The figures of each file are those of monolingual.py.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from bleuprint.corpus.doubts import doubts, leak_doubts, tell
from bleuprint.corpus.leaks import Pair, leaks
from bleuprint.corpus.monolingual import forms, raw_figures
from bleuprint.corpus.oddities import Usual, figures, learn
from bleuprint.files import read_json, write_json

SAMPLE = 200_000  # training pairs to learn from, or up to twice as many
PARTS = ("train", "valid", "test")


def check(
    parts: Mapping[str, Iterable[str]],
    source: str,
    target: str,
    raw: Mapping[str, Iterable[str]] | None = None,
    mixture: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return all figures of a parallel text.

    Args:
        parts: `train.de` and so on → lines of the text before subwords, which are read several times.
        source: the source language.
        target: the target language.
        raw: the same of the corpus' raw files, where they are to be checked, too.
        mixture: where train has more than genuine pairs, `train` of cleaning.json. Then each genuine pair counts once;
            made pairs only count among those that are searched for held-out pairs, unless train has no others. Of
            a text in both directions the first one is checked.

    Returns:
        `languages`; `parts`, part → figures as above; `examples`, part → figure → at most three pairs with their
        lines' numbers (of `in_train_normalised` the longest, else the first); `forms`, file → figures of Unicode forms;
        `files`, raw file → figures, and `file_examples`, raw file → figure → at most three lines.
    """

    def pairs(part: str) -> Iterator[Pair]:
        lines = zip(parts[f"{part}.{source}"], parts[f"{part}.{target}"], strict=True)
        if part == "valid" and mixture is not None and mixture["bidirectional"]:
            # The second half is the first with its sides exchanged
            return islice(lines, sum(1 for _ in parts[f"{part}.{source}"]) // 2)
        return lines

    train = Train(lambda: pairs("train"), mixture)
    names = [part for part in PARTS if f"{part}.{source}" in parts]
    usual = train.usual()
    checked = {part: figures(train.judged() if part == "train" else pairs(part), usual) for part in names}
    held = {part: [*pairs(part)] for part in names[1:]}
    for part, (counts, examples) in leaks(train.all(), held).items():
        checked[part] = checked[part][0] | counts, checked[part][1] | examples
    files = {
        name: raw_figures(raw[name], language)
        for part in PARTS
        for language in (source, target)
        if raw is not None and (name := f"{part}.{language}") in raw
    }
    return {
        "languages": [source, target],
        "parts": {part: counts for part, (counts, _) in checked.items()},
        "examples": {part: examples for part, (_, examples) in checked.items()},
        "forms": {name: forms(parts[name]) for part in names for name in (f"{part}.{source}", f"{part}.{target}")},
        "files": {name: counts for name, (counts, _) in files.items()},
        "file_examples": {name: examples for name, (_, examples) in files.items() if examples},
    }


@dataclass(frozen=True)
class Train:
    """The pairs of train, which are read several times."""

    pairs: Callable[[], Iterator[Pair]]
    mixture: Mapping[str, Any] | None  # as `check` takes it

    def judged(self) -> Iterator[Pair]:
        """Return the pairs that figures are of: the genuine ones, unless train has none."""
        return self._of("genuine" if self.mixture is None or self.mixture["copies"] else "made")

    def all(self) -> Iterator[Pair]:
        """Return the pairs that are searched for held-out pairs."""
        return self._of("genuine", "made")

    def usual(self) -> Usual:
        """Learn what is usual, in a large text from a sample."""
        size = sum(1 for _ in self.judged())
        return learn(islice(self.judged(), 0, None, max(1, size // SAMPLE)))

    def _of(self, *kinds: str) -> Iterator[Pair]:
        if self.mixture is None:
            return self.pairs()
        ranges = [span(self.mixture, kind) for kind in kinds]
        return chain.from_iterable(islice(self.pairs(), *lines) for lines in ranges)


def span(mixture: Mapping[str, Any], kind: str) -> tuple[int, int]:
    """Return where the pairs of a kind, genuine or made, begin and end in train; each pair counts once.

    Args:
        mixture: `train` of cleaning.json.
        kind: `genuine` or `made`.
    """
    genuine, copies = mixture["genuine"], mixture["copies"]
    begin = genuine * copies
    return (0, genuine if copies else 0) if kind == "genuine" else (begin, begin + mixture["made"])


def warnings(checked: dict[str, Any]) -> list[str]:
    """Return a line for the terminal for each doubt, and for each part that leaks."""
    return [doubt.line() for doubt in (*doubts(checked), *leak_doubts(checked))]


class Lines:
    """The lines of a file, read again at each pass, so that a large text is never held in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[str]:
        with open(self.path, encoding="utf-8", newline="\n") as file:
            for line in file:
                yield line.removesuffix("\n")


def main() -> None:
    """Check a text from the command line; what makes its scores meaningless is an error, unless that is insisted on."""
    parser = argparse.ArgumentParser(prog="bleuprint.corpus.checks", description="Check a parallel text.")
    parser.add_argument("--text", type=Path, required=True, help="folder of PART.LANGUAGE files")
    parser.add_argument("--raw", type=Path, help="folder of the corpus' untokenised PART.LANGUAGE files")
    parser.add_argument("--source", required=True, help="source language")
    parser.add_argument("--target", required=True, help="target language")
    parser.add_argument("--cleaning", type=Path, help="JSON file of what tokenising left out")
    parser.add_argument("--output", type=Path, required=True, help="JSON file for the figures")
    parser.add_argument("--doubts", choices=["error", "warning"], default="warning", help="what a meaningless text is")
    arguments = parser.parse_args()
    raw = _files(arguments.raw) if arguments.raw and arguments.raw.is_dir() else None
    cleaning = read_json(arguments.cleaning) if arguments.cleaning else {}
    checked = check(_files(arguments.text), arguments.source, arguments.target, raw, cleaning.get("train"))
    if cleaning:
        checked["cleaning"] = cleaning
    write_json(arguments.output, checked)
    tell([*doubts(checked), *leak_doubts(checked)], arguments.doubts)


def _files(folder: Path) -> dict[str, Lines]:
    return {path.name: Lines(path) for path in folder.iterdir() if not path.name.startswith(".")}


if __name__ == "__main__":
    main()
