"""bleuprint: look at runs, check, repeat and pack them, and say what a call of Snakemake would do.

Snakemake does the work itself.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bleuprint.doctor import doctor
from bleuprint.explain import explain
from bleuprint.files import DataError
from bleuprint.pack import pack
from bleuprint.plan import planned
from bleuprint.replay import replay
from bleuprint.verify import verify
from bleuprint.watch import watch


def cli_config(words: list[str]) -> dict[str, Any]:
    """KEY=VALUE words as Snakemake's `--config` reads them.

    Raises:
        SystemExit: a word is no KEY=VALUE.
    """
    from snakemake.cli import parse_config  # slow to load; watch needs none of it

    for word in words:
        if "=" not in word:
            sys.exit(f"bleuprint: {word}: not KEY=VALUE, as after snakemake's --config")
    try:
        found: dict[str, Any] = parse_config(words)
    except ValueError as error:
        sys.exit(f"bleuprint: {error}")
    return found


def add_records(commands: Any) -> None:
    """The commands that work on a run's provenance.json."""
    run = "a run in results/runs: its name, its folder, or a part of its name that no other has"
    check = commands.add_parser("verify", help="whether the files of runs are still those that were recorded")
    check.add_argument("runs", nargs="*", metavar="RUN", help=f"{run}; none: all runs")
    again = commands.add_parser("replay", help="run a run again from its record in a fresh folder, and compare")
    again.add_argument("run", metavar="RUN", help=run)
    again.add_argument("--folder", type=Path, help="where to (default: replays/RUN)")
    again.add_argument("--cores", type=int, help="for Snakemake (default: the recorded number of threads)")
    one = commands.add_parser("pack", help="one archive of a run: config, provenance, scores, translations")
    one.add_argument("run", metavar="RUN", help=run)
    one.add_argument("--checkpoint", action="store_true", help="with the model")
    one.add_argument("--output", type=Path, metavar="FILE", help="(default: RUN.tar.gz)")


def _pack(arguments: argparse.Namespace) -> int:
    path = pack(arguments.run, arguments.output, arguments.checkpoint)
    print(f"{path}: {path.stat().st_size:,} bytes")
    return 0


RECORDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "verify": lambda arguments: verify(arguments.runs),
    "replay": lambda arguments: replay(arguments.run, arguments.folder, arguments.cores),
    "pack": _pack,
}


def main() -> None:
    """Entry point of the command `bleuprint`."""
    parser = argparse.ArgumentParser(prog="bleuprint", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    live = commands.add_parser("watch", help="a live table of the runs, in the folder of results/")
    live.add_argument("--interval", type=float, default=2.0, help="seconds between two looks (default: 2)")
    why = commands.add_parser("explain", help="which stages runs share, reuse or compute, and because of which key")
    why.add_argument("config", nargs="*", metavar="KEY=VALUE", help="as after snakemake's --config")
    look = commands.add_parser("doctor", help="whether what is planned can work here, and what it will cost")
    look.add_argument("config", nargs="*", metavar="KEY=VALUE", help="as after snakemake's --config")
    add_records(commands)
    arguments = parser.parse_args()
    if arguments.command in RECORDS:
        try:
            sys.exit(RECORDS[arguments.command](arguments))
        except DataError as error:
            sys.exit(f"bleuprint: {error}")
    if arguments.command == "doctor":
        sys.exit(doctor(planned(cli_config(arguments.config))))
    if arguments.command == "explain":
        print(explain(planned(cli_config(arguments.config))))
        return
    try:
        watch(arguments.interval)
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    main()
