"""Check the names that registries above the schema give a meaning to, and choose what `auto` means, before any job.

The schema takes any word for them, so that a new metric or tokeniser is added in its registry alone.
"""

from collections.abc import Collection

from bleuprint.config.compose import ConfigError
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


def left_out(experiment: Experiment) -> str | None:
    """Return a sentence on the metrics that do not suit the target language; None if all do."""
    suited = with_tokenizers(experiment).scoring.metrics
    if names := [name for name in experiment.scoring.metrics if name not in suited]:
        return f"no {' and no '.join(names)}: Moses' tokens of {experiment.target} are no words"
    return None


def check_choices(experiment: Experiment) -> None:
    """Check that the config's tokeniser and metrics exist.

    Raises:
        ConfigError: one does not; the message names the choices.
    """
    for name in experiment.text.tokenizers.model_dump().values():
        _check("text.tokenizer", name, TOKENISERS)
    for name, metric in experiment.scoring.metrics.items():
        _check(f"scoring.metrics.{name}.metric", metric.metric, METRICS)


def _check(key: str, value: str, choices: Collection[str]) -> None:
    """Check one key; the message is worded as pydantic words a wrong choice."""
    if value not in choices:
        *others, last = [repr(choice) for choice in choices]
        raise ConfigError(f"{key}={value}: input should be {', '.join(others)} or {last}")
