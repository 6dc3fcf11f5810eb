"""The files by which bleuprint and its fairseq plugin talk, in fairseq-train's --save-dir.

`plugin.json` holds the options of the plugin that are no flags of fairseq's; `bleuprint.training.resume` writes it
before fairseq-train starts. `implementations.json` is written by the plugin: which code computed the model's layers.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path

from bleuprint.files import read_json, write_json

OPTIONS = "plugin.json"
IMPLEMENTATIONS = "implementations.json"


@dataclass(frozen=True)
class Options:
    """What the plugin is asked to do; without a file, nothing of it."""

    bf16: bool = False  # matrix products in bfloat16
    deterministic: bool = False  # only algorithms of torch that give the same bits each time
    average: str | None = None  # average_best or average_around_best: remove epochs that cannot be averaged any more
    epochs: int = 1  # how many are averaged
    freeze: list[str] = field(default_factory=list)  # patterns of parameters that are not trained


def write_options(save_dir: Path, options: Options) -> None:
    """Write the options of the next session."""
    write_json(save_dir / OPTIONS, asdict(options))


def read_options(save_dir: Path) -> Options:
    """Return the options of this session."""
    path = save_dir / OPTIONS
    return Options(**read_json(path)) if path.exists() else Options()


def add_implementations(save_dir: Path, sentences: list[str]) -> None:
    """Add to the implementations of earlier sessions."""
    write_json(save_dir / IMPLEMENTATIONS, list(dict.fromkeys(read_implementations(save_dir) + sentences)))


def read_implementations(save_dir: Path) -> list[str]:
    """Return the implementations of all sessions, in the order in which they first ran; empty if none is known."""
    path = save_dir / IMPLEMENTATIONS
    sentences: list[str] = read_json(path, list) if path.exists() else []
    return sentences
