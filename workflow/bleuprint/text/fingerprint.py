"""python -m bleuprint.text.fingerprint: write facts of the text that was made, and compare them with published ones."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from bleuprint.config.segmenters import SEGMENTERS
from bleuprint.corpus.doubts import INSIST
from bleuprint.files import canonical, sha256, write_json
from bleuprint.text.unknown import MEANINGLESS, many, most_frequent, shares, warnings

if TYPE_CHECKING:  # slow to load, and no job's program needs it
    from bleuprint.config.compose import Choice

WAY_OUT = (
    'Look for the cause first. If it is the text that you want: overrides="corpus.expected=null" where nothing is '
    'known of it, or overrides="runtime.fingerprint=warning" to get only a warning.'
)


def expected(choice: Choice) -> str:
    """Return as JSON the facts that the corpus' config states; they hold only for the steps of prepare-iwslt14.sh."""
    corpus, published = choice.experiment.corpus, choice.experiment.corpus.published()
    changed = choice.groups["text"] != "iwslt14" or any("text." in word for word in choice.overrides)
    changed = changed or corpus.decontaminate or corpus.share is not None or corpus.translated is not None
    return "{}" if changed or published is None else canonical(published.model_dump())


def fingerprint(folder: Path) -> dict[str, Any]:
    """Return facts of a text folder.

    Returns:
        `lines` of each part; `tokens` (before BPE) and `sha256` of each tokenised file; `sha256` also of the
        segmenter's model; `dictionary`: types of each language.
    """
    tokenised = {path.name: path for path in sorted((folder / "tokenized").iterdir()) if path.suffix != ".both"}
    tokenised = {name: path for name, path in tokenised.items() if not name.startswith(".")}
    dictionaries = {path.name.split(".")[1]: path for path in sorted((folder / "bin").glob("dict.*.txt"))}
    models = {name.model: sha256(path) for name in SEGMENTERS.values() if (path := folder / name.model).exists()}
    texts = {name: path.read_bytes() for name, path in tokenised.items()}
    return {
        "lines": {name.split(".")[0]: text.count(b"\n") for name, text in texts.items()},
        "tokens": {name: len(text.split()) for name, text in texts.items()},
        # fairseq counts its four special symbols among the types; they are not in the file
        "dictionary": {language: path.read_bytes().count(b"\n") + 4 for language, path in dictionaries.items()},
        "sha256": {name: sha256(path) for name, path in tokenised.items()} | models,
    }


def unknown_subwords(folder: Path) -> dict[str, Any]:
    """Return facts of the subwords that the dictionaries lack.

    Returns:
        `unknown`, the share of each file; where some have many, `unknown_examples`, of such a file the most frequent
        (subword, number).
    """
    unknown = shares(folder / "binarise.log")
    examples = {
        name: most_frequent(path, folder / f"bin/dict.{name.partition('.')[2]}.txt")
        for name in many(unknown)
        for segmenter in SEGMENTERS.values()
        if (path := folder / segmenter.folder / name).exists()
    }
    return {"unknown": unknown} | ({"unknown_examples": examples} if examples else {})


def differences(facts: dict[str, Any], expected: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return (name, expected value, value) of each expected fact that does not hold."""
    return [
        (f"{kind} {name}", value, facts.get(kind, {}).get(name))
        for kind, values in expected.items()
        for name, value in values.items()
        if facts.get(kind, {}).get(name) != value
    ]


def main() -> None:
    """Write and compare the facts; a difference is an error with a table, or a warning if that was asked for."""
    parser = argparse.ArgumentParser(prog="bleuprint.text.fingerprint", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the text stage's folder")
    parser.add_argument("--expected", type=json.loads, default={}, help="facts to compare with, as JSON")
    parser.add_argument("--difference", choices=["error", "warning"], default="error", help="what a difference is")
    parser.add_argument("--doubts", choices=["error", "warning"], default="warning", help="what a meaningless text is")
    arguments = parser.parse_args()
    facts = fingerprint(arguments.folder) | unknown_subwords(arguments.folder)
    sentences = warnings(facts["unknown"], arguments.folder / "tokenized", facts.get("unknown_examples"))
    for name, sentence in sentences.items():
        if arguments.doubts == "error" and facts["unknown"][name] > MEANINGLESS:
            sys.exit(f"bleuprint: a score of this text would be meaningless: {sentence}\n  {INSIST}")
        print(f"WARNING: {sentence}", file=sys.stderr)
    if rows := differences(facts, arguments.expected):
        table = tabulate(rows, headers=("fact", "expected", "found"))
        message = "this is not the text that the corpus' config expects"
        if arguments.difference == "error":
            sys.exit(f"bleuprint: {message}:\n{indent(table, '  ')}\n  {WAY_OUT}")
        print(f"bleuprint: WARNING: {message}:\n{indent(table, '  ')}", file=sys.stderr)
    write_json(arguments.folder / "fingerprint.json", facts)


if __name__ == "__main__":
    main()
