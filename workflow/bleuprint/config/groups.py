"""The config groups and their files, bleuprint's and the user's, and the error for what is wrong with a config."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from bleuprint.files import DataError

CONFIG_DIR = Path(__file__).resolve().parents[3] / "config"
KEY = "config_dir"  # names the folder of the user's own files
USUAL = "experiments"  # the folder of the user's own files where KEY names none
NO_CHECKOUT = (
    "{}: not found; bleuprint is installed without its checkout: run pip install -e . in the checkout's folder."
)
_own: ContextVar[Path | None] = ContextVar(KEY)


class ConfigError(DataError):
    """A wrong group, key or value; the message names it, and the choices."""


def shipped_dir() -> Path:
    """Return the folder of bleuprint's config groups.

    Raises:
        ConfigError: the package was installed without the checkout that it is a part of.
    """
    if not CONFIG_DIR.is_dir():
        raise ConfigError(NO_CHECKOUT.format(CONFIG_DIR))
    return CONFIG_DIR


def own_dir() -> Path | None:
    """Return the folder of the user's own files, laid out as config/; None where there is none."""
    try:
        return _own.get()
    except LookupError:
        return usual_dir()


def usual_dir() -> Path | None:
    """Return the folder experiments/ that counts where no other is named, if there is one.

    The one in the folder of the call goes before the one in the checkout. It has that name by chance if it has no
    folder with the name of a group.
    """
    here, checkout = Path(USUAL).absolute(), CONFIG_DIR.parent / USUAL
    if any((here / group).is_dir() for group in shipped()):
        return here
    return checkout if checkout.is_dir() else None


@contextmanager
def using(folder: Path | None) -> Iterator[None]:
    """Take the user's own files from a folder, or none."""
    token = _own.set(folder)
    try:
        yield
    finally:
        _own.reset(token)


def group_files() -> dict[str, list[str]]:
    """Return the files of each config group, the user's among them: `{"model": ["dynamicconv", "lightconv", …], …}`."""
    own = own_dir()
    return {group: sorted(files + _names(own / group)) for group, files in shipped().items()} if own else shipped()


@cache
def shipped() -> dict[str, list[str]]:
    """Return the files of each config group that bleuprint has itself."""
    folders = sorted(path for path in shipped_dir().iterdir() if path.is_dir())
    return {folder.name: _names(folder) for folder in folders}


def group_file(group: str, name: str) -> Path:
    """Return the path of a group's file."""
    own = own_dir()
    return (CONFIG_DIR if name in shipped()[group] or own is None else own) / group / f"{name}.yaml"


def _names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml") if not path.name.startswith("."))
