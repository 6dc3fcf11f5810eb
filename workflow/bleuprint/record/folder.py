"""python -m bleuprint.record.folder IDENTITY FOLDER [INPUT ...]: begin a job of a stage.

It checks the seals of what the job reads, and writes the stage's config.yaml (its slice) and environment.json.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from bleuprint.files import DataError, exit_with_message, read_json, replacing, write_json
from bleuprint.machine.environment import facts
from bleuprint.record.seal import ENVIRONMENT, PARENTS, check


def begin(folder: Path, identity: str, inputs: Sequence[Path] = ()) -> None:
    """Write the stage's slice, what the stage runs on, and what it is made from.

    A folder that holds another slice is refused, so that a stage never resumes the work of another config.

    Args:
        folder: `results/<stage>/<key>`.
        identity: the slice as JSON.
        inputs: what the job reads; what of it lies in other stages' folders must be as it was sealed.

    Raises:
        DataError: the folder holds another slice, an input is not as it was sealed, or the checkpoints of a training
            are of another text.
    """
    parents, before = check(inputs, folder), _read_parents(folder)
    if changed := [parent for parent, made_from in parents.items() if before.get(parent, made_from) != made_from]:
        _refuse_to_mix(folder, changed[0])
    path, slice_ = folder / "config.yaml", json.loads(identity)
    if path.exists() and _read(path) != slice_:
        raise DataError(
            f"{path} was not made by this version of bleuprint for this config; move {folder} away and start again."
        )
    with replacing(path) as file:
        yaml.safe_dump(slice_, file, sort_keys=False, allow_unicode=True)
    write_json(folder / ENVIRONMENT, facts())
    write_json(folder / PARENTS, before | parents)


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return None


def _refuse_to_mix(folder: Path, parent: str) -> None:
    """Refuse to resume checkpoints that are of what another version of the parent's folder held."""
    if (folder / "checkpoints").is_dir():
        raise DataError(
            f"{parent} holds other files than when {folder} was begun; restore them from a copy, or move {folder} away "
            "to train from the beginning."
        )


def _read_parents(folder: Path) -> dict[str, str]:
    """Return what earlier jobs of the stage have read."""
    try:
        parents: dict[str, str] = read_json(folder / PARENTS)
    except (OSError, ValueError):
        return {}
    return parents


@exit_with_message()
def main() -> None:
    """Begin the job; a folder of another config, or an input that has changed, ends in one sentence."""
    begin(Path(sys.argv[2]), sys.argv[1], list(map(Path, sys.argv[3:])))


if __name__ == "__main__":
    main()
