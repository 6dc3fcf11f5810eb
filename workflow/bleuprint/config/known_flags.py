"""What each flag of fairseq-train and fairseq-generate is to bleuprint.

The table known_flags.tsv beside this file says it, so that planning need not load fairseq.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Literal

TABLE = Path(__file__).with_suffix(".tsv")

Command = Literal["training", "decoding"]  # fairseq-train, which the group model belongs to, too; fairseq-generate


# Flags whose value is a name in one of fairseq's registries, to which plugins can add
REGISTERED = frozenset({"arch", "criterion", "lr_scheduler", "optimizer", "task"})


@dataclass(frozen=True)
class Flag:
    """A line of the table: a flag, or some of its values (`value` is then a pattern with `*`)."""

    name: str
    value: str | None
    others: tuple[str, ...]  # fairseq's other names of it
    kinds: dict[str, str]  # for each command: identity, how, content, set, refused, ignored or -
    reason: str  # why it cannot be given, and what to do instead


@cache
def flags() -> dict[str, list[Flag]]:
    """Return the lines of each flag: those of single values, then the one of all other values."""
    lines: dict[str, list[Flag]] = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        key, others, training, decoding, *reason = line.split("\t")
        name, _, value = key.partition("=")
        names = () if others == "-" else tuple(others.split())
        flag = Flag(name, value or None, names, {"training": training, "decoding": decoding}, "".join(reason))
        lines.setdefault(name, []).append(flag)
    return {name: sorted(lines[name], key=lambda flag: flag.value is None) for name in lines}


@cache
def _names() -> dict[str, str]:
    """Return other names of flags, each with the one name."""
    return {other: name for name, lines in flags().items() for other in lines[-1].others}


def one_name(key: str) -> str:
    """Return the one name of a flag that has several: `post_process` is `remove_bpe`, `max-tokens` is `max_tokens`."""
    key = key.replace("-", "_")
    return _names().get(key, key)


def kind(command: Command, key: str, value: Any) -> str:
    """Return the class of a flag with that value; `identity` for one that the table lacks."""
    line = _line(key, value)
    return line.kinds[command] if line else "identity"


def complaint(command: Command, key: str, value: Any) -> str | None:
    """Return why a flag cannot be given, and what to do instead; None where it can."""
    line = _line(key, value)
    if line is None:
        return None
    if line.kinds[command] == "set":
        return f"bleuprint sets this flag itself; {line.reason}"
    if value is None or value is False:  # such a flag is not on the command line
        return None
    if line.kinds[command] == "refused":
        return line.reason
    if line.kinds[command] == "ignored":
        trains = line.kinds["training"] in ("identity", "how", "content")
        return f"fairseq-generate does nothing with it; {f'set +training.{key} instead' if trains else 'leave it out'}"
    return None


def has_answer(command: Command, key: str) -> bool:
    """Return whether there is more to say of a flag than that fairseq has it: it cannot be given so."""
    name = one_name(key)
    return name != key or any(
        line.kinds[command] in ("set", "refused", "ignored") for line in flags().get(name, [])[-1:]
    )


def _line(key: str, value: Any) -> Flag | None:
    """Return the first line that is about the flag with that value."""
    lines = flags().get(key, [])
    return next((line for line in lines if line.value is None or fnmatchcase(str(value), line.value)), None)
