"""Let a training start from another model: check that its vocabulary fits, and continue it where nothing is reset."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bleuprint.files import DataError, link
from bleuprint.training.checkpoints import load

SPECIAL = 4  # symbols that fairseq adds to each dictionary: begin, padding, end, unknown


def check_vocabulary(start: Path, data: Path) -> None:
    """Check that a model has a vector for each subword of a text's dictionaries.

    Args:
        start: the model's checkpoint.
        data: the binarised text, with `dict.LANGUAGE.txt`.

    Raises:
        DataError: it has more or fewer, or the checkpoint cannot be read.
    """
    model = _state(start)["model"]
    index = next(data.glob("train.*.idx"), None)
    languages = index.name.split(".")[1].split("-") if index else []
    for side, language in zip(("encoder", "decoder"), languages, strict=False):
        vectors = model.get(f"{side}.embed_tokens.weight")
        path = data / f"dict.{language}.txt"
        subwords = path.read_bytes().count(b"\n") + SPECIAL
        if vectors is not None and len(vectors) != subwords:
            raise DataError(
                f"{start}: the model knows {len(vectors):,} subwords of its {side}, and {path} has {subwords:,}; put "
                "the dictionaries, the segmenter's file and config.yaml of its text beside it, or start from a run"
            )


def prepare_continuing(start: Path, save_dir: Path, choice: str, ends: Mapping[str, int | None]) -> None:
    """Make another training's checkpoint the one that this training resumes from, unless it has one of its own.

    Args:
        start: the other training's checkpoint.
        save_dir: fairseq-train's.
        choice: which checkpoint becomes the model, as `training.checkpoint`.
        ends: `max_epoch` and `max_update`, the count at which this training ends.

    Raises:
        DataError: the checkpoint has no state of its optimizer, has reached the end already, or is not the best one so
            far where that is wanted.
    """
    last = save_dir / "checkpoint_last.pt"
    if last.exists():
        return
    state = _state(start)
    if not state.get("last_optimizer_state"):
        raise DataError(f"{start}: has no state of its optimizer, so it cannot be continued; leave training.reset out")
    extra = state.get("extra_state") or {}
    reached = {
        "max_epoch": extra.get("train_iterator", {}).get("epoch", 1) - 1,  # it names the next one
        "max_update": (state.get("optimizer_history") or [{}])[-1].get("num_updates", 0),
    }
    for key, end in ends.items():
        if end is not None and reached[key] >= end:
            raise DataError(f"{start}: has reached training.{key}={end} already; set it higher")
    if choice == "best":
        if extra.get("best") != extra.get("val_loss"):
            raise DataError(
                f"{start}: is not the best checkpoint of its training; set training.checkpoint=last, or leave "
                "training.reset out"
            )
        link(start, save_dir / "checkpoint_best.pt")
    link(start, last)


def _state(path: Path) -> dict[str, Any]:
    try:
        packed = zipfile.is_zipfile(path)  # torch before 1.6 wrote no zip archives, and published models may be older
        if packed and zipfile.ZipFile(path).testzip() is not None:
            raise ValueError
        state: dict[str, Any] = load(path, mmap=packed)
        state["model"].keys()
    except Exception:
        raise DataError(f"{path}: is no checkpoint of fairseq, or damaged; name another file") from None
    return state
