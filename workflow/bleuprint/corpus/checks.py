"""python -m bleuprint.corpus.checks: look for what is odd in a parallel text, and for held-out pairs that are in train.

The figures of each part are those of oddities.py, and of validation and test set also the pairs that are in train:
`in_train` character by character, `in_train_normalised` after normalising (leaks.py), and `source_in_train` those whose
normalised source is in train, with any translation. The figures of each file are those of monolingual.py.
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from bleuprint.corpus.doubts import Doubt, doubts, leak_doubts, tell
from bleuprint.corpus.leaks import Pair, leaks
from bleuprint.corpus.monolingual import forms, raw_figures
from bleuprint.corpus.oddities import figures, learn
from bleuprint.files import read_json, write_json

SAMPLE = 200_000  # training pairs to learn from, or up to twice as many
PARTS = ("train", "valid", "test")


def check(
    parts: Mapping[str, Iterable[str]], source: str, target: str, raw: Mapping[str, Iterable[str]] | None = None
) -> dict[str, Any]:
    """Return all figures of a parallel text.

    Args:
        parts: `train.de` and so on → lines of the text before subwords, which are read several times.
        source: the source language.
        target: the target language.
        raw: the same of the corpus' raw files, where they are to be checked, too.

    Returns:
        `languages`; `parts`, part → figures as above; `examples`, part → figure → at most three pairs with their
        lines' numbers (of `in_train_normalised` the longest, else the first); `forms`, file → figures of Unicode forms;
        `files`, raw file → figures, and `file_examples`, raw file → figure → at most three lines.
    """

    def pairs(part: str) -> Iterator[Pair]:
        return zip(parts[f"{part}.{source}"], parts[f"{part}.{target}"], strict=True)

    names = [part for part in PARTS if f"{part}.{source}" in parts]
    size = sum(1 for _ in pairs("train"))
    usual = learn(islice(pairs("train"), 0, None, max(1, size // SAMPLE)))
    checked = {part: figures(pairs(part), usual) for part in names}
    for part, (counts, examples) in leaks(pairs("train"), {part: [*pairs(part)] for part in names[1:]}).items():
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


def warnings(checked: dict[str, Any]) -> list[str]:
    """Return a line for the terminal for each doubt, and for each part that leaks."""
    return [doubt.line() for doubt in (*doubts(checked), *leak_doubts(checked))]


def doubts_of_test_set(files: Mapping[str, Sequence[str]], source: str, target: str) -> list[Doubt]:
    """Return what is odd about a further test set.

    Args:
        files: `test.SOURCE`, `test.TARGET` and, of more references, `test.TARGET.1` and so on → lines.
        source: the source language.
        target: the target language.
    """
    figures = {name: raw_figures(lines, name.split(".")[1]) for name, lines in files.items()}
    return doubts(
        {
            "languages": [source, target],
            "parts": {"test": {"pairs": len(files[f"test.{source}"])}},
            "files": {name: counts for name, (counts, _) in figures.items()},
            "file_examples": {name: examples for name, (_, examples) in figures.items()},
        }
    )


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
    checked = check(_files(arguments.text), arguments.source, arguments.target, raw)
    if arguments.cleaning is not None:
        checked["cleaning"] = read_json(arguments.cleaning)
    write_json(arguments.output, checked)
    tell([*doubts(checked), *leak_doubts(checked)], arguments.doubts)


def _files(folder: Path) -> dict[str, Lines]:
    return {path.name: Lines(path) for path in folder.iterdir() if not path.name.startswith(".")}


if __name__ == "__main__":
    main()
