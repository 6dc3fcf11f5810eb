"""The command line of `bleuprint`: its commands, their options, and help that ends with examples."""

import argparse
import os
from pathlib import Path
from typing import Any, NoReturn

from bleuprint.commands.examples import EXAMPLES, STATUS

DESCRIPTION = "Run experiments; compare, verify, replay, pack and use their runs."
RUN = "a run in results/runs: its name, its folder, or a part of its name that no other run has"
WORDS = "keys as Hydra writes them: recipe=demo training.lr=1e-3,2e-3 seed=1,2 (default: the default recipe)"
REPORTED = "its name, a part of it that no other run has, or its folder, also in another results/ (default: all runs)"
REPORT = "where to write it: a new folder, or one that has a report of this command (default: report)"
BASELINE = "the group to compare with: its label, model, recipe, override or run (default: the first run's)"


class ShowVersion(argparse.Action):
    """Print the version and, in a checkout, the commit; git is asked only when this is wanted."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        """Print one line and end."""
        from bleuprint import __version__
        from bleuprint.machine.environment import ROOT, revision

        commit, changed = revision(ROOT)
        known = f" (commit {commit[:12]}{', with uncommitted changes' if changed else ''})" if commit else ""
        print(f"bleuprint {__version__}{known}")
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="bleuprint",
        description=DESCRIPTION,
        epilog=f"Each command has examples: bleuprint run --help.\n\n{STATUS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action=ShowVersion, nargs=0, help="show the version and the commit, and exit")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_plans(commands)
    add_results(commands)
    add_records(commands)
    add_uses(commands)
    add_completion(commands)
    return top


def add(commands: Any, name: str, summary: str, **more: str) -> argparse.ArgumentParser:
    """Add a command; its help ends with its examples."""
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog="\n  ".join(["examples:", *EXAMPLES[name]]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **more,
    )
    return command


def add_plans(commands: Any) -> None:
    """Add the commands that take keys of the config, and the live table."""
    usage = "bleuprint run [-h] [--on CLUSTER] [KEY=VALUE ...] [-- SNAKEMAKE'S OPTIONS AND TARGETS]"
    run = add(
        commands, "run", "run the pipeline: print the call of Snakemake that the keys mean, and make it", usage=usage
    )
    run.add_argument(
        "--on", metavar="CLUSTER", help="a folder of profiles/, such as slurm, whose jobs a scheduler runs"
    )
    run.add_argument("config", nargs="*", metavar="KEY=VALUE", help=WORDS)
    explain = add(commands, "explain", "show which stages are shared, reused or computed, and why")
    explain.add_argument("config", nargs="*", metavar="KEY=VALUE", help="as for bleuprint run")
    doctor = add(commands, "doctor", "check that the planned runs can work here, and estimate their cost")
    doctor.add_argument("config", nargs="*", metavar="KEY=VALUE", help="as for bleuprint run")
    watch = add(commands, "watch", "show a live table of the runs, in the folder that holds results/")
    watch.add_argument("--interval", type=float, default=2.0, help="seconds between two updates (default: 2)")


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return the words of bleuprint, and what follows `--` in `bleuprint run`, which is Snakemake's."""
    if arguments[:1] == ["run"] and "--" in arguments:
        end = arguments.index("--")
        return arguments[:end], arguments[end + 1 :]
    return arguments, []


def add_results(commands: Any) -> None:
    """Add the commands for the runs that there are."""
    runs = add(commands, "runs", "list the runs in results/runs with their scores, date and size")
    runs.add_argument("words", nargs="*", metavar="WORD", help="part of a run's name or overrides, or as in seed=1")
    keys = "run, recipe, corpus, model, seed, date, size or a metric"
    runs.add_argument("--sort", default="date", metavar="KEY", help=f"{keys} (default: date, the newest first)")
    runs.add_argument("--json", action="store_true", help="print all that is known of each run, for scripts")
    diff = add(commands, "diff", "tell in what two runs differ: keys, data, environment, scores, translations")
    diff.add_argument("first", metavar="RUN", help=RUN)
    diff.add_argument("second", metavar="RUN", help="another one; it may lie in another folder's results/runs")
    report = add(commands, "report", "write a report of finished runs, also of several folders")
    report.add_argument("runs", nargs="*", metavar="RUN", help=REPORTED)
    report.add_argument("--output", type=Path, default=Path("report"), metavar="FOLDER", help=REPORT)
    report.add_argument("--baseline", metavar="GROUP", help=BASELINE)
    clean = add(commands, "clean", "say what takes how much room in results/, and remove what nothing needs any more")
    clean.add_argument("runs", nargs="*", metavar="RUN", help=f"drop it, and what only it needs; {RUN}")
    clean.add_argument("--yes", action="store_true", help="do not ask")
    clean.add_argument("--dry-run", action="store_true", help="only say what would be removed")


def add_records(commands: Any) -> None:
    """Add the commands that read a run's provenance.json."""
    verify = add(commands, "verify", "check that the files of runs are still those that were recorded")
    verify.add_argument("runs", nargs="*", metavar="RUN", help=f"{RUN} (default: all runs)")
    replay = add(commands, "replay", "repeat a run from its record in a new folder, and compare the results")
    replay.add_argument("run", metavar="RUN", help=RUN)
    replay.add_argument("--folder", type=Path, help="the new folder (default: replays/RUN)")
    replay.add_argument("--cores", type=int, help="for Snakemake (default: the recorded number of threads)")
    pack = add(commands, "pack", "put a run into one archive: config, provenance, scores, translations")
    pack.add_argument("run", metavar="RUN", help=RUN)
    pack.add_argument("--checkpoint", action="store_true", help="include the model")
    pack.add_argument("--output", type=Path, metavar="FILE", help="the archive (default: RUN.tar.gz)")


def add_uses(commands: Any) -> None:
    """Add the commands that use a run's model."""
    types = ["float32", "int8"]
    translate = add(commands, "translate", "translate a file, a pipe or typed lines with a run's model")
    translate.add_argument("--run", required=True, metavar="RUN", help=RUN)
    translate.add_argument("file", nargs="?", type=Path, metavar="FILE", help="raw UTF-8 (default: standard input)")
    translate.add_argument("--compute-type", choices=types, help="int8 is faster (default: the run's own)")
    translate.add_argument("--beam", type=_positive, help="beam size (default: the run's own)")
    export = add(commands, "export", "write a folder that translates without fairseq and bleuprint")
    export.add_argument("run", metavar="RUN", help=RUN)
    export.add_argument("folder", type=Path, metavar="DIR", help="a new folder")
    export.add_argument("--compute-type", choices=types, help="int8: a quarter of the size (default: the run's own)")


def add_completion(commands: Any) -> None:
    """Add the command that sets up a shell."""
    completion = add(commands, "completion", "print the code with which a shell completes commands, runs and keys")
    completion.add_argument("shell", choices=["bash", "zsh", "fish"], help="the shell that is to complete them")


def _positive(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text} is not a positive whole number")
    return int(text)


def read(arguments: list[str]) -> argparse.Namespace:
    """Parse the command line; `options` are those for Snakemake.

    Raises:
        SystemExit: with status 2, it cannot be read.
    """
    own, options = split(arguments)
    commands = parser()
    if "_ARGCOMPLETE" in os.environ:  # the shell asks how the line may go on
        from bleuprint.commands.completion import complete

        complete(commands)
    parsed, unknown = commands.parse_known_args(own)
    if unknown:
        way_out = "; Snakemake's options follow --, as in bleuprint run -- -n" if parsed.command == "run" else ""
        commands.error(f"unrecognized arguments: {' '.join(unknown)}{way_out}")
    parsed.options = options
    return parsed
