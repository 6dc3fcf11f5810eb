"""BLEU and its companions, all by sacrebleu, each with its signature."""

import json
from typing import Any

from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU, BLEUScore
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from bleuprint.files import DataError


def scorer(metric: dict[str, Any], sentence: bool = False, references: list[str] | None = None) -> Metric:
    """sacrebleu's metric for an entry of config/scoring.

    Args:
        metric: `metric`, `lowercase`, `tokenize`.
        sentence: for scores of single sentences: BLEU then counts only the n-gram orders that a sentence has.
        references: read once here, if more than one system is to be scored against them.
    """
    name, lowercase = metric["metric"], metric["lowercase"]
    known = [references] if references else None
    if name == "bleu":
        # `force` only silences the warning about tokenised text, which is what tokenize: none asks for
        tokenize = metric["tokenize"] or "13a"
        return BLEU(lowercase=lowercase, tokenize=tokenize, force=True, effective_order=sentence, references=known)
    if name == "chrf":
        return CHRF(lowercase=lowercase, references=known)
    return TER(case_sensitive=not lowercase, references=known)


def score(metric: dict[str, Any], hypotheses: list[str], references: list[str], resamples: int) -> dict[str, Any]:
    """Score `hypotheses` against one reference each.

    Args:
        metric: an entry of config/scoring: `metric`, `text`, `lowercase`, `tokenize`.
        hypotheses: one sentence each.
        references: as many.
        resamples: how many bootstrap resamples the interval comes from.

    Returns:
        `score` (0 to 100; TER may be higher), `mean` over the resamples and `ci`, half the width of their 95 %
        interval, sacrebleu's `signature`, and `config`, the entry; for BLEU also `brevity_penalty`, `length_ratio`
        (hypothesis to reference) and `precisions`.

    Raises:
        DataError: the counts differ, or there is nothing to score.
    """
    if len(hypotheses) != len(references) or not references:
        raise DataError(f"{len(hypotheses)} hypotheses cannot be scored against {len(references)} references.")
    sacrebleus = scorer(metric)
    _in_plain_floats(sacrebleus)
    result = sacrebleus.corpus_score(hypotheses, [references], n_bootstrap=resamples)
    signature = str(sacrebleus.get_signature())
    interval = json.loads(result.format(width=4, signature=signature, is_json=True))  # without one where all is zero
    row = {
        "score": result.score,
        "mean": interval.get("confidence_mean", 0.0),
        "ci": interval.get("confidence_var", 0.0),
        "signature": signature,
        "config": metric,
    }
    if isinstance(result, BLEUScore):
        row |= {"brevity_penalty": result.bp, "length_ratio": result.ratio, "precisions": result.precisions}
    return row


def _in_plain_floats(sacrebleus: Metric) -> None:
    """The mean of the resamples fails where one of them is a float (nothing to compare) and another one numpy's."""
    compute = sacrebleus._compute_score_from_stats

    def plain(stats: list[Any]) -> Any:
        result = compute(stats)
        result.score = float(result.score)
        return result

    sacrebleus._compute_score_from_stats = plain  # type: ignore[method-assign]


def sentence_scores(metric: dict[str, Any], hypotheses: list[str], references: list[str]) -> list[float]:
    """The score of each sentence, rounded to two decimals."""
    sacrebleus = scorer(metric, sentence=True)
    pairs = zip(hypotheses, references, strict=True)
    return [round(sacrebleus.sentence_score(hypothesis, [reference]).score, 2) for hypothesis, reference in pairs]
