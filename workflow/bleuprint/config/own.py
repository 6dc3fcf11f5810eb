"""The folder of the user's own config files, `config_dir` or experiments/, and what can be wrong there."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from bleuprint.config.groups import KEY, ConfigError, shipped, usual_dir
from bleuprint.config.words import parsed

NAME = re.compile(r"(?!(?:null|true|false|nan|inf)$)[a-z][\w.-]*", re.ASCII | re.IGNORECASE)
HEAD = "# @package _global_"  # without it, a recipe's keys are keys of the group `recipe`


def taken(words: Sequence[str], folder: Path | None) -> tuple[Path | None, list[str]]:
    """Take the word `config_dir=FOLDER` out of a config's words.

    Args:
        words: overrides; the last `config_dir=` among them counts.
        folder: the folder where there is none; None: experiments/, if there is one.

    Returns:
        The checked folder, and the other words.

    Raises:
        ConfigError: it names several folders, or the folder cannot be used; the message names the file.
    """
    given = [word for word in words if word.lstrip("+~").partition("=")[0] == KEY]
    others = [word for word in words if word not in given]
    named: Path | None = None
    for override in parsed(given):
        value = override.value()
        if override.is_delete() or override.is_sweep_override() or not isinstance(value, str | None):
            raise ConfigError(f"{override.input_line}: is one folder, for all runs; write {KEY}=FOLDER")
        named = Path(os.path.expanduser(value)) if value else None
    if named:
        return _named(named), others
    folder = folder or usual_dir()
    return folder and _checked(folder), others


def _named(folder: Path) -> Path:
    """Return the folder that `config_dir` names.

    Raises:
        ConfigError: as `taken`.
    """
    if not folder.is_dir():
        wrong = "is a file" if folder.exists() else "no such folder"
        raise ConfigError(f"{KEY}={folder}: {wrong}; name the folder that holds recipe/, model/ or another group")
    checked = _checked(folder.absolute())
    if not any(folder.glob("*/*.yaml")):
        raise ConfigError(f"{KEY}={folder}: holds no config file; put one into it, such as {folder}/recipe/mine.yaml")
    return checked


def _checked(folder: Path) -> Path:
    """Return the folder, if all that lies there can be used.

    Raises:
        ConfigError: something cannot; the message names it.
    """
    try:
        for path in sorted(folder.iterdir()):
            if path.name.startswith((".", "_")):
                continue
            if path.is_dir():
                _check_group(path)
            elif path.suffix in (".yaml", ".yml"):
                raise ConfigError(f"{path}: lies in no group; move it to {folder}/recipe, or to another group's folder")
    except OSError as error:
        raise ConfigError(f"{error.filename}: cannot be read ({error.strerror}); make it readable") from None
    return folder


def _check_group(folder: Path) -> None:
    """Check the user's files of one group.

    Raises:
        ConfigError: one of them cannot be used.
    """
    if folder.name not in shipped():
        raise ConfigError(f"{folder}: no such group; there are {', '.join(shipped())}")
    for path in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
        if path.suffix == ".yml":
            raise ConfigError(f"{path}: the name must end in .yaml; rename it")
        if path.suffix != ".yaml":
            continue
        if path.stem in shipped()[folder.name]:
            raise ConfigError(f"{path}: bleuprint has a {folder.name} of that name; rename the file")
        if not NAME.fullmatch(path.stem):
            raise ConfigError(f"{path}: a name has letters, digits, -, _ and ., a letter first; rename the file")
        if folder.name == "recipe" and HEAD not in text(path):
            raise ConfigError(f"{path}: a recipe begins with the line {HEAD}; add it, so that it can set all keys")


def check_shape(folder: Path) -> None:
    """Check that each file holds keys with values, and a list of defaults if any: Hydra says of neither which file.

    Raises:
        ConfigError: one does not; the message names it.
    """
    for path in sorted(folder.glob("*/*.yaml")):
        values = yaml.safe_load(text(path)) or {}
        if not isinstance(values, dict):
            raise ConfigError(f"{path}: holds no keys with values, such as dropout: 0.2; correct it")
        defaults = values.get("defaults", [])
        entries = defaults if isinstance(defaults, list) else [None]
        if not all(isinstance(entry, str) or (isinstance(entry, dict) and len(entry) == 1) for entry in entries):
            raise ConfigError(f"{path}: defaults is a list of files, such as [transformer]; correct it")


def text(path: Path) -> str:
    """Return the text of one of the user's files.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is no text in UTF-8; save it as such") from None
