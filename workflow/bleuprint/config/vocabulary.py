"""The segmenter and the dictionaries that a checkpoint file was trained with, where they lie beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from bleuprint.config.local_text import content_hash
from bleuprint.config.segmenters import SEGMENTERS, of_text
from bleuprint.files import DataError

# Keys of `text` that a model's text decides; the others clean and draw, which each training may do as it likes
INHERITED = (
    "tokenizer",
    "lowercase",
    "unicode_normalization",
    "segmenter",
    "merges",
    "sentencepiece",
    "joined_dictionary",
)


@dataclass(frozen=True)
class Vocabulary:
    """The files that a model's text was made with."""

    segmenter: Path  # the file that the segmenter learnt
    dictionaries: Mapping[str, Path]  # language → dictionary
    text: Mapping[str, Any]  # the keys of `text`; one that has its default may be missing
    languages: tuple[str, str]  # source and target

    def identity(self) -> dict[str, str]:
        """Return the SHA-256 of each file."""
        hashes = {f"dict.{language}.txt": content_hash(path) for language, path in self.dictionaries.items()}
        return {self.segmenter.name: content_hash(self.segmenter)} | hashes


def beside(checkpoint: Path) -> Vocabulary | None:
    """Return the vocabulary of a checkpoint file; None where none lies beside it.

    It does in the folder of an unpacked archive of `bleuprint pack --checkpoint`, and in `results/` in the text stage's
    folder that the training was made from.

    Raises:
        DataError: there are dictionaries, but the segmenter or its keys are missing.
    """
    return _beside(checkpoint.resolve().parent)


@cache
def _beside(folder: Path) -> Vocabulary | None:
    stage = folder.parent if folder.name == "checkpoints" else folder
    texts = [path for path in _texts(stage) if (path / "bin").is_dir()]
    place = texts[0] if texts else folder
    files = sorted((place / "bin" if texts else place).glob("dict.*.txt"))
    dictionaries = {path.name.split(".")[1]: path for path in files}
    if not dictionaries:
        return None
    config = _read(place / "config.yaml")
    keys = config if texts else config.get("text")
    models = [path for one in SEGMENTERS.values() if (path := place / one.model).is_file()]
    source, target = str(config.get("source")), str(config.get("target"))
    if not isinstance(keys, dict) or len(models) != 1 or not {source, target} <= set(dictionaries):
        names = " or ".join(one.model for one in SEGMENTERS.values())
        raise DataError(
            f"{place}: has dictionaries, but no {names} and config.yaml of the text that they belong to; copy these "
            "there too, or move the dictionaries away"
        )
    inherited = {key: keys[key] for key in INHERITED if key in keys} | {"segmenter": of_text(keys)}
    return Vocabulary(models[0], dictionaries, inherited, (source, target))


def _texts(stage: Path) -> list[Path]:
    """Return the text stage's folder that a training's folder was made from, if it is there."""
    parent = _read(stage / "config.yaml").get("parent")
    return sorted((stage.parents[1] / "text").glob(f"*-{parent}")) if isinstance(parent, str) else []


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return values if isinstance(values, dict) else {}
