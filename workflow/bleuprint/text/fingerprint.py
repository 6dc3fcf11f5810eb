"""python -m bleuprint.text.fingerprint: what the text stage made, and how it compares with what is known."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from tabulate import tabulate

from bleuprint.config import Choice
from bleuprint.files import canonical, sha256, write_json
from bleuprint.schema import Iwslt14


def expected(choice: Choice) -> str:
    """JSON of the facts that the corpus' config states, which hold for the text stage of prepare-iwslt14.sh only."""
    corpus = choice.experiment.corpus
    changed = choice.groups["text"] != "iwslt14" or any("text." in word for word in choice.overrides)
    changed = changed or corpus.decontaminate
    if changed or not isinstance(corpus, Iwslt14) or corpus.expected is None:
        return "{}"
    return canonical(corpus.expected.model_dump())


def fingerprint(folder: Path) -> dict[str, Any]:
    """Facts of a text folder: lines of each part, dictionary types, SHA-256 of tokenised files and BPE codes."""
    tokenised = {path.name: path for path in sorted((folder / "tokenized").iterdir()) if path.suffix != ".both"}
    tokenised = {name: path for name, path in tokenised.items() if not name.startswith(".")}
    dictionaries = {path.name.split(".")[1]: path for path in sorted((folder / "bin").glob("dict.*.txt"))}
    return {
        "lines": {name.split(".")[0]: path.read_bytes().count(b"\n") for name, path in tokenised.items()},
        # fairseq prints its four special symbols among the types, the file does not hold them
        "dictionary": {language: path.read_bytes().count(b"\n") + 4 for language, path in dictionaries.items()},
        "sha256": {name: sha256(path) for name, path in tokenised.items()} | {"codes": sha256(folder / "codes")},
    }


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """(what, expected, found) of each expected fact that does not hold."""
    return [
        (f"{kind} {name}", value, found[kind].get(name))
        for kind, facts in expected.items()
        for name, value in facts.items()
        if found[kind].get(name) != value
    ]


def main() -> None:
    """Entry point: differences are a warning, on standard error."""
    parser = argparse.ArgumentParser(prog="bleuprint.text.fingerprint", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the text stage's folder")
    parser.add_argument("--expected", type=json.loads, default={}, help="facts to compare with, as JSON")
    arguments = parser.parse_args()
    found = fingerprint(arguments.folder)
    write_json(arguments.folder / "fingerprint.json", found)
    if rows := differences(found, arguments.expected):
        print("WARNING: this is not the text that published results were made with:", file=sys.stderr)
        print(tabulate(rows, headers=("fact", "expected", "found")), file=sys.stderr)


if __name__ == "__main__":
    main()
