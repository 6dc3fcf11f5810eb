"""python -m bleuprint.record.folder IDENTITY FOLDER: write a stage's config.yaml, its slice, and environment.json."""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from bleuprint.files import DataError, replacing, write_json
from bleuprint.machine.environment import facts


def begin(folder: Path, identity: str) -> None:
    """Write the slice, or check the one that is there, so that nothing foreign is gone on with; say what it runs on.

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


def main() -> None:
    """Entry point; a foreign folder ends in one sentence."""
    try:
        begin(Path(sys.argv[2]), sys.argv[1])
    except DataError as error:
        sys.exit(f"bleuprint: {error}")


if __name__ == "__main__":
    main()
