"""The tables of fields in docs/reference/results.md, and whether files are as they say."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECTION = re.compile(r"<!-- fields (?P<files>[^,\n]+?)(?:, as (?P<base>\S+))? -->\n(?P<rows>(?:\|.*\n)+)")
ROW = re.compile(r"^\| `(?P<path>[^`]+)` \| (?P<type>[^|]+?) \|", re.MULTILINE)
TYPES: dict[str, Any] = {"text": str, "number": (int, float), "boolean": bool, "mapping": dict, "list": list}


@dataclass(frozen=True)
class Field:
    """A row of a table: `metrics.METRIC.score` is the path ("metrics", "METRIC", "score")."""

    path: tuple[str, ...]
    types: tuple[str, ...]
    optional: bool

    def begins_with(self, place: tuple[str, ...]) -> bool:
        """Tell whether a place in a file is this field or leads to it; words in capitals match any name."""
        pairs = zip(self.path, place, strict=False)
        return len(place) <= len(self.path) and all(word.isupper() or word == name for word, name in pairs)

    def has(self, value: Any) -> bool:
        """Tell whether a value is of one of the field's types."""
        return any(_is(value, name) for name in self.types)


def _is(value: Any, name: str) -> bool:
    if name == "null":
        return value is None
    name, _, inner = name.partition(" of ")
    right = isinstance(value, TYPES[name]) and (name != "number" or not isinstance(value, bool))
    return right and (not inner or all(_is(element, inner) for element in value))


def sections(page: Path) -> dict[str, list[Field]]:
    """Return the fields of each kind of file, by the pattern of the files' names."""
    fields: dict[str, list[Field]] = {}
    for section in SECTION.finditer(page.read_text(encoding="utf-8")):
        base = [field for field in fields.get(section["base"] or "", []) if field.path[0] != "verdict"]
        fields[section["files"]] = base + [_field(row["path"], row["type"]) for row in ROW.finditer(section["rows"])]
    return fields


def _field(path: str, type_: str) -> Field:
    names, _, optional = type_.replace("true or false", "boolean").partition(", ")
    return Field(tuple(re.findall(r"\[\]|[^.\[\]]+", path)), tuple(names.split(" or ")), optional == "optional")


def contents(path: Path) -> list[Any]:
    """Return the values in a file that the fields are those of: its lines, its elements, or itself."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines()]
    value = json.loads(text)
    return value if isinstance(value, list) else [value]


def problems(value: Any, fields: list[Field], place: tuple[str, ...], met: set[Field]) -> Iterator[str]:
    """Yield what of a value the fields do not say; add those that it has to `met`."""
    here = [field for field in fields if field.begins_with(place)]
    own = [field for field in here if len(field.path) == len(place)]
    met.update(own)
    name = ".".join(place).replace(".[]", "[]")
    if not here:
        yield f"{name} is not in the table"
    for field in own:
        if not field.has(value):
            yield f"{name} is {json.dumps(value)[:80]}, not {' or '.join(field.types)}"
    if len(here) == len(own):
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from problems(inner, here, (*place, key), met)
    elif isinstance(value, list):
        for inner in value:
            yield from problems(inner, here, (*place, "[]"), met)
