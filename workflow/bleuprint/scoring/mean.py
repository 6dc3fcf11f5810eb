"""A metric of sacrebleu's whose score is the mean of scores that the sentences have already.

So intervals and paired tests of a neural metric are computed as those of BLEU are.
"""

from collections.abc import Sequence
from typing import Any

from sacrebleu.metrics.base import Metric, Score, Signature


class MeanSignature(Signature):
    """Names the case, the model, and the version of the program that computed the sentences' scores."""

    def __init__(self, args: dict[str, Any]) -> None:
        super().__init__(args)
        self.info |= {"case": "lc" if args["lowercase"] else "mixed"} | args["facts"]


class Mean(Metric):
    """Takes the score of each sentence in place of its hypothesis, and no references."""

    _SIGNATURE_TYPE = MeanSignature

    def __init__(self, title: str, lowercase: bool, facts: dict[str, str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.title, self.lowercase, self.facts, self.num_refs = title, lowercase, facts, 1

    def _check_corpus_score_args(self, hyps: Any, refs: Any) -> None:
        """Accept numbers, where sacrebleu's metrics want text."""

    def _extract_corpus_statistics(self, hypotheses: Sequence[Any], references: Any) -> list[list[float]]:
        return [[float(score), 1.0] for score in hypotheses]

    def _aggregate_and_compute(self, stats: Any) -> Score:
        return self._compute_score_from_stats([sum(column) for column in zip(*stats, strict=True)])

    def _compute_score_from_stats(self, stats: Any) -> Score:
        total, sentences = stats
        return Score(self.title, float(total / sentences))

    def _preprocess_segment(self, sent: str) -> str:
        raise NotImplementedError

    def _extract_reference_info(self, refs: Sequence[str]) -> dict[str, Any]:
        raise NotImplementedError

    def _compute_segment_statistics(self, hypothesis: str, ref_kwargs: dict[str, Any]) -> list[Any]:
        raise NotImplementedError
