"""What docs/reference has of the command line: each command by the parser, and what an exit status means."""

import argparse
import re

from bleuprint.commands.examples import EXAMPLES, STATUS
from bleuprint.commands.parser import parser

# How tests/test_docs.py tests the examples of a command; those of all others it runs
MARKS = {
    "run": "<!-- dry run: hours -->",
    "explain": "<!-- long -->",
    "doctor": "<!-- dry run: GPU -->",
    "watch": "<!-- not run: interactive -->",
    "clean": "<!-- not run: interactive -->",
    "replay": "<!-- not run: hours -->",
    "report": "<!-- first: mkdir -p ../other && cp -r results ../other/ && rm -r ../other/results/runs/*-t* -->\n"
    "<!-- long -->",
    "translate": "<!-- first: printf 'Das ist gut.\\n' > letter.de -->\n<!-- long -->",
    "export": "<!-- long -->",
    "completion": "<!-- first: mkdir -p ~/.config/fish/completions -->",
}
ENTRY = re.compile(r"^  (\d+) +(.*(?:\n       .*)*)", re.MULTILINE)  # a status in the help
ENDING = re.compile(r"^  (?=[A-Z]).*(?:\n  .*)*", re.MULTILINE)  # the sentence after the list


def commands() -> str:
    """Return a section for each command: what it does, its usage, arguments and examples."""
    (subparsers,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    return "\n" + "\n".join(_section(name, command) for name, command in subparsers.choices.items()) + "\n"


def _section(name: str, command: argparse.ArgumentParser) -> str:
    usage = " ".join(command.format_usage().removeprefix("usage: ").split())
    lines = [f"## {name}", "", str(command.description), "", "```text", usage, "```", ""]
    arguments = [action for action in command._actions if "--help" not in action.option_strings]
    if arguments:
        lines += ["| argument | meaning |", "|---|---|", *map(_row, arguments), ""]
    return "\n".join([*lines, *filter(None, [MARKS.get(name)]), "```bash", *EXAMPLES[name], "```", ""])


def _row(action: argparse.Action) -> str:
    value = action.metavar or ("" if action.nargs == 0 else action.dest.upper())
    if action.choices:
        value = f"{{{','.join(action.choices)}}}"
    shown = f"{', '.join(action.option_strings)} {value}".strip()
    return f"| `{shown}` | {action.help} |"


def statuses() -> str:
    """Return the table of the exit statuses that `bleuprint --help` lists."""
    rows = [f"| {status} | {' '.join(meaning.split())} |\n" for status, meaning in ENTRY.findall(STATUS)]
    endings = [" ".join(ending.split()) for ending in ENDING.findall(STATUS)]
    return "| status | meaning |\n|---|---|\n" + "".join(rows) + "".join(f"\n{ending}\n" for ending in endings)
