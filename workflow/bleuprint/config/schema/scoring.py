"""config/scoring: the metrics; and the score that a recipe should reach."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from bleuprint.config import comet
from bleuprint.config.schema.section import Name, Section


class Metric(Section):
    """One score. The metrics are those of scoring/metrics.py; bleuprint.plan.choices checks the name."""

    metric: str
    """The metric: {metrics}."""
    text: Literal["tokens", "detokenised"] = "detokenised"
    """What is compared: `tokens`, the hypothesis without BPE with the tokenised reference; or `detokenised`, running
    text with the corpus' raw reference."""
    lowercase: bool = False
    """Ignore case."""
    tokenize: Literal["auto", "none", "13a", "intl", "char", "zh", "ja-mecab", "ko-mecab", "flores200"] | None = None
    """sacrebleu's tokeniser, for `bleu`: `none`, `13a`, `intl`, `char`, `zh`, `ja-mecab`, `ko-mecab` or `flores200`
    (spBLEU; its model is downloaded, or taken from `runtime.mirror`); `auto`: one that suits the target language."""
    model: str | None = None
    """The model, for `comet`: a name, such as `wmt22-comet-da`, which COMET downloads; or a path, of a folder as COMET
    downloads them or of its `.ckpt` file, which counts by content. A path begins with a slash or a dot, ends in
    `.ckpt`, or its first folder exists."""

    @model_serializer(mode="wrap")
    def without_default(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Return all keys but a model that is null: metrics had no model when older runs were recorded."""
        values: dict[str, Any] = handler(self)
        return {key: value for key, value in values.items() if key != "model" or value is not None}

    def identity(self) -> dict[str, Any]:
        """Return all keys; files of a model count by their content.

        Raises:
            DataError: these files are missing or damaged.
        """
        return self.model_dump(mode="json") | ({"model": comet.identity(self.model)} if self.model else {})


class Scoring(Section):
    """The scores of a run, by name."""

    metrics: Annotated[dict[Name, Metric], Field(min_length=1)]
    """The metrics, each under a name of your choice. The report ranks and concludes by the first BLEU of the alphabet,
    unless it is by characters; else by the first chrF."""
    resamples: Annotated[int, Field(ge=100, le=10_000)]
    """Number of bootstrap resamples for each score's 95 % interval, and of resamples and trials for the report's paired
    tests; 100 to 10000."""

    @property
    def models(self) -> dict[str, str]:
        """The model of each metric that has one, by the metric's name."""
        return {name: metric.model for name, metric in self.metrics.items() if metric.model is not None}

    def identity(self) -> dict[str, Any]:
        """Return the keys that can change the scores.

        Raises:
            DataError: a model's files are missing or damaged.
        """
        return super().identity() | {"metrics": {name: metric.identity() for name, metric in self.metrics.items()}}

    def relocated(self, root: Path) -> dict[str, str]:
        """Return the keys that give paths, with values that hold in any folder.

        Args:
            root: the folder that relative paths start from.
        """
        paths = {name: comet.model_path(model, root) for name, model in self.models.items()}
        return {f"metrics.{name}.model": str(path) for name, path in paths.items() if path is not None}


class Published(Section):
    """The score that a recipe should reach."""

    metric: Name
    """The name of the metric in `scoring`."""
    low: float
    """The lowest score that counts as reproduced."""
    high: float | None
    """The highest score that counts as reproduced, or null."""
    source: str
    """Where the score was published."""
