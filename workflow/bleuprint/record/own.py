"""The user's own config files of a run, kept in its folder as they were when it was asked for."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bleuprint.config.groups import KEY
from bleuprint.files import replacing

FOLDER = "config"  # in the run's folder


def keep(run: Path, files: Mapping[str, str]) -> None:
    """Write the files that took part.

    Args:
        run: the run's folder.
        files: path in the user's folder → text.
    """
    shutil.rmtree(run / FOLDER, ignore_errors=True)
    for name, text in files.items():
        path = run / FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(text)


def names(run: Path) -> list[str]:
    """Return the names of the files that a run's folder keeps."""
    return sorted(path.relative_to(run).as_posix() for path in (run / FOLDER).glob("*/*.yaml"))


def recorded(known: dict[str, Any]) -> list[str]:
    """Return the names, in the run's folder, of the files that a record has."""
    return [name for name in known.get("files", ()) if name.startswith(f"{FOLDER}/")]


def words(known: dict[str, Any], run: Path) -> list[str]:
    """Return the word by which Hydra finds the files of a recorded run; none if none took part.

    Args:
        known: its record.
        run: its folder.
    """
    from bleuprint.config.words import quoted  # not above: it loads Hydra, and completion has to answer soon

    return [f"{KEY}={quoted(str(run.absolute() / FOLDER))}"] if recorded(known) else []
