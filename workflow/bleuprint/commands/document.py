"""python -m bleuprint.commands.document: write the tables of config/README.md and docs/reference/ from code and config.

A table stands between the lines `<!-- table NAME -->` and `<!-- end -->`; all other text is written by hand.
"""

import ast
import inspect
import json
import re
from collections.abc import Iterable
from functools import cache
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any, get_args

import yaml

from bleuprint.commands.document_commands import commands, statuses
from bleuprint.commands.document_flags import flag_tables
from bleuprint.config import schema
from bleuprint.config.compose import CONFIG_DIR
from bleuprint.config.groups import shipped
from bleuprint.config.schema import corpus
from bleuprint.config.schema.decoding import Grid
from bleuprint.config.schema.section import Section
from bleuprint.config.schema.text import SentencePiece
from bleuprint.config.schema.translated import Noise, Translated
from bleuprint.config.segmenters import SEGMENTERS
from bleuprint.files import replacing
from bleuprint.machine.environment import ROOT
from bleuprint.scoring.metrics import METRICS
from bleuprint.text.tokenisers import TOKENISERS

REFERENCE = ROOT / "docs" / "reference"
# The pages that have tables
PAGES = (
    CONFIG_DIR / "README.md",
    *(REFERENCE / f"{name}.md" for name in ("commands", "exit-codes", "flags", "recipes")),
)
TABLE = re.compile(r"(<!-- table (?P<name>[\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
LONGEST = 50  # characters of a value in a table
GROUPS: dict[str, type[Section]] = {
    "text": schema.Text,
    "model": schema.Model,
    "training": schema.Training,
    "decoding": schema.Decoding,
    "scoring": schema.Scoring,
    "runtime": schema.Runtime,
    "report": schema.Report,
}
# File → key → value; the first one holds the defaults
Files = dict[str, dict[str, Any]]


def documented(text: str) -> str:
    """Return a page's text with all its tables renewed."""
    tables = all_tables()
    return TABLE.sub(lambda match: match[1] + tables[match["name"]] + match[3], text)


@cache
def all_tables() -> dict[str, str]:
    """Return each table under its name in the pages."""
    root, parallel = read(CONFIG_DIR / "config.yaml"), corpus.Parallel.model_fields
    tables = {
        "groups": groups(root),
        "top level": table(schema.Experiment, {"config": root}, [key for key in root if key != "defaults"]),
        "every corpus": table(corpus.Parallel, {"": next(iter(files("corpus", root).values()))}, parallel),
        "facts": table(corpus.Expected),
        "grid": table(Grid),
        "published": table(schema.Published),
    }
    kinds: tuple[type[Section], ...] = get_args(get_args(corpus.Corpus)[0])
    for kind in kinds:
        (name,) = get_args(kind.model_fields["kind"].annotation)
        of_kind = {file: values for file, values in files("corpus", root).items() if values["kind"] == name}
        tables[f"corpus {name}"] = table(kind, of_kind, [key for key in kind.model_fields if key not in parallel])
    for group, section in GROUPS.items():
        own: frozenset[str] = getattr(section, "own", frozenset())
        keys = section.model_fields
        tables[group] = table(section, files(group, root), [key for key in keys if key not in own])
        if own:
            tables[f"{group} own"] = table(section, files(group, root), [key for key in keys if key in own])
    scored = {file: values["metrics"] for file, values in files("scoring", root).items()}
    metrics = {f"{file}.{name}": keys for file, entries in scored.items() for name, keys in entries.items()}
    tables["metric"] = table(schema.Metric, {"": {}} | metrics)
    tables |= {"translated": table(Translated), "noise": table(Noise)}
    tables["sentencepiece"] = table(SentencePiece, {"": settings("text", "iwslt14")["sentencepiece"]})
    return tables | flag_tables() | recipes(root) | {"commands": commands(), "statuses": statuses()}


def table(section: type[Section], values: Files | None = None, keys: Iterable[str] | None = None) -> str:
    """Return the table of a section's keys.

    Args:
        section: the section, which has the descriptions.
        values: the files that set the keys; None: no column of values.
        keys: the keys to list; None: all.
    """
    lines = ["| key | meaning |" + (" value |" if values else ""), "|---|---|" + ("---|" if values else "")]
    for key in section.model_fields if keys is None else keys:
        cells = [f"`{key}`", described(section, key)] + ([listed(key, values)] if values else [])
        lines.append(f"| {' | '.join(cells)} |")
    return "".join(f"{line}\n" for line in lines)


@cache
def descriptions(section: type[Section]) -> dict[str, str]:
    """Return the string below each key of a section, its bases' included.

    pydantic can read them, too, but does so whenever the schema is loaded, which then takes a third longer.
    """
    texts = {}
    for base in reversed([base for base in section.__mro__ if issubclass(base, Section)]):
        (definition,) = ast.parse(inspect.getsource(base)).body
        assert isinstance(definition, ast.ClassDef)
        for field, string in pairwise(definition.body):
            match field, string:
                case ast.AnnAssign(target=ast.Name(id=key)), ast.Expr(value=ast.Constant(value=str(text))):
                    texts[key] = text
    return texts


def described(section: type[Section], key: str) -> str:
    """Return a key's description; what a registry holds is filled in."""
    text = " ".join(descriptions(section).get(key, "").split())
    registries: dict[str, Iterable[str]] = {
        "{metrics}": METRICS,
        "{tokenisers}": TOKENISERS,
        "{segmenters}": SEGMENTERS,
    }
    for place, registry in registries.items():
        *others, last = [f"`{name}`" for name in registry]
        text = text.replace(place, f"{', '.join(others)} or {last}")
    return text


def listed(key: str, values: Files) -> str:
    """Return the default of a key, and after it the files that have another value."""
    (_, default), *others = values.items()
    parts = [shown(default[key])] if key in default else []
    unlike: dict[str, list[str]] = {}
    for file, settings in others:
        if settings.get(key, ...) != default.get(key, ...) and (key in settings or not file.startswith("recipe=")):
            unlike.setdefault(shown(settings[key]) if key in settings else "not set", []).append(f"`{file}`")
    return "; ".join([*parts, *(f"{', '.join(names)}: {value}" for value, names in unlike.items())])


def shown(value: Any) -> str:
    """Return a value as a cell of a table."""
    if value == "???":
        return "must be given"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) > LONGEST:
        return "see the file"
    return f"`{text}`" if isinstance(value, str | list | dict) else text


def groups(root: dict[str, Any]) -> str:
    """Return the table of the groups and their files."""
    lines = ["| group | its keys are | files |", "|---|---|---|"]
    for group in shipped():
        section = GROUPS.get(group)
        keys = "keys of the other groups" if group == "recipe" else "bleuprint's"
        if section and issubclass(section, schema.Flags):
            own = ", ".join(f"`{key}`" for key in section.model_fields if key in section.own)
            keys = f"flags of fairseq; {own} {'are' if ',' in own else 'is'} bleuprint's" if own else "flags of fairseq"
        first, *others = [f"`{file}`" for file in in_order(group, root)]
        lines.append(f"| `{group}` | {keys} | {', '.join([f'{first} (default)', *others])} |")
    return "".join(f"{line}\n" for line in lines)


def _chosen(default: Any) -> list[tuple[str, str]]:
    """Return the groups' files that an entry of a recipe's defaults names; a mere name is another recipe."""
    return list(default.items()) if isinstance(default, dict) else [("recipe", default)]


def recipes(root: dict[str, Any]) -> dict[str, str]:
    """Return two tables of recipes: what each is for (the head of its file), with its files; and the published scores.

    Args:
        root: config.yaml.
    """
    lines = ["| recipe | what it is | files that it chooses |", "|---|---|---|"]
    scores = ["| recipe | reproduced | published |", "|---|---|---|"]
    for name in in_order("recipe", root):
        path = CONFIG_DIR / "recipe" / f"{name}.yaml"
        comments = [line for line in path.read_text(encoding="utf-8").splitlines() if "@package" not in line]
        purpose = " ".join(line.lstrip("# ") for line in takewhile(lambda line: "# Source:" not in line, comments))
        values = read(path)
        chosen = [pair for each in values.get("defaults", []) for pair in _chosen(each)]
        choices = [f"`{group.removeprefix('override /')}={file}`" for group, file in chosen]
        lines.append(f"| `{name}` | {purpose} | {', '.join(choices) or 'the default ones'} |")
        if expected := values.get("expected"):
            high = f"to {expected['high']}" if expected["high"] is not None else "or more"
            scores.append(f"| `{name}` | {expected['low']} {high} | {expected['source']} |")
    return {"recipes": "\n".join(lines) + "\n", "recipes published": "\n".join(scores) + "\n"}


def in_order(group: str, root: dict[str, Any]) -> list[str]:
    """Return the names of a group's files, the default one first."""
    (default,) = (entry[group] for entry in root["defaults"] if group in entry)
    return sorted(shipped()[group], key=lambda file: (file != default, file))


def files(group: str, root: dict[str, Any]) -> Files:
    """Return what each file of a group sets, and the recipes for keys that no file sets."""
    values: Files = {file: settings(group, file) for file in in_order(group, root)}
    in_files = {key for one in values.values() for key in one}
    for recipe in shipped()["recipe"]:
        keys = read(CONFIG_DIR / "recipe" / f"{recipe}.yaml").get(group, {})
        if extra := {key: value for key, value in keys.items() if key not in in_files}:
            values[f"recipe={recipe}"] = extra
    return values


def settings(group: str, file: str) -> dict[str, Any]:
    """Return what a file sets, with what it takes over from other files of its group."""
    own = read(CONFIG_DIR / group / f"{file}.yaml")
    inherited: dict[str, Any] = {}
    for other in own.pop("defaults", []):
        inherited |= settings(group, other)
    return inherited | own


def read(path: Path) -> dict[str, Any]:
    """Return the mapping of a YAML file."""
    values: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return values


def main() -> None:
    """Rewrite the tables of all pages."""
    for page in PAGES:
        text = documented(page.read_text(encoding="utf-8"))
        with replacing(page) as file:
            file.write(text)


if __name__ == "__main__":
    main()
