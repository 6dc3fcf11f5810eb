"""python -m bleuprint.record.folder IDENTITY FOLDER: write a stage's config.yaml (its slice) and environment.json."""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from bleuprint.files import DataError, exit_with_message, replacing, write_json
from bleuprint.machine.environment import facts


def begin(folder: Path, identity: str) -> None:
    """Write the stage's slice and what the stage runs on.

    A folder that holds another slice is refused, so that a stage never resumes the work of another config.

    Args:
        folder: `results/<stage>/<key>`.
        identity: the slice as JSON.

    Raises:
        DataError: the folder holds another slice.
    """
    path, slice_ = folder / "config.yaml", json.loads(identity)
    if path.exists() and _read(path) != slice_:
        raise DataError(
            f"{path} was not made by this version of bleuprint for this config; move {folder} away and start again."
        )
    with replacing(path) as file:
        yaml.safe_dump(slice_, file, sort_keys=False, allow_unicode=True)
    write_json(folder / "environment.json", facts())


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return None


@exit_with_message()
def main() -> None:
    """Begin the stage; a folder of another config ends in one sentence."""
    begin(Path(sys.argv[2]), sys.argv[1])


if __name__ == "__main__":
    main()
