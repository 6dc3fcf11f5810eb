"""bleuprint: look at runs, and at what a call of Snakemake would do. Snakemake does the work itself."""

import argparse
import sys
from typing import Any

from bleuprint.explain import explain
from bleuprint.plan import planned
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


def main() -> None:
    """Entry point of the command `bleuprint`."""
    parser = argparse.ArgumentParser(prog="bleuprint", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    live = commands.add_parser("watch", help="a live table of the runs, in the folder of results/")
    live.add_argument("--interval", type=float, default=2.0, help="seconds between two looks (default: 2)")
    why = commands.add_parser("explain", help="which stages runs share, reuse or compute, and because of which key")
    why.add_argument("config", nargs="*", metavar="KEY=VALUE", help="as after snakemake's --config")
    arguments = parser.parse_args()
    if arguments.command == "explain":
        print(explain(planned(cli_config(arguments.config))))
        return
    try:
        watch(arguments.interval)
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    main()
