"""The tables of docs/reference/flags.md: every flag of fairseq, and what bleuprint does with it."""

import re
from collections.abc import Iterable
from itertools import groupby

from bleuprint.config.known_flags import Command, Flag, flags

KEY = re.compile(r"(\+?\b\w+(?:\.\w+(?:=[\w.]+)?|=[\w.]+)|CUDA_VISIBLE_DEVICES)")
COMMANDS: tuple[Command, ...] = ("training", "decoding")


def flag_tables() -> dict[str, str]:
    """Return each table under its name in the page."""
    lines = [flag for ways in flags().values() for flag in ways]
    tables = {
        f"flags {kind} {command}": _listed([flag for flag in lines if flag.kinds[command] == kind])
        for kind in ("identity", "how", "content", "ignored")
        for command in COMMANDS
    }
    tables = {name: table for name, table in tables.items() if table}
    tables |= {f"flags {kind}": _reasons(lines, kind) for kind in ("set", "refused")}
    names = [f"| `{flag.name}` | {_marked(flag.others)} |\n" for flag in lines if flag.others and flag.value is None]
    return tables | {"flags names": "| flag | other names |\n|---|---|\n" + "".join(names)}


def _listed(members: list[Flag]) -> str:
    """Return a table of flags by their first letter; empty if there are none."""
    letters = groupby(sorted(members, key=lambda flag: flag.name), key=lambda flag: flag.name[0])
    rows = [f"| {letter.upper()} | {_marked(map(_name, group))} |\n" for letter, group in letters]
    return "| | flags |\n|---|---|\n" + "".join(rows) if rows else ""


def _reasons(lines: list[Flag], kind: str) -> str:
    """Return a table of flags by why they cannot be given, and what to do instead."""
    reasons: dict[str, list[Flag]] = {}
    for flag in lines:
        if kind in flag.kinds.values():
            reasons.setdefault(flag.reason, []).append(flag)
    rows = []
    for reason, members in sorted(reasons.items(), key=lambda item: item[1][0].name):
        rows.append(f"| {_marked(map(_name, members))} | {_with_marks(reason)} |\n")
    title = "why, and what to do" if kind == "refused" else "instead"
    return f"| flag | {title} |\n|---|---|\n" + "".join(rows)


def _name(flag: Flag) -> str:
    return flag.name if flag.value is None else f"{flag.name}={flag.value}"


def _marked(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _with_marks(reason: str) -> str:
    """Return a reason with its keys and file names set as code."""
    return KEY.sub(r"`\1`", reason)
