"""bleuprint watch: show a live table of the runs, from the files that Snakemake's jobs write."""

import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text
from tqdm import tqdm

from bleuprint.commands.alone import CURRENT, alive, current
from bleuprint.config.stages import FURTHER, STAGES
from bleuprint.files import DataError
from bleuprint.machine import slurm
from bleuprint.plan.explain import gathered
from bleuprint.record import seal
from bleuprint.training.progress import begins, fraction, metrics_of
from bleuprint.widths import shorten

TAIL = 200_000  # bytes read from the end of a training's log
COLUMNS = ("run", "stage", "state", "epoch", "updates", "loss", "BLEU", "words/s", "left", "device")
LESS = ("device", "words/s", "updates", "BLEU", "epoch")  # columns that a narrow terminal does without, in this order
READABLE, GAP = 28, 2  # columns that a shortened name should have at least, and columns between two columns
ANCESTOR = "ancestor's"  # before the stage of another run that the run builds on
ORDER = (*FURTHER, *STAGES)  # in which a further test set goes through its stages
SILENT = 10  # minutes without a new line in its log after which a stage counts as silent
WAITING = b"(waiting for a free GPU)\n"  # the end of a log while bleuprint.machine.lease waits
LEASED = re.compile(rb"^CUDA_VISIBLE_DEVICES=(\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class State:
    """The progress of a run, a row of the table; all fields are text, empty where unknown."""

    run: str
    stage: str
    # waiting, queued (in SLURM), running, silent (its log does not grow: it may have died), stopped, damaged or done
    state: str
    epoch: str = ""
    updates: str = ""
    loss: str = ""
    bleu: str = ""
    words_per_second: str = ""
    left: str = ""
    device: str = ""

    def cells(self) -> list[str]:
        """Return the row of the table."""
        return list(vars(self).values())


def state(run: dict[str, Any], running: bool, since: float = 0.0, jobs: Sequence[slurm.Job] = ()) -> State:
    """Return the progress of a run of current.json.

    Args:
        run: `run`, `stages`, `ensemble` (the folders of its other trainings), `tests` (further test set → stage →
            folder), `max_epoch`, `max_update`, `at_most` (whether the training may end earlier), `ancestors` (the
            folders of the stages of other runs that it builds on), `order` (of all its folders, each after those that
            it is made from) and `limits` (folder of an ancestor's training → these three keys).
        running: whether Snakemake is still running.
        since: when this call of Snakemake began (seconds since 1970); logs of an earlier call do not count as work.
        jobs: those of this call in SLURM that have not ended.
    """
    folders = {stage: Path(folder) for stage, folder in run["stages"].items()}
    trainings = [folders["training"], *map(Path, run.get("ensemble", []))]
    # For an ensemble, show the training that is not finished
    unfinished = [folder for folder in trainings if not seal.finished(folder)]
    folders["training"] = (unfinished or trainings)[0]
    tests = run.get("tests", {})
    begun = [] if gathered(run["run"], {}) else [(stage, folders[stage]) for stage in STAGES]
    if not gathered(run["run"], tests):
        begun += [
            (f"{stage} ({name})", Path(test[stage])) for name, test in tests.items() for stage in ORDER if stage in test
        ]
    ancestors = [Path(folder) for folder in run.get("ancestors", []) if begun]
    order = run.get("order", [])
    begun += [(f"{ANCESTOR} {folder.parent.name}", folder) for folder in ancestors]
    begun.sort(key=lambda one: order.index(str(one[1])) if str(one[1]) in order else len(order))
    open_stages = [(stage, folder) for stage, folder in begun if not seal.finished(folder)]
    stage, folder = open_stages[0] if open_stages else ("scoring", folders["scoring"])
    logs = sorted(folder.glob("*.log"), key=lambda log: log.stat().st_mtime)
    word = "waiting"
    if not open_stages:
        word = "done"
    elif seal.read(folder) is not None:
        word = "damaged"  # sealed, and not finished: what was sealed is not there any more
    elif logs and not running:
        word = "stopped"
    elif logs and logs[-1].stat().st_mtime >= since and not _tail(logs[-1]).endswith(WAITING):
        silent = (time.time() - logs[-1].stat().st_mtime) / 60
        word = "running" if silent < SILENT else f"silent {silent:.0f} min"
    job = next((job for job in jobs if job.comment.endswith(folder.name)), None)
    if job is not None and word in ("waiting", "running") and not job.node:
        word = "queued"
    limits: dict[str, Any] = {key: run[key] for key in ("max_epoch", "max_update", "at_most") if key in run}
    if stage == f"{ANCESTOR} training":
        limits = run["limits"][str(folder)] | {"more": True}
        folders["training"] = folder
    figures = _training(limits, folders["training"] / "train.log", word == "running" and stage.endswith("training"))
    if job is not None and job.node:
        figures["device"] = f"{figures.get('device', '')} on {job.node}".lstrip()
    return State(run["run"], stage, word, **figures)


def _training(run: dict[str, Any], log: Path, running: bool) -> dict[str, str]:
    """Return the columns that come from a training's log."""
    if not log.exists():
        return {}
    tail = _tail(log)
    lines = tail.decode("utf-8", errors="replace").splitlines()
    rows = [row for row in map(metrics_of, lines) if row is not None]
    session = max((number for number, line in enumerate(lines) if begins(line)), default=0)
    if not rows:
        return {}
    last = rows[-1]
    losses = [f"{row['loss']:.3f}" for row in rows if row["split"] == "train" and "loss" in row]
    bleus = [f"{row['bleu']:.1f}" for row in rows if row["split"] == "valid" and "bleu" in row]
    speeds = [
        f"{row['words_per_second']:,.0f}" for row in rows if row["split"] == "train" and "words_per_second" in row
    ]
    clocks = [row for row in map(metrics_of, lines[session:]) if row is not None and "wall_seconds" in row]
    left = _left(clocks, run) if running else ""
    epochs = f"/{run['max_epoch']}" if run["max_epoch"] else ""
    leased = LEASED.findall(_head(log) + tail)
    return {
        "epoch": f"{last['epoch']:.1f}{epochs}",
        "updates": f"{last['updates']:,}",
        "loss": losses[-1] if losses else "",
        "bleu": bleus[-1] if bleus else "",
        "words_per_second": speeds[-1] if speeds and running else "",
        "left": left,
        "device": f"GPU {leased[-1].decode()}" if leased else "CPU",
    }


def _left(rows: list[dict[str, Any]], run: dict[str, Any]) -> str:
    """Estimate the time left from the pace between the first and the last row of a session; its clock starts at 0."""
    if len(rows) < 2:
        return ""
    first, last = (fraction(row, run["max_epoch"], run["max_update"]) for row in (rows[0], rows[-1]))
    if last <= first:
        return ""
    seconds = (rows[-1]["wall_seconds"] - rows[0]["wall_seconds"]) / (last - first) * (1 - last)
    bound = ">" if run.get("more") else "≤" if run.get("at_most") else ""
    return f"{bound} {tqdm.format_interval(seconds)}".lstrip()


def _tail(log: Path) -> bytes:
    with open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL))
        return file.read()


def _head(log: Path) -> bytes:
    with open(log, "rb") as file:
        return file.read(20_000)


def table(states: list[State], width: int) -> Table:
    """Render the states as a table that is whole in `width` columns.

    Where there is no room, columns of LESS are left out, and names shortened; seeds and hashes are never cut.
    """
    cells = [dict(zip(COLUMNS, row.cells(), strict=True)) for row in states]
    names = max((len(row.run) for row in states), default=0)
    shown, room = list(COLUMNS), width
    for left_out in ("", *LESS):
        shown = [name for name in shown if name != left_out]
        others = (max(map(len, (name, *(row[name] for row in cells)))) for name in shown[1:])
        room = width - sum(size + GAP for size in others)
        if room >= min(names, READABLE):
            break
    rendered = Table(box=None, header_style="bold", pad_edge=False)
    for name in shown:
        rendered.add_column(name, no_wrap=True)
    for row in cells:
        style = {"running": "bold", "done": "green", "stopped": "red", "damaged": "red"}.get(row["state"], "dim")
        row["run"] = shorten(row["run"], room)
        rendered.add_row(*(Text(row[name]) for name in shown), style=style)
    return rendered


def line(row: State) -> str:
    """Render a state as a line of plain text."""
    named = zip(COLUMNS[3:], row.cells()[3:], strict=True)
    # A device that the log does not name yet has only the machine's name, after the word "on"
    figures = [value if value.startswith("on ") else f"{name} {value}" for name, value in named if value]
    return f"{row.run}: " + ", ".join([f"{row.stage} {row.state}", *figures])


def _jobs(known: dict[str, Any]) -> list[slurm.Job]:
    """Return the call's jobs in SLURM; none where SLURM does not answer, which ends no table."""
    try:
        return slurm.jobs(known["slurm"]) if known.get("slurm") else []
    except DataError:
        return []


def watch(interval: float) -> None:
    """Show the runs of the current call of Snakemake until it ends; after it, show those of the last call once.

    Args:
        interval: seconds between two updates.
    """
    if current() is None:
        print("There are no runs in results/ here yet; start some with: snakemake --cores all")
        return
    console = Console()
    printed: dict[str, str] = {}  # the last line of each run
    states: list[State] = []
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            if (known := current()) is None:
                break
            running = alive(known)
            since = CURRENT.stat().st_mtime
            jobs = _jobs(known) if running else []
            states = [state(run, running, since, jobs) for run in known["runs"]]
            if console.is_terminal:
                live.update(table(states, console.width), refresh=True)
            else:
                for row in states:
                    if printed.get(row.run) != line(row):
                        printed[row.run] = line(row)
                        print(printed[row.run], flush=True)
            if not running or all(row.state == "done" for row in states):
                break
            time.sleep(interval)
    if any(row.state == "stopped" for row in states):
        print("No snakemake is running here; the same command resumes what was stopped.", file=sys.stderr)
