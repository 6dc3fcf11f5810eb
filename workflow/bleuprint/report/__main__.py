"""python -m bleuprint.report: `run` gathers the files of one run, `table` compares all runs."""

import argparse
import json
from pathlib import Path

from bleuprint.config.stages import STAGES
from bleuprint.files import Damaged, DataError, exit_with_message, sha256, write_json
from bleuprint.record import seal
from bleuprint.report.comparison import compare
from bleuprint.report.gather import gather, read_config, read_run
from bleuprint.report.groups import baseline, groups
from bleuprint.report.page import write_page
from bleuprint.report.tables import write_tables
from bleuprint.report.verdict import verdict

FILES = ("index.html", "scores.json", "scores.tsv", "scores.txt", "scores.md", "comparison.json")


def write(folder: Path, scores: list[Path], wanted: str | None, workers: int, missing: list[str]) -> None:
    """Write the report.

    Args:
        folder: results/report.
        scores: the scores.json of each run.
        wanted: `report.baseline`, as `groups.baseline` takes it.
        workers: processes for the paired tests.
        missing: a sentence on each run that was asked for and is not there.

    Raises:
        DataError: a file was written by another version, or `wanted` names no group.
    """
    runs = [read_run(path) for path in scores]
    configs = [read_config(run["run"]) for run in runs]
    runs = [run | {"verdict": verdict(run, config)} for run, config in zip(runs, configs, strict=True)]
    all_groups = groups(runs)
    base = baseline(all_groups, wanted)
    others = [group for group in all_groups if group is not base]
    comparisons = compare(base, others, configs[0]["scoring"]["resamples"], workers)
    write_page(folder / "index.html", all_groups, base, comparisons, missing)
    write_tables(folder, all_groups, base, comparisons, runs, missing)
    sealed = {name: seal.entry(folder / name) for name in FILES}
    made_from = {path.parent.name: sha256(path) for path in scores}
    write_json(folder / seal.NAME, {"stage": "report", "parents": made_from, "files": sealed})


@exit_with_message()
def main() -> None:
    """Run one step; a file of another version or a deleted one ends in one sentence."""
    parser = argparse.ArgumentParser(prog="bleuprint.report", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    run = steps.add_parser("run", help="gather the files of one run")
    run.add_argument("description", type=json.loads, help="JSON: the run's names, resolved config and stage folders")
    run.add_argument("--asked", type=json.loads, required=True, help="JSON: the words that ask for this run only")
    table = steps.add_parser("table", help="write the report")
    table.add_argument("scores", nargs="+", type=Path, help="the runs' scores.json")
    table.add_argument("--folder", type=Path, required=True)
    table.add_argument("--baseline", help="the group that the others are compared with (default: the first)")
    table.add_argument("--workers", type=int, default=1, help="processes for the paired tests")
    table.add_argument("--missing", action="append", default=[], help="a sentence on a run that failed")
    arguments = parser.parse_args()
    try:
        if arguments.step == "table":
            write(arguments.folder, arguments.scores, arguments.baseline, arguments.workers, arguments.missing)
        else:
            gather(arguments.description, arguments.asked)
    except (FileNotFoundError, Damaged) as error:
        raise DataError(advice(error)) from None


def advice(error: FileNotFoundError | Damaged) -> str:
    """Return a sentence on a file that is missing or damaged, and how to recompute it."""
    path = Path(error.filename)
    problem = error.problem if isinstance(error, Damaged) else "does not exist any more"
    folder = seal.folder_of(path)
    if folder is None:
        return f"{path} {problem}; delete {path.parent} and run the same command again."
    stage = folder.parent.name
    removed = " and ".join(str(folder / name) for name in STAGES[stage].recompute)
    return f"{path} {problem}; delete {removed}, run the same command with the target {stage}, and then without it."


if __name__ == "__main__":
    main()
