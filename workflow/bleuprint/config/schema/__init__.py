"""The type of every key in config/: what Hydra composes is checked against this before any job."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, model_validator

from bleuprint.config.schema.corpus import Corpus, Demo, Expected, Files, Iwslt14, Local
from bleuprint.config.schema.fairseq import Decoding, Flags, Model, Training
from bleuprint.config.schema.section import Language, Name, Section

__all__ = [
    "Corpus",
    "Decoding",
    "Demo",
    "Expected",
    "Experiment",
    "Files",
    "Flags",
    "Iwslt14",
    "Local",
    "Model",
    "Runtime",
    "Training",
]
UNPASSABLE = re.compile("[\0\ud800-\udfff]")


class Text(Section):
    """The text stage."""

    tokenizer: Literal["moses", "none"]
    lowercase: bool
    min_tokens: PositiveInt
    max_tokens: PositiveInt
    max_ratio: Annotated[float, Field(ge=1)]
    valid_every: Annotated[int, Field(ge=2)]
    merges: PositiveInt
    joined_dictionary: bool


class Metric(Section):
    """One score by sacrebleu."""

    metric: Literal["bleu", "chrf", "ter"]
    text: Literal["tokens", "detokenised"]
    lowercase: bool
    tokenize: Literal["none", "13a", "intl", "char", "zh"] | None = None


class Scoring(Section):
    """The scores of a run, by name."""

    metrics: Annotated[dict[Name, Metric], Field(min_length=1)]
    resamples: Annotated[int, Field(ge=100, le=10_000)]


class Report(Section):
    """What the report compares; no part of any stage's identity."""

    baseline: str | None


class Published(Section):
    """The score that a recipe should reach; `low` and `high` are the bounds within which it counts as reproduced."""

    metric: Name
    low: float
    high: float | None
    source: str


class Runtime(Section):
    """How things are computed; no part of any result's identity."""

    device: Literal["auto", "cpu", "cuda"]
    threads: PositiveInt | None
    mirror: str | None
    fingerprint: Literal["error", "warning"]
    log_interval: PositiveInt
    tensorboard: bool
    jobs_per_gpu: Annotated[int, Field(ge=1, le=16)]


class Experiment(Section):
    """One fully resolved config: config/config.yaml without the recipe, which only sets the others' keys."""

    corpus: Corpus
    text: Text
    model: Model
    training: Training
    decoding: Decoding
    scoring: Scoring
    runtime: Runtime
    report: Report
    source: Language
    target: Language
    seed: Annotated[int, Field(ge=0)]
    expected: Published | None

    @model_validator(mode="before")
    @classmethod
    def can_be_passed_on(cls, values: Any) -> Any:
        """No command line can carry a NUL, and no file half a surrogate pair."""
        for key, value in _texts(values, ""):
            if UNPASSABLE.search(value):
                raise ValueError(f"{key}={value!r}: holds a NUL or what is no Unicode; no command can be given that")
        return values

    @model_validator(mode="after")
    def names_each_flag_once(self) -> "Experiment":
        """A flag in both `model` and `training` would leave it open which one fairseq obeys."""
        if both := sorted(self.model.flags().keys() & self.training.flags().keys()):
            raise ValueError(f"{both[0]}: is set in model and in training; set it in one of them")
        return self

    @model_validator(mode="after")
    def counts_each_model_once(self) -> "Experiment":
        """A model that takes part twice would weigh twice."""
        seeds = [self.seed, *self.decoding.ensemble]
        if twice := [seed for seed in seeds if seeds.count(seed) > 1]:
            others = ",".join(map(str, self.decoding.ensemble))
            raise ValueError(
                f"decoding.ensemble=[{others}]: seed {twice[0]} would take part twice; the run's own, {self.seed}, "
                "takes part anyhow, so name the others, each once"
            )
        return self

    def resolved(self) -> dict[str, Any]:
        """What the report and a run's config.yaml show of it."""
        values = self.model_dump(mode="json", exclude={"runtime", "report"})
        for section in ("training", "decoding"):
            for key in getattr(self, section).idle():
                del values[section][key]
        return values

    @model_validator(mode="after")
    def speaks_both(self) -> "Experiment":
        """Source and target must be the corpus' two languages."""
        if self.source == self.target or not {self.source, self.target} <= set(self.corpus.languages):
            raise ValueError(
                f"source={self.source} target={self.target}: the corpus holds "
                f"{' and '.join(self.corpus.languages)}; name each of them once"
            )
        return self


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Every string in `value`, keys of mappings too, with where it stands."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield key, str(name)
            yield from _texts(item, f"{key}.{name}".removeprefix("."))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, key)
