"""Fill in flags of fairseq that follow from the text, where a config leaves them `auto`.

They say how what the text stage did is undone, and whether fairseq's BLEU of the validation set suits the target
language: it is counted on tokens of sacrebleu's 13a.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bleuprint.config.languages import primary, spaced
from bleuprint.config.segmenters import SEGMENTERS

if TYPE_CHECKING:
    from bleuprint.config.schema import Experiment

AUTO = "auto"


def settle(values: dict[str, Any]) -> None:
    """Replace each `auto` among fairseq's flags in a composed config; what is wrong otherwise, the schema says.

    Args:
        values: the config; changed in place.
    """
    text, training, decoding = (values.get(name) for name in ("text", "training", "decoding"))
    if not isinstance(text, dict) or not isinstance(training, dict) or not isinstance(decoding, dict):
        return
    segmenter = SEGMENTERS.get(str(text.get("segmenter", "subword_nmt")))
    undone = segmenter.remove_bpe if segmenter else True
    tokenizer = text.get("tokenizer")
    target = tokenizer.get("target") if isinstance(tokenizer, dict) else tokenizer
    suits = bleu_suits(str(values.get("target")))
    meant = {
        "eval_bleu": suits or None,
        "eval_bleu_remove_bpe": undone,
        "eval_bleu_detok": "moses" if target == "moses" else "space",
    }
    _replace(training, meant)
    by_bleu = bool(training.get("eval_bleu"))
    _replace(
        training,
        {
            "best_checkpoint_metric": "bleu" if by_bleu else None,
            "maximize_best_checkpoint_metric": True if by_bleu else None,
        },
    )
    _replace(decoding, {"remove_bpe": undone})


def bleu_suits(target: str) -> bool:
    """Tell whether fairseq's BLEU suits a target language."""
    return spaced(target) and primary(target) != "ko"


def without_effect(key: str, experiment: Experiment) -> str | None:
    """Return why setting a key of the text has no effect, and what to set instead; None if it has."""
    group, _, leaf = key.partition(".")
    if group != "text" or leaf.partition(".")[0] not in experiment.text.unused():
        return None
    name = experiment.text.segmenter
    draws = any(leaf == segmenter.sampling for segmenter in SEGMENTERS.values())
    instead = SEGMENTERS[name].sampling if draws else SEGMENTERS[name].size
    return f"has no effect with text.segmenter={name}; set text.{instead}"


def _replace(flags: dict[str, Any], meant: dict[str, Any]) -> None:
    """Give each flag of a group that is `auto` its value; one without a value is left out."""
    for key, value in meant.items():
        if flags.get(key) == AUTO:
            flags[key] = value
