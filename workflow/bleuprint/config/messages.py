"""Turn the errors of Hydra, OmegaConf and pydantic into one line: what is wrong, and the words that are right."""

import difflib
import re
from typing import Any, get_args, get_origin

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationResolutionError
from pydantic import ValidationError

from bleuprint.config.groups import group_file, group_files
from bleuprint.config.schema import Experiment
from bleuprint.config.words import as_hydra

TOP_LEVEL = ["source", "target", "seed", "overrides", "config_dir"]
SPAN = re.compile(r"(\d+)(?:-|:|\.\.+|–)(\d+)")  # how people write a range of whole numbers
TRIED = ("str", "float", "list[float]", "Tokenizers")
LONGEST = 20  # numbers of a range that are written out in a message


def near(word: str, known: list[str]) -> str:
    """Return a question for the known word that is nearest, if any is near."""
    words = difflib.get_close_matches(word, known, 1)
    return f" (did you mean {words[0]}?)" if words and words[0] != word else ""


def no_key(name: str) -> str:
    """Return the sentence for a top-level key that does not exist."""
    known = [*group_files(), *TOP_LEVEL]
    return f"{name}: no such key{near(name, known)}; there are {', '.join(known)}"


def no_file(group: str, value: Any) -> str:
    """Return the sentence for a file that a group does not have."""
    wrong = f"{group}={as_hydra(value)}"
    if isinstance(value, list) and value:
        return f"{wrong}: is one list; a sweep is written without brackets, {group}={','.join(map(str, value))}"
    if isinstance(value, dict):
        return f"{wrong}: no such {group}; a single key is set by {group}.KEY=VALUE"
    return f"{wrong}: no such {group}; there are {', '.join(group_files()[group])}"


def composing(error: Exception) -> str:
    """Return one line for an error of Hydra or OmegaConf."""
    text = " ".join(str(error).split())
    if isinstance(error, InterpolationResolutionError):
        problem = re.sub(r"^\w+ raised while resolving interpolation: ", "", str(error).splitlines()[0])
        return f"{error.full_key}: {problem}; ${{KEY}} stands for the value of another key"
    if "Could not delete" in text:
        key, value = re.findall(r"'([^']+)'(?: is (.*) and not .*)?", text)[0]
        return f"~{key}: is {value}; write ~{key}" if value else f"~{key}: no such key, so nothing can be removed"
    if isinstance(error, RecursionError):
        return "defaults: config files name each other in a circle; leave one of these entries out"
    if missing := re.search(r"Could not (?:find|load) '(\w+)/([^']+)'", text):
        return f"defaults: {no_file(missing[1], missing[2])}" if missing[1] in group_files() else text
    if twice := re.match(r"Multiple values for (\w+)\.", text):
        return f"{twice[1]}: chosen twice; in a recipe's defaults write override /{twice[1]}: NAME"
    wrong = re.search(r"Could not override '([^']+)'", text) or re.search(r"full_key: (\S+)", text)
    if "Missing mandatory value" in text and wrong:
        return f'{wrong[1]}: needs a value; give it with overrides="{wrong[1]}=…"'
    return _no_nested_key(wrong[1]) if wrong else text


def reading(error: yaml.YAMLError) -> str:
    """Return one line for a file that is no YAML."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    where = f"{mark.name}, line {mark.line + 1}" if mark else "a config file"
    return f"{where}: is no YAML: {problem or error}; correct it"


def _no_nested_key(key: str) -> str:
    """Return the sentence for a key that a group does not have; a corpus has those of its kind."""
    section, _, leaf = key.partition(".")
    field = Experiment.model_fields.get(section)
    if field is None:
        return f"{key}: no such group; there are {', '.join(group_files())}"
    first = leaf.partition(".")[0]
    kinds = [field.annotation, *get_args(field.annotation)]
    known = sorted({name for kind in kinds for name in getattr(kind, "model_fields", {})})
    if not known or (first in known and first != leaf):
        if _takes(Experiment, key.split(".")):
            return f"{key}: no such key; a new entry is added with a plus: +{key}"
        return f"{key}: no such key; see {section} in config/README.md"
    if section in ("model", "training", "decoding"):
        add = f"; a fairseq flag that no file names is added with a plus: +{key}"
    elif files := [f"{section}={file}" for file in group_files().get(section, []) if first in _keys(section, file)]:
        return f"{key}: no such key here; it belongs to {' or '.join(files)}"
    else:
        add = ""
    return f"{key}: no such key{near(leaf, known)}; {section} has {', '.join(known)}{add}"


def _no_inner_key(key: str) -> str:
    """Return the sentence for a key that a part of a group does not have."""
    outer, _, leaf = key.rpartition(".")
    known = sorted(_inner_keys(Experiment, outer.split(".")))
    return f"{key}: no such key{near(leaf, known)}" + (f"; {outer} has {', '.join(known)}" if known else "")


def _inner_keys(kind: Any, path: list[str]) -> set[str]:
    """Return the keys that a type of the schema has at a path, in any member of a union."""
    if get_origin(kind) is dict:
        return _inner_keys(get_args(kind)[1], path[1:]) if path else set()
    if fields := getattr(kind, "model_fields", None):
        if not path:
            return set(fields)
        return _inner_keys(fields[path[0]].annotation, path[1:]) if path[0] in fields else set()
    return {key for member in get_args(kind) for key in _inner_keys(member, path)}


def _takes(kind: Any, path: list[str]) -> bool:
    """Return whether a type of the schema has such a key, or is a mapping that can be given it."""
    if not path:
        return True
    if get_origin(kind) is dict:
        return _takes(get_args(kind)[1], path[1:])
    if fields := getattr(kind, "model_fields", None):
        return path[0] in fields and _takes(fields[path[0]].annotation, path[1:])
    return kind is Any or any(_takes(member, path) for member in get_args(kind))


def _keys(group: str, file: str) -> set[str]:
    values = OmegaConf.load(group_file(group, file))
    return {str(key) for key in values}


def validating(error: ValidationError) -> str:
    """Return one line for the first wrong value."""
    # Of a union pydantic tells all members that it tried; a mapping was not meant to be a text
    errors = error.errors()
    mapping = len(errors) > 1 and errors[0]["loc"][-1] == "str" and isinstance(errors[0]["input"], dict)
    # A key that is missing may be there under a wrong name
    unknown = [error for error in errors if error["type"] == "extra_forbidden"]
    first = unknown[0] if unknown else errors[1] if mapping else errors[0]
    # pydantic also names the member of a union that it tried: corpus.local.train, training.lr.float
    location = first["loc"]
    parts = location[:1] + location[2:] if location[:1] == ("corpus",) else location
    where = ".".join(str(part) for part in parts if part not in TRIED)
    kind, message, value = first["type"], first["msg"].removeprefix("Value error, "), first["input"]
    if kind == "value_error":
        return message
    if kind == "extra_forbidden":
        return no_key(where) if "." not in where else _no_inner_key(where)
    if kind == "missing":
        return f"{where}: is missing; it needs a value"
    if kind == "union_tag_invalid":
        files = " or ".join(f"{where}={file}" for file in group_files()[where])
        return f"{where}.kind={first['ctx']['tag']}: no such kind; a kind is chosen by its file, {files}"
    message = re.sub(r"valid (list|tuple|dictionary)( or instance of \w+)?", _yaml_name, message)
    return f"{where}={as_hydra(value)}: {message[0].lower() + message[1:]}{_hint(where, kind, value)}"


def _yaml_name(match: re.Match[str]) -> str:
    """Return what YAML calls one of Python's types."""
    return "mapping" if match[1] == "dictionary" else "list"


def _hint(where: str, kind: str, value: Any) -> str:
    """Return the words that a wrong value was probably meant to be."""
    in_list = where.rpartition(".")[2].isdecimal()
    sweeps = not in_list and where.partition(".")[0] not in ("runtime", "report")
    if kind.startswith(("int_", "float_")):
        if isinstance(value, str) and (span := SPAN.fullmatch(value)):
            low, high = sorted(map(int, span.groups()))
            if sweeps:
                return f'; for all of these write "{where}=range({low},{high + 1})"'
            if in_list and high - low < LONGEST:
                return f"; in a list write {','.join(map(str, range(low, high + 1)))}"
        if isinstance(value, list) and value and sweeps:
            return f"; a sweep is written without brackets, {where}={','.join(map(as_hydra, value))}"
    if kind in ("list_type", "tuple_type") and isinstance(value, str | int | float):
        return f", as in {where}=[{as_hydra(value)}]"
    if kind == "string_type":
        return "; a text that reads as something else needs quotes of its own, see config/README.md"
    return ""
