"""Fill in flags of fairseq that follow from the text, where a config leaves them `auto`.

They say how what the text stage did is undone, and whether fairseq's BLEU of the validation set suits the target
language: it is counted on tokens of sacrebleu's 13a.
"""

from typing import Any

from bleuprint.config.segmenters import SEGMENTERS

AUTO = "auto"
UNSUITED = {"zh", "ja", "ko", "th", "lo", "km", "my"}


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
    suits = str(values.get("target"))[:2] not in UNSUITED
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


def _replace(flags: dict[str, Any], meant: dict[str, Any]) -> None:
    """Give each flag of a group that is `auto` its value; one without a value is left out."""
    for key, value in meant.items():
        if flags.get(key) == AUTO:
            flags[key] = value
