"""Widths of terminals, and names and lines that are whole in them."""

import os
import re
from collections.abc import Sequence
from textwrap import fill
from typing import TextIO

USUAL = 80  # columns of a terminal that does not tell its width
# The end of a name, which tells it from the others: its seed and the hash, or the hash alone
END = re.compile(r"-(?:seed\d+-)?[0-9a-f]{8}$")


def columns(stream: TextIO) -> int | None:
    """Return the width of the terminal that a stream writes to; None if it writes to a file or a pipe."""
    if not stream.isatty():
        return None
    try:
        set_by_user = int(os.environ.get("COLUMNS", "0"))
        return set_by_user if set_by_user > 0 else os.get_terminal_size(stream.fileno()).columns or USUAL
    except (OSError, ValueError):
        return USUAL


def shorten(name: str, width: int) -> str:
    """Return a name of a run or folder in at most `width` columns; its seed and hash are never cut.

    >>> shorten("transformer_shared_dropout-seed1-afe8aad5", 30)
    'transformer_sh…-seed1-afe8aad5'
    """
    end = found[0] if (found := END.search(name)) else ""
    return name if len(name) <= width else f"{name[: max(0, width - len(end) - 1)]}…{end}"


def wrapped(text: str, width: int | None) -> str:
    """Return text with lines of at most `width` columns, broken between words; unchanged if `width` is None."""
    lines = text.splitlines()
    if width is None:
        return text
    return "\n".join(line if len(line) <= width else fill(line, width, break_on_hyphens=False) for line in lines)


def fitting(words: Sequence[tuple[str, int]], width: int) -> str:
    """Join words with commas, without the least important ones if the line would be wider than `width`.

    Args:
        words: each with its importance; those of importance 0 always stay.
        width: of the line.
    """
    kept = list(words)
    while len(line := ", ".join(word for word, _ in kept)) > width and any(weight for _, weight in kept):
        kept.remove(min((word for word in kept if word[1]), key=lambda word: word[1]))
    return line
