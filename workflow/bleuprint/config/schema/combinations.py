"""Combinations of flags that would end a training or a decoding late, or pick the wrong model."""

import json
from collections.abc import Iterator, Mapping
from math import lcm
from typing import Any

from bleuprint.config.known_flags import complaint, kind

PERPLEXITY = frozenset({"loss", "ppl"})
LIKELIHOOD = PERPLEXITY | {"nll_loss"}
# Architectures that write a whole translation and refine it
REFINING = ("nonautoregressive", "iterative_nonautoregressive", "nacrf", "cmlm", "levenshtein", "insertion")
# What fairseq's losses compute on the validation set; of other losses nothing is known here
COMPUTED = {
    "cross_entropy": PERPLEXITY,
    "adaptive_loss": PERPLEXITY,
    "nat_loss": LIKELIHOOD,
    "label_smoothed_cross_entropy": LIKELIHOOD,
    "label_smoothed_cross_entropy_with_alignment": LIKELIHOOD | {"alignment_loss"},
    "label_smoothed_cross_entropy_with_rdrop": LIKELIHOOD,
    "label_smoothed_cross_entropy_with_simcut": LIKELIHOOD,
}
HIGHER_IS_BETTER = frozenset({"bleu", "accuracy"})
# Flags of the data, which fairseq-generate does not learn from the model; both commands need the same
BOTH = ("task", "left_pad_source", "left_pad_target", "langs", "prepend_bos")


def contradictions(training: dict[str, Any], decoding: dict[str, Any], choice: str) -> Iterator[str]:
    """Yield a sentence for each combination that cannot end well.

    Args:
        training: fairseq-train's flags, those of the model among them.
        decoding: fairseq-generate's flags.
        choice: `training.checkpoint`.
    """
    names = training["arch"], training["criterion"], training.get("task", "translation")
    refining = [names[0].startswith(REFINING), names[1] == "nat_loss", names[2] == "translation_lev"]
    if any(refining) and not all(refining):
        yield (
            f"model.arch={names[0]}: a model that refines its translations, training.criterion=nat_loss and "
            "+training.task=translation_lev need each other; set all three or none"
        )
    sizes = [training.get(f"{side}_embed_dim") for side in ("encoder", "decoder")]
    if training.get("share_all_embeddings") and None not in sizes and sizes[0] != sizes[1]:
        yield (
            f"model.share_all_embeddings: encoder_embed_dim={sizes[0]} and decoder_embed_dim={sizes[1]} must be equal; "
            "set one of them to the other"
        )
    search = training.get("eval_bleu_args")
    for key, value in search.items() if isinstance(search, Mapping) else ():
        if kind("decoding", key, value) == "refused" and (problem := complaint("decoding", key, value)):
            yield f"training.eval_bleu_args.{key}: {problem}"
    yield from _metric(training, choice)
    yield from _checkpoints(training, choice)
    for key in BOTH:
        default = "translation" if key == "task" else None
        given, needed = decoding.get(key) or default, training.get(key) or default
        if given != needed:
            value = needed if isinstance(needed, str) else json.dumps(needed)
            yield f"decoding.{key}: the model is trained with another value; set +decoding.{key}={value}"


def _metric(training: dict[str, Any], choice: str) -> Iterator[str]:
    metric, criterion = training.get("best_checkpoint_metric") or "loss", training["criterion"]
    smoothed = criterion.startswith("label_smoothed")
    computed = set(COMPUTED.get(criterion, {metric} - {"bleu"}))
    computed |= {"nll_loss"} if training.get("sentence_avg") else set()
    computed |= {"bleu"} if training.get("eval_bleu") else set()
    computed |= {"accuracy", "n_correct", "total"} if smoothed and training.get("report_accuracy") else set()
    if metric not in computed and not training.get("disable_validation"):
        way = f"set it to one of {', '.join(sorted(computed))}"
        if metric == "bleu":
            way = "set training.eval_bleu=true"
        elif metric == "accuracy" and smoothed:
            way = "set +training.report_accuracy=true"
        yield f"training.best_checkpoint_metric={metric}: nothing computes it on the validation set; {way}"
    highest = bool(training.get("maximize_best_checkpoint_metric"))
    compared = choice.endswith("best") or training.get("patience")
    if compared and metric in HIGHER_IS_BETTER | LIKELIHOOD and highest != (metric in HIGHER_IS_BETTER):
        yield (
            f"training.best_checkpoint_metric={metric}: the worst model would be taken for the best; "
            f"set training.maximize_best_checkpoint_metric={str(not highest).lower()}"
        )


def _checkpoints(training: dict[str, Any], choice: str) -> Iterator[str]:
    by_score, averages = choice.endswith("best"), choice.startswith("average")
    missing = {"no_epoch_checkpoints"} if averages else set()
    missing |= {"disable_validation"} if by_score else set()
    if training.get("patience") and training.get("disable_validation"):
        yield "disable_validation: training.patience would find no validation; leave it out"
    for key in sorted(key for key in missing if training.get(key)):
        nothing = "nothing to average" if averages else "no best checkpoint"
        yield f"{key}: training.checkpoint={choice} would find {nothing}; leave it out"
    epochs, updates = training.get("max_epoch"), training.get("max_update")
    save, validate = _number(training, "save_interval"), _number(training, "validate_interval")
    if epochs and not updates and epochs % save:
        yield (
            f"training.save_interval={save}: no checkpoint is saved at the end of epoch {epochs}, the last one; set "
            f"training.max_epoch={-(-epochs // save) * save}, or another interval"
        )
    between = training.get("save_interval_updates") and not averages
    if by_score and epochs and not updates and not between and lcm(save, validate) > epochs:
        yield (
            f"training.validate_interval={validate}: no saved epoch of {epochs} is validated, as training.checkpoint="
            f"{choice} needs; set a smaller interval"
        )
    after = _number(training, "validate_after_updates", 0)
    if by_score and updates and after > updates:
        yield (
            f"training.validate_after_updates={after}: the training ends before, at training.max_update={updates}, and "
            f"training.checkpoint={choice} needs a validation; set it lower"
        )


def _number(flags: dict[str, Any], key: str, default: int = 1) -> int:
    """Return a flag's number; what is none, fairseq's parser refuses."""
    value = flags.get(key)
    return value if isinstance(value, int) and value > 0 else default
