"""Turn what Snakemake's `--config` and `--configfile` hand over into Hydra's overrides, one list for each run."""

import re
import shlex
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Override, Quote, QuotedString, Sweep
from hydra.errors import HydraException, OverrideParseException

from bleuprint.config.groups import KEY, ConfigError, group_files

# Text that Hydra reads as one value in a list or a mapping; it makes numbers of "5" and "1e-3", as YAML should have
PLAIN = re.compile(r"[\w./+@%*?|-]+")
# An item of a list of overrides: in quotes, or its value may be a list, a mapping or a function such as range(1,3)
QUOTED = re.compile(r"\"[^\"\\]*\"|'[^'\\]*'")
ITEM = re.compile(rf"(?:{QUOTED.pattern}|\[[^\]]*\]|\{{[^}}]*\}}|\([^)]*\)|[^,\"'])+")


def points(cli: Mapping[str, Any]) -> list[list[str]]:
    """Return the overrides of each run that a config asks for: the product of its sweeps.

    Raises:
        ConfigError: something in it is no override, or a sweep has no values.
    """
    try:
        overrides = parsed(_enumerated(override) for override in parsed(hydra_words(cli)))
        runs: list[list[str]] = BasicSweeper.split_arguments(overrides, None)[0]
    except HydraException as error:
        raise ConfigError(" ".join(str(error).split())) from None
    # A deletion (~key) comes back from Hydra's splitting with an empty value
    return [[word.removesuffix("=") if word[0] == "~" else word for word in run] for run in runs]


def parsed(words: Iterable[str]) -> list[Override]:
    """Parse words in Hydra's grammar.

    Raises:
        ConfigError: a word is no override.
    """
    return [_parsed(word) for word in words]


@cache
def _parsed(word: str) -> Override:
    """Parse one word; the points of a sweep share most of theirs."""
    try:
        (override,) = OverridesParser.create().parse_overrides([word])
        return override
    except OverrideParseException as error:
        raise ConfigError(
            f"{error.override}: cannot be read; write KEY=VALUE, or KEY=VALUE,VALUE for a sweep; "
            "a value with special characters needs quotes"
        ) from None


def with_quotes(word: str) -> str:
    """Return an override with its value quoted as text if Hydra cannot read it as it is: `lr=(1)` as `lr='(1)'`.

    A list or a mapping that cannot be read stays as it is, and so does a key: they are mistakes.
    """
    key, _, value = word.partition("=")
    text = f"{key}={quoted(value)}"
    for candidate in (word, text) if value[:1] not in ("", "[", "{") else ():
        try:
            parsed([candidate])
        except ConfigError:
            continue
        return candidate
    return word


def quoted(text: str) -> str:
    """Return a text as Hydra's grammar quotes it."""
    return str(QuotedString(text, Quote.single).with_quotes())


def as_hydra(value: Any) -> str:
    """Write a value in Hydra's grammar; Snakemake has parsed numbers, lists and mappings already."""
    if value is None:
        return "null"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(as_item, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{as_item(item)}" for key, item in value.items()) + "}"
    return str(value)


def as_item(value: Any) -> str:
    """Write a value inside a list or a mapping, where text may need quotes; elsewhere text is Hydra's already."""
    if isinstance(value, str) and not PLAIN.fullmatch(value):
        return quoted(value)
    return as_hydra(value)


def hydra_words(cli: Mapping[str, Any]) -> list[str]:
    """Return the overrides that a config holds, sweeps as they were written.

    Raises:
        ConfigError: `overrides` holds a mapping or a list, or a quote in it is not closed.
    """
    words = []
    for key, value in cli.items():
        if key == "overrides":
            words += _overrides(value)
        elif isinstance(value, Mapping) and key in group_files():  # of a config file: several keys of a group
            words += [f"{key}.{inner}={as_hydra(item)}" for inner, item in value.items()]
        elif key == KEY:  # a path, which may have any character
            words.append(with_quotes(f"{key}={as_hydra(value)}"))
        else:
            words.append(f"{key}={as_hydra(value)}")
    return [_with_quoted_items(word) for word in words]


def _with_quoted_items(word: str) -> str:
    """Return an override whose list holds overrides with each quoted, as Hydra needs it: `x=[seed=1]`, `x=['seed=1']`.

    A list without such an item stays as it is, and so do items that have quotes already.
    """
    key, _, value = word.partition("=")
    if not (value.startswith("[") and value.endswith("]") and "=" in value) or "\\" in value:
        return word
    items = ITEM.findall(value[1:-1])
    if ",".join(items) != value[1:-1] or all(QUOTED.fullmatch(item.strip()) for item in items):
        return word
    items = [item.strip() for item in items]
    safe = (quoted(item) for item in items)
    return f"{key}=[{','.join(own if QUOTED.fullmatch(own) else new for own, new in zip(items, safe, strict=True))}]"


def _overrides(value: Any) -> list[str]:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, Mapping | list):
            raise ConfigError(
                f"overrides: {as_hydra(item)} was read as a {'list' if isinstance(item, list) else 'mapping'}; "
                "write KEY=VALUE, without a space after a colon"
            )
    if value is None or isinstance(value, list):
        return [str(item) for item in value or ()]
    try:
        return shlex.split(str(value))
    except ValueError as error:  # Snakemake also strips a quote at the value's end
        raise ConfigError(f"overrides: {str(error).lower()}; give a list, overrides='[\"KEY=VALUE\"]'") from None


def _enumerated(override: Override) -> str:
    """Return an override whose sweep, if it has one, names its values: Hydra's own sweeps need its launcher."""
    key, value, word = override.key_or_group, override.value(), override.input_line or ""
    if isinstance(value, Glob):
        if key not in (groups := group_files()):
            raise ConfigError(f"{word}: glob picks files of a group, and {key} is a key; write {key}=VALUE,VALUE")
        if not (files := value.filter(groups[key])):
            raise ConfigError(f"{word}: no {key} has such a name; there are {', '.join(groups[key])}")
        return f"{key}={','.join(files)}"
    if isinstance(value, IntervalSweep):
        raise ConfigError(
            f"{word}: an interval has no single values; write {key}=VALUE,VALUE or {key}=range(START,STOP,STEP)"
        )
    if getattr(value, "shuffle", False):  # each job reads the config again, and would find another order
        raise ConfigError(f"{word}: all its runs are made, in any order; leave shuffle out")
    if not isinstance(value, Sweep) and _holds_sweep(value):
        raise ConfigError(f"{word}: a list or a mapping cannot hold a sweep; write the values out")
    if override.is_sweep_override() and not any(True for _ in override.sweep_iterator()):
        raise ConfigError(f"{word}: has no values; range(START,STOP) ends before STOP")
    return word


def _holds_sweep(value: Any) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return isinstance(value, Sweep) or any(map(_holds_sweep, inner))
