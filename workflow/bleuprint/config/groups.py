"""The config groups and their files, and the error that names what is wrong with a config."""

from functools import cache
from pathlib import Path

from bleuprint.files import DataError

CONFIG_DIR = Path(__file__).resolve().parents[3] / "config"


class ConfigError(DataError):
    """A wrong group, key or value; the message names it, and the choices."""


@cache
def group_files() -> dict[str, list[str]]:
    """Return the files of each config group: `{"model": ["dynamicconv", "lightconv", …], …}`."""
    folders = sorted(path for path in CONFIG_DIR.iterdir() if path.is_dir())
    return {folder.name: sorted(file.stem for file in folder.glob("*.yaml")) for folder in folders}
