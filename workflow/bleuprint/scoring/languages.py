"""Choose metrics that suit the target language: BLEU's tokeniser for `auto`, and no scores of tokens that are no words.

For Chinese, Japanese and Korean the tokeniser is the one that sacrebleu's command line takes. For the other languages
that put no spaces between words sacrebleu takes 13a, and bleuprint characters, as the signature says.
"""

from importlib.metadata import version
from importlib.util import find_spec

from bleuprint.config.groups import ConfigError
from bleuprint.config.schema import Experiment

# Language → sacrebleu's tokeniser; all others: 13a
TOKENIZERS = {"zh": "zh", "ja": "ja-mecab", "ko": "ko-mecab"} | dict.fromkeys(("th", "lo", "km", "my"), "char")
UNSPACED = {"zh", "ja", "th", "lo", "km", "my"}  # Moses' tokens are no words
# ISO 639-3 → the two letters that the tables above have
LONG = {"zho": "zh", "cmn": "zh", "jpn": "ja", "kor": "ko", "tha": "th", "lao": "lo", "khm": "km", "mya": "my"}
# sacrebleu's tokeniser → the module that it needs, and the extra of sacrebleu that brings it
EXTRAS = {"ja-mecab": ("MeCab", "ja"), "ko-mecab": ("mecab_ko", "ko")}


def language(code: str) -> str:
    """Return the language of a code such as `zh_Hans` or `jpn`, in two letters where a table above has it."""
    primary = code.replace("-", "_").partition("_")[0].lower()
    return LONG.get(primary, primary)


def with_tokenizers(experiment: Experiment) -> Experiment:
    """Return the experiment with a tokeniser in place of each `auto`, and without scores of tokens that are no words.

    Raises:
        ConfigError: no metric is left, or a tokeniser's package is not installed.
    """
    target = language(experiment.target)
    suited = {}
    for name, metric in experiment.scoring.metrics.items():
        if metric.text == "tokens" and experiment.text.tokenizers.target == "moses" and target in UNSPACED:
            continue
        chosen = TOKENIZERS.get(target, "13a") if metric.tokenize == "auto" else metric.tokenize
        _check_installed(name, chosen, experiment.target)
        suited[name] = metric if chosen == metric.tokenize else metric.model_copy(update={"tokenize": chosen})
    if not suited:
        raise ConfigError(
            f"scoring.metrics: no metric suits {experiment.target}, whose words are not separated by spaces; add one "
            "of detokenised text, for instance scoring=bleu_chrf"
        )
    return experiment.model_copy(update={"scoring": experiment.scoring.model_copy(update={"metrics": suited})})


def _check_installed(name: str, tokenizer: str | None, target: str) -> None:
    module, extra = EXTRAS.get(tokenizer or "", ("sacrebleu", ""))
    if find_spec(module) is None:
        raise ConfigError(
            f"scoring.metrics.{name}.tokenize={tokenizer}: sacrebleu's tokeniser for {target} is not installed; run "
            f'pip install "sacrebleu[{extra}]=={version("sacrebleu")}", or set scoring.metrics.{name}.tokenize=char'
        )
