"""python -m bleuprint.report: `run` gathers what belongs to one run, `table` puts all runs side by side."""

import argparse
import json
import sys
from pathlib import Path

import yaml

from bleuprint.files import DataError
from bleuprint.report.comparison import compare
from bleuprint.report.gather import gather, read_run
from bleuprint.report.groups import baseline, groups
from bleuprint.report.page import write_page
from bleuprint.report.tables import write_tables
from bleuprint.report.verdict import verdict


def write(folder: Path, scores: list[Path], wanted: str | None, workers: int, missing: list[str]) -> None:
    """Write the report of the runs whose scores.json are given, and say which are missing.

    Raises:
        DataError: a file was written by another version, or `wanted` names no group.
    """
    runs = [read_run(path) for path in scores]
    configs = [yaml.safe_load((path.parent / "config.yaml").read_text(encoding="utf-8")) for path in scores]
    runs = [run | {"verdict": verdict(run, config)} for run, config in zip(runs, configs, strict=True)]
    found = groups(runs)
    base = baseline(found, wanted)
    others = [group for group in found if group is not base]
    comparisons = compare(base, others, configs[0]["scoring"]["resamples"], workers)
    write_page(folder / "index.html", found, base, comparisons, missing)
    write_tables(folder, found, base, comparisons, runs, missing)


def main() -> None:
    """Entry point; a foreign file ends in one sentence."""
    parser = argparse.ArgumentParser(prog="bleuprint.report", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    run = steps.add_parser("run", help="gather one run")
    run.add_argument("description", type=json.loads, help="JSON of the run's names, resolved config and stage folders")
    run.add_argument("--asked", type=json.loads, required=True, help="JSON of the words that ask for this run alone")
    table = steps.add_parser("table", help="write the report")
    table.add_argument("scores", nargs="+", type=Path, help="the runs' scores.json")
    table.add_argument("--folder", type=Path, required=True)
    table.add_argument("--baseline", help="the group that the others are compared with; the first by default")
    table.add_argument("--workers", type=int, default=1, help="processes for the paired tests")
    table.add_argument("--missing", action="append", default=[], help="a sentence on a run that is not there")
    arguments = parser.parse_args()
    try:
        if arguments.step == "table":
            write(arguments.folder, arguments.scores, arguments.baseline, arguments.workers, arguments.missing)
        else:
            gather(arguments.description, arguments.asked)
    except DataError as error:
        sys.exit(f"bleuprint: {error}")
    except FileNotFoundError as error:
        sys.exit(
            f"bleuprint: {error.filename} is not there any more; delete the folders in results/runs that need it and "
            f"call again, and it is made anew."
        )


if __name__ == "__main__":
    main()
