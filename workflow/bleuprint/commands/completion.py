"""Completion of the command line in a shell, by argcomplete: commands, options, runs, groups, their files and keys.

The shell calls `bleuprint` for each press of the Tab key, so that nothing is imported here that takes long.
"""

import argparse
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import argcomplete
from argcomplete.completers import DirectoriesCompleter
from argcomplete.shell_integration import shellcode

from bleuprint.config.groups import KEY, group_file, group_files, using, usual_dir
from bleuprint.config.known_flags import flags
from bleuprint.files import DataError

SINGLE = ("seed=", "source=", "target=", f"{KEY}=")  # keys that belong to no group
FLAG_GROUPS = ("model", "training", "decoding")  # groups whose keys are flags of fairseq
SORTED_BY = ("run", "recipe", "corpus", "model", "seed", "date", "size")  # as in runs.py, which imports too much
KEYS = re.compile(r"^(?!defaults\b)(\w+):", re.MULTILINE)  # of a file's first level


def code(shell: str) -> str:
    """Return the code that sets up a shell: bash, zsh or fish."""
    return str(shellcode(["bleuprint"], shell=shell))


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell, and end the process, if it is the shell that calls; else do nothing."""
    for action in _actions(parser):
        completer = COMPLETERS.get(str(action.metavar or action.dest))
        if completer is not None:
            setattr(action, "completer", completer)  # noqa: B010 (argcomplete's interface)
    argcomplete.autocomplete(parser, always_complete_options=False)


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the arguments of a parser and of its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)


def runs(**_: Any) -> list[str]:
    """Return the names of the runs in results/runs; where none fits, the shell completes the name of a folder."""
    from bleuprint.record.provenance import run_folders

    try:
        return [folder.name for folder in run_folders()]
    except OSError:
        return []


def settings(prefix: str, **_: Any) -> Iterable[str]:
    """Return what the beginning of a word KEY=VALUE may become: a key, or a file of a group, also in a sweep."""
    line = os.environ.get("COMP_LINE", "")
    if " -- " in line[: int(os.environ.get("COMP_POINT", 0))]:
        from bleuprint.config.stages import STAGES

        return list(STAGES)  # Snakemake's targets
    key, equals, value = prefix.partition("=")
    if key == KEY:
        return [f"{KEY}={folder}" for folder in DirectoriesCompleter()(value)]
    with suppress(DataError, OSError), using(_own(line)):  # no checkout, or one that cannot be read
        if equals:
            before = value[: value.rfind(",") + 1]  # the values of a sweep that are whole
            return [f"{key}={before}{file}" for file in group_files().get(key, []) if file not in before.split(",")]
        name = key.lstrip("+~")
        if "." in name:
            start, group = prefix.removesuffix(name), name.partition(".")[0]
            return [f"{start}{group}.{inner}=" for inner in sorted(_keys(group, added=start.startswith("+")))]
        return [*SINGLE, *(f"{name}{end}" for name in group_files() for end in ("=", "."))]
    return []


def _own(line: str) -> Path | None:
    """Return the folder of the user's own config files that a command line names, or the usual one."""
    named = re.search(rf"\b{KEY}=(\S+)", line)
    return Path(named[1]) if named else usual_dir()


def _keys(group: str, added: bool) -> set[str]:
    """Return the keys that the files of a group have, and for `+GROUP.` all flags that fairseq has there."""
    texts = [group_file(group, file).read_text(encoding="utf-8") for file in group_files().get(group, [])]
    keys = {key for text in texts for key in KEYS.findall(text)} if group != "recipe" else set()
    if added and group in FLAG_GROUPS:
        command = "decoding" if group == "decoding" else "training"
        keys |= {name for name, lines in flags().items() if lines[-1].kinds[command] in ("identity", "how", "content")}
    return keys


COMPLETERS: dict[str, Callable[..., Iterable[str]]] = {
    "RUN": runs,
    "WORD": runs,
    "KEY=VALUE": settings,
    "KEY": lambda **_: SORTED_BY,
    "GROUP": lambda **_: (),
    "DIR": DirectoriesCompleter(),
    "FOLDER": DirectoriesCompleter(),
    "folder": DirectoriesCompleter(),
}
