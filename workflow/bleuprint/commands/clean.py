"""bleuprint clean: say what takes how much room in results/, and remove what nothing needs any more."""

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bleuprint.commands.alone import JOBS, LOCK, alive, current
from bleuprint.commands.disk import human, size
from bleuprint.commands.needed import RESULTS, inside, links, stage_folders, unfinished, unfinished_runs
from bleuprint.commands.removable import Item, removable
from bleuprint.files import DataError, locked, visible

WIDTH = 80


def clean(words: Sequence[str], yes: bool, dry_run: bool) -> int:
    """List what can be removed with its size, ask, and remove it.

    Args:
        words: runs to drop, as `provenance.find` takes them, with what only they need; empty: all that nothing needs.
        yes: do not ask.
        dry_run: only list.

    Returns:
        The exit status: 1 if the answer was no.

    Raises:
        DataError: there are no results, a call is at work, a word names no run here, or nobody can be asked.
    """
    if not RESULTS.is_dir():
        raise DataError("there is no results/ here; go to the folder that holds it.")
    if dry_run:
        _list(removable(words), words)
        if (known := current()) and alive(known):
            print("A call of Snakemake is at work here; nothing can be removed until it has ended.")
        return 0
    with alone():
        items = removable(words)
        _list(items, words)
        if items and not yes and not _agreed():
            print("Nothing was removed.")
            return 1
        for item in items:
            for path in item.paths:
                _remove(path)
        if items:
            print(f"Removed; results/ takes {human(size([RESULTS]))} now.")
    return 0


@contextmanager
def alone() -> Iterator[None]:
    """Let no call of Snakemake begin here meanwhile.

    Raises:
        DataError: a call is at work, or jobs that a killed one left.
    """
    opened = []
    try:
        for path in (LOCK, JOBS):
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                free = locked(file)
            except OSError:  # no locks here, as on some network file systems
                free = (known := current()) is None or not alive(known)
                os.close(file)
            else:
                opened += [file] if free else []
            if not free:
                raise DataError("a call of Snakemake is at work in this folder; wait for it, or list with --dry-run.")
        yield
    finally:
        for file in opened:
            os.close(file)


def _list(items: list[Item], words: Sequence[str]) -> None:
    rooms = {path.name: size([path]) for path in RESULTS.iterdir() if path.is_dir() and inside(path)}
    largest = sorted((room for room in rooms if rooms[room]), key=lambda room: -rooms[room])
    parts = ", ".join(f"{room} {human(rooms[room])}" for room in largest)
    lines = [_wrapped(f"results/ takes {human(size([RESULTS]))}: {parts or 'nothing'}.")]
    for heading in dict.fromkeys(item.heading for item in items):
        lines += ["", _wrapped(heading)]
        for item in items:
            if item.heading == heading:
                lines.append(f"{human(size(item.paths, only_here=True)):>9}  {item.name}")
    if not words:
        lines += _kept()
    freed = size([path for item in items for path in item.paths], only_here=True)
    lines += ["", f"{human(freed)} can be freed." if items else "There is nothing to remove."]
    print(visible("\n".join(lines)))


def _kept() -> list[str]:
    """Return lines on what is left alone although it may be large."""
    trainings = [path for path in stage_folders() if path.parent.name == "training" and unfinished(path)]
    lines = [f"{human(size([path])):>9}  {path}" for path in trainings]
    if lines:
        lines = ["", _wrapped("Kept: unfinished trainings, which resume. To give one up, delete its folder:"), *lines]
    if names := [run["run"] for run in unfinished_runs()]:
        heading = "Kept: all stages of runs that the last call has not finished, until another call is made:"
        lines += ["", _wrapped(heading), *(f"{'':9}  {name}" for name in names)]
    if leading := links():
        lines += ["", _wrapped("Left alone, as these lead out of results/:"), *(f"{'':9}  {path}" for path in leading)]
    return lines


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _agreed() -> bool:
    """Ask whether to remove what was listed.

    Raises:
        DataError: there is nobody to ask.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise DataError("nothing was removed: there is no terminal to ask on; add --yes to remove it all the same.")
    try:
        return input("Remove it? [y/N] ").strip().lower() in ("y", "yes")
    except (EOFError, KeyboardInterrupt):
        print()
        return False


def _remove(path: Path) -> None:
    """Remove a file or folder; a folder loses its name first, so that a half-removed one is never taken for a whole."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    doomed = path.with_name(f".{path.name}.part")  # a later call finds it among the leftovers
    shutil.rmtree(doomed, ignore_errors=True)
    path.rename(doomed)
    shutil.rmtree(doomed)
