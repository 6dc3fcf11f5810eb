"""python -m bleuprint.scoring: score a run's hypotheses with each metric of its config."""

import argparse
import json
from pathlib import Path

import yaml

from bleuprint.files import exit_with_message, read_lines, write_json
from bleuprint.scoring import in_form, reference_files, spbleu
from bleuprint.scoring.comet import Judge
from bleuprint.scoring.metrics import score


@exit_with_message()
def main() -> None:
    """Score from the command line; differing counts end in one sentence."""
    parser = argparse.ArgumentParser(prog="bleuprint.scoring", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the scoring stage's config.yaml")
    for text in ("tokens", "detokenised"):
        parser.add_argument(
            f"--{text}",
            nargs=2,
            type=Path,
            required=True,
            metavar=("HYPOTHESES", "REFERENCES"),
            help="further references of the same sentences are in REFERENCES.1, REFERENCES.2 and so on",
        )
    parser.add_argument("--form", help="Unicode form of the hypotheses, into which raw references are brought: NFC")
    parser.add_argument("--mirror", type=Path, help="a folder that is searched for the model of spBLEU")
    parser.add_argument("--source", type=Path, help="the raw source, which a model reads")
    parser.add_argument("--models", type=json.loads, default={}, help="JSON: the model of each metric that has one")
    parser.add_argument("--python", type=Path, help="the Python that runs these models")
    parser.add_argument("--gpu", action="store_true", help="run them on a GPU")
    parser.add_argument("--output", type=Path, required=True, help="scores.json: the test set's scores")
    parser.add_argument("--sentences", type=Path, required=True, help="sentences.json: each sentence's, by metric")
    arguments = parser.parse_args()
    config = yaml.safe_load(arguments.config.read_text(encoding="utf-8"))
    metrics, resamples = config["metrics"], config["resamples"]
    if any(metric["tokenize"] == spbleu.KEY for metric in metrics.values()):
        spbleu.provide_model(arguments.mirror)
    texts = {}
    for name in ("tokens", "detokenised"):
        hypotheses, first = getattr(arguments, name)
        texts[name] = read_lines(hypotheses), [read_lines(path) for path in reference_files(first)]
    # Tokens are in that form already
    raw, references = texts["detokenised"]
    texts["detokenised"] = raw, [in_form(lines, arguments.form) for lines in references]
    source = in_form(read_lines(arguments.source), arguments.form) if arguments.models else []
    judges = {name: Judge(arguments.python, model, source, arguments.gpu) for name, model in arguments.models.items()}
    scores, sentences = {}, {}
    for name, metric in metrics.items():
        scores[name], sentences[name] = score(metric, *texts[metric["text"]], resamples, judges.get(name))
    write_json(arguments.sentences, sentences)
    form = {"unicode_normalization": arguments.form} if arguments.form else {}
    write_json(arguments.output, {"sentences": len(texts["tokens"][0]), "metrics": scores} | form)


if __name__ == "__main__":
    main()
