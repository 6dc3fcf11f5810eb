"""python -m bleuprint.report: `run` gathers the files of one run, `table` compares all runs."""

import argparse
import json
from pathlib import Path

from bleuprint.files import Damaged, DataError, exit_with_message, read_json
from bleuprint.report.gather import gather
from bleuprint.report.write import advice, write


def runs_of(call: Path) -> list[Path]:
    """Return the scores.json of the runs of a call of Snakemake, as it recorded them."""
    return [call.parent / "runs" / run["run"] / "scores.json" for run in read_json(call, keys=("runs",))["runs"]]


@exit_with_message()
def main() -> None:
    """Run one step; a file of another version or a deleted one ends in one sentence."""
    parser = argparse.ArgumentParser(prog="bleuprint.report", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    run = steps.add_parser("run", help="gather the files of one run")
    run.add_argument("description", type=json.loads, help="JSON: the run's names, resolved config and stage folders")
    run.add_argument("--asked", type=json.loads, required=True, help="JSON: the words that ask for this run only")
    table = steps.add_parser("table", help="write the report")
    table.add_argument("scores", nargs="*", type=Path, help="the runs' scores.json")
    table.add_argument("--call", type=Path, help="results/current.json, whose runs are meant")
    table.add_argument("--folder", type=Path, required=True)
    table.add_argument("--baseline", help="the group that the others are compared with (default: the first)")
    table.add_argument("--workers", type=int, default=1, help="processes for the paired tests")
    table.add_argument("--missing", action="append", default=[], help="a sentence on a run that failed")
    arguments = parser.parse_args()
    try:
        if arguments.step == "table":
            scores = [*arguments.scores, *(runs_of(arguments.call) if arguments.call else [])]
            write(arguments.folder, scores, arguments.baseline, arguments.workers, arguments.missing)
        else:
            gather(arguments.description, arguments.asked)
    except (FileNotFoundError, Damaged) as error:
        raise DataError(advice(error)) from None


if __name__ == "__main__":
    main()
