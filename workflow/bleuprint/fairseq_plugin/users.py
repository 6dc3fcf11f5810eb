"""Load the user's own plugins (`model.plugin`): training/plugins.py says where they lie."""

from argparse import Namespace
from pathlib import Path

from fairseq import utils


def plugins(loader: Path) -> list[Path]:
    """Return the folders beside the loader's, by name."""
    beside = sorted(path.parent for path in loader.parent.glob("*/__init__.py"))
    return [path for path in beside if path != loader]


def load(file: str) -> None:
    """Load each plugin as fairseq loads a --user-dir.

    Args:
        file: of the loader.
    """
    for plugin in plugins(Path(file).parent):
        utils.import_user_module(Namespace(user_dir=str(plugin)))
