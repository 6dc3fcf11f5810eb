"""The metrics, computed by sacrebleu, or by COMET; each score comes with sacrebleu's signature.

A new metric is a function that builds sacrebleu's object, if none of those here will do, and one line in METRICS.
sacrebleu takes half a second to load, so it is imported only where something is scored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from bleuprint.files import DataError
from bleuprint.scoring import comet, spbleu

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

    from bleuprint.config.schema import Metric as Entry

INFINITE = float("inf")
References = Sequence[list[str]]  # a list for each reference of a test set, with a line for each sentence


@dataclass(frozen=True)
class Kind:
    """What `metric` may name in an entry of config/scoring, and what others must know of it.

    `build` takes the entry, whether single sentences are scored, and references to cache.
    """

    build: Callable[[Mapping[str, Any], bool, References | None], Metric]
    title: str  # as it is written in papers
    lower_is_better: bool = False
    lowest: float = 0.0
    highest: float = 100.0
    decimals: int = 2  # of a sentence's score
    reports_lengths: bool = False  # its result has the brevity penalty, the length ratio and the precisions
    counts_words: bool = False  # it can count nothing smaller than what stands between spaces
    # A model computes the sentences' scores in a program of its own, which needs the source; what `build` returns takes
    # these scores in place of hypotheses, and no references
    by_model: bool = False

    def problem(self, entry: Entry) -> str | None:
        """Return the key of an entry that is wrong, with what is wrong with it, or None."""
        if self.by_model:
            return comet.problem(entry)
        return f"model={entry.model}: {entry.metric} has no model; leave it out" if entry.model is not None else None


def _bleu(entry: Mapping[str, Any], sentence: bool, references: References | None) -> Metric:
    """Build BLEU; for a single sentence it counts only the n-gram orders that the sentence has."""
    from sacrebleu.metrics.bleu import BLEU

    tokenize = entry["tokenize"] or "13a"
    if tokenize == spbleu.KEY:
        spbleu.provide_model()
    # `force` only silences the warning about tokenised text, which is what tokenize: none asks for
    return BLEU(
        lowercase=entry["lowercase"], tokenize=tokenize, force=True, effective_order=sentence, references=references
    )


def _chrf(entry: Mapping[str, Any], sentence: bool, references: References | None, words: int = 0) -> Metric:
    """Build chrF, which reads characters and takes no tokeniser; `words` is the longest n-gram of words it counts."""
    from sacrebleu.metrics.chrf import CHRF

    return CHRF(lowercase=entry["lowercase"], word_order=words, references=references)


def _ter(entry: Mapping[str, Any], sentence: bool, references: References | None) -> Metric:
    """Build TER on words between spaces."""
    from sacrebleu.metrics.ter import TER

    return TER(case_sensitive=not entry["lowercase"], references=references)


def _comet(entry: Mapping[str, Any], sentence: bool, references: References | None) -> Metric:
    """Build the mean of the scores that COMET gave to the sentences."""
    from bleuprint.scoring.mean import Mean

    return Mean("COMET", entry["lowercase"], {"model": entry["model"]})


# By how well they tell single sentences apart, the best first; COMET last, as that depends on model and languages
METRICS = {
    "chrf": Kind(_chrf, "chrF"),
    "chrf++": Kind(partial(_chrf, words=2), "chrF++"),
    "bleu": Kind(_bleu, "BLEU", reports_lengths=True),
    "ter": Kind(_ter, "TER", lower_is_better=True, highest=INFINITE, counts_words=True),
    "comet": Kind(_comet, "COMET", lowest=-INFINITE, highest=INFINITE, decimals=comet.DECIMALS, by_model=True),
}


def kind_of(metric: Mapping[str, Any]) -> Kind:
    """Return the kind of an entry of config/scoring."""
    return METRICS[metric["metric"]]


def by_characters(metric: Mapping[str, Any]) -> bool:
    """Tell whether an entry is a BLEU whose n-grams are of characters; chrF is made for them, and BLEU is not."""
    return (metric["metric"], metric.get("tokenize")) == ("bleu", "char")


def headline(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the name of the metric that ranks: the first BLEU, unless by characters; else the first chrF, else any.

    A metric by a model ranks where there is no other.

    Args:
        metrics: entries of config/scoring by their names, `auto` replaced.
    """
    suited = [name for name, metric in metrics.items() if metric["metric"] == "bleu" and not by_characters(metric)]
    suited += [name for name, metric in metrics.items() if metric["metric"] == "chrf"]
    suited += [name for name, metric in metrics.items() if not kind_of(metric).by_model]
    return next(iter(suited or metrics))


def scorer(metric: Mapping[str, Any], sentence: bool = False, references: References | None = None) -> Metric:
    """Build sacrebleu's metric for an entry of config/scoring.

    Args:
        metric: `metric`, `lowercase`, `tokenize`, `model`.
        sentence: whether it will score single sentences.
        references: cached in the metric, if more than one system is to be scored against them.

    Raises:
        DataError: the model of tokenize: flores200 could not be downloaded.
    """
    sacrebleus = kind_of(metric).build(metric, sentence, references)
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
    metric: dict[str, Any],
    hypotheses: list[str],
    references: References,
    resamples: int,
    judge: comet.Judge | None = None,
) -> tuple[dict[str, Any], list[float]]:
    """Score `hypotheses` against one reference or more, all of them together and each by itself.

    Args:
        metric: an entry of config/scoring: `metric`, `text`, `lowercase`, `tokenize`.
        hypotheses: one sentence each.
        references: a list for each reference, with as many sentences.
        resamples: how many bootstrap resamples the interval comes from.
        judge: computes the sentences' scores of a metric by a model, which reads the first reference only.

    Returns:
        A row, and the score of each sentence, rounded. The row has `score` (0 to 100; TER may be
        higher), `mean` over the resamples and `ci`, half the width of their 95 % interval, sacrebleu's `signature`, and
        `config`, the entry; for BLEU also `brevity_penalty`, `length_ratio` (hypothesis to reference) and `precisions`.

    Raises:
        DataError: the counts differ, there is nothing to score, a model could not be downloaded, or it failed.
    """
    for lines in references:
        if len(hypotheses) != len(lines) or not lines:
            raise DataError(f"{len(hypotheses)} hypotheses cannot be scored against {len(lines)} references.")
    kind, sacrebleus = kind_of(metric), scorer(metric)
    _use_plain_floats(sacrebleus)
    given: Sequence[Any] = hypotheses
    if judge is not None:
        given, version = judge.sentence_scores(hypotheses, references[0], metric["lowercase"])
    result: Any = sacrebleus.corpus_score(given, references, n_bootstrap=resamples)
    signature = sacrebleus.get_signature()
    if judge is not None:
        signature.update("comet", version)
    row = {
        "score": result.score,
        "mean": round(result._mean, 4),
        "ci": round(result._ci, 4),
        "signature": str(signature),
        "config": metric,
    }
    if kind.reports_lengths:
        row |= {"brevity_penalty": result.bp, "length_ratio": result.ratio, "precisions": result.precisions}
    single = scorer(metric, sentence=True)
    statistics = sacrebleus._extract_corpus_statistics(given, references)
    scores = [float(single._aggregate_and_compute([numbers]).score) for numbers in statistics]
    return row, [round(score, kind.decimals) for score in scores]


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
