"""python -m bleuprint.scoring: score a run's hypotheses with each metric of its config."""

import argparse
from pathlib import Path

import yaml

from bleuprint.files import exit_with_message, read_lines, write_json
from bleuprint.scoring.metrics import score, sentence_scores


@exit_with_message()
def main() -> None:
    """Score from the command line; differing counts end in one sentence."""
    parser = argparse.ArgumentParser(prog="bleuprint.scoring", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the scoring stage's config.yaml")
    for text in ("tokens", "detokenised"):
        parser.add_argument(f"--{text}", nargs=2, type=Path, required=True, metavar=("HYPOTHESES", "REFERENCES"))
    parser.add_argument("--output", type=Path, required=True, help="scores.json: the test set's scores")
    parser.add_argument("--sentences", type=Path, required=True, help="sentences.json: each sentence's, by metric")
    arguments = parser.parse_args()
    config = yaml.safe_load(arguments.config.read_text(encoding="utf-8"))
    metrics, resamples = config["metrics"], config["resamples"]
    texts = {name: [read_lines(path) for path in getattr(arguments, name)] for name in ("tokens", "detokenised")}
    scores, sentences = {}, {}
    for name, metric in metrics.items():
        hypotheses, references = texts[metric["text"]]
        scores[name] = score(metric, hypotheses, references, resamples)
        sentences[name] = sentence_scores(metric, hypotheses, references)
    write_json(arguments.sentences, sentences)
    write_json(arguments.output, {"sentences": len(texts["tokens"][1]), "metrics": scores})


if __name__ == "__main__":
    main()
