"""Find a run whose model is to be used, and check that its files are those that were recorded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bleuprint.config.segmenters import SEGMENTERS
from bleuprint.files import DataError, sha256
from bleuprint.record.provenance import Record, base, find, read
from bleuprint.text.segmenters import named


@dataclass(frozen=True)
class Trained:
    """A run's config, the folders of its stages, and the checkpoints of its model or, in an ensemble, models."""

    config: dict[str, Any]
    folders: dict[str, Path]
    checkpoints: list[Path]

    @property
    def languages(self) -> tuple[str, str]:
        """Return source and target language."""
        return self.config["source"], self.config["target"]


def trained(word: str) -> Trained:
    """Return the run that `word` names, as `provenance.find` takes it.

    Raises:
        DataError: the word names no run or several, the run has no record, or its config or segmenter has changed.
    """
    folder = find(word)
    known, root = read(folder), base(folder)
    stages = {stage: root / entry["folder"] for stage, entry in known["stages"].items()}
    trainings = [stages["training"], *(root / entry["folder"] for entry in known.get("ensemble", []))]
    check_recorded(known, known["files"], folder, "config.yaml")
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    check_recorded(known, known["stages"]["text"]["files"], stages["text"], SEGMENTERS[named(config)].model)
    return Trained(config, stages, [training / "checkpoint.pt" for training in trainings])


def check_recorded(known: Record, files: dict[str, Any], folder: Path, *names: str) -> None:
    """Check that files are those that were recorded.

    Args:
        known: the run's record.
        files: the part of it that tells the files of `folder`.
        folder: a folder of the run, or of one of its stages.
        names: of the files to check.

    Raises:
        DataError: a file is missing or has changed.
    """
    for name in names:
        if not (folder / name).is_file() or name not in files or files[name]["sha256"] != sha256(folder / name):
            raise DataError(
                f"{folder / name} is not what was recorded; bleuprint verify {known['run']} says what changed."
            )
