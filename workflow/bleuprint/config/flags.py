"""Render a mapping of keys as a command's flags; nothing else in bleuprint knows how."""

import json
import shlex
from collections.abc import Mapping
from typing import Any


def argv(flags: Mapping[str, Any]) -> list[str]:
    """Render `flags` as fairseq's command line takes them.

    `max_tokens: 4096` becomes `--max-tokens 4096`; true a bare flag; false and null nothing; a list or
    tuple its Python literal (fairseq evaluates it); a mapping its JSON. A value that begins with a dash is
    joined to its flag by `=`, so that it is not taken for another flag.

    Returns:
        The arguments, unquoted.
    """
    words: list[str] = []
    for key, value in flags.items():
        flag = "--" + key.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            words.append(flag)
            continue
        if isinstance(value, Mapping):
            word = json.dumps(value)
        elif isinstance(value, list | tuple):
            word = repr(value)
        else:
            word = str(value)
        words += [f"{flag}={word}"] if word.startswith("-") else [flag, word]
    return words


def shell(flags: Mapping[str, Any]) -> str:
    """Render `flags` as `argv` does, as one string with each word quoted for a POSIX shell."""
    return shlex.join(argv(flags))
