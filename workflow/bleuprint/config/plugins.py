"""The user's own code for fairseq (`model.plugin`): which files of a folder count, and what identifies them."""

import hashlib
import keyword
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from bleuprint.files import DataError, canonical, sha256

KEY = "model.plugin"
LOADER = "bleuprint_loader"  # the package beside the copies of plugins that loads them (training/plugins.py)
# Caches, backups of editors, logs and unfinished files: no part of the code
IGNORED_FOLDERS = ("__pycache__",)
IGNORED_ENDS = (".pyc", ".pyo", "~", ".log", ".part")
# More is no code, but a folder that was named by mistake, such as one with data or results in it
MOST_FILES, MOST_BYTES = 1000, 50_000_000


def name_of(folder: str) -> str:
    """Return the name by which Python imports a plugin: its folder's."""
    return Path(os.path.abspath(folder)).name


def files(folder: Path) -> list[str]:
    """Return the paths of the files that count, relative to the folder and sorted.

    Raises:
        DataError: they are too many or too large for code, or the folder cannot be read.
    """
    names: list[str] = []
    size = 0
    for root, folders, found in os.walk(folder, followlinks=True, onerror=_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in IGNORED_FOLDERS]
        paths = [Path(root, name) for name in found if not name.startswith(".") and not name.endswith(IGNORED_ENDS)]
        paths = [path for path in paths if path.is_file()]
        size += sum(path.stat().st_size for path in paths)
        names += [path.relative_to(folder).as_posix() for path in paths]
        if len(names) > MOST_FILES or size > MOST_BYTES:
            raise DataError(
                f"{KEY}: {folder} has more than {MOST_FILES:,} files or {MOST_BYTES // 1_000_000} MB, and it is copied "
                "into each training's folder; name a folder that holds the code alone"
            )
    return sorted(names)


def _unreadable(error: OSError) -> None:
    raise DataError(f"{KEY}: {error.filename} cannot be read ({error.strerror}); make it readable") from None


def digest(folder: Path) -> str:
    """Return the SHA-256 that stands for names and content of all files that count.

    Raises:
        DataError: a file cannot be read, or they are too many.
    """
    try:
        content = {name: sha256(folder / name) for name in files(folder)}
    except OSError as error:
        raise DataError(f"{KEY}: {error.filename} cannot be read ({error.strerror}); make it readable") from None
    return hashlib.sha256(canonical(content).encode(errors="surrogateescape")).hexdigest()


def digests(folders: Sequence[str]) -> dict[str, str]:
    """Return the SHA-256 of each plugin by its name.

    Raises:
        DataError: one cannot be a plugin, or two have one name.
    """
    by_name: dict[str, str] = {}
    for folder in folders:
        _check(folder)
        name = name_of(folder)
        if other := by_name.get(name):
            raise DataError(f"{KEY}={folder}: {other} has the same name, {name}; rename one of the two folders")
        by_name[name] = folder
    return {name: _digest(os.path.abspath(by_name[name])) for name in sorted(by_name)}


def by_folder(folders: Sequence[str]) -> dict[str, str]:
    """Return the same as `digests`, but by folder."""
    hashes = digests(folders)
    return {folder: hashes[name_of(folder)] for folder in folders}


def unlike(folder: Path, other: Path) -> list[str]:
    """Return the files in which two versions of a plugin differ; those of one alone, too.

    Raises:
        DataError: one cannot be read.
    """
    names = [set(files(version)) for version in (folder, other)]
    same = {name for name in names[0] & names[1] if (folder / name).read_bytes() == (other / name).read_bytes()}
    return sorted((names[0] | names[1]) - same)


@cache
def _digest(folder: str) -> str:
    """Return a folder's SHA-256, computed once in a process: all of a plan goes by the same content."""
    return digest(Path(folder))


def _check(folder: str) -> None:
    """Check what can be said of a plugin without loading it.

    Raises:
        DataError: it cannot be imported as a package.
    """
    path, name = Path(folder), name_of(folder)
    if not path.is_dir():
        wrong = "is a file, and a plugin is a folder" if path.exists() else "no such folder"
        raise DataError(f"{KEY}={folder}: {wrong}; name the folder that holds the plugin's __init__.py")
    if not name.isidentifier() or keyword.iskeyword(name) or name == LOADER:
        raise DataError(
            f"{KEY}={folder}: {name} can be no name of a Python package here; rename the folder, with letters, digits "
            "and underscores"
        )
    if not (path / "__init__.py").is_file():
        raise DataError(
            f"{KEY}={folder}: holds no __init__.py; name the folder of the plugin itself, and put in its __init__.py "
            "what it registers"
        )
