"""python -m bleuprint.training.resume: before fairseq-train goes on, checkpoints that are damaged are set aside."""

import argparse
import os
import sys
import zipfile
from pathlib import Path

from bleuprint.files import DataError, link
from bleuprint.training.checkpoint import ANEW, CHOICES
from bleuprint.training.checkpoints import load
from bleuprint.training.epochs import EPOCH, epochs

BEFORE = "checkpoint_before.pt"  # at an epoch's end the last one of its midst


def sound(path: Path) -> bool:
    """Whether a checkpoint is whole: torch writes zip archives, with a checksum of each tensor."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except Exception:  # whatever zipfile makes of damaged headers: there are a dozen kinds
        return False


def loads(path: Path) -> bool:
    """Whether torch reads it, too: it takes some damage to headers amiss that zipfile does not see."""
    try:
        load(path, mmap=True)
    except Exception:
        return False
    return True


def ready(save_dir: Path, choice: str) -> list[str]:
    """Let `checkpoint_last.pt` be the newest checkpoint that is whole, or none.

    Args:
        save_dir: fairseq-train's.
        choice: what the result is made of, as `training.checkpoint`.

    Returns:
        What was done, in sentences.

    Raises:
        DataError: a checkpoint chosen by its score is damaged, and training on would not make it again.
    """
    for left in [*save_dir.glob(".checkpoint*.part"), *save_dir.parent.glob(".checkpoint.pt.*.part")]:
        left.unlink()  # half written when a process was killed
    last, best = save_dir / "checkpoint_last.pt", save_dir / "checkpoint_best.pt"
    damaged = [path for path in sorted(save_dir.glob("checkpoint*.pt")) if not sound(path)]
    if last.exists() and last not in damaged and not loads(last):
        damaged += [path for path in sorted(save_dir.glob("checkpoint*.pt")) if path.samefile(last)]
    # One that is another name of the last is made again with it
    again = [path for path in damaged if last in damaged and path.samefile(last)]
    for path in damaged:
        by_score = path == best if choice == "best" else EPOCH.fullmatch(path.name) and choice.endswith("_best")
        if by_score and path not in again:
            raise DataError(f"{path} is damaged, and training on would not make it again; {ANEW}")
    said = []
    for path in damaged:
        os.replace(path, path.with_name(f"{path.name}.damaged"))
        said.append(f"WARNING: {path} is damaged and was set aside as {path.name}.damaged.")
    if last in damaged:
        whole = epochs(save_dir)
        before = [whole[max(whole)]] if whole else [path for path in (save_dir / BEFORE, best) if path.exists()]
        if before:
            link(before[0], last)
        said.append(f"The training goes on from {before[0].name}." if before else "The training begins anew.")
    return said


def main() -> None:
    """Entry point; what cannot be mended ends in one sentence."""
    parser = argparse.ArgumentParser(prog="bleuprint.training.resume", description=__doc__)
    parser.add_argument("--save-dir", type=Path, required=True, help="fairseq-train's --save-dir")
    parser.add_argument("--choose", choices=CHOICES, required=True)
    arguments = parser.parse_args()
    try:
        for sentence in ready(arguments.save_dir, arguments.choose):
            print(f"bleuprint: {sentence}", file=sys.stderr)
    except DataError as error:
        sys.exit(f"bleuprint: {error}")


if __name__ == "__main__":
    main()
