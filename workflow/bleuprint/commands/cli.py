"""bleuprint: look at runs, check, repeat, pack and use them, and say what a call of Snakemake would do.

Snakemake does the work itself.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bleuprint.files import DataError


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


def add_uses(commands: Any) -> None:
    """The commands that use a run's model."""
    run = "a run in results/runs: its name, its folder, or a part of its name that no other has"
    types = ["float32", "int8"]
    one = commands.add_parser("translate", help="a run's model on your own text, from a file, a pipe or a prompt")
    one.add_argument("--run", required=True, metavar="RUN", help=run)
    one.add_argument("file", nargs="?", type=Path, metavar="FILE", help="raw text, UTF-8 (default: standard input)")
    one.add_argument("--compute-type", choices=types, help="int8 is faster (default: the run's own)")
    one.add_argument("--beam", type=_positive, help="(default: the run's own)")
    out = commands.add_parser("export", help="a folder that translates without fairseq and without bleuprint")
    out.add_argument("run", metavar="RUN", help=run)
    out.add_argument("folder", type=Path, metavar="DIR", help="a new folder")
    out.add_argument("--compute-type", choices=types, help="int8: a quarter of the size (default: the run's own)")


def _positive(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text} is no positive number")
    return int(text)


# Each loads what it needs and no more: the first translation is not to wait for all the others


def _watch(arguments: argparse.Namespace) -> int:
    from bleuprint.commands.watch import watch

    try:
        watch(arguments.interval)
    except KeyboardInterrupt:
        print()
    return 0


def _explain(arguments: argparse.Namespace) -> int:
    from bleuprint.plan.explain import explain
    from bleuprint.plan.keys import planned

    print(explain(planned(cli_config(arguments.config))))
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from bleuprint.commands.doctor import doctor
    from bleuprint.plan.keys import planned

    return doctor(planned(cli_config(arguments.config)))


def _verify(arguments: argparse.Namespace) -> int:
    from bleuprint.commands.verify import verify

    return verify(arguments.runs)


def _replay(arguments: argparse.Namespace) -> int:
    from bleuprint.commands.replay import replay

    return replay(arguments.run, arguments.folder, arguments.cores)


def _pack(arguments: argparse.Namespace) -> int:
    from bleuprint.commands.pack import pack

    path = pack(arguments.run, arguments.output, arguments.checkpoint)
    print(f"{path}: {path.stat().st_size:,} bytes")
    return 0


def _translate(arguments: argparse.Namespace) -> int:
    from bleuprint.commands.translate import translate

    try:
        return translate(arguments.run, arguments.file, arguments.compute_type, arguments.beam)
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(1)  # what is still being translated need not be waited for, nor written


def _export(arguments: argparse.Namespace) -> int:
    from bleuprint.commands.export import export

    export(arguments.run, arguments.folder, arguments.compute_type)
    print(f"{arguments.folder}: python {arguments.folder}/translate.py translates standard input")
    return 0


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "watch": _watch,
    "explain": _explain,
    "doctor": _doctor,
    "verify": _verify,
    "replay": _replay,
    "pack": _pack,
    "translate": _translate,
    "export": _export,
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
    add_uses(commands)
    arguments = parser.parse_args()
    try:
        sys.exit(COMMANDS[arguments.command](arguments))
    except DataError as error:
        sys.exit(f"bleuprint: {error}")


if __name__ == "__main__":
    main()
