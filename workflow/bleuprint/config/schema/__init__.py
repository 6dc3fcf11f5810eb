"""The type of every key in config/: what Hydra composes is checked against this before any job."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, PrivateAttr, model_validator

from bleuprint.config.schema.combinations import contradictions
from bleuprint.config.schema.corpus import Corpus, Demo, Expected, Files, Iwslt14, Local
from bleuprint.config.schema.decoding import Decoding
from bleuprint.config.schema.fairseq import Flags, Model, Training
from bleuprint.config.schema.section import Language, Name, Section
from bleuprint.config.schema.text import Text
from bleuprint.config.segmenters import SEGMENTERS

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
    "Text",
    "Training",
]
UNPASSABLE = re.compile("[\0\ud800-\udfff]")


class Metric(Section):
    """One score by sacrebleu. The metrics are those of scoring/metrics.py; bleuprint.plan.choices checks the name."""

    metric: str
    """The metric: {metrics}."""
    text: Literal["tokens", "detokenised"]
    """What is compared: `tokens`, the hypothesis without BPE with the tokenised reference; or `detokenised`, running
    text with the corpus' raw reference."""
    lowercase: bool
    """Ignore case."""
    tokenize: Literal["auto", "none", "13a", "intl", "char", "zh", "ja-mecab", "ko-mecab", "flores200"] | None = None
    """sacrebleu's tokeniser, for `bleu`: `none`, `13a`, `intl`, `char`, `zh`, `ja-mecab`, `ko-mecab` or `flores200`
    (spBLEU; its model is downloaded, or taken from `runtime.mirror`); `auto`: one that suits the target language."""


class Scoring(Section):
    """The scores of a run, by name."""

    metrics: Annotated[dict[Name, Metric], Field(min_length=1)]
    """The metrics, each under a name of your choice. The report ranks and concludes by the first BLEU of the alphabet,
    unless it is by characters; else by the first chrF."""
    resamples: Annotated[int, Field(ge=100, le=10_000)]
    """Number of bootstrap resamples for each score's 95 % interval, and of resamples and trials for the report's paired
    tests; 100 to 10000."""


class Report(Section):
    """What the report compares; no part of any stage's identity."""

    baseline: str | None
    """The group of runs that all others are tested against: its label in the report, or a recipe, model, corpus,
    override or run that names it alone, as in `overrides="report.baseline=transformer"`; null: the first group."""


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


class Runtime(Section):
    """How things are computed; no part of any result's identity."""

    device: Literal["auto", "cpu", "cuda"]
    """`auto` (a GPU if one is visible), `cpu` or `cuda`. On a CPU, `auto` refuses a training of more than about 12
    hours, and `cpu` insists on it."""
    threads: PositiveInt | None
    """CPU threads per job; null: all that `--cores` allows. Trainings and decodings on GPUs divide the cores among them
    instead."""
    mirror: str | None
    """A folder that is searched for all files before they are downloaded, or null."""
    fingerprint: Literal["error", "warning"]
    """What happens if the text differs from the corpus' `expected`: `error` stops, `warning` continues."""
    min_kept: Annotated[float, Field(ge=0, le=1)]
    """The share of the training pairs that cleaning must keep; the text stage stops if it keeps fewer."""
    doubts: Literal["error", "warning"]
    """What happens if the text makes a score meaningless, for instance where the sides of the test set are exchanged:
    `error` stops before the training, `warning` continues."""
    log_interval: PositiveInt
    """Updates between two lines of the training log."""
    tensorboard: bool
    """Let fairseq also write TensorBoard event files, into `results/training/KEY/tensorboard`."""
    jobs_per_gpu: Annotated[int, Field(ge=1, le=16)]
    """Number of trainings and decodings that may share one GPU; further ones wait; 1 to 16."""


class Experiment(Section):
    """A fully resolved config: config/config.yaml without the recipe, which only sets keys of the other groups."""

    corpus: Corpus
    """Parallel text."""
    text: Text
    """Tokenising, cleaning and segmenting."""
    model: Model
    """Architecture and sizes."""
    training: Training
    """How the model is trained."""
    decoding: Decoding
    """How the test set is translated."""
    scoring: Scoring
    """The metrics."""
    runtime: Runtime
    """How things are computed."""
    report: Report
    """What the report compares."""
    source: Language
    """The language that is translated from."""
    target: Language
    """The language that is translated into."""
    seed: Annotated[int, Field(ge=0)]
    """fairseq's `--seed`: initialisation, dropout, batch order; 0 or more."""
    expected: Published | None
    """The published score that a recipe should reach, or null; recipes set it."""
    _test: Name | None = PrivateAttr(default=None)

    @model_validator(mode="before")
    @classmethod
    def can_be_passed_on(cls, values: Any) -> Any:
        """Check that every string can be passed on: no command line carries a NUL, no file half a surrogate pair."""
        for key, value in _texts(values, ""):
            if UNPASSABLE.search(value):
                raise ValueError(
                    f"{key}={value!r}: holds a NUL or an invalid Unicode character, which no command can be given"
                )
        return values

    @model_validator(mode="after")
    def names_each_flag_once(self) -> "Experiment":
        """Check that no flag is in both `model` and `training`, where fairseq would obey one of them."""
        if both := sorted(self.model.flags().keys() & self.training.flags().keys()):
            raise ValueError(f"{both[0]}: is set in model and in training; set it in one of them")
        return self

    @model_validator(mode="after")
    def can_end_well(self) -> "Experiment":
        """Check that no flags contradict each other, which fairseq would find out late or not at all."""
        training = self.model.flags() | self.training.flags()
        for contradiction in contradictions(training, self.decoding.flags(), self.training.checkpoint):
            raise ValueError(contradiction)
        return self

    @model_validator(mode="after")
    def undoes_its_segmenter(self) -> "Experiment":
        """Check that fairseq undoes the segmenter of the text, and no other."""
        undone = SEGMENTERS[self.text.segmenter].remove_bpe
        given = {"decoding.remove_bpe": self.decoding.remove_bpe}
        if self.training.eval_bleu and self.training.eval_bleu_remove_bpe:
            given["training.eval_bleu_remove_bpe"] = self.training.eval_bleu_remove_bpe
        for key, value in given.items():
            if value != undone:
                raise ValueError(
                    f"{key}={_yaml(value)}: text.segmenter={self.text.segmenter} is undone by {_yaml(undone)}; set "
                    f"{key}=auto"
                )
        return self

    @model_validator(mode="after")
    def counts_each_model_once(self) -> "Experiment":
        """Check that no model takes part in the ensemble twice, where it would count twice."""
        seeds = [self.seed, *self.decoding.ensemble]
        if twice := [seed for seed in seeds if seeds.count(seed) > 1]:
            others = ",".join(map(str, self.decoding.ensemble))
            raise ValueError(
                f"decoding.ensemble=[{others}]: seed {twice[0]} would take part twice; the run's own, {self.seed}, "
                "always takes part, so name the others, each once"
            )
        return self

    def on(self, test: str | None) -> "Experiment":
        """Return the experiment on another test set: one of `corpus.tests`, or None, the corpus' own."""
        other = self.model_copy()
        other._test = test
        return other

    @property
    def test(self) -> str | None:
        """The one of `corpus.tests` that is decoded; None: the corpus' own test set."""
        return self._test

    def test_identity(self) -> dict[str, Any]:
        """Return what decides the text of the further test set that this experiment is on."""
        return self.corpus.test_identity(str(self.test), (self.source, self.target))

    def resolved(self) -> dict[str, Any]:
        """Return what the report and a run's config.yaml show of it."""
        values = self.model_dump(mode="json", exclude={"runtime", "report"})
        for section in ("text", "training", "decoding"):
            for key in getattr(self, section).idle():
                del values[section][key]
        # Optional keys that are not used: the configs of older runs lack them
        for name, group in (("corpus", self.corpus), ("text", self.text)):
            values[name] = {key: value for key, value in values[name].items() if not group.has_default(key)}
        return values

    @model_validator(mode="after")
    def speaks_both(self) -> "Experiment":
        """Check that source and target are the corpus' two languages."""
        if self.source == self.target or not {self.source, self.target} <= set(self.corpus.languages):
            raise ValueError(
                f"source={self.source} target={self.target}: the corpus holds "
                f"{' and '.join(self.corpus.languages)}; name each of them once"
            )
        return self


def _yaml(value: bool | str | None) -> str:
    return "null" if value is None else str(value).lower()


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yield every string in `value`, keys of mappings too, each with its dotted key."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield key, str(name)
            yield from _texts(item, f"{key}.{name}".removeprefix("."))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, key)
