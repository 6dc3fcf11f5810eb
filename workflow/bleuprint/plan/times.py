"""Modification times that follow from the seals, since Snakemake reruns what is older than what it was made from.

A copy of results/ has any times, and so has one from a machine whose clock is wrong. What a seal says is finished, and
made from what its parents hold, is made to look so; what was made from something else is made to look old. Inputs that
are `ancient` would not do: `-R RULE` and a new result would then leave what was made from the old one as it is.
"""

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from bleuprint.config.stages import ALL
from bleuprint.files import read_json, sha256
from bleuprint.plan.graph import Plan
from bleuprint.record import seal
from bleuprint.record.provenance import NAME, RUNS, parts

REPORT = Path("results/report")


def settle(plan: Plan) -> None:
    """Give all files of a finished stage its seal's time, or its parents' if later; nothing is in the future."""
    now = time.time()
    times: dict[str, float] = {}  # folder or scores.json → the time of its files
    for stage, key in dict.fromkeys(need for run in plan.runs for need in run.needs):
        folder = seal.RESULTS / stage / key
        if (known := seal.read(folder)) is None:
            _end_future(folder, now)
        else:
            names = dict.fromkeys(name.partition("/")[0] for name in known["files"] if name != "config.yaml")
            benchmarks = [f"{job}.benchmark.tsv" for job in ALL[stage].jobs]
            parents = [times[parent] for parent in known["parents"] if parent in times]
            paths = [folder / name for name in (seal.NAME, *names, *benchmarks)]
            times[str(folder)] = _settle(paths, parents, now, seal.current(known))
    for run in plan.runs:
        scores = RUNS / run.name / "scores.json"
        folders = [seal.RESULTS / stage / key for stage, key in run.needs if stage != "corpus"]
        if scores.exists():
            parents = [times[str(folder)] for folder in folders if str(folder) in times]
            times[str(scores)] = _settle([scores], parents, now, _gathered(scores.parent, folders))
    if (known := seal.read(REPORT)) is not None:
        parents = [times.get(str(RUNS / run.name / "scores.json"), 0.0) for run in plan.runs]
        parents += [times.get(run.folder("scoring"), 0.0) for run in plan.runs]
        current = known["parents"] == {run.name: _digest(RUNS / run.name / "scores.json") for run in plan.runs}
        _settle([REPORT / name for name in (seal.NAME, *known["files"])], parents, now, current)


def _settle(paths: Sequence[Path], parents: Sequence[float], now: float, current: bool) -> float:
    """Give all paths one time: if they are `current` none before their parents', else one before; return it.

    Args:
        paths: those that exist count, and the first of them decides.
        parents: the times of what they were made from.
        now: the latest time (seconds since 1970).
        current: whether they were made from what the parents hold today.
    """
    carriers = [carrier for path in paths if (carrier := _carrier(path)).exists()]
    earliest = max(parents, default=0.0)
    newest = carriers[0].stat().st_mtime
    moment = min(max(newest, earliest) if current else max(earliest - 1, 1.0), now)  # 0 is no time for Snakemake
    for carrier in carriers:
        if carrier.stat().st_mtime != moment:
            with suppress(OSError):  # nothing may be written here: then nothing can be made here either
                os.utime(carrier, (moment, moment))
    return moment


def _end_future(folder: Path, now: float) -> None:
    """Set the times in an unfinished folder that lie in the future to now: Snakemake fails on such inputs."""
    for path in folder.glob("*"):
        carrier = _carrier(path)
        if carrier.stat().st_mtime > now:
            with suppress(OSError):
                os.utime(carrier, (now, now))


def _carrier(path: Path) -> Path:
    """Return the file whose time Snakemake takes for that of `path`."""
    inside = path / ".snakemake_timestamp"
    return inside if path.is_dir() and inside.exists() else path


def _gathered(run: Path, folders: Iterable[Path]) -> bool:
    """Tell whether a run's record names the files that the seals of its folders name today; folders may be deleted."""
    try:
        record = read_json(run / NAME)
        files = {Path(stage["folder"]): stage["files"] for stage in parts(record)}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False
    seals = {folder: known for folder in folders if (known := seal.read(folder)) is not None}
    return all(files.get(folder) == known["files"] for folder, known in seals.items())


def _digest(path: Path) -> str | None:
    return sha256(path) if path.exists() else None
