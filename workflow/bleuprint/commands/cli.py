"""bleuprint: watch, verify, replay, pack and use runs, and explain what a call of Snakemake would do.

The pipeline itself is run by Snakemake.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bleuprint.files import DataError, exit_with_message

KEY = re.compile(r"[A-Za-z_]\w+=")  # what Snakemake takes
RUN = "a run in results/runs: its name, its folder, or a part of its name that no other run has"


def cli_config(words: list[str]) -> dict[str, Any]:
    """Parse KEY=VALUE words like Snakemake's `--config`.

    Raises:
        DataError: a word is not KEY=VALUE, or Snakemake would not take its key.
    """
    from snakemake.cli import parse_config  # slow to load, and watch does not need it

    for word in words:
        if "=" not in word:
            raise DataError(f"{word}: not KEY=VALUE, as after snakemake's --config")
        if not KEY.match(word):
            raise DataError(f'{word}: only a plain key can stand alone; write overrides="{word}"')
    try:
        config: dict[str, Any] = parse_config(words)
    except ValueError as error:
        raise DataError(str(error)) from None
    return config


def add_records(commands: Any) -> None:
    """Add the commands that read a run's provenance.json."""
    verify = commands.add_parser("verify", help="check that the files of runs are still those that were recorded")
    verify.add_argument("runs", nargs="*", metavar="RUN", help=f"{RUN} (default: all runs)")
    replay = commands.add_parser("replay", help="repeat a run from its record in a new folder, and compare the results")
    replay.add_argument("run", metavar="RUN", help=RUN)
    replay.add_argument("--folder", type=Path, help="the new folder (default: replays/RUN)")
    replay.add_argument("--cores", type=int, help="for Snakemake (default: the recorded number of threads)")
    pack = commands.add_parser("pack", help="put a run into one archive: config, provenance, scores, translations")
    pack.add_argument("run", metavar="RUN", help=RUN)
    pack.add_argument("--checkpoint", action="store_true", help="include the model")
    pack.add_argument("--output", type=Path, metavar="FILE", help="the archive (default: RUN.tar.gz)")


def add_uses(commands: Any) -> None:
    """Add the commands that use a run's model."""
    types = ["float32", "int8"]
    translate = commands.add_parser("translate", help="translate a file, a pipe or typed lines with a run's model")
    translate.add_argument("--run", required=True, metavar="RUN", help=RUN)
    translate.add_argument("file", nargs="?", type=Path, metavar="FILE", help="raw UTF-8 (default: standard input)")
    translate.add_argument("--compute-type", choices=types, help="int8 is faster (default: the run's own)")
    translate.add_argument("--beam", type=_positive, help="beam size (default: the run's own)")
    export = commands.add_parser("export", help="write a folder that translates without fairseq and bleuprint")
    export.add_argument("run", metavar="RUN", help=RUN)
    export.add_argument("folder", type=Path, metavar="DIR", help="a new folder")
    export.add_argument("--compute-type", choices=types, help="int8: a quarter of the size (default: the run's own)")


def _positive(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text} is not a positive whole number")
    return int(text)


# Each command imports only what it needs, so that the first translation comes soon


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
        os._exit(1)  # do not wait for the sentences that are being translated


def _export(arguments: argparse.Namespace) -> int:
    from bleuprint.commands.export import export

    export(arguments.run, arguments.folder, arguments.compute_type)
    print(f"{arguments.folder}: to translate standard input, run python {arguments.folder}/translate.py")
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


@exit_with_message(OSError)
def main() -> None:
    """Run the command `bleuprint`."""
    parser = argparse.ArgumentParser(prog="bleuprint", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    watch = commands.add_parser("watch", help="show a live table of the runs, in the folder that holds results/")
    watch.add_argument("--interval", type=float, default=2.0, help="seconds between two updates (default: 2)")
    explain = commands.add_parser("explain", help="show which stages are shared, reused or computed, and why")
    explain.add_argument("config", nargs="*", metavar="KEY=VALUE", help="as after snakemake's --config")
    doctor = commands.add_parser("doctor", help="check that the planned runs can work here, and estimate their cost")
    doctor.add_argument("config", nargs="*", metavar="KEY=VALUE", help="as after snakemake's --config")
    add_records(commands)
    add_uses(commands)
    arguments = parser.parse_args()
    sys.exit(COMMANDS[arguments.command](arguments))


if __name__ == "__main__":
    main()
