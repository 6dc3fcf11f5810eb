"""Compose experiments with Hydra: `--config` words and overrides become fully resolved, checked configs.

Nothing outside this folder knows Hydra.
"""

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from bleuprint.config import messages
from bleuprint.config.automatic import settle, without_effect
from bleuprint.config.groups import CONFIG_DIR, ConfigError, group_files, own_dir, shipped_dir, using
from bleuprint.config.known_flags import has_answer
from bleuprint.config.own import check_shape, taken, text
from bleuprint.config.schema import Decoding, Experiment, Flags, Model, Training
from bleuprint.config.words import as_hydra, hydra_words, parsed, points, quoted

__all__ = ["CONFIG_DIR", "Choice", "ConfigError", "experiments", "group_files"]
# A corpus' kind → files of other groups that suit it; an override of such a group goes before them
SUITED = {"local": {"text": "own", "scoring": "cased"}}
# Hydra's own groups, for programs that it starts; without them composing takes a sixth less time
UNUSED = [f"~hydra/{group}" for group in ("launcher", "sweeper", "help", "hydra_help", "hydra_logging", "job_logging")]
# What is composed: the config, the file of each group, and the text of the user's own files by their paths
Composed = tuple[DictConfig, dict[str, str], dict[str, str]]
FLAG_SECTIONS: dict[str, type[Flags]] = {"model": Model, "training": Training, "decoding": Decoding}


@dataclass(frozen=True)
class Choice:
    """An experiment, the file that each group came from (`model` → `transformer`), and the overrides.

    `parents` are the choices whose models this one builds on: `start`, `translator` and others, which
    bleuprint.plan.ancestors adds. `config_dir` is the folder of the user's own config files, and `own` has the text of
    those that took part, by their paths in it.
    """

    experiment: Experiment
    groups: dict[str, str]
    overrides: tuple[str, ...]
    parents: Mapping[str, "Choice"] = field(default_factory=dict)
    config_dir: Path | None = None
    own: Mapping[str, str] = field(default_factory=dict)


def experiments(cli: Mapping[str, Any], config_dir: Path | None = None) -> list[Choice]:
    """Return the experiments that Snakemake's `--config` asks for, one for each point of a sweep.

    Args:
        cli: Snakemake's `config`: plain keys are Hydra overrides, `overrides` holds any others. `config_dir` is no
            override: it names the folder of the user's own config files.
        config_dir: that folder, if `cli` names none; None: experiments/, if there is one.

    Raises:
        ConfigError: a group, key or value is wrong.
    """
    folder, words = taken(hydra_words(cli), config_dir)
    with using(folder):
        return [_choice(words) for words in points({"overrides": words})]


def _choice(words: list[str]) -> Choice:
    overrides = parsed(words)
    config, files, own = _compose(overrides)
    try:
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(messages.composing(error)) from None
    assert isinstance(values, dict)
    for group in group_files():
        if not isinstance(values.get(group, {}), dict):
            raise ConfigError(f"{group}={as_hydra(values[group])}: is no mapping; give it keys with values")
    settle(cast("dict[str, Any]", values))
    try:
        experiment = Experiment.model_validate(values)
    except ValidationError as error:
        raise ConfigError(messages.validating(error)) from None
    for override in overrides:
        if problem := without_effect(override.key_or_group, experiment):
            raise ConfigError(f"{override.input_line}: {problem}")
    return Choice(experiment, files, tuple(words), config_dir=own_dir(), own=own)


def _compose(overrides: list[Override]) -> Composed:
    """Compose a config; what suits its corpus goes before what a recipe chooses."""
    for override in overrides:
        _check_group(override)
    groups = [override.input_line or "" for override in overrides if override.key_or_group in group_files()]
    values = parsed(_set_or_add(override) for override in overrides if override.key_or_group not in group_files())
    composed = _composed(groups, values)
    named = {override.key_or_group for override in overrides}
    suited = SUITED.get(str(OmegaConf.select(composed[0], "corpus.kind")), {})
    if missing := [f"{group}={file}" for group, file in suited.items() if group not in named]:
        return _composed([*missing, *groups], values)
    return composed


def _composed(groups: list[str], values: list[Override]) -> Composed:
    """Compose the overrides that choose files and those that set keys.

    Hydra composes the files first, and then sets the keys. Files take 60 ms and keys 1 ms, and the points of a sweep
    often have the same files, so that these are composed once.
    """
    own = own_dir()
    try:
        pickled, files, texts = _files(tuple(groups), own)
        config = pickle.loads(pickled)  # faster than a copy
        ConfigLoaderImpl._apply_overrides_to_config(values, config)
        return config, dict(files), texts
    except yaml.YAMLError as error:
        raise ConfigError(messages.reading(error)) from None
    except (HydraException, OmegaConfBaseException, ValueError, RecursionError) as error:
        if own and (isinstance(error, ValueError) or re.search(r"full_key:\s+object_type", str(error))):
            check_shape(own)
        raise ConfigError(messages.composing(error)) from None


@cache
def _files(groups: tuple[str, ...], own: Path | None) -> tuple[bytes, dict[str, str], dict[str, str]]:
    """Return what Hydra composes of the files alone, pickled, and the rest of `Composed`."""
    words = [*groups, *UNUSED, *([f"hydra.searchpath=[{quoted(f'file://{own}')}]"] if own else [])]
    with initialize_config_dir(str(shipped_dir()), version_base="1.3"):
        composed = compose("config", words, return_hydra_config=True)
        read = _read(words) if own else []
    files = {group: composed.hydra.runtime.choices[group] for group in group_files()}
    config = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    OmegaConf.set_struct(config, True)  # as in what Hydra composed: only a plus adds a key
    texts = {name: text(own / name) for name in read if (own / name).is_file()} if own else {}
    return pickle.dumps(config), files, texts


def _read(words: list[str]) -> list[str]:
    """Return the paths of the files that Hydra composes, as they are in their folder."""
    loader = GlobalHydra.instance().config_loader()
    defaults = loader.compute_defaults_list("config", words, RunMode.RUN).defaults
    return sorted({f"{default.config_path}.yaml" for default in defaults if default.config_path})


def _set_or_add(override: Override) -> str:
    """Rewrite an override so that a flag in the schema, or a key with a plus, is set whether a file has it or not.

    So is `corpus.tests={mine:data/mine}`, a mapping whose keys no file has, and a key of `corpus.translated`, which is
    null.
    """
    section, _, key = override.key_or_group.partition(".")
    word = override.input_line or ""
    group = FLAG_SECTIONS.get(section, Flags)
    known = section in FLAG_SECTIONS and (key in group.model_fields or has_answer(group.command, key))
    known = known or override.key_or_group == "corpus.tests" or override.key_or_group.startswith("corpus.translated.")
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
