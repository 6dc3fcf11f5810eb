"""The metrics, all computed by sacrebleu; each score comes with sacrebleu's signature.

A new metric is a function that builds sacrebleu's object, if none of those here will do, and one line in METRICS.
sacrebleu takes half a second to load, so it is imported only where something is scored.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from bleuprint.files import DataError
from bleuprint.scoring import spbleu

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

References = Sequence[list[str]]  # a list for each reference of a test set, with a line for each sentence


@dataclass(frozen=True)
class Kind:
    """What `metric` may name in an entry of config/scoring, and what others must know of it.

    `build` takes `lowercase`, `tokenize`, whether single sentences are scored, and references to cache.
    """

    build: Callable[[bool, str | None, bool, References | None], Metric]
    title: str  # as it is written in papers
    lower_is_better: bool = False
    highest: float = 100.0
    reports_lengths: bool = False  # its result has the brevity penalty, the length ratio and the precisions
    counts_words: bool = False  # it can count nothing smaller than what stands between spaces


def _bleu(lowercase: bool, tokenize: str | None, sentence: bool, references: References | None) -> Metric:
    """Build BLEU; for a single sentence it counts only the n-gram orders that the sentence has."""
    from sacrebleu.metrics.bleu import BLEU

    if tokenize == spbleu.KEY:
        spbleu.provide_model()
    # `force` only silences the warning about tokenised text, which is what tokenize: none asks for
    return BLEU(
        lowercase=lowercase, tokenize=tokenize or "13a", force=True, effective_order=sentence, references=references
    )


def _chrf(
    lowercase: bool, tokenize: str | None, sentence: bool, references: References | None, words: int = 0
) -> Metric:
    """Build chrF, which reads characters and takes no tokeniser; `words` is the longest n-gram of words it counts."""
    from sacrebleu.metrics.chrf import CHRF

    return CHRF(lowercase=lowercase, word_order=words, references=references)


def _ter(lowercase: bool, tokenize: str | None, sentence: bool, references: References | None) -> Metric:
    """Build TER on words between spaces."""
    from sacrebleu.metrics.ter import TER

    return TER(case_sensitive=not lowercase, references=references)


# By how well they tell single sentences apart, the best first
METRICS = {
    "chrf": Kind(_chrf, "chrF"),
    "chrf++": Kind(partial(_chrf, words=2), "chrF++"),
    "bleu": Kind(_bleu, "BLEU", reports_lengths=True),
    "ter": Kind(_ter, "TER", lower_is_better=True, highest=float("inf"), counts_words=True),
}


def kind_of(metric: Mapping[str, Any]) -> Kind:
    """Return the kind of an entry of config/scoring."""
    return METRICS[metric["metric"]]


def by_characters(metric: Mapping[str, Any]) -> bool:
    """Tell whether an entry is a BLEU whose n-grams are of characters; chrF is made for them, and BLEU is not."""
    return (metric["metric"], metric.get("tokenize")) == ("bleu", "char")


def headline(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the name of the metric that ranks: the first BLEU, unless by characters; else the first chrF, else any.

    Args:
        metrics: entries of config/scoring by their names, `auto` replaced.
    """
    suited = [name for name, metric in metrics.items() if metric["metric"] == "bleu" and not by_characters(metric)]
    suited += [name for name, metric in metrics.items() if metric["metric"] == "chrf"]
    return next(iter(suited or metrics))


def scorer(metric: Mapping[str, Any], sentence: bool = False, references: References | None = None) -> Metric:
    """Build sacrebleu's metric for an entry of config/scoring.

    Args:
        metric: `metric`, `lowercase`, `tokenize`.
        sentence: whether it will score single sentences.
        references: cached in the metric, if more than one system is to be scored against them.

    Raises:
        DataError: the model of tokenize: flores200 could not be downloaded.
    """
    sacrebleus = kind_of(metric).build(metric["lowercase"], metric["tokenize"], sentence, references)
    _extract_once(sacrebleus)
    return sacrebleus


def _extract_once(sacrebleus: Metric) -> None:
    """Keep the statistics of each text's sentences: all scores and tests start from them, and they take long."""
    extract = sacrebleus._extract_corpus_statistics
    extracted: list[tuple[Any, Any, Any]] = []

    def extract_once(hypotheses: Sequence[str], references: Sequence[Sequence[str]] | None) -> Any:
        for text, against, statistics in extracted:
            if text is hypotheses and against is references:
                return statistics
        extracted.append((hypotheses, references, extract(hypotheses, references)))
        return extracted[-1][2]

    sacrebleus._extract_corpus_statistics = extract_once  # type: ignore[method-assign]


def score(
    metric: dict[str, Any], hypotheses: list[str], references: References, resamples: int
) -> tuple[dict[str, Any], list[float]]:
    """Score `hypotheses` against one reference or more, all of them together and each by itself.

    Args:
        metric: an entry of config/scoring: `metric`, `text`, `lowercase`, `tokenize`.
        hypotheses: one sentence each.
        references: a list for each reference, with as many sentences.
        resamples: how many bootstrap resamples the interval comes from.

    Returns:
        A row, and the score of each sentence, rounded to two decimals. The row has `score` (0 to 100; TER may be
        higher), `mean` over the resamples and `ci`, half the width of their 95 % interval, sacrebleu's `signature`, and
        `config`, the entry; for BLEU also `brevity_penalty`, `length_ratio` (hypothesis to reference) and `precisions`.

    Raises:
        DataError: the counts differ, there is nothing to score, or a model could not be downloaded.
    """
    for lines in references:
        if len(hypotheses) != len(lines) or not lines:
            raise DataError(f"{len(hypotheses)} hypotheses cannot be scored against {len(lines)} references.")
    sacrebleus = scorer(metric)
    _use_plain_floats(sacrebleus)
    result: Any = sacrebleus.corpus_score(hypotheses, references, n_bootstrap=resamples)
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
    single = scorer(metric, sentence=True)
    statistics = sacrebleus._extract_corpus_statistics(hypotheses, references)
    return row, [round(float(single._aggregate_and_compute([numbers]).score), 2) for numbers in statistics]


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
