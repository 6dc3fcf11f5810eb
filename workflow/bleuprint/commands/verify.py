"""bleuprint verify: whether the files of runs are still those that were recorded."""

from functools import cache
from pathlib import Path
from typing import Any

from bleuprint.config.differences import differing, flat
from bleuprint.files import DataError, sha256, short_hash
from bleuprint.machine.environment import facts
from bleuprint.record.provenance import RUNS, Record, base, find, parts, read, read_slice, run_folders, shown

Files = dict[str, dict[str, Any]]  # name → sha256 and bytes


def problems(folder: Path, known: Record) -> list[str]:
    """What is no longer as recorded, one line each; empty if all holds."""
    found = _changes(base(folder), f"{RUNS}/{known['run']}", known["files"])
    for stage in parts(known):
        found += _changes(base(folder), stage["folder"], stage["files"])
        slice_ = read_slice(base(folder) / stage["folder"])
        if slice_ is not None and (today := short_hash(slice_)) != stage["folder"][-8:]:
            found.append(f"changed  {stage['folder']}/config.yaml: its keys are those of a folder that ends in {today}")
    return found


def _changes(root: Path, folder: str, files: Files) -> list[str]:
    if not (root / folder).is_dir():
        return [f"missing  {folder}, with all its {len(files)} files"]
    found = []
    for name, known in files.items():
        path = root / folder / name
        if not path.is_file():
            found.append(f"missing  {folder}/{name}")
        elif (size := path.stat().st_size) != known["bytes"]:
            found.append(f"changed  {folder}/{name}: {size:,} bytes, recorded were {known['bytes']:,}")
        elif (digest := _sha256(path, path.stat().st_mtime_ns)) != known["sha256"]:
            found.append(f"changed  {folder}/{name}: sha256 {digest[:12]}…, recorded was {known['sha256'][:12]}…")
    return found


@cache
def _sha256(path: Path, changed: int) -> str:
    return sha256(path)  # once for all runs that share the file


def drift(known: Record, today: dict[str, Any]) -> list[str]:
    """What of the recorded environments is not so today, one line each: no failure, but a reason for other results."""
    stages = known["stages"]
    found: dict[str, list[str]] = {}
    for stage in stages:
        recorded = flat(stages[stage]["environment"])
        for key, (then, now) in differing([recorded, today]).items():
            # Threads are a job's own; keys that an older version did not record say nothing
            if key in recorded and key != "threads":
                line = f"{key.removeprefix('packages.')} {shown(now)}, recorded {shown(then)}"
                found[line] = [*found.get(line, []), stage]
    where = {line: "all stages" if len(ones) == len(stages) else ", ".join(ones) for line, ones in found.items()}
    return [f"{line} ({where[line]})" for line in found]


def verify(words: list[str]) -> int:
    """Say of runs whether their files are those recorded, and what differs in today's environment.

    Args:
        words: runs, as `find` takes them; empty: all that are here.

    Returns:
        The exit status: 0 if all holds.

    Raises:
        DataError: a word names no run, or there is none.
    """
    folders = [find(word) for word in words] or run_folders()
    if not folders:
        raise DataError(f"there are no runs in {RUNS} here; make some with: snakemake --cores all")
    failed, today = False, facts()
    for folder in folders:
        try:
            known = read(folder)
        except DataError as error:
            print(f"{folder.name}: cannot be verified: {error}")
            failed = True
            continue
        wrong, notes = problems(folder, known), drift(known, today)
        files = [file for one in (known, *parts(known)) for file in one["files"].values()]
        held = f"all {len(files)} files are as recorded ({sum(file['bytes'] for file in files):,} bytes)"
        print(f"{known['run']}: " + (f"NOT as recorded, of {len(files)} files:" if wrong else held))
        for line in wrong:
            print(f"  {line}")
        for line in notes:
            print(f"  note: today's {line}")
        failed = failed or bool(wrong)
    return int(failed)
