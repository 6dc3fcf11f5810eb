"""What the results of runs take on the disk, and which stages' folders a run is made of."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from bleuprint.files import DataError, read_json
from bleuprint.record.provenance import NAME, parts

UNITS = ("kB", "MB", "GB", "TB")


def made_of(run: Path) -> set[Path]:
    """Return the folders of the stages that a gathered run is made of, those of an ensemble's trainings included.

    Args:
        run: its folder in results/runs.

    Raises:
        DataError: neither of its records can be read.
    """
    folders: set[Path] = set()
    for name in ("scores.json", NAME):
        try:
            known = read_json(run / name, keys=["stages"])
            entries = parts(known)
            folders |= {Path(entry["folder"] if isinstance(entry, dict) else entry) for entry in entries}
        except (OSError, ValueError, LookupError, AttributeError, TypeError):
            continue
    if not folders:
        raise DataError(
            f"{run} has no readable scores.json or {NAME}, so what it is made of is unknown; delete {run}, and "
            "Snakemake's call for that run gathers it again."
        )
    return folders


def files(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the files among these paths and in folders among them; links in folders are not followed."""
    for path in paths:
        if path.is_dir():
            for folder, _, names in os.walk(path):
                yield from (Path(folder, name) for name in names)
        elif path.exists() or path.is_symlink():
            yield path


def size(paths: Iterable[Path], only_here: bool = False) -> int:
    """Return the bytes of all files at and below the paths; one with several names counts once.

    Args:
        paths: files and folders.
        only_here: leave out files that have another name elsewhere, which deleting these paths would not free.
    """
    sizes: dict[tuple[int, int], tuple[int, int]] = {}  # device and inode → bytes and number of names
    names: dict[tuple[int, int], set[Path]] = {}
    for path in files(paths):
        try:
            status = path.lstat()
        except OSError:  # deleted meanwhile
            continue
        file = (status.st_dev, status.st_ino)
        sizes[file] = status.st_size, status.st_nlink
        names.setdefault(file, set()).add(path)
    return sum(taken for file, (taken, links) in sizes.items() if not only_here or links <= len(names[file]))


def human(taken: float) -> str:
    """Return a number of bytes for people."""
    taken /= 1000
    for unit in UNITS:
        if taken < 999.5 or unit == UNITS[-1]:
            return f"{taken:.1f} {unit}" if unit in UNITS[2:] else f"{taken:.0f} {unit}"
        taken /= 1000
    raise AssertionError
