"""bleuprint verify: check that the files of runs are still those that were recorded."""

from functools import cache
from pathlib import Path
from typing import Any

from bleuprint.config.differences import differing, flat
from bleuprint.files import DataError, sha256, short_hash
from bleuprint.machine.environment import facts
from bleuprint.record.provenance import RUNS, Record, base, find, parts, read, read_slice, run_folders, shown

Files = dict[str, dict[str, Any]]  # name → sha256 and bytes


def problems(folder: Path, known: Record) -> list[str]:
    """Return a line on each file that is not as recorded; empty if all are."""
    lines = _changes(base(folder), f"{RUNS}/{known['run']}", known["files"])
    for stage in parts(known):
        lines += _changes(base(folder), stage["folder"], stage["files"])
        slice_ = read_slice(base(folder) / stage["folder"])
        if slice_ is not None and (today := short_hash(slice_)) != stage["folder"][-8:]:
            lines.append(f"changed  {stage['folder']}/config.yaml: its keys belong to a folder that ends in {today}")
    return lines


def _changes(root: Path, folder: str, files: Files) -> list[str]:
    if not (root / folder).is_dir():
        return [f"missing  {folder}, with all its {len(files)} files"]
    lines = []
    for name, known in files.items():
        path = root / folder / name
        if not path.is_file():
            lines.append(f"missing  {folder}/{name}")
        elif (size := path.stat().st_size) != known["bytes"]:
            lines.append(f"changed  {folder}/{name}: {size:,} bytes, recorded {known['bytes']:,}")
        elif (digest := _sha256(path, path.stat().st_mtime_ns)) != known["sha256"]:
            lines.append(f"changed  {folder}/{name}: sha256 {digest[:12]}…, recorded {known['sha256'][:12]}…")
    return lines


@cache
def _sha256(path: Path, changed: int) -> str:
    return sha256(path)  # cached: runs share files


def drift(known: Record, today: dict[str, Any]) -> list[str]:
    """Return a line on each recorded fact of the environment that differs today, which may explain other results."""
    stages = known["stages"]
    changes: dict[str, list[str]] = {}  # line → stages
    for stage in stages:
        recorded = flat(stages[stage]["environment"])
        for key, (then, now) in differing([recorded, today]).items():
            # Threads are a job's own; keys that an older version did not record say nothing
            if key in recorded and key not in ("threads", "spin_count"):
                line = f"{key.removeprefix('packages.')} {shown(now)}, recorded {shown(then)}"
                changes[line] = [*changes.get(line, []), stage]
    return [
        f"{line} ({'all stages' if len(affected) == len(stages) else ', '.join(affected)})"
        for line, affected in changes.items()
    ]


def verify(words: list[str]) -> int:
    """Print for each run whether its files are as recorded, and what differs in today's environment.

    Args:
        words: runs, as `find` takes them; empty: all runs in results/runs.

    Returns:
        The exit status: 0 if all files are as recorded.

    Raises:
        DataError: a word names no run, or there are no runs.
    """
    folders = [find(word) for word in words] or run_folders()
    if not folders:
        raise DataError(f"there are no runs in {RUNS} here; start some with: snakemake --cores all")
    failed, today = False, facts()
    for folder in folders:
        try:
            known = read(folder)
        except DataError as error:
            print(f"{folder.absolute().name}: cannot be verified: {error}")
            failed = True
            continue
        changes, notes = problems(folder, known), drift(known, today)
        files = [file for part in (known, *parts(known)) for file in part["files"].values()]
        all_good = f"all {len(files)} files are as recorded ({sum(file['bytes'] for file in files):,} bytes)"
        print(f"{known['run']}: " + (f"of {len(files)} files some are NOT as recorded:" if changes else all_good))
        for line in changes:
            print(f"  {line}")
        for line in notes:
            print(f"  note: today's {line}")
        failed = failed or bool(changes)
    return int(failed)
