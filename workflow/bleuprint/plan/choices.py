"""Check the names that registries above the schema give a meaning to, and choose what `auto` means, before any job.

The schema takes any word for them, so that a new metric or tokeniser is added in its registry alone.
"""

from collections.abc import Collection

from bleuprint.config.automatic import bleu_suits
from bleuprint.config.compose import SUITED, Choice, ConfigError
from bleuprint.config.languages import unknown
from bleuprint.config.schema import Experiment
from bleuprint.decoding.engine import with_engine
from bleuprint.scoring.languages import with_tokenizers
from bleuprint.scoring.metrics import METRICS
from bleuprint.text.tokenisers import TOKENISERS


def without_auto(experiment: Experiment) -> Experiment:
    """Return the experiment with what it means by each `auto`, which the config alone decides.

    Raises:
        ConfigError: the engine cannot decode as asked, or a tokeniser of a metric is not installed.
    """
    return with_tokenizers(with_engine(experiment))


def notes(choice: Choice) -> list[tuple[str, str]]:
    """Return what was chosen for the corpus and the languages, and why: a stage's word and a sentence for each."""
    experiment = choice.experiment
    codes = ((key, getattr(experiment, key)) for key in ("source", "target"))
    sentences = [("corpus", note) for key, code in codes if (note := unknown(key, code))]
    suited = SUITED.get(experiment.corpus.kind, {}).get("text")
    if "start" in choice.parents or experiment.vocabulary:
        sentences.append(("text", "tokens, subwords and dictionaries as in the model that the training starts from"))
    elif suited == choice.groups["text"] and not any(word.startswith("text=") for word in choice.overrides):
        sentences.append(("text", f"text={suited}, for your own text: cased, as people write it, SentencePiece"))
    sides = experiment.text.tokenizers
    for name, code in ((sides.source, experiment.source), (sides.target, experiment.target)):
        if note := TOKENISERS[name].note(code):
            sentences.append(("text", note))
    target = experiment.target
    if experiment.training.eval_bleu_args and not experiment.training.eval_bleu and not bleu_suits(target):
        sentences.append(("training", f"checkpoints go by the loss: fairseq's BLEU does not suit {target}"))
    metrics = with_tokenizers(experiment).scoring.metrics
    if names := [name for name in experiment.scoring.metrics if name not in metrics]:
        sentences.append(("scoring", f"no {' and no '.join(names)}: words of {target} are not separated by spaces"))
    return sentences


def check_choices(experiment: Experiment) -> None:
    """Check that the config's tokeniser and metrics exist, and that a metric has the keys that it needs.

    Raises:
        ConfigError: one does not; the message names the choices.
    """
    for side, name in experiment.text.tokenizers.model_dump().items():
        one = isinstance(experiment.text.tokenizer, str)
        _check("text.tokenizer" if one else f"text.tokenizer.{side}", name, TOKENISERS)
    for name, metric in experiment.scoring.metrics.items():
        _check(f"scoring.metrics.{name}.metric", metric.metric, METRICS)
        if problem := METRICS[metric.metric].problem(metric):
            raise ConfigError(f"scoring.metrics.{name}.{problem}")


def _check(key: str, value: str, choices: Collection[str]) -> None:
    """Check one key; the message is worded as pydantic words a wrong choice."""
    if value not in choices:
        *others, last = [repr(choice) for choice in choices]
        raise ConfigError(f"{key}={value}: input should be {', '.join(others)} or {last}")
