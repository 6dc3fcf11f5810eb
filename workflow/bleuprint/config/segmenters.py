"""The segmenters that `text.segmenter` may name, by fairseq's names: what other rooms must know of each.

A new one is a module in text/ like text/bpe.py, the rules that learn and apply it, and one line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bleuprint.config.schema import Experiment


@dataclass(frozen=True)
class Declared:
    """A segmenter's files in the folder of the text stage, and what undoes it."""

    package: str  # on PyPI
    module: str  # in text/: class Segmenter, join and restore
    apply: str  # in text/: the program that segments files
    option: str  # of that program: the file that it learnt
    model: str  # the file that it learns
    folder: str  # holds the segmented text
    size: str  # the key of `text` that sets its number of subwords
    sampling: str  # the key of `text` that draws segmentations at random
    remove_bpe: bool | str  # the value of fairseq's flag that undoes it


SEGMENTERS = {
    "subword_nmt": Declared(
        package="subword-nmt",
        module="bpe",
        apply="apply_bpe",
        option="codes",
        model="codes",
        folder="bpe",
        size="merges",
        sampling="bpe_dropout",
        remove_bpe=True,
    ),
    "sentencepiece": Declared(
        package="sentencepiece",
        module="pieces",
        apply="apply_sentencepiece",
        option="model",
        model="sentencepiece.model",
        folder="pieces",
        size="sentencepiece.vocab_size",
        sampling="sentencepiece.alpha",
        remove_bpe="sentencepiece",
    ),
}


def segmenter(experiment: Experiment) -> Declared:
    """Return what there is to know of an experiment's segmenter."""
    return SEGMENTERS[experiment.text.segmenter]


def of_text(config: Mapping[str, Any]) -> str:
    """Return the name of the segmenter in the keys of a text stage.

    Where the text has the subwords of another one, `segmenter` says which, and the segmenter's own keys which kind.
    """
    name = config.get("segmenter", "subword_nmt")
    return name if isinstance(name, str) else "sentencepiece" if "sentencepiece" in config else "subword_nmt"


def numbered(name: str, number: int) -> str:
    """Return the name of a segmentation of the training text, or of its folder: `train`, `train2` or `bin`, `bin2`."""
    return name if number == 1 else f"{name}{number}"
