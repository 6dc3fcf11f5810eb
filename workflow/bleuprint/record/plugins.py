"""Where the user's plugins (`model.plugin`) of a recorded run lie, as they were when it was made."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bleuprint.config.plugins import name_of, unlike
from bleuprint.training import plugins


def recorded(known: dict[str, Any], root: Path) -> list[Path]:
    """Return the copies of a run's plugins that its training keeps; none if it has none, or they were deleted.

    Args:
        known: the run's record.
        root: the folder that holds its results/.
    """
    training = known["stages"]["training"]
    names = list(training["slice"]["model"].get("plugin", ()))
    copies = plugins.copies(root / training["folder"], names)
    return copies if all(copy.is_dir() for copy in copies) else []


def versions(training: Path, folders: Sequence[str]) -> dict[str, str]:
    """Return a clause on each of today's plugins of which a training keeps another version, by its key in the slice.

    Args:
        training: the folder of the other training.
        folders: today's plugins.
    """
    names = list(map(name_of, folders))
    copies = dict(zip(folders, plugins.copies(training, names), strict=True))
    changed = {folder: unlike(Path(folder), copy) for folder, copy in copies.items() if copy.is_dir()}
    return {
        f"model.plugin.{name_of(folder)}": f"with another version of the plugin {folder} (changed: {', '.join(files)})"
        for folder, files in changed.items()
    }
