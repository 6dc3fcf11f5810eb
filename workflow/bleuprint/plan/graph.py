"""What a call is asked for: its runs, and the folders of stages that they are made of."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bleuprint.config.compose import Choice, ConfigError
from bleuprint.config.schema import Experiment, Runtime
from bleuprint.config.segmenters import SEGMENTERS, segmenter
from bleuprint.config.stages import ancestors
from bleuprint.files import canonical
from bleuprint.plan.ancestors import lineage
from bleuprint.plan.portable import portable
from bleuprint.plan.recipe import changed

# Overrides that the report need not name: they have columns of their own, or change no result
UNNAMED = ("recipe=", "corpus=", "corpus.tests", "+corpus.tests", "model=", "seed=", "runtime", "report.")


@dataclass(frozen=True)
class Stage:
    """One folder of results: the slice of the config that decides it, and a choice that has it."""

    key: str  # label-hash, the folder's name
    slice: dict[str, Any]
    choice: Choice
    parents: dict[str, str]  # stage → key, of the same experiment
    others: dict[str, tuple[str, ...]]  # its key in the slice → the keys of stages of other experiments

    @property
    def experiment(self) -> Experiment:
        """An experiment that has this slice."""
        return self.choice.experiment

    @property
    def identity(self) -> str:
        """The canonical JSON of the slice."""
        return canonical(self.slice)


@dataclass(frozen=True)
class Run:
    """One experiment, the keys of its stages, and the hash that it shares with runs of other seeds."""

    name: str
    choice: Choice
    keys: dict[str, str]
    group: str
    needs: tuple[tuple[str, str], ...]  # stage and key of all folders that it is made of, each after its parents
    ensemble: tuple[str, ...] = ()  # the keys of the trainings whose models decode together with its own
    tests: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # further test set → stage → key
    family: Sequence[Mapping[str, Any]] = ()  # the models that it builds on, as family.py returns them

    def folder(self, stage: str) -> str:
        """Return the run's folder of that stage."""
        return f"results/{stage}/{self.keys[stage]}"

    def file(self, stage: str, name: str) -> str:
        """Return the path of the file `name` in the run's folder of that stage."""
        return f"{self.folder(stage)}/{name}"

    @cached_property
    def description(self) -> str:
        """Canonical JSON of what the report says of the run, its resolved config included."""
        experiment, groups = self.choice.experiment, self.choice.groups
        expected = experiment.expected
        return canonical(
            {
                "run": self.name,
                "group": self.group,
                "recipe": groups["recipe"],
                "corpus": groups["corpus"],
                "model": groups["model"],
                "seed": experiment.seed,
                "source": experiment.source,
                "target": experiment.target,
                "overrides": [word for word in self.choice.overrides if not word.startswith(UNNAMED)],
                "expected": expected and expected.model_dump() | {"changed": changed(self.choice)},
                "config": experiment.resolved(),
                "stages": {stage: self.folder(stage) for stage in self.keys},
            }
            | ({"ensemble": [f"results/training/{key}" for key in self.ensemble]} if self.ensemble else {})
            | ({"tests": self.test_folders} if self.tests else {})
            | ({"family": self.family} if self.family else {})
            | ({"ancestors": [f"results/{stage}/{key}" for stage, key in self.ancestors]} if self.ancestors else {})
        )

    @property
    def test_folders(self) -> dict[str, dict[str, str]]:
        """The folders of each further test set, by stage."""
        return {
            name: {stage: f"results/{stage}/{key}" for stage, key in keys.items()} for name, keys in self.tests.items()
        }

    @property
    def asked(self) -> str:
        """Canonical JSON of the words that ask for this run alone, each group's file, and the user's own files."""
        # A run's name means nothing in another folder
        translated = self.choice.experiment.corpus.translated
        asked = (self.choice.experiment.training.start_from, translated and translated.by)
        named = self.choice.parents and any(isinstance(word, str) for word in asked)
        words = portable(self.choice) if named else self.choice.overrides
        own = {name: text for one in reversed(lineage(self.choice)) for name, text in one.own.items()}
        return canonical({"words": words, "groups": self.choice.groups} | ({"config": own} if own else {}))

    @property
    def ancestors(self) -> list[tuple[str, str]]:
        """Stage and key of the folders that it is made of and that belong to other choices, each after its parents."""
        own = {*self.keys.items(), *(("training", key) for key in self.ensemble)}
        own |= {item for keys in self.tests.values() for item in keys.items()}
        return [need for need in self.needs if need not in own]


@dataclass(frozen=True)
class Plan:
    """Everything one call of Snakemake is asked for."""

    runs: list[Run]
    stages: dict[str, dict[str, Stage]] = field(default_factory=dict)

    @property
    def runtime(self) -> Runtime:
        """How things are computed, the same for all runs."""
        return self.runs[0].choice.experiment.runtime

    @property
    def baseline(self) -> str | None:
        """What the report compares with, the same for all runs."""
        return self.runs[0].choice.experiment.report.baseline

    def upstream(self, name: str, key: str, wanted: str, file: str) -> str:
        """Return the path of `file` in the stage `wanted` that the stage `name` in the folder `key` builds on."""
        parents = self.stage(name, key).parents
        if wanted in parents:
            return f"results/{wanted}/{parents[wanted]}/{file}"
        above = next(parent for parent in parents if wanted in ancestors(parent))
        return self.upstream(above, parents[above], wanted, file)

    def models(self, key: str) -> list[str]:
        """Return the folders of the models that decode in the folder `key`: the run's own, then its ensemble's."""
        stage = self.stage("decoding", key)
        return [f"results/training/{key}" for key in (stage.parents["training"], *stage.others.get("ensemble", ()))]

    def start(self, key: str) -> str | None:
        """Return the checkpoint that the training in the folder `key` starts from, or None."""
        stage = self.stage("training", key)
        if "start" in stage.others:
            return f"results/training/{stage.others['start'][0]}/checkpoint.pt"
        path = stage.experiment.training.start_file
        return None if path is None else str(path)

    def continued(self, key: str) -> Experiment | None:
        """Return the experiment whose training the one in the folder `key` continues, or None."""
        stage = self.stage("training", key)
        if stage.experiment.training.reset or "start" not in stage.others:
            return None
        return self.stage("training", stage.others["start"][0]).experiment

    def made(self, key: str) -> tuple[str, str] | None:
        """Return the source and the target side of the pairs that a model makes for the text in `key`, or None."""
        stage = self.stage("text", key)
        if "translator" not in stage.others:
            return None
        decoding = stage.others["translator"][0]
        (testset,) = self.stage("decoding", decoding).others["test"]
        translator = self.stage("decoding", decoding).experiment
        text = f"results/testset/{testset}/raw/test.{translator.source}"
        sides = text, f"results/decoding/{decoding}/hypotheses.txt"
        return sides if translator.source == stage.experiment.source else sides[::-1]

    def vocabulary(self, key: str) -> tuple[str, dict[str, str]] | None:
        """Return the segmenter's file and the dictionary of each language, where the text in `key` does not make them.

        Another text has them, whose model is trained further, or they lie beside a checkpoint file.
        """
        stage = self.stage("text", key)
        experiment = stage.experiment
        languages = (experiment.source, experiment.target)
        if "segmenter" in stage.others:
            folder = f"results/text/{stage.others['segmenter'][0]}"
            return f"{folder}/{segmenter(experiment).model}", {one: f"{folder}/bin/dict.{one}.txt" for one in languages}
        if (known := experiment.vocabulary) is None:
            return None
        return str(known.segmenter), {one: str(known.dictionaries[one]) for one in languages}

    def tuned(self, key: str, *files: str) -> list[str]:
        """Return the paths of `files` of the tuning for the folder `key`; empty where nothing is tuned."""
        stage = self.stage("decoding", key)
        (tried,) = stage.others.get("tuned", (key,))
        return [f"results/decoding/{tried}/{file}" for file in files] if stage.experiment.decoding.tune else []

    def tested(self, name: str, key: str) -> str | None:
        """Return the key of the further test set that the stage `name` in the folder `key` is about, or None."""
        stage = self.stage(name, key)
        if "test" in stage.others:
            return stage.others["test"][0]
        return self.tested("decoding", stage.parents["decoding"]) if "decoding" in stage.parents else None

    def test_file(self, name: str, key: str, own: str, file: str) -> str:
        """Return the path of a file of the test set that a stage is about; `own` is its stage otherwise."""
        if further := self.tested(name, key):
            segmented = {chosen.folder for chosen in SEGMENTERS.values()}
            return f"results/testset/{further}/{'segmented' if file in segmented else file}"
        return self.upstream(name, key, own, file)

    def test_seals(self, name: str, key: str, wanted: Sequence[str]) -> list[str]:
        """Return the seals of the stages `wanted` that a stage needs; of a further test set its own for the corpus'.

        The corpus may have been deleted, and nothing but a test set should be computed for a new one.
        """
        further, tried = self.tested(name, key), self.stage(name, key).others.get("tuned", ())
        seals = [self.upstream(name, key, stage, "seal.json") for stage in wanted if stage != "corpus" or not further]
        seals += [f"results/testset/{further}/seal.json"] * bool(further)
        return seals + [f"results/decoding/{decoding}/seal.json" for decoding in tried]

    def run(self, name: str) -> Run:
        """Return the run of that name.

        Raises:
            ConfigError: this call does not plan such a run.
        """
        if name not in self._by_name:
            raise ConfigError(f"results/runs/{name}: this config makes no such run")
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Run]:
        return {run.name: run for run in self.runs}

    @cached_property
    def needed(self) -> Mapping[tuple[str, str], int]:
        """How many runs need each folder, by stage and key."""
        return Counter(need for run in self.runs for need in run.needs)

    def stage(self, name: str, key: str) -> Stage:
        """Return the stage `name` in the folder `key`.

        Raises:
            ConfigError: this call does not plan such a folder.
        """
        if key not in self.stages[name]:
            raise ConfigError(f"results/{name}/{key}: this config makes no such folder")
        return self.stages[name][key]
