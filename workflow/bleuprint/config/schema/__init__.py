"""The type of every key in config/: what Hydra composes is checked against this before any job."""

import re
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field, PrivateAttr, model_validator

from bleuprint.config.plugins import digests
from bleuprint.config.schema.combinations import contradictions
from bleuprint.config.schema.corpus import Corpus, Demo, Expected, Files, Iwslt14, Local
from bleuprint.config.schema.decoding import Decoding
from bleuprint.config.schema.flags import Flags
from bleuprint.config.schema.model import Model
from bleuprint.config.schema.runtime import Runtime
from bleuprint.config.schema.scoring import Metric, Published, Scoring
from bleuprint.config.schema.section import Language, Name, Section
from bleuprint.config.schema.text import Text
from bleuprint.config.schema.training import Training
from bleuprint.config.schema.translated import Translated
from bleuprint.config.segmenters import SEGMENTERS
from bleuprint.config.vocabulary import Vocabulary, beside
from bleuprint.files import canonical

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
    "Metric",
    "Model",
    "Published",
    "Runtime",
    "Scoring",
    "Text",
    "Training",
    "Translated",
]
UNPASSABLE = re.compile("[\0\ud800-\udfff]")


class Report(Section):
    """What the report compares; no part of any stage's identity."""

    baseline: str | None
    """The group of runs that all others are tested against: its label in the report, or a recipe, model, corpus,
    override or run that names it alone, as in `overrides="report.baseline=transformer"`; null: the first group."""


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
    _monolingual: Translated | None = PrivateAttr(default=None)
    _vocabulary: Vocabulary | None = PrivateAttr(default=None)

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
    def names_what_translates(self) -> "Experiment":
        """Check the names of architecture, criterion and the like; with plugins, bleuprint.plan.plugins checks them."""
        for section in (self.model, self.training, self.decoding):
            if not self.model.plugin:
                section.check_names()
        return self

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

    @model_validator(mode="after")
    def spreads_evenly(self) -> "Experiment":
        """Check that each machine has the same number of a training's processes."""
        nodes, number = self.runtime.nodes or 1, self.training.gpus
        if number % nodes:
            raise ValueError(
                f"runtime.nodes={nodes}: training.gpus={number} cannot be spread evenly over {nodes} machines; "
                "set training.gpus to a multiple of it"
            )
        return self

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The segmenter and the dictionaries of the checkpoint file that the training starts from, where known.

        It is also that file's where the training starts from another training, which starts from it.
        """
        path = self.training.start_file
        return beside(path) if path is not None and path.is_file() else self._vocabulary

    def with_vocabulary(self, vocabulary: Vocabulary) -> "Experiment":
        """Return the experiment with the segmenter and the dictionaries of a checkpoint file."""
        other = self.model_copy()
        other._vocabulary = vocabulary
        return other

    def on(self, test: str | None) -> "Experiment":
        """Return the experiment on another test set: one of `corpus.tests`, or None, the corpus' own."""
        other = self.model_copy()
        other._test = test
        return other

    def translating(self, translated: Translated) -> "Experiment":
        """Return the experiment on a text in its source language, which it translates for another's training."""
        other = self.on("translated")
        other._monolingual = translated
        return other

    @property
    def test(self) -> str | None:
        """The one of `corpus.tests` that is decoded; None: the corpus' own test set."""
        return self._test

    @property
    def monolingual(self) -> Translated | None:
        """The text that is translated for another's training, or None."""
        return self._monolingual

    def test_identity(self) -> dict[str, Any]:
        """Return what decides the text of the further test set that this experiment is on."""
        if self._monolingual is not None:
            return {"monolingual": self._monolingual.text_identity(self.source)}
        return self.corpus.test_identity(str(self.test), (self.source, self.target))

    def held_out(self) -> list[dict[str, Any]]:
        """Return what decides the texts of all further test sets, in an order that their names do not decide.

        Raises:
            DataError: a file does not exist.
        """
        languages = (self.source, self.target)
        return sorted((self.corpus.test_identity(name, languages) for name in self.corpus.tests), key=canonical)

    def resolved(self) -> dict[str, Any]:
        """Return what the report and a run's config.yaml show of it."""
        values = self.model_dump(mode="json", exclude={"runtime", "report"})
        for section in ("text", "model", "training", "decoding"):
            for key in getattr(self, section).idle():
                del values[section][key]
        if self.model.plugin:  # by content, as everywhere: the same code may lie in another folder
            values["model"]["plugin"] = digests(self.model.plugin)
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
