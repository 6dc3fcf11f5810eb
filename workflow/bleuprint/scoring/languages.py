"""Choose metrics that suit the target language: BLEU's tokeniser for `auto`, and no words where none are found.

For Chinese, Japanese and Korean the tokeniser is the one that sacrebleu's command line takes. For the other languages
that put no spaces between words sacrebleu takes 13a, and bleuprint characters, as the signature says; for Cantonese, Wu
and classical Chinese the tokeniser is that of Chinese.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from bleuprint.config.groups import ConfigError
from bleuprint.config.languages import UNSPACED, primary, spaced
from bleuprint.scoring import spbleu
from bleuprint.scoring.metrics import METRICS

if TYPE_CHECKING:  # slow to load, and no job's program needs it
    from bleuprint.config.schema import Experiment, Metric

# Language → sacrebleu's tokeniser; all others: 13a
TOKENIZERS = dict.fromkeys(UNSPACED, "char") | dict.fromkeys(("zh", "yue", "wuu", "lzh"), "zh")
TOKENIZERS |= {"ja": "ja-mecab", "ko": "ko-mecab"}
# sacrebleu's tokeniser → the module that it needs
MODULES = {"ja-mecab": "MeCab", "ko-mecab": "mecab_ko", spbleu.KEY: "sentencepiece"}


def bleu_tokenizer(target: str) -> str:
    """Return sacrebleu's tokeniser for a language's code."""
    return TOKENIZERS.get(primary(target), "13a")


def with_tokenizers(experiment: Experiment) -> Experiment:
    """Return the experiment with a tokeniser in place of each `auto`, and without metrics whose words are no words.

    Raises:
        ConfigError: no metric is left, or a tokeniser's package is not installed.
    """
    suited = {}
    for name, metric in experiment.scoring.metrics.items():
        if not _suits(metric, experiment):
            continue
        chosen = bleu_tokenizer(experiment.target) if metric.tokenize == "auto" else metric.tokenize
        _check_installed(name, chosen, experiment.target)
        suited[name] = metric if chosen == metric.tokenize else metric.model_copy(update={"tokenize": chosen})
    if not suited:
        raise ConfigError(
            f"scoring.metrics: no metric suits {experiment.target}, whose words are not separated by spaces; add one "
            "of detokenised text, for instance scoring=bleu_chrf"
        )
    return experiment.model_copy(update={"scoring": experiment.scoring.model_copy(update={"metrics": suited})})


def _suits(metric: Metric, experiment: Experiment) -> bool:
    """Tell whether a metric that counts words finds them: neither Moses nor TER does where no spaces separate them."""
    if spaced(experiment.target):
        return True
    counts_words = metric.metric in METRICS and METRICS[metric.metric].counts_words
    return experiment.text.tokenizers.target != "moses" if metric.text == "tokens" else not counts_words


def _check_installed(name: str, tokenizer: str | None, target: str) -> None:
    if find_spec(MODULES.get(tokenizer or "", "sacrebleu")) is None:
        raise ConfigError(
            f"scoring.metrics.{name}.tokenize={tokenizer}: sacrebleu's tokeniser for {target} is not installed; run "
            f"make env again, which installs envs/requirements.lock, or set scoring.metrics.{name}.tokenize=char"
        )
