"""python -m bleuprint.training.resume: before fairseq-train goes on, checkpoints that are damaged are set aside."""

import argparse
import os
import sys
import zipfile
from pathlib import Path

from bleuprint.files import DataError, link
from bleuprint.training.checkpoint import ANEW, EPOCH


def sound(path: Path) -> bool:
    """Whether a checkpoint is whole: torch writes zip archives, with a checksum of each tensor."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, EOFError, NotImplementedError):
        return False


def ready(save_dir: Path, choice: str) -> list[str]:
    """Let `checkpoint_last.pt` be the newest checkpoint that is whole, or none.

    Args:
        save_dir: fairseq-train's.
        choice: `best`, `last` or `average`: the checkpoints that cannot be done without.

    Returns:
        What was done, in sentences.

    Raises:
        DataError: a checkpoint that the result is made of is damaged, and training on would not make it again.
    """
    damaged = [path for path in sorted(save_dir.glob("checkpoint*.pt")) if not sound(path)]
    last = save_dir / "checkpoint_last.pt"
    newest = last.stat().st_ino if last in damaged else None
    for path in damaged:
        needed = path.name == "checkpoint_best.pt" if choice == "best" else bool(EPOCH.fullmatch(path.name))
        if needed and choice != "last" and path.stat().st_ino != newest:  # another name of the newest is made again
            raise DataError(f"{path} is damaged, and training on would not make it again; {ANEW}")
    said = []
    for path in damaged:
        os.replace(path, path.with_name(f"{path.name}.damaged"))
        said.append(f"WARNING: {path} is damaged and was set aside as {path.name}.damaged.")
    if last in damaged:
        epochs = {int(match[1]): path for path in save_dir.iterdir() if (match := EPOCH.fullmatch(path.name))}
        before = [epochs[max(epochs)]] if epochs else list(save_dir.glob("checkpoint_best.pt"))
        for path in before:
            link(path, last)
        said.append(f"The training goes on from {before[0].name}." if before else "The training begins anew.")
    return said


def main() -> None:
    """Entry point; what cannot be mended ends in one sentence."""
    parser = argparse.ArgumentParser(prog="bleuprint.training.resume", description=__doc__)
    parser.add_argument("--save-dir", type=Path, required=True, help="fairseq-train's --save-dir")
    parser.add_argument("--choose", choices=["best", "last", "average"], required=True)
    arguments = parser.parse_args()
    try:
        for sentence in ready(arguments.save_dir, arguments.choose):
            print(f"bleuprint: {sentence}", file=sys.stderr)
    except DataError as error:
        sys.exit(f"bleuprint: {error}")


if __name__ == "__main__":
    main()
