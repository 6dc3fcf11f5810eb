"""python -m bleuprint.text.check_test: check a prepared test set of `corpus.tests` beside the training text.

What is odd is told on the terminal, but for what was told of the raw test set. All figures are in checks.json.
"""

import argparse
from pathlib import Path
from typing import Any

import yaml

from bleuprint.corpus.checks import Lines, Train
from bleuprint.corpus.doubts import Doubt, doubts, leak_doubts, of_test_set, tell
from bleuprint.corpus.further import check_prepared, check_raw, prepared_doubts
from bleuprint.files import read_json, read_lines, write_json
from bleuprint.scoring import reference_files
from bleuprint.text.unknown import MEANINGLESS, many, most_frequent, shares, warnings


def check(folder: Path, text: Path) -> dict[str, Any]:
    """Return the figures of a test set.

    Args:
        folder: of the test set, prepared.
        text: the text stage's folder.

    Returns:
        What `check_raw` and `check_prepared` return, of a published set without `files`; `unknown`, the share of
        subwords that the dictionaries lack in each file of train and test set, and `unknown_examples`.
    """
    settings, given = (yaml.safe_load((place / "config.yaml").read_text(encoding="utf-8")) for place in (text, folder))
    languages = settings["source"], settings["target"]
    checked: dict[str, Any] = {}
    if "set" not in given:  # of a published set nobody doubts what it holds
        checked = check_raw(_lines(folder / "raw", languages), *languages)
    known = read_json(text / "checks.json")
    train = [Lines(text / "tokenized" / f"train.{language}") for language in languages]
    pairs = Train(lambda: zip(*train, strict=True), known.get("cleaning", {}).get("train"))
    forms = {name: figures for name, figures in known.get("forms", {}).items() if name.startswith("train.")}
    checked |= check_prepared(_lines(folder / "tokenized", languages), *languages, pairs, forms)
    return checked | _unknown(folder, text)


def _lines(folder: Path, languages: tuple[str, str]) -> dict[str, list[str]]:
    paths = [folder / f"test.{languages[0]}", *reference_files(folder / f"test.{languages[1]}")]
    return {path.name: read_lines(path) for path in paths}


def _unknown(folder: Path, text: Path) -> dict[str, Any]:
    """Return `unknown` and, of files with many, `unknown_examples`."""
    path = text / "fingerprint.json"
    of_text = read_json(path).get("unknown", {}) if path.exists() else {}
    unknown = {name: share for name, share in of_text.items() if name.startswith("train.")}
    unknown |= shares(folder / "prepare_test.log")
    examples = {
        name: most_frequent(folder / "segmented" / name, text / f"bin/dict.{name.partition('.')[2]}.txt")
        for name in many(unknown)
    }
    return {"unknown": unknown} | ({"unknown_examples": examples} if examples else {})


def untold(checked: dict[str, Any], folder: Path, text: Path) -> list[Doubt]:
    """Return what is odd about a prepared test set, but for what was told of the raw one.

    Args:
        checked: as `check` returns it.
        folder: of the test set.
        text: the text stage's folder.
    """
    raw = {key: checked.get(key, {}) for key in ("languages", "files", "file_examples")}
    told = doubts(raw | {"parts": {"test": {"pairs": checked["parts"]["test"]["pairs"]}}})
    unknown, examples = checked["unknown"], checked.get("unknown_examples")
    sentences = warnings(unknown, folder / "tokenized", examples, text / "tokenized")
    return [doubt for doubt in (*prepared_doubts(checked), *leak_doubts(checked)) if doubt not in told] + [
        Doubt("meaningless" if unknown[name] > MEANINGLESS else "warning", sentence.rstrip("."))
        for name, sentence in sentences.items()
    ]


def main() -> None:
    """Check a test set from the command line; what makes its scores meaningless is an error, or a warning if asked."""
    parser = argparse.ArgumentParser(prog="bleuprint.text.check_test", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the test set's folder")
    parser.add_argument("--text", type=Path, required=True, help="the text stage's folder")
    parser.add_argument("--name", required=True, help="what the user calls the test set")
    parser.add_argument("--doubts", choices=["error", "warning"], default="warning", help="what a meaningless text is")
    arguments = parser.parse_args()
    checked = check(arguments.folder, arguments.text)
    write_json(arguments.folder / "checks.json", checked)
    tell(of_test_set(arguments.name, untold(checked, arguments.folder, arguments.text)), arguments.doubts)


if __name__ == "__main__":
    main()
