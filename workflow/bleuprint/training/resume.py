"""python -m bleuprint.training.resume: prepare a --save-dir before fairseq-train starts or resumes.

It checks that no line of the text is too long, sets damaged checkpoints aside, writes the options of bleuprint's
fairseq plugin, and copies the user's plugins beside the --save-dir.
"""

import argparse
import json
import os
import sys
import zipfile
from pathlib import Path

from bleuprint.files import DataError, exit_with_message, link
from bleuprint.training.checkpoint import AFRESH, CHOICES
from bleuprint.training.checkpoints import load
from bleuprint.training.epochs import EPOCH, epochs
from bleuprint.training.lengths import from_text, too_long
from bleuprint.training.plugins import keep
from bleuprint.training.save_dir import Options, write_options
from bleuprint.training.start import check_vocabulary, prepare_continuing

BEFORE = "checkpoint_before.pt"  # the checkpoint_last.pt before the present one


def sound(path: Path) -> bool:
    """Return whether a checkpoint is whole: torch writes zip archives, with a checksum of each tensor."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except Exception:  # zipfile raises one of a dozen kinds for damaged headers
        return False


def loads(path: Path) -> bool:
    """Return whether torch can read a checkpoint: some damage to headers stops torch and not zipfile."""
    try:
        load(path, mmap=True)
    except Exception:
        return False
    return True


def ready(save_dir: Path, choice: str, continued: Path | None = None) -> list[str]:
    """Make `checkpoint_last.pt` the newest checkpoint that is whole; remove it if there is none.

    Args:
        save_dir: fairseq-train's.
        choice: which checkpoints make the model, as `training.checkpoint`.
        continued: the checkpoint of another training that this one continues, for the sentences.

    Returns:
        What was done, in sentences.

    Raises:
        DataError: a checkpoint chosen by its score is damaged, and further training would not recompute it.
    """
    for unfinished in [*save_dir.glob(".checkpoint*.part"), *save_dir.parent.glob(".checkpoint.pt.*.part")]:
        unfinished.unlink()  # half written when a process was killed
    last, best = save_dir / "checkpoint_last.pt", save_dir / "checkpoint_best.pt"
    damaged = [path for path in sorted(save_dir.glob("checkpoint*.pt")) if not sound(path)]
    if last.exists() and last not in damaged and not loads(last):
        damaged += [path for path in sorted(save_dir.glob("checkpoint*.pt")) if path.samefile(last)]
    # Other names of the last one are recomputed with it
    recomputed = [path for path in damaged if last in damaged and path.samefile(last)]
    for path in damaged:
        by_score = path == best if choice == "best" else EPOCH.fullmatch(path.name) and choice.endswith("_best")
        if by_score and path not in recomputed:
            raise DataError(f"{path} is damaged, and further training would not recompute it; {AFRESH}")
    sentences = []
    for path in damaged:
        os.replace(path, path.with_name(f"{path.name}.damaged"))
        sentences.append(f"WARNING: {path} is damaged and was renamed {path.name}.damaged.")
    if last in damaged:
        whole = epochs(save_dir)
        older = [whole[max(whole)]] if whole else [path for path in (save_dir / BEFORE, best) if path.exists()]
        if older:
            link(older[0], last)
            sentences.append(f"The training resumes from {older[0].name}.")
        else:
            sentences.append(f"The training starts from {continued or 'the beginning'}.")
    return sentences


@exit_with_message()
def main() -> None:
    """Prepare the --save-dir; end in one sentence if the training could not end well, or not as it would have."""
    parser = argparse.ArgumentParser(prog="bleuprint.training.resume", description=__doc__)
    parser.add_argument("--save-dir", type=Path, required=True, help="fairseq-train's --save-dir")
    parser.add_argument("--choose", choices=CHOICES, required=True, help="which checkpoints make the model")
    parser.add_argument("--epochs", type=int, help="how many are averaged, by their scores; the others are removed")
    parser.add_argument("--data", type=Path, help="the binarised text")
    parser.add_argument("--limits", type=from_text, help="how long its lines may be, as training/lengths.py writes it")
    parser.add_argument("--bf16", action="store_true", help="compute matrix products in bfloat16")
    parser.add_argument("--deterministic", action="store_true", help="use deterministic algorithms only")
    parser.add_argument("--freeze", type=json.loads, default=[], help="parameters that are not trained, as JSON")
    parser.add_argument("--start", type=Path, help="the checkpoint of another training, which this one starts from")
    parser.add_argument("--plugin", nargs=2, action="append", default=[], help="a plugin's folder, and its SHA-256")
    parser.add_argument("--continued", action="store_true", help="keep the other training's optimizer and counts")
    parser.add_argument("--max-epoch", type=int, help="with --continued: where this training ends")
    parser.add_argument("--max-update", type=int)
    arguments = parser.parse_args()
    if arguments.plugin:
        keep(arguments.save_dir.parent, dict(arguments.plugin))
    if arguments.start:
        check_vocabulary(arguments.start, arguments.data)
    if arguments.data and (sentence := too_long(arguments.data, arguments.limits or [])):
        raise DataError(sentence)
    average = {} if arguments.epochs is None else {"average": arguments.choose, "epochs": arguments.epochs}
    options = {"bf16": arguments.bf16, "deterministic": arguments.deterministic, "freeze": arguments.freeze}
    write_options(arguments.save_dir, Options(**options, **average))
    for sentence in ready(arguments.save_dir, arguments.choose, arguments.start if arguments.continued else None):
        print(f"bleuprint: {sentence}", file=sys.stderr)
    if arguments.continued:
        ends = {"max_epoch": arguments.max_epoch, "max_update": arguments.max_update}
        prepare_continuing(arguments.start, arguments.save_dir, arguments.choose, ends)


if __name__ == "__main__":
    main()
