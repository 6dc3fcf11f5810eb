"""Seals: what a finished stage leaves, hashed, so that whoever builds on it knows that it is still what was made.

    python -m bleuprint.record.seal FOLDER            seal a stage's folder
    python -m bleuprint.record.seal --holds FOLDER    status 0 if it is sealed, as it was sealed and up to date

A folder without a seal is not finished. `seal.json` holds the SHA-256 of the stage's files, the digests of the folders
that it was made from, and who made it, when and on what. A file is hashed again only if its device, inode, size or
times have changed (`.hashed.json`), so that a check of unchanged files reads none of them.
"""

import argparse
import hashlib
import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bleuprint.config.stages import ALL
from bleuprint.files import DataError, canonical, exit_with_message, read_json, sha256, write_json

NAME = "seal.json"
PARENTS = ".parents.json"  # the digest of each folder that the stage's jobs have read
ENVIRONMENT = "environment.json"
HASHED = ".hashed.json"  # file → its status when its hash was last computed, and that hash
RESULTS = Path("results")

Seal = dict[str, Any]


def folder_of(path: Path) -> Path | None:
    """Return the stage's folder that `path` lies in, for a path below results/; None for other paths."""
    parts = path.parts
    inside = len(parts) > 2 and parts[0] == RESULTS.name and parts[1] in ALL
    return Path(*parts[:3]) if inside else None


def read(folder: Path) -> Seal | None:
    """Return a folder's seal; None if it has none, or a damaged one."""
    try:
        seal = read_json(folder / NAME)
    except (OSError, ValueError):
        return None
    whole = isinstance(seal, dict) and isinstance(seal.get("files"), dict) and isinstance(seal.get("parents"), dict)
    return seal if whole else None


def digest(seal: Seal) -> str:
    """Return the SHA-256 that stands for all files of a seal, whoever made them."""
    return hashlib.sha256(canonical(seal["files"]).encode()).hexdigest()


def seal(folder: Path) -> None:
    """Seal a stage's folder; a seal of the same files, made from the same, is kept as it is.

    Args:
        folder: `results/<stage>/<key>`, begun by `record.folder`.

    Raises:
        DataError: the stage left nothing.
    """
    stage, before = folder.parent.name, read(folder)
    files, hashed = {}, {}
    for name in sealable(folder, ALL[stage].files):
        stamp = _stamp((folder / name).stat())  # before the hash: a file that changes meanwhile is hashed again
        files[name] = entry(folder / name)
        hashed[name] = [*stamp, files[name]["sha256"]]
    if set(files) <= {"config.yaml"}:
        raise DataError(f"{folder} holds no result that could be sealed; its log says why.")
    parents = read_json(folder / PARENTS)
    _write_hashed(folder, hashed)
    if before is not None and (before["files"], before["parents"]) == (files, parents):
        (folder / NAME).touch()  # Snakemake wants it to be no older than what it was made from
        return
    made = {"sealed": datetime.now(UTC).isoformat(timespec="seconds"), "environment": read_json(folder / ENVIRONMENT)}
    write_json(folder / NAME, {"stage": stage, "parents": parents, "files": files} | made)


def entry(path: Path) -> dict[str, Any]:
    """Return SHA-256 and bytes of a file."""
    return {"sha256": sha256(path), "bytes": path.stat().st_size}


def sealable(folder: Path, patterns: Iterable[str]) -> list[str]:
    """Return the names of a folder's files that match, except hidden ones, caches, logs and unfinished downloads."""
    paths = [path for pattern in patterns for path in sorted(folder.glob(pattern)) if path.is_file()]
    return [
        path.relative_to(folder).as_posix()
        for path in paths
        if not path.name.startswith(".") and path.suffix not in (".log", ".part", ".pyc")
    ]


def check(paths: Iterable[Path], own: Path) -> dict[str, str]:
    """Check that what a job reads is what was sealed.

    Args:
        paths: what the job reads; only what lies in other stages' folders is checked. Of a seal.json only that there
            is one.
        own: the folder of the job's own stage, which is not sealed yet.

    Returns:
        The digest of each folder that they lie in.

    Raises:
        DataError: a folder is not sealed, or a file is not as it was sealed; the message names it and the ways out.
    """
    digests: dict[str, str] = {}
    for path in paths:
        folder = folder_of(path)
        if folder is None or folder == own:
            continue
        known = read(folder)
        if known is None:
            raise DataError(f"{folder} has no seal: it is not finished; {recompute(folder)}")
        names = [name for name in known["files"] if (folder / name).is_relative_to(path)]
        if problems := flaws(folder, known, names):
            raise DataError(f"{problems[0]}; restore it from a copy, or {recompute(folder)}")
        digests[str(folder)] = digest(known)
    return digests


def flaws(folder: Path, known: Seal, names: Iterable[str] | None = None, hashes: bool = True) -> list[str]:
    """Return a clause on each file that is not as it was sealed.

    Args:
        folder: the stage's folder.
        known: its seal.
        names: of the files to check; None: all.
        hashes: whether to compare hashes where the sizes are equal.
    """
    clauses, seen = [], _read_hashed(folder) if hashes else {}
    before = dict(seen)
    for name in known["files"] if names is None else names:
        path, recorded = folder / name, known["files"][name]
        try:
            status = path.stat()
        except OSError:
            clauses.append(f"{path} is missing")
            continue
        if status.st_size != recorded["bytes"]:
            clauses.append(f"{path} has {status.st_size:,} bytes, {recorded['bytes']:,} when it was sealed")
        elif hashes and seen.get(name) != [*_stamp(status), recorded["sha256"]]:
            if (today := sha256(path)) != recorded["sha256"]:
                clauses.append(f"{path} has changed since it was sealed")
            else:
                seen[name] = [*_stamp(status), today]
    if seen != before:
        _write_hashed(folder, seen)
    return clauses


def finished(folder: Path) -> bool:
    """Tell whether the folder is sealed and its files are there in their sizes."""
    known = read(folder)
    return known is not None and not flaws(folder, known, hashes=False)


def holds(folder: Path) -> bool:
    """Tell whether the folder is sealed, as it was sealed, and made from what its parents hold today."""
    known = read(folder)
    return known is not None and current(known) and not flaws(folder, known)


def current(known: Seal) -> bool:
    """Tell whether the parents that a seal names still hold what it was made from; a missing one does."""
    parents = {Path(parent): made_from for parent, made_from in known["parents"].items()}
    today = {parent: read(parent) for parent in parents}
    return all(known is None or digest(known) == parents[parent] for parent, known in today.items())


def recompute(folder: Path) -> str:
    """Return the clause that says how a stage is computed again."""
    paths = [str(folder / name) for name in ALL[folder.parent.name].recompute]
    return f"delete {' and '.join(path.rstrip('/') for path in paths)}, and the same command computes it again."


def _stamp(status: os.stat_result) -> list[int]:
    # ctime catches a file whose mtime was set back
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _read_hashed(folder: Path) -> dict[str, list[Any]]:
    try:
        hashed: dict[str, list[Any]] = read_json(folder / HASHED)
    except (OSError, ValueError):
        return {}
    return hashed if isinstance(hashed, dict) else {}


def _write_hashed(folder: Path, hashed: dict[str, list[Any]]) -> None:
    try:
        write_json(folder / HASHED, hashed)
    except OSError:  # a check of what may only be read costs its hashes each time
        return


@exit_with_message()
def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--holds", action="store_true")
    arguments = parser.parse_args()
    if not arguments.holds:
        seal(arguments.folder)
    elif not holds(arguments.folder):
        sys.exit(1)
    else:
        (arguments.folder / NAME).touch()  # as in `seal`
        print(f"{arguments.folder} is finished, and its seal holds: nothing is computed", file=sys.stderr)


if __name__ == "__main__":
    main()
