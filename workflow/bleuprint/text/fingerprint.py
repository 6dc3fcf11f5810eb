"""python -m bleuprint.text.fingerprint: what the text stage made, and how it compares with what is known."""

import argparse
import json
import sys
from pathlib import Path
from textwrap import indent
from typing import Any

from tabulate import tabulate

from bleuprint.config.compose import Choice
from bleuprint.config.schema import Iwslt14
from bleuprint.files import canonical, sha256, write_json

WAY_OUT = (
    'Look for the cause first. If it is the text that you want: overrides="corpus.expected=null" where nothing is '
    'known of it, or overrides="runtime.fingerprint=warning" to be warned only.'
)


def expected(choice: Choice) -> str:
    """JSON of the facts that the corpus' config states, which hold for the text stage of prepare-iwslt14.sh only."""
    corpus = choice.experiment.corpus
    changed = choice.groups["text"] != "iwslt14" or any("text." in word for word in choice.overrides)
    changed = changed or corpus.decontaminate
    if changed or not isinstance(corpus, Iwslt14) or corpus.expected is None:
        return "{}"
    return canonical(corpus.expected.model_dump())


def fingerprint(folder: Path) -> dict[str, Any]:
    """Facts of a text folder.

    Returns:
        `lines` of each part; `tokens` (as the BPE was given them) and `sha256` of each tokenised file, the latter also
        of the BPE `codes`; `dictionary`: types of each language.
    """
    tokenised = {path.name: path for path in sorted((folder / "tokenized").iterdir()) if path.suffix != ".both"}
    tokenised = {name: path for name, path in tokenised.items() if not name.startswith(".")}
    dictionaries = {path.name.split(".")[1]: path for path in sorted((folder / "bin").glob("dict.*.txt"))}
    texts = {name: path.read_bytes() for name, path in tokenised.items()}
    return {
        "lines": {name.split(".")[0]: text.count(b"\n") for name, text in texts.items()},
        "tokens": {name: len(text.split()) for name, text in texts.items()},
        # fairseq prints its four special symbols among the types, the file does not hold them
        "dictionary": {language: path.read_bytes().count(b"\n") + 4 for language, path in dictionaries.items()},
        "sha256": {name: sha256(path) for name, path in tokenised.items()} | {"codes": sha256(folder / "codes")},
    }


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """(what, expected, found) of each expected fact that does not hold."""
    return [
        (f"{kind} {name}", value, found.get(kind, {}).get(name))
        for kind, facts in expected.items()
        for name, value in facts.items()
        if found.get(kind, {}).get(name) != value
    ]


def main() -> None:
    """Entry point: differences end in an error with a table, or are a warning if that was asked for."""
    parser = argparse.ArgumentParser(prog="bleuprint.text.fingerprint", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the text stage's folder")
    parser.add_argument("--expected", type=json.loads, default={}, help="facts to compare with, as JSON")
    parser.add_argument("--difference", choices=["error", "warning"], default="error", help="what a difference is")
    arguments = parser.parse_args()
    found = fingerprint(arguments.folder)
    if rows := differences(found, arguments.expected):
        table = tabulate(rows, headers=("fact", "expected", "found"))
        words = "this is not the text that the corpus' config expects"
        if arguments.difference == "error":
            sys.exit(f"bleuprint: {words}:\n{indent(table, '  ')}\n  {WAY_OUT}")
        print(f"bleuprint: WARNING: {words}:\n{indent(table, '  ')}", file=sys.stderr)
    write_json(arguments.folder / "fingerprint.json", found)


if __name__ == "__main__":
    main()
