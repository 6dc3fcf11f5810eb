"""python -m bleuprint.training.checkpoint: pick the best or last checkpoint, or average several epochs."""

import argparse
import re
from pathlib import Path
from typing import Any

from bleuprint.files import DataError, exit_with_message, link, replacing
from bleuprint.training.checkpoints import load
from bleuprint.training.epochs import chosen, epochs, scores

CHOICES = ("best", "last", "average", "average_best", "average_around_best")
DAMAGED = re.compile(r"checkpoint(\d+)\.pt\.damaged")  # so named by bleuprint.training.resume
AFRESH = "move that folder away to train from the beginning."


def pick(save_dir: Path, choice: str, count: int = 1, maximise: bool = False) -> list[Path]:
    """Return the checkpoints that make the model: one for `best` and `last`, up to `count` epochs for the averages.

    A training that ended within its first epoch leaves no epoch to average; then it is the last checkpoint.

    Args:
        save_dir: fairseq-train's.
        choice: one of CHOICES.
        count: how many epochs are averaged.
        maximise: whether the highest validation score is best.

    Raises:
        DataError: there is no checkpoint of that kind, or an epoch that belongs to the average was damaged.
    """
    if choice == "average":
        whole = epochs(save_dir)
        averaged = chosen(choice, dict.fromkeys(whole), count, maximise)
        damaged = {int(match[1]) for path in save_dir.iterdir() if (match := DAMAGED.fullmatch(path.name))}
        if lost := [epoch for epoch in damaged - set(whole) if averaged and averaged[0] < epoch < averaged[-1]]:
            raise DataError(f"{save_dir}: checkpoint{lost[0]}.pt, one of the last {count} epochs, is damaged; {AFRESH}")
        paths = [whole[epoch] for epoch in averaged]
    elif choice in ("average_best", "average_around_best"):
        whole = epochs(save_dir)
        paths = [whole[epoch] for epoch in chosen(choice, scores(whole), count, maximise)]
    else:
        paths = [path for path in [save_dir / f"checkpoint_{choice}.pt"] if path.exists()]
    if choice.startswith("average") and not list(save_dir.glob("checkpoint[0-9]*.pt*")):
        paths = [path for path in [save_dir / "checkpoint_last.pt"] if path.exists()]
    if not paths:
        raise DataError(f"{save_dir}: there is no checkpoint for training.checkpoint={choice}; its log says why.")
    return paths


def average(paths: list[Path]) -> dict[str, Any]:
    """Return the last checkpoint with each parameter replaced by the mean over all, added up in float64."""
    state: dict[str, Any] = {}
    total: dict[str, Any] = {}
    for path in paths:
        state = load(path)
        for name, tensor in state["model"].items():
            total[name] = total.get(name, 0) + tensor.double() if tensor.is_floating_point() else tensor
    state["model"] = {
        name: (value / len(paths)).to(state["model"][name].dtype) if value.is_floating_point() else value
        for name, value in total.items()
    }
    return state


@exit_with_message()
def main() -> None:
    """Write the model; end in one sentence if a checkpoint is missing."""
    parser = argparse.ArgumentParser(prog="bleuprint.training.checkpoint", description=__doc__)
    parser.add_argument("--save-dir", type=Path, required=True, help="fairseq-train's --save-dir")
    parser.add_argument("--choose", choices=CHOICES, required=True)
    parser.add_argument("--last", "--epochs", dest="count", type=int, default=1, help="epochs to average")
    parser.add_argument("--maximise", action="store_true", help="the highest validation score is best")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    paths = pick(arguments.save_dir, arguments.choose, arguments.count, arguments.maximise)
    print(f"{arguments.choose}: {', '.join(path.name for path in paths)}")
    if arguments.choose.startswith("average") and paths[0].name == "checkpoint_last.pt":
        print("bleuprint: NOTE: no epoch was saved that could be averaged, so the last checkpoint is the model.")
    if arguments.choose in ("best", "last"):
        link(paths[0], arguments.output)  # checkpoints are replaced, never written into
        return
    import torch

    with replacing(arguments.output, "wb") as file:
        torch.save(average(paths), file)


if __name__ == "__main__":
    main()
