"""The metrics, all computed by sacrebleu; each score comes with sacrebleu's signature.

A new metric is a function that builds sacrebleu's object, if none of those here will do, and one line in METRICS.
sacrebleu takes half a second to load, so it is imported only where something is scored.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bleuprint.files import DataError

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

References = list[list[str]] | None


@dataclass(frozen=True)
class Kind:
    """What `metric` may name in an entry of config/scoring, and what the report must know of it.

    `build` takes `lowercase`, `tokenize`, whether single sentences are scored, and references to cache.
    """

    build: Callable[[bool, str | None, bool, References], Metric]
    lower_is_better: bool = False
    highest: float = 100.0
    reports_lengths: bool = False  # its result has the brevity penalty, the length ratio and the precisions


def _bleu(lowercase: bool, tokenize: str | None, sentence: bool, references: References) -> Metric:
    """Build BLEU; for a single sentence it counts only the n-gram orders that the sentence has."""
    from sacrebleu.metrics.bleu import BLEU

    # `force` only silences the warning about tokenised text, which is what tokenize: none asks for
    return BLEU(
        lowercase=lowercase, tokenize=tokenize or "13a", force=True, effective_order=sentence, references=references
    )


def _chrf(lowercase: bool, tokenize: str | None, sentence: bool, references: References, words: int = 0) -> Metric:
    """Build chrF, which reads characters and takes no tokeniser; `words` is the longest n-gram of words it counts."""
    from sacrebleu.metrics.chrf import CHRF

    return CHRF(lowercase=lowercase, word_order=words, references=references)


def _ter(lowercase: bool, tokenize: str | None, sentence: bool, references: References) -> Metric:
    """Build TER on words between spaces."""
    from sacrebleu.metrics.ter import TER

    return TER(case_sensitive=not lowercase, references=references)


# By how well they tell single sentences apart, the best first
METRICS = {
    "chrf": Kind(_chrf),
    "bleu": Kind(_bleu, reports_lengths=True),
    "ter": Kind(_ter, lower_is_better=True, highest=float("inf")),
}


def kind_of(metric: dict[str, Any]) -> Kind:
    """Return the kind of an entry of config/scoring."""
    return METRICS[metric["metric"]]


def scorer(metric: dict[str, Any], sentence: bool = False, references: list[str] | None = None) -> Metric:
    """Build sacrebleu's metric for an entry of config/scoring.

    Args:
        metric: `metric`, `lowercase`, `tokenize`.
        sentence: whether it will score single sentences.
        references: cached in the metric, if more than one system is to be scored against them.
    """
    cached = [references] if references else None
    return kind_of(metric).build(metric["lowercase"], metric["tokenize"], sentence, cached)


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
    _use_plain_floats(sacrebleus)
    result: Any = sacrebleus.corpus_score(hypotheses, [references], n_bootstrap=resamples)
    signature = str(sacrebleus.get_signature())
    # sacrebleu leaves the interval out where all scores are 0
    interval = json.loads(result.format(width=4, signature=signature, is_json=True))
    row = {
        "score": result.score,
        "mean": interval.get("confidence_mean", 0.0),
        "ci": interval.get("confidence_var", 0.0),
        "signature": signature,
        "config": metric,
    }
    if kind_of(metric).reports_lengths:
        row |= {"brevity_penalty": result.bp, "length_ratio": result.ratio, "precisions": result.precisions}
    return row


def _use_plain_floats(sacrebleus: Metric) -> None:
    """Make all scores plain floats: the mean of the resamples fails on a mix of floats and numpy's.

    A resample without any text gives a float, the others numpy's.
    """
    compute = sacrebleus._compute_score_from_stats

    def compute_plain(stats: list[Any]) -> Any:
        result = compute(stats)
        result.score = float(result.score)
        return result

    sacrebleus._compute_score_from_stats = compute_plain  # type: ignore[method-assign]


def sentence_scores(metric: dict[str, Any], hypotheses: list[str], references: list[str]) -> list[float]:
    """Score each sentence on its own, rounded to two decimals."""
    sacrebleus = scorer(metric, sentence=True)
    pairs = zip(hypotheses, references, strict=True)
    return [round(sacrebleus.sentence_score(hypothesis, [reference]).score, 2) for hypothesis, reference in pairs]
