"""Ceilings: what a perfect translation scores after the text stage, which no model can exceed; a Markdown table.

    python bench/ceilings.py zho_Hans.gz jpn_Jpan.gz …

Each file is raw text, one sentence a line, named by its language's code. Its lines are prepared twice: as IWSLT14's
text is (text=iwslt14), and as text of your own is (text=own). The subwords are learnt from these lines. Then they are
joined and detokenised, and the result is scored against the lines themselves, as the scoring stage does.
"""

import gzip
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from tabulate import tabulate

from bleuprint.config.compose import experiments
from bleuprint.config.schema import Experiment
from bleuprint.files import write_lines
from bleuprint.plan.fairseq_flags import sentencepiece
from bleuprint.scoring import in_form
from bleuprint.scoring.languages import with_tokenizers
from bleuprint.scoring.metrics import scorer
from bleuprint.text.segmenters import module
from bleuprint.text.tokenise import tokens_of
from bleuprint.text.tokenisers import TOKENISERS

# The text of IWSLT14, and its score of running text, as for German and English
IWSLT14 = ("text=iwslt14", "+scoring.metrics.bleu={metric:bleu,text:detokenised,lowercase:true,tokenize:13a}")


def experiment_of(language: str, *words: str) -> Experiment:
    """Return the experiment that translates text of your own into a language; further words change it."""
    (choice,) = experiments(
        {"overrides": ["corpus=local", "corpus.train=raw", "source=mul", f"target={language}", *words]}
    )
    return with_tokenizers(choice.experiment)


def back(lines: list[str], experiment: Experiment) -> list[str]:
    """Return lines of the target language as they come back from the text stage, with subwords learnt from them."""
    language, text = experiment.target, experiment.text
    tokens = tokens_of(lines, language, 1, text.model_dump(mode="json"))
    segmenting, tokeniser = module(text.segmenter), TOKENISERS[text.tokenizers.target]
    learn = ["bleuprint.text.learn_bpe", "--symbols", str(text.merges)]
    if text.segmenter == "sentencepiece":
        learn = ["bleuprint.text.learn_sentencepiece", *shlex.split(sentencepiece(experiment))]
    with tempfile.TemporaryDirectory() as folder:
        train, model = Path(folder, "train.both"), Path(folder, "model")
        write_lines(train, tokens)
        subprocess.run([sys.executable, "-m", *learn, "--input", train, "--output", model], check=True)
        segmenter = segmenting.Segmenter(model)
    return [tokeniser.detokenise(segmenting.join(segmenter.segment(line)), language) for line in tokens]


def score(name: str, experiment: Experiment, lines: list[str], references: list[str]) -> float:
    """Return the score of lines by the metric `name` of an experiment; references are brought into its Unicode form."""
    references = in_form(references, experiment.text.unicode_normalization)
    result: float = scorer(experiment.scoring.metrics[name].model_dump()).corpus_score(lines, [references]).score
    return result


def row(file: Path) -> dict[str, str]:
    """Return a language's row of the table."""
    with gzip.open(file, "rt", encoding="utf-8", newline="\n") as text:
        lines = [line.rstrip("\n") for line in text]
    language = file.name.partition(".")[0]
    before, own = experiment_of(language, *IWSLT14), experiment_of(language)
    ceilings = [score("bleu", experiment, back(lines, experiment), lines) for experiment in (before, own)]
    return {
        "language": f"`{language}`",
        "tokeniser": own.text.tokenizers.target,
        "segmenter": own.text.segmenter,
        "metric": f"BLEU, `{own.scoring.metrics['bleu'].tokenize}`",
        "`text=iwslt14`, `13a`": f"{ceilings[0]:.2f}",
        "`text=own`": f"{ceilings[1]:.2f}",
    }


if __name__ == "__main__":
    rows = [row(Path(word)) for word in sys.argv[1:]]
    print(tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True))
