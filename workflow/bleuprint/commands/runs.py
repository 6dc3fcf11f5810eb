"""bleuprint runs: list the runs in results/runs with their scores, date and size.

With --json it prints a list of objects, one a run, in the same order. Their fields do not change between versions:

    run, recipe, corpus, model, seed, source, target, overrides, sentences    as in the run's scores.json
    scores     metric → score
    tests      further test set → `sentences` and `scores` there
    date       when its scores were sealed, as 2026-11-27T08:15:00+00:00; null if that is unknown
    bytes      its folder and its stages, each file once; a stage that several runs share counts for each of them
    missing    the stages whose folders are not there any more; `ancestors` means some of other runs that it builds on
    unsealed   the stages whose folders are there without a seal: not finished, or of an older version
    damaged    the stages whose files are missing or of another size than when they were sealed
"""

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bleuprint.commands.disk import human, made_of, size
from bleuprint.config.stages import STAGES
from bleuprint.files import DataError, read_json, sentence, visible
from bleuprint.record import seal
from bleuprint.record.provenance import NAME, RUNS, run_folders
from bleuprint.report.gather import read_run
from bleuprint.report.groups import one_line
from bleuprint.scoring.metrics import kind_of

FACTS = ("run", "recipe", "corpus", "model", "seed", "source", "target", "overrides", "sentences")
SORTED_BY = ("run", "recipe", "corpus", "model", "seed", "date", "size")  # and any metric
STATES = ("missing", "unsealed", "damaged")  # of a stage
WIDEST = 10_000  # columns, where no terminal sets a limit

Row = dict[str, Any]


def runs(words: Sequence[str], key: str, as_json: bool) -> int:
    """Print the runs.

    Args:
        words: all must hold of a run: a part of its name or of an override, or KEY=VALUE as in `model=lightconv`.
        key: what to sort by: one of SORTED_BY or a metric. Newest, largest and best come first.
        as_json: print JSON for scripts.

    Returns:
        The exit status: 1 if a run could not be read, which a line on standard error says.

    Raises:
        DataError: there are no runs, or no run has the key.
    """
    folders = run_folders()
    if not folders:
        raise DataError(f"there are no runs in {RUNS} here; start some with: snakemake --cores all")
    rows, lowest_first, unread = [], set[str](), False
    for folder in folders:
        try:
            run = read_run(folder / "scores.json")
        except (DataError, OSError) as error:
            print(visible(f"bleuprint: {folder.name} cannot be read: {sentence(error)}"), file=sys.stderr)
            unread = True
            continue
        if matches(run, words):
            rows.append(row(folder, run))
            metrics = run["metrics"].items()
            lowest_first |= {name for name, metric in metrics if kind_of(metric["config"]).lower_is_better}
    rows = ordered(rows, key, lowest_first)
    if as_json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
    elif rows:
        print(table(rows, shutil.get_terminal_size().columns if sys.stdout.isatty() else None))
    else:
        print(f"Of the {len(folders)} runs in {RUNS}, none matches {' '.join(words)}.")
    return int(unread)


def matches(run: Row, words: Sequence[str]) -> bool:
    """Tell whether all words hold of a run."""
    facts = [f"{key}={run[key]}" for key in FACTS if key != "overrides"] + run["overrides"]
    return all(word in facts or any(word in text for text in (run["run"], *run["overrides"])) for word in words)


def date(folder: Path, run: Row) -> str | None:
    """Return when a run's scores were sealed; its record knows it even if the folder is not there any more."""
    try:
        recorded = read_json(folder / NAME)["stages"]["scoring"]["sealed"]
    except (OSError, ValueError, LookupError, TypeError):
        recorded = None
    return recorded or (seal.read(Path(run["stages"]["scoring"])) or {}).get("sealed")


def row(folder: Path, run: Row) -> Row:
    """Return the facts of a run that --json prints."""
    stages = {stage: Path(run["stages"][stage]) for stage in STAGES}
    trainings = [stages["training"], *map(Path, run.get("ensemble", []))]
    paths = {stage: trainings if stage == "training" else [path] for stage, path in stages.items()}
    tests = run.get("tests", {})
    paths |= {
        f"{stage} ({name})": [Path(folder)] for name, test in tests.items() for stage, folder in test["stages"].items()
    }
    paths |= {"ancestors": list(map(Path, run["ancestors"]))} if run.get("ancestors") else {}
    states = {stage: min(map(_stage_state, folders)) for stage, folders in paths.items()}
    return (
        {key: run[key] for key in FACTS}
        | {
            "scores": _scores(run),
            "tests": {name: {"sentences": test["sentences"], "scores": _scores(test)} for name, test in tests.items()},
            "date": date(folder, run),
            "bytes": size([folder, *made_of(folder)]),
        }
        | {word: [stage for stage in states if states[stage] == place] for place, word in enumerate(STATES)}
    )


def _scores(scored: Row) -> dict[str, float]:
    return {name: metric["score"] for name, metric in scored["metrics"].items()}


def _stage_state(folder: Path) -> int:
    """Return the index of the first of STATES that a stage's folder is in; len(STATES) if it is in none."""
    wrong = [not folder.is_dir(), seal.read(folder) is None, not seal.finished(folder)]
    return wrong.index(True) if any(wrong) else len(STATES)


def ordered(rows: list[Row], key: str, lowest_first: set[str]) -> list[Row]:
    """Return the rows sorted by `key`; those that lack it come last.

    Args:
        rows: as `row` returns them.
        key: one of SORTED_BY or a metric.
        lowest_first: the metrics whose lower scores are better.

    Raises:
        DataError: no run has the key.
    """
    metrics = list(dict.fromkeys(name for row in rows for name in row["scores"]))
    if rows and key not in (*SORTED_BY, *metrics):
        raise DataError(f"--sort {key}: there is no such key; choose one of {', '.join((*SORTED_BY, *metrics))}.")

    def value(row: Row) -> Any:
        return row["scores"].get(key) if key in metrics else row["bytes" if key == "size" else key]

    have = sorted((row for row in rows if value(row) is not None), key=value)
    falling = key in ("date", "size") or (key in metrics and key not in lowest_first)
    return (have[::-1] if falling else have) + [row for row in rows if value(row) is None]


def table(rows: list[Row], width: int | None) -> str:
    """Render the runs as a table that is whole in `width` columns: metrics are left out, long names broken.

    Args:
        rows: as `row` returns them.
        width: of the terminal; None: any.
    """
    metrics = list(dict.fromkeys(name for row in rows for name in row["scores"]))
    shown, room = list(metrics), WIDEST if width is None else width
    console = Console(width=WIDEST)
    while len(shown) > 1 and console.measure(_rendered(rows, shown)).maximum > room:
        shown.pop()
    with console.capture() as captured:
        console.print(_rendered(rows, shown), width=room)
    lines = [line.rstrip() for line in captured.get().rstrip().split("\n")]
    notes = [] if any(map(_state, rows)) else ["All stages of these runs are there."]
    notes += ["Scores on further test sets: --json."] if any(row["tests"] for row in rows) else []
    notes += [f"No room for {', '.join(metrics[len(shown) :])}; --json has all scores."] if shown != metrics else []
    return "\n".join([*lines, "", *notes] if notes else lines)


def _rendered(rows: list[Row], metrics: list[str]) -> Table:
    rendered = Table(box=None, pad_edge=False)
    rendered.add_column("run", overflow="fold")
    for name in (*metrics, "date", "size"):
        rendered.add_column(name, justify="left" if name == "date" else "right", no_wrap=True)
    states = [_state(row) for row in rows]
    if any(states):
        rendered.add_column("stages", overflow="fold")
    for row, state in zip(rows, states, strict=True):
        scores = [f"{row['scores'][name]:.2f}" if name in row["scores"] else "–" for name in metrics]
        cells = [
            *scores,
            (row["date"] or "unknown")[:10],
            human(row["bytes"]),
            *([state or "all"] if any(states) else []),
        ]
        rendered.add_row(*map(Text, (one_line(row["run"]), *cells)))
    return rendered


def _state(row: Row) -> str:
    """Return which stages of a run are not as they were; empty if all are."""
    named = {word: ", ".join(row[word]) for word in STATES}
    return "; ".join(f"{word}: {stages}" for word, stages in named.items() if stages)
