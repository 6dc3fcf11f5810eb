"""Several segmentations of the training text, each drawn at random with a seed of its own.

The first is written under the text's own name, `train.de`, the others as `train2.de`, `train3.de` and so on.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from bleuprint.config.segmenters import numbered


def outputs(files: Iterable[Path], segmentations: int) -> list[tuple[Path, str]]:
    """Return each file with each name under which it is segmented: those of train have as many as there are seeds."""
    return [
        (path, f"{numbered(path.stem, number)}{path.suffix}")
        for path in files
        for number in range(1, (segmentations if path.stem == "train" else 1) + 1)
    ]


def seed(name: str) -> int:
    """Return a seed of 32 bits for a file's name, which alone decides what is drawn."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
