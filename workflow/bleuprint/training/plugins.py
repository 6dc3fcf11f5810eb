"""The copies of the user's plugins (`model.plugin`) in a training's folder, which fairseq loads.

    results/training/KEY/plugin/NAME/                a copy of each plugin, as it was when the training began
    results/training/KEY/plugin/bleuprint_loader/    the --user-dir: it loads bleuprint's plugin, then those beside it

So a training, and all that later uses its model, goes by the same code, whatever becomes of the user's folder.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from bleuprint.config.plugins import KEY, LOADER, digest, files, name_of
from bleuprint.files import DataError, replacing_folder

FOLDER = "plugin"  # in a training's folder
LOADING = '''\
"""What fairseq loads with --user-dir: bleuprint's own plugin, then the folders beside this one (model.plugin)."""

from bleuprint.fairseq_plugin import users

users.load(__file__)
'''


def copy(folders: Sequence[str], output: Path) -> Path:
    """Copy the files that count of all plugins into a new folder, add what loads them, and return the --user-dir."""
    for folder in folders:
        for name in files(Path(folder)):
            target = output / name_of(folder) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(folder, name), target)
    (output / LOADER).mkdir(parents=True)
    (output / LOADER / "__init__.py").write_text(LOADING, encoding="utf-8")
    return output / LOADER


def user_dir(training: Path) -> Path:
    """Return the --user-dir of a training with plugins."""
    return training / FOLDER / LOADER


def copies(training: Path, names: Sequence[str]) -> list[Path]:
    """Return the folders of a training's copies of plugins."""
    return [training / FOLDER / name for name in names]


def keep(training: Path, wanted: Mapping[str, str]) -> None:
    """Copy the plugins into a training's folder, unless they are there already.

    Args:
        training: `results/training/KEY`.
        wanted: the folder of each plugin, with the SHA-256 that the training's key holds.

    Raises:
        DataError: a plugin is missing, or has changed since the call was planned.
    """
    kept = {folder: training / FOLDER / name_of(folder) for folder in wanted}
    loads = user_dir(training).joinpath("__init__.py").is_file()
    if loads and all(path.is_dir() and digest(path) == wanted[folder] for folder, path in kept.items()):
        return
    with replacing_folder(training / FOLDER) as output:
        for folder in wanted:
            if not Path(folder).is_dir():
                raise DataError(f"{KEY}={folder}: no such folder any more; restore it")
        copy(list(wanted), output)
        for folder, sha in wanted.items():
            if digest(output / name_of(folder)) != sha:
                raise DataError(f"{KEY}={folder}: has changed since this call was planned; run the same command again")
