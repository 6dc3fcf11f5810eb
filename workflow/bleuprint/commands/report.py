"""bleuprint report: write a report of any finished runs, also of several folders, without a plan."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from bleuprint.files import Damaged, DataError
from bleuprint.record import seal
from bleuprint.record.provenance import RUNS, base, find, read, run_folders
from bleuprint.report.gather import read_run
from bleuprint.report.groups import baseline, groups
from bleuprint.report.write import advice, write
from bleuprint.widths import columns, wrapped

WORKERS = 4  # processes for the paired tests, at most


def report(words: Sequence[str], wanted: str | None, folder: Path) -> int:
    """Write the report, and print its table and conclusions; the runs' folders are only read.

    Args:
        words: runs, as `provenance.find` takes them; empty: all runs in results/runs.
        wanted: the baseline, as `groups.baseline` takes it; None: the group of the first run.
        folder: where to write it: a new folder, an empty one, or one with a report that this command wrote.

    Returns:
        The exit status, 0.

    Raises:
        DataError: a word names no run or several, a run cannot be read, two runs have one name, `wanted` names no
            group, or the folder holds something else.
    """
    folders = [find(word) for word in words] or run_folders()
    if not folders:
        raise DataError(f"there are no runs in {RUNS} here; start some with: snakemake --cores all")
    check_folder(folder)
    try:
        paths = scores(folders)
        if wanted is not None:
            wanted = baseline(groups([read_run(path) for path in paths]), wanted, "--baseline ").label
        write(folder, paths, wanted, min(WORKERS, os.cpu_count() or 1), [])
    except (FileNotFoundError, Damaged) as error:
        raise DataError(advice(error, "call Snakemake for that run")) from None
    print(wrapped((folder / "scores.txt").read_text(encoding="utf-8").rstrip("\n"), columns(sys.stdout)))
    return 0


def scores(folders: Sequence[Path]) -> list[Path]:
    """Return the path of each run's scores.json, as it is reached from here; a run that is named twice counts once.

    Raises:
        DataError: a run has no record that can be read, or runs of two folders have the same name.
    """
    paths: dict[str, Path] = {}
    for folder in folders:
        name, root = read(folder)["run"], base(folder)
        path = Path(os.path.relpath(root)) / RUNS / name / "scores.json"
        other = paths.setdefault(name, path)
        if other.resolve() != path.resolve():
            raise DataError(
                f"{path.parent} and {other.parent} are runs of the same name, and a report shows each name once; "
                "leave one out, or compare the two: bleuprint diff RUN RUN."
            )
    return list(paths.values())


def check_folder(folder: Path) -> None:
    """Refuse a folder in which a report would replace other files.

    Raises:
        DataError: it holds something else than a report, or belongs to Snakemake's calls.
    """
    place = folder.resolve()
    if place.name == "report" and (place.parent / "runs").is_dir():
        raise DataError(f"{folder}: holds the report of Snakemake's last call; choose another folder with --output.")
    if place.exists() and not place.is_dir():
        raise DataError(f"{folder}: is a file; choose another name with --output.")
    if place.is_dir() and any(place.iterdir()) and (seal.read(place) or {}).get("stage") != "report":
        raise DataError(f"{folder}: holds other files than a report; choose another folder with --output.")
