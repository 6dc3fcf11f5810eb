"""Look for what is odd in a further test set of `corpus.tests`, and for its pairs that are in train.

The figures are those of checks.py, and the part is called `test` here, too.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bleuprint.corpus.checks import Train
from bleuprint.corpus.doubts import Doubt, doubts
from bleuprint.corpus.leaks import leaks
from bleuprint.corpus.monolingual import forms, raw_figures
from bleuprint.corpus.oddities import figures

Figures = Mapping[str, Any]
Lines = Mapping[str, Sequence[str]]  # `test.SOURCE`, `test.TARGET` and, of more references, `test.TARGET.1` and so on


def check_raw(files: Lines, source: str, target: str) -> dict[str, Any]:
    """Return the figures of a raw test set, for which no training text is needed.

    Args:
        files: its lines.
        source: the source language.
        target: the target language.
    """
    raw = {name: raw_figures(lines, name.split(".")[1]) for name, lines in files.items()}
    return {
        "languages": [source, target],
        "parts": {"test": {"pairs": len(files[f"test.{source}"])}},
        "files": {name: counts for name, (counts, _) in raw.items()},
        "file_examples": {name: examples for name, (_, examples) in raw.items() if examples},
    }


def check_prepared(files: Lines, source: str, target: str, train: Train, forms_of_train: Figures) -> dict[str, Any]:
    """Return the figures of a test set beside the training text; of an odd pair the first reference counts.

    Args:
        files: its lines before subwords.
        source: the source language.
        target: the target language.
        train: the training text.
        forms_of_train: `train.LANGUAGE` → the figures of its Unicode forms.
    """
    names = sorted(name for name in files if f"{name}.".startswith(f"test.{target}."))
    lines = list(zip(files[f"test.{source}"], *(files[name] for name in names), strict=True))
    counts, examples = figures(((line[0], line[1]) for line in lines), train.usual())
    leaking, longest = leaks(train.all(), {"test": lines})["test"]
    own_forms = {name: forms(files[name]) for name in (f"test.{source}", f"test.{target}")}
    return {
        "languages": [source, target],
        "parts": {"test": counts | leaking},
        "examples": {"test": examples | longest},
        "forms": {**forms_of_train, **own_forms},
    }


def doubts_of_test_set(files: Lines, source: str, target: str) -> list[Doubt]:
    """Return what is odd about a raw test set; the arguments are those of `check_raw`."""
    return doubts(check_raw(files, source, target))


def prepared_doubts(checked: Figures) -> list[Doubt]:
    """Return what is odd about a test set beside the training text, but for leaks and what is odd about that text."""
    of_train = {name: counts for name, counts in checked.get("forms", {}).items() if name.startswith("train.")}
    told = doubts({"parts": {}, "forms": of_train})
    return [doubt for doubt in doubts(checked) if doubt not in told]
