"""Compose experiments with Hydra: `--config` words and overrides become fully resolved, checked configs.

Nothing outside this folder knows Hydra.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from bleuprint.config import messages
from bleuprint.config.automatic import settle, without_effect
from bleuprint.config.groups import CONFIG_DIR, ConfigError, config_dir, group_files
from bleuprint.config.known_flags import has_answer
from bleuprint.config.schema import Decoding, Experiment, Flags, Model, Training
from bleuprint.config.words import parsed, points

__all__ = ["CONFIG_DIR", "Choice", "ConfigError", "experiments", "group_files"]
# A corpus' kind → files of other groups that suit it; an override of such a group goes before them
SUITED = {"local": {"text": "own", "scoring": "cased"}}
FLAG_SECTIONS: dict[str, type[Flags]] = {"model": Model, "training": Training, "decoding": Decoding}


@dataclass(frozen=True)
class Choice:
    """An experiment, the file that each group came from (`model` → `transformer`), and the overrides."""

    experiment: Experiment
    groups: dict[str, str]
    overrides: tuple[str, ...]


def experiments(cli: Mapping[str, Any]) -> list[Choice]:
    """Return the experiments that Snakemake's `--config` asks for, one for each point of a sweep.

    Args:
        cli: Snakemake's `config`: plain keys are Hydra overrides, `overrides` holds any others.

    Raises:
        ConfigError: a group, key or value is wrong.
    """
    return [_choice(words) for words in points(cli)]


def _choice(words: list[str]) -> Choice:
    # Composing takes 60 ms; a seed changes no other key, so the points of a seed sweep share one composition.
    seeds = [word for word in words if word.startswith("seed=")]
    others = tuple(word for word in words if word not in seeds)
    try:
        config = _copy(others) if seeds else _compose(others)[0]
        for seed in parsed(seeds):
            config.seed = seed.value()
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(messages.composing(error)) from None
    assert isinstance(values, dict)
    settle(cast("dict[str, Any]", values))
    try:
        experiment = Experiment.model_validate(values)
    except ValidationError as error:
        raise ConfigError(messages.validating(error)) from None
    for override in parsed(others):
        if problem := without_effect(override.key_or_group, experiment):
            raise ConfigError(f"{override.input_line}: {problem}")
    return Choice(experiment, _compose(others)[1], tuple(words))


@cache
def _copy(words: tuple[str, ...]) -> DictConfig:
    """Return one copy of the config, in which each seed takes the place of the last: copying is slow, too."""
    return OmegaConf.create(_compose(words)[0])


@cache
def _compose(words: tuple[str, ...]) -> tuple[DictConfig, dict[str, str]]:
    """Return the config, and the file of each group; what suits its corpus goes before what a recipe chooses."""
    overrides = parsed(words)
    for override in overrides:
        _check_group(override)
    config, files = _composed(overrides)
    named = {override.key_or_group for override in overrides}
    suited = SUITED.get(str(OmegaConf.select(config, "corpus.kind")), {})
    if missing := [f"{group}={file}" for group, file in suited.items() if group not in named]:
        return _composed([*parsed(missing), *overrides])
    return config, files


def _composed(overrides: list[Override]) -> tuple[DictConfig, dict[str, str]]:
    """Return what Hydra composes, and the file of each group."""
    try:
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            config = compose("config", [_set_or_add(override) for override in overrides], return_hydra_config=True)
        files = {group: config.hydra.runtime.choices[group] for group in group_files()}
        own = OmegaConf.create({key: config[key] for key in config if key != "hydra"})
        return own, files
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(messages.composing(error)) from None


def _set_or_add(override: Override) -> str:
    """Rewrite an override so that a flag in the schema, or a key with a plus, is set whether a file has it or not.

    So is `corpus.tests={mine:data/mine}`, a mapping whose keys no file has.
    """
    section, _, key = override.key_or_group.partition(".")
    word = override.input_line or ""
    group = FLAG_SECTIONS.get(section, Flags)
    known = section in FLAG_SECTIONS and (key in group.model_fields or has_answer(group.command, key))
    known = known or override.key_or_group == "corpus.tests"
    if override.is_add() or (known and not override.is_delete()):
        return "++" + word.lstrip("+")
    return word


def _check_group(override: Override) -> None:
    """Refuse a wrong group or file, and name the choices: Hydra reports it in many lines or not at all."""
    name, value, word = override.key_or_group, override.value(), override.input_line
    if name.replace("/", ".").partition(".")[0] == "hydra":
        raise ConfigError(f"{word}: Hydra only composes here, so that its own settings change nothing; leave it out")
    if override.package is not None:
        raise ConfigError(f"{word}: a group has one place; write {name}={value}")
    files = group_files()
    if name in files:
        if override.is_delete():
            raise ConfigError(f"~{name}: a group cannot be removed; choose a file: {', '.join(files[name])}")
        if not isinstance(value, str) or value not in files[name]:
            raise ConfigError(messages.no_file(name, value))
        if override.is_add() or override.is_force_add():
            raise ConfigError(f"{word}: every group has a file; choose another without a plus, {name}={value}")
    elif "." not in name and name not in Experiment.model_fields and not override.is_add():
        raise ConfigError(messages.no_key(name or str(word)))
