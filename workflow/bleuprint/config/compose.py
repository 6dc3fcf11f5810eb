"""Compose experiments with Hydra: `--config` words and overrides become fully resolved, checked configs.

Nothing else in bleuprint knows Hydra.
"""

import difflib
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from bleuprint.config.schema import Decoding, Experiment, Flags, Model, Training
from bleuprint.files import DataError

CONFIG_DIR = Path(__file__).resolve().parents[3] / "config"
FLAG_SECTIONS: dict[str, type[Flags]] = {"model": Model, "training": Training, "decoding": Decoding}


class ConfigError(DataError):
    """A wrong group, key or value; the message names it, and the choices."""


@dataclass(frozen=True)
class Choice:
    """An experiment, the file that each group came from (`model` → `transformer`), and the overrides."""

    experiment: Experiment
    groups: dict[str, str]
    overrides: tuple[str, ...]


@cache
def group_files() -> dict[str, list[str]]:
    """Return the files of each config group: `{"model": ["dynamicconv", "lightconv", …], …}`."""
    folders = sorted(path for path in CONFIG_DIR.iterdir() if path.is_dir())
    return {folder.name: sorted(file.stem for file in folder.glob("*.yaml")) for folder in folders}


def experiments(cli: Mapping[str, Any]) -> list[Choice]:
    """Return the experiments that Snakemake's `--config` asks for, one for each point of a sweep.

    Args:
        cli: Snakemake's `config`: plain keys are Hydra overrides, `overrides` holds any others.

    Raises:
        ConfigError: a group, key or value is wrong.
    """
    words = _override_words(cli)
    try:
        parsed = OverridesParser.create().parse_overrides(words)
        points = BasicSweeper.split_arguments(parsed, None)[0]
    except OverrideParseException as error:
        problem = str(error.message or "not a Hydra override").splitlines()[0]
        raise ConfigError(f"{error.override}: {problem}; a value with special characters needs quotes") from None
    except HydraException as error:
        raise ConfigError(str(error)) from None
    # A deletion (~key) comes back from Hydra's splitting with an empty value
    return [_choice([word.removesuffix("=") if word[0] == "~" else word for word in point]) for point in points]


def _override_words(cli: Mapping[str, Any]) -> list[str]:
    words = []
    for key, value in cli.items():
        if key != "overrides":
            words.append(f"{key}={_as_hydra(value)}")
        elif isinstance(value, list):
            words += value
        elif isinstance(value, Mapping):
            raise ConfigError(
                "overrides: Snakemake read it as a mapping; leave out the space after the colon, or give a list"
            )
        elif value is not None:
            try:
                words += shlex.split(str(value))
            except ValueError as error:  # Snakemake also strips a quote at the value's end
                raise ConfigError(f"overrides: {error}; give a list, overrides='[\"KEY=VALUE\"]'") from None
    return words


def _as_hydra(value: Any) -> str:
    """Write a value in Hydra's grammar; Snakemake has parsed numbers, lists and mappings already."""
    if value is None:
        return "null"
    if isinstance(value, list):
        return "[" + ",".join(map(_as_hydra, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_as_hydra(item)}" for key, item in value.items()) + "}"
    return str(value)


def _choice(words: list[str]) -> Choice:
    # Composing takes 60 ms; a seed changes no other key, so the points of a seed sweep share one composition.
    seeds = [word for word in words if word.startswith("seed=")]
    composed = _compose(tuple(word for word in words if word not in seeds))
    try:
        plain = OmegaConf.create({key: composed[key] for key in composed if key != "hydra"})
        for seed in OverridesParser.create().parse_overrides(seeds):
            plain.seed = seed.value()
        values = OmegaConf.to_container(plain, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(_explain(error)) from None
    assert isinstance(values, dict)
    try:
        experiment = Experiment.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain_value(error)) from None
    groups = composed.hydra.runtime.choices
    return Choice(experiment, {group: groups[group] for group in group_files()}, tuple(words))


@cache
def _compose(words: tuple[str, ...]) -> DictConfig:
    overrides = OverridesParser.create().parse_overrides(list(words))
    for override in overrides:
        _check_group(override)
    try:
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            return compose("config", [_set_or_add(override) for override in overrides], return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_explain(error)) from None


def _set_or_add(override: Override) -> str:
    """Rewrite an override so that a flag in the schema, or one with a plus, is set whether a file has it or not."""
    section, _, key = override.key_or_group.partition(".")
    word = override.input_line or ""
    known = key in FLAG_SECTIONS.get(section, Flags).model_fields
    if section in FLAG_SECTIONS and not override.is_delete() and (known or override.is_add()):
        return "++" + word.lstrip("+")
    return word


def _check_group(override: Override) -> None:
    """Refuse a wrong group or file, and name the choices: Hydra reports it in many lines or not at all."""
    name, value = override.key_or_group, override.value()
    files = group_files()
    if name in files:
        if override.is_delete() or not isinstance(value, str) or value not in files[name]:
            raise ConfigError(f"{name}={_as_hydra(value)}: no such {name}; there are {', '.join(files[name])}")
    elif "." not in name and name not in Experiment.model_fields and not override.is_add():
        known = [*files, "source", "target", "seed", "overrides"]
        raise ConfigError(f"{name}: no such key{_near(name, known)}; there are {', '.join(known)}")


def _near(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, 1)
    return f" (did you mean {near[0]}?)" if near else ""


def _explain(error: Exception) -> str:
    """Return one line for an error of Hydra or OmegaConf."""
    wrong = re.search(r"Could not override '([^']+)'", str(error)) or re.search(r"full_key: (\S+)", str(error))
    if "Missing mandatory value" in str(error) and wrong:
        return f'{wrong[1]}: needs a value; give it with overrides="{wrong[1]}=…"'
    if not wrong:
        return " ".join(str(error).split())
    key = wrong[1]
    section, _, leaf = key.partition(".")
    field = Experiment.model_fields.get(section)
    if field is None:
        return f"{key}: no such group; there are {', '.join(group_files())}"
    known = sorted(getattr(field.annotation, "model_fields", {}))
    add = "; a fairseq flag that no file names is added with a plus: +" + key
    choices = f"; {section} has {', '.join(known)}" if known else ""
    return f"{key}: no such key{_near(leaf, known)}{choices}" + (add if section in FLAG_SECTIONS else "")


def _explain_value(error: ValidationError) -> str:
    """Return one line for the first wrong value."""
    first = error.errors()[0]
    # pydantic also names the member of a union that it tried: corpus.local.train, training.lr.float
    location = first["loc"]
    parts = location[:1] + location[2:] if location[:1] == ("corpus",) else location
    where = ".".join(str(part) for part in parts if part not in ("float", "list[float]"))
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return message
    if first["type"] == "extra_forbidden":
        return f"{where}: no such key"
    if first["type"] == "missing":
        return f"{where}: is missing"
    if first["type"] == "union_tag_invalid":
        return f"{where}.kind={first['ctx']['tag']}: input should be one of {first['ctx']['expected_tags']}"
    return f"{where}={first['input']}: {message[0].lower() + message[1:]}"
