"""Find the stages' folders that runs, a stopped call or an unfinished training still need."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bleuprint.commands.alone import current
from bleuprint.commands.disk import made_of
from bleuprint.config.stages import ALL
from bleuprint.files import read_json
from bleuprint.plan.explain import gathered
from bleuprint.record import seal
from bleuprint.record.provenance import RUNS, parts, read_slice, run_folders

RESULTS = seal.RESULTS


def stage_folders() -> list[Path]:
    """Return the folders of all stages, without those that are links or that a link out of results/ leads to."""
    folders = [path for stage in ALL for path in sorted((RESULTS / stage).glob("*"))]
    return [path for path in folders if path.is_dir() and path.suffix != ".part" and inside(path)]


def inside(path: Path) -> bool:
    """Tell whether a path is no link and truly lies in results/, which may itself be a link."""
    return not path.is_symlink() and path.resolve().is_relative_to(RESULTS.resolve())


def links() -> list[Path]:
    """Return the stages' folders, and the folders that hold them, that lead out of results/."""
    paths = [RESULTS / stage for stage in (*ALL, RUNS.name)]
    paths += [path for folder in paths if inside(folder) for path in sorted(folder.glob("*"))]
    return [path for path in paths if path.exists() and not inside(path)]


def checkpoints(training: Path) -> list[Path]:
    """Return the checkpoints that a training can resume from; the notes beside them are part of its record."""
    save_dir = training / "checkpoints"
    return [path for path in sorted(save_dir.glob("*.pt")) if inside(save_dir) and not path.is_symlink()]


def unfinished(training: Path) -> bool:
    """Tell whether a training's checkpoints are needed: its model is not there, or not as it was sealed."""
    known = seal.read(training)
    return bool(checkpoints(training)) and (known is None or bool(seal.flaws(training, known)))


def unfinished_runs() -> list[dict[str, Any]]:
    """Return the runs of the last call that are not gathered; if it was stopped, it resumes from their stages."""
    known = (current() or {"runs": []})["runs"]
    return [run for run in known if not gathered(run["run"], run.get("tests", {}))]


def needed(dropped: Iterable[str] = ()) -> set[Path]:
    """Return the stages' folders that something needs.

    Args:
        dropped: the names of runs that do not count.

    Raises:
        DataError: a run's records cannot be read.
    """
    kept = [folder for folder in run_folders() if folder.name not in set(dropped)]
    folders = {path for folder in kept for path in made_of(folder)}
    for run in unfinished_runs():
        folders |= set(map(Path, parts(run)))
    waiting = [*folders, *(path for path in stage_folders() if path.parent.name == "training" and unfinished(path))]
    while waiting:
        folder = waiting.pop()
        folders.add(folder)
        waiting += parents(folder) - folders
    return folders


def parents(folder: Path) -> set[Path]:
    """Return the folders that a stage was made from: those its jobs have noted, and those its keys name by hash."""
    try:
        noted = set(map(Path, read_json(folder / seal.PARENTS)))
    except (OSError, ValueError):
        noted = set()
    slice_: Any = read_slice(folder)
    keys = slice_ if isinstance(slice_, dict) else {}
    hashes = {str(keys.get("parent")), *map(str, dict(keys.get("parents") or {}).values())}
    stages = ALL[folder.parent.name].parents if folder.parent.name in ALL else ()
    return noted | {path for stage in stages for path in (RESULTS / stage).glob("*") if path.name[-8:] in hashes}
