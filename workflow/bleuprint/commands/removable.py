"""What can be removed from results/: checkpoints, stages and unfinished files that nothing needs, and dropped runs."""

import os
import re
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from tqdm import tqdm

from bleuprint.commands.disk import made_of
from bleuprint.commands.needed import RESULTS, checkpoints, inside, needed, stage_folders, unfinished
from bleuprint.config.stages import STAGES
from bleuprint.files import DataError
from bleuprint.record.provenance import RUNS, find, job, logs

RUN = "Runs. Their scores, config and record are lost; the report shows them until the next call:"
OWN = "Stages that nothing else needs. Without its training a run cannot translate; its call computes all again:"
CHECKPOINTS = (
    "Checkpoints of finished trainings. The models stay, but a training starts from the beginning if its model is "
    "lost, and one whose model is an average cannot be continued with more epochs:"
)
ORPHANS = "Stages that no run in results/runs is made of. A call that needs one computes it again:"
LEFTOVERS = "Unfinished files of processes that were killed:"
DAY = 86400.0  # seconds after which another host's unfinished file counts as left
OWNED = re.compile(r"\..+-\d+")  # as files.temporary_name names them: host and process


@dataclass(frozen=True)
class Item:
    """What can be removed: its paths, shown as one `name` below the heading that says what its removal costs."""

    heading: str
    name: str
    paths: tuple[Path, ...]


def removable(words: Sequence[str]) -> list[Item]:
    """Return what can be removed.

    Args:
        words: as `clean` takes them.

    Raises:
        DataError: a word names no run here, or a run's records cannot be read.
    """
    if words:
        dropped = list(dict.fromkeys(_here(find(word)) for word in words))
        own = set[Path]().union(*map(made_of, dropped)) - needed([run.name for run in dropped])
        folders = [folder for folder in stage_folders() if folder in own]
        return [Item(RUN, str(run), (run,)) for run in dropped] + _folders(OWN, folders)
    kept = needed()
    finished = [path for path in stage_folders() if path in kept and checkpoints(path) and not unfinished(path)]
    trainings = [Item(CHECKPOINTS, f"{path}/checkpoints", tuple(checkpoints(path))) for path in finished]
    orphans = _folders(ORPHANS, [folder for folder in stage_folders() if folder not in kept])
    gone = {path for item in (*trainings, *orphans) for path in item.paths}
    left = [path for path in leftovers() if not gone.intersection((path, *path.parents))]
    return trainings + orphans + [Item(LEFTOVERS, str(path), (path,)) for path in left]


def _here(run: Path) -> Path:
    path = RUNS / run.resolve().name
    if run.resolve().parent != RUNS.resolve() or not inside(path):
        raise DataError(f"{run} lies in no {RUNS} here, or is a link; go to the folder that holds its results/.")
    return path


def _folders(heading: str, folders: list[Path]) -> list[Item]:
    """Return an item for each stage's folder; what a corpus has downloaded stays."""
    items = []
    for folder in folders:
        paths = [folder]
        if folder.parent.name == "corpus" and any(folder.glob("downloads/*")):
            again = (folder / name for name in STAGES["corpus"].recompute)
            paths = sorted((path for path in again if path.exists()), key=Path.is_dir)  # its seal first
        name = f"{folder} ({', '.join(path.name for path in paths)})" if paths != [folder] else str(folder)
        items += [Item(heading, name + _took(folder), tuple(paths))] if paths else []
    return items


def _took(folder: Path) -> str:
    """Return how long it took to compute a stage, as far as that is known."""
    seconds = 0.0
    with suppress(DataError, ValueError, OSError):
        entries = [job(log) for log in logs(folder.parent.name, folder) if log.exists()]
        seconds = sum(entry["seconds"] or 0.0 for entry in entries)
    return f", took {tqdm.format_interval(seconds)}" if seconds >= 1 else ""


def leftovers() -> list[Path]:
    """Return the unfinished files and folders in results/, except downloads and what may still be being written."""
    paths: list[Path] = []
    for root, folders, names in os.walk(RESULTS):
        paths += [path for name in (*folders, *names) if left(path := Path(root, name))]
        folders[:] = [name for name in folders if name != "downloads" and not name.endswith(".part")]
    return sorted(paths)


def left(path: Path) -> bool:
    """Tell whether nobody writes a `*.part` any more; jobs write none while no call is at work."""
    if path.suffix != ".part" or not inside(path):
        return False
    name = path.name.removesuffix(".part")
    before, _, process = name.rpartition("-")
    if process.isdecimal() and before.endswith(f".{socket.gethostname()}"):
        return not psutil.pid_exists(int(process))
    return OWNED.fullmatch(name) is None or time.time() - path.lstat().st_mtime > DAY
