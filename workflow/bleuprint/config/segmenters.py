"""The segmenters that `text.segmenter` may name, by fairseq's names: what other rooms must know of each.

A new one is a module in text/ like text/bpe.py, the rules that learn and apply it, and one line here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bleuprint.config.schema import Experiment


@dataclass(frozen=True)
class Declared:
    """A segmenter's files in the folder of the text stage, and what undoes it."""

    module: str  # in text/: class Segmenter, and join
    model: str  # the file that it learns
    folder: str  # holds the segmented text
    size: str  # the key of `text` that sets its number of subwords
    unit: str  # what that key counts
    remove_bpe: bool | str  # the value of fairseq's flag that undoes it
    package: str  # on PyPI


SEGMENTERS = {
    "subword_nmt": Declared("bpe", "codes", "bpe", "merges", "merges", True, "subword-nmt"),
    "sentencepiece": Declared(
        "pieces",
        "sentencepiece.model",
        "pieces",
        "sentencepiece.vocab_size",
        "pieces",
        "sentencepiece",
        "sentencepiece",
    ),
}


def segmenter(experiment: Experiment) -> Declared:
    """Return what there is to know of an experiment's segmenter."""
    return SEGMENTERS[experiment.text.segmenter]
