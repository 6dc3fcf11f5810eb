"""The config groups and their files, and the error that names what is wrong with a config."""

from functools import cache
from pathlib import Path

from bleuprint.files import DataError

CONFIG_DIR = Path(__file__).resolve().parents[3] / "config"
NO_CHECKOUT = (
    "{}: not found; bleuprint is installed without its checkout: run pip install -e . in the checkout's folder."
)


class ConfigError(DataError):
    """A wrong group, key or value; the message names it, and the choices."""


def config_dir() -> Path:
    """Return the folder of the config groups.

    Raises:
        ConfigError: the package was installed without the checkout that it is a part of.
    """
    if not CONFIG_DIR.is_dir():
        raise ConfigError(NO_CHECKOUT.format(CONFIG_DIR))
    return CONFIG_DIR


@cache
def group_files() -> dict[str, list[str]]:
    """Return the files of each config group: `{"model": ["dynamicconv", "lightconv", …], …}`."""
    folders = sorted(path for path in config_dir().iterdir() if path.is_dir())
    return {folder.name: sorted(file.stem for file in folder.glob("*.yaml")) for folder in folders}
