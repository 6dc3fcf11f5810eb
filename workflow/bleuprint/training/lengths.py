"""Compare the lengths of a binarised text's lines with what a training and its decoding can read, before the training.

fairseq itself ends with an error when it comes to such a line: in the test set, only after the training.
"""

import json
import struct
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from bleuprint.config.segmenters import SEGMENTERS, numbered
from bleuprint.files import DataError, canonical

MAGIC = b"MMIDIDX\x00\x00"  # fairseq's index files begin so; version, type and number of lines follow
HEAD = struct.Struct("<QBQ")


@dataclass(frozen=True)
class Limits:
    """The longest lines of one part of the text, in subwords with the end of the sentence; each limit under its key.

    A batch holds a line with both its sides. `model` is what the model reads: of the source, and of the target.
    """

    part: str  # train, valid or test
    batch: dict[str, int]
    model: tuple[dict[str, int], dict[str, int]]
    leaves_out: bool = False  # whether lines that are too long for the model are left out

    def each(self) -> list[tuple[str, int, tuple[int, ...]]]:
        """Return each limit's key, its value, and the sides that it is for, 0 and 1; not where lines are left out."""
        batch = [(key, most, (0, 1)) for key, most in self.batch.items()]
        model = [(key, most, (side,)) for side in (0, 1) for key, most in self.model[side].items()]
        return [*batch, *([] if self.leaves_out else model)]


def as_text(limits: Iterable[Limits]) -> str:
    """Return the limits as JSON, for a command line."""
    return canonical([asdict(part) for part in limits])


def from_text(text: str) -> list[Limits]:
    """Return the limits that `as_text` wrote."""
    return [Limits(**part | {"model": tuple(part["model"])}) for part in json.loads(text)]


@dataclass(frozen=True)
class Longest:
    """The longest line that a limit does not allow."""

    length: int
    most: int
    place: str  # file and line


def too_long(binarised: Path, limits: Iterable[Limits]) -> str | None:
    """Return a sentence about the lines that cannot be read, or None.

    Args:
        binarised: the folder `bin` of a text, beside which its other segmentations lie; a part that is not there is not
            checked.
        limits: of its parts.

    Raises:
        DataError: a file is damaged.
    """
    worst: dict[str, Longest] = {}  # by the limit's key
    for part in limits:
        for name, source in _sources(binarised, part.part):
            pair = source.name.split(".")[1]
            languages = pair.split("-")
            if source.name == f"{part.part}.{pair}.{languages[0]}.idx":
                target = source.with_name(f"{part.part}.{pair}.{languages[1]}.idx")
                folders = (binarised.parent / one.folder for one in SEGMENTERS.values())
                # A further test set has but one folder, whatever segmented it
                folder = next((path for path in folders if path.exists()), binarised.parent / "segmented")
                places = [f"{folder / name}.{language}" for language in languages]
                _add(worst, part, places, (_lengths(source), _lengths(target)))
    if not worst:
        return None
    key, longest = next(iter(worst.items()))
    overrides = " ".join(f"{key}={longest.length}" for key, longest in worst.items())
    return (
        f"{longest.place}: it has {longest.length:,} subwords with the end of the sentence, and "
        f'{key.removeprefix("+")} allows {longest.most:,}; shorten it in the corpus, or set overrides="{overrides}"'
    )


def _sources(binarised: Path, part: str) -> Iterator[tuple[str, Path]]:
    """Yield the index files of a part in all folders, each with the name of the segmented part: `train` or `train2`."""
    number = 1
    while (folder := binarised.with_name(numbered(binarised.name, number))).exists():
        yield from ((numbered(part, number), path) for path in folder.glob(f"{part}.*.idx"))
        number += 1


def _add(worst: dict[str, Longest], part: Limits, places: list[str], lengths: tuple["array[int]", ...]) -> None:
    """Add to `worst` the longest lines of a part that are longer than its limits, and than those in `worst`."""
    longest = [max(side, default=0) for side in lengths]
    if all(longest[side] <= most for _, most, sides in part.each() for side in sides):
        return
    read = [min(limits.values(), default=longest[side]) for side, limits in enumerate(part.model)]
    for number, pair in enumerate(zip(*lengths, strict=True), 1):
        if part.leaves_out and (pair[0] > read[0] or pair[1] > read[1]):
            continue
        for key, most, sides in part.each():
            for side in sides:
                if pair[side] > max(most, worst[key].length if key in worst else 0):
                    worst[key] = Longest(pair[side], most, f"{places[side]}, line {number}")


def _lengths(index: Path) -> "array[int]":
    """Return the lengths of all lines of an index file."""
    lengths = array("i")
    try:
        with open(index, "rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise EOFError
            _, _, lines = HEAD.unpack(file.read(HEAD.size))
            lengths.fromfile(file, lines)
    except (EOFError, struct.error, FileNotFoundError):
        raise DataError(f"{index} is damaged; move the folder {index.parent.parent} away to make it again.") from None
    return lengths
