"""The command `bleuprint`: what each word after it does."""
# PYTHON_ARGCOMPLETE_OK, for shells in which argcomplete is switched on for all commands

import argparse
import os
import sys
from collections.abc import Callable

from bleuprint.commands.parser import read
from bleuprint.files import exit_with_message

# Each command imports only what it needs, so that the first translation comes soon


def _run(arguments: argparse.Namespace) -> int:
    from bleuprint.commands.run import run

    run(arguments.config, arguments.options, arguments.on)


def _watch(arguments: argparse.Namespace) -> int:
    from bleuprint.commands.watch import watch

    try:
        watch(arguments.interval)
    except KeyboardInterrupt:
        print()
    return 0


def _explain(arguments: argparse.Namespace) -> int:
    from bleuprint.commands.run import cli_config
    from bleuprint.plan.explain import explain
    from bleuprint.plan.keys import planned
    from bleuprint.widths import columns

    print(explain(planned(cli_config(arguments.config)), width=columns(sys.stdout)))
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from bleuprint.commands.doctor import doctor
    from bleuprint.commands.run import cli_config
    from bleuprint.plan.keys import planned

    return doctor(planned(cli_config(arguments.config)))


def _runs(arguments: argparse.Namespace) -> int:
    from bleuprint.commands.runs import runs

    return runs(arguments.words, arguments.sort, arguments.json)


def _diff(arguments: argparse.Namespace) -> int:
    from bleuprint.commands.diff import diff

    return diff(arguments.first, arguments.second)


def _report(arguments: argparse.Namespace) -> int:
    from bleuprint.commands.report import report

    return report(arguments.runs, arguments.baseline, arguments.output)


def _clean(arguments: argparse.Namespace) -> int:
    from bleuprint.commands.clean import clean

    return clean(arguments.runs, arguments.yes, arguments.dry_run)


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
    except (KeyboardInterrupt, BrokenPipeError) as error:  # do not wait for the sentences that are being translated
        os._exit(130 if isinstance(error, KeyboardInterrupt) else 1)


def _export(arguments: argparse.Namespace) -> int:
    from bleuprint.commands.export import export

    export(arguments.run, arguments.folder, arguments.compute_type)
    print(f"{arguments.folder}: to translate standard input, run python {arguments.folder}/translate.py")
    return 0


def _completion(arguments: argparse.Namespace) -> int:
    from bleuprint.commands.completion import code

    print(code(arguments.shell))
    return 0


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": _run,
    "explain": _explain,
    "doctor": _doctor,
    "watch": _watch,
    "runs": _runs,
    "diff": _diff,
    "report": _report,
    "clean": _clean,
    "verify": _verify,
    "replay": _replay,
    "pack": _pack,
    "translate": _translate,
    "export": _export,
    "completion": _completion,
}


@exit_with_message(OSError)
def main() -> None:
    """Run the command `bleuprint`."""
    try:
        arguments = read(sys.argv[1:])
        sys.exit(COMMANDS[arguments.command](arguments))
    except KeyboardInterrupt:
        sys.exit(130)  # as the shell says it


if __name__ == "__main__":
    main()
