"""python -m bleuprint.scoring: BLEU and its companions, all by sacrebleu, each with its signature."""

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml
from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU, BLEUScore
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from bleuprint.files import DataError, read_lines, write_json


def score(metric: dict[str, Any], hypotheses: list[str], references: list[str]) -> dict[str, Any]:
    """Score `hypotheses` against one reference each.

    Args:
        metric: an entry of config/scoring: `metric`, `lowercase`, `tokenize`.
        hypotheses: one sentence each.
        references: as many.

    Returns:
        `score` (0 to 100), sacrebleu's `signature`, `text`; for BLEU also `brevity_penalty`, `length_ratio`
        (hypothesis to reference) and `precisions`.

    Raises:
        DataError: the counts differ, or there is nothing to score.
    """
    if len(hypotheses) != len(references) or not references:
        raise DataError(f"{len(hypotheses)} hypotheses cannot be scored against {len(references)} references.")
    name, lowercase = metric["metric"], metric["lowercase"]
    if name == "bleu":
        # `force` only silences the warning about tokenised text, which is what tokenize: none asks for
        scorer: Metric = BLEU(lowercase=lowercase, tokenize=metric["tokenize"] or "13a", force=True)
    elif name == "chrf":
        scorer = CHRF(lowercase=lowercase)
    else:
        scorer = TER(case_sensitive=not lowercase)
    result = scorer.corpus_score(hypotheses, [references])
    row = {"score": result.score, "signature": str(scorer.get_signature()), "text": metric["text"]}
    if isinstance(result, BLEUScore):
        row |= {"brevity_penalty": result.bp, "length_ratio": result.ratio, "precisions": result.precisions}
    return row


def main() -> None:
    """Entry point; differing counts end in one sentence."""
    parser = argparse.ArgumentParser(prog="bleuprint.scoring", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the scoring stage's config.yaml")
    for text in ("tokens", "detokenised"):
        parser.add_argument(f"--{text}", nargs=2, type=Path, required=True, metavar=("HYPOTHESES", "REFERENCES"))
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    metrics = yaml.safe_load(arguments.config.read_text(encoding="utf-8"))["metrics"]
    texts = {name: [read_lines(path) for path in getattr(arguments, name)] for name in ("tokens", "detokenised")}
    try:
        scores = {name: score(metric, *texts[metric["text"]]) for name, metric in metrics.items()}
    except DataError as error:
        sys.exit(f"bleuprint: {error}")
    write_json(arguments.output, {"sentences": len(texts["tokens"][1]), "metrics": scores})


if __name__ == "__main__":
    main()
