"""Identity: which stage folders an experiment needs, each named by a hash of what can change its output."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bleuprint.config.compose import Choice, ConfigError, experiments
from bleuprint.config.schema import Experiment, Runtime
from bleuprint.config.stages import STAGES, way_up
from bleuprint.decoding.engine import identity as decoding_identity
from bleuprint.files import canonical, exit_with_message, short_hash
from bleuprint.plan.choices import check_choices
from bleuprint.plan.fairseq_flags import check
from bleuprint.plan.recipe import changed

# Overrides that the report need not name: they have columns of their own, or change no result
UNNAMED = ("recipe=", "corpus=", "model=", "seed=", "runtime.", "report.")


@dataclass(frozen=True)
class Stage:
    """One folder of results: the slice of the config that decides it, and a choice that has it."""

    key: str  # label-hash, the folder's name
    slice: dict[str, Any]
    parent: str | None  # the key of the stage before
    choice: Choice
    ensemble: tuple[str, ...] = ()  # of a decoding: the keys of the trainings that take part besides its parent

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
    ensemble: tuple[str, ...] = ()  # the keys of the trainings whose models decode together with its own

    @property
    def needs(self) -> list[tuple[str, str]]:
        """Stage and key of all folders that it is made of, each after what it is made from."""
        others = [("training", key) for key in self.ensemble]
        own = [(stage, self.keys[stage]) for stage in STAGES]
        trained = own.index(("training", self.keys["training"])) + 1
        return own[:trained] + others + own[trained:]

    def folder(self, stage: str) -> str:
        """Return the run's folder of that stage."""
        return f"results/{stage}/{self.keys[stage]}"

    def file(self, stage: str, name: str) -> str:
        """Return the path of the file `name` in the run's folder of that stage."""
        return f"{self.folder(stage)}/{name}"

    @property
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
        )

    @property
    def asked(self) -> str:
        """Canonical JSON of the words that ask for this run alone, `how` included, and of each group's file."""
        return canonical({"words": self.choice.overrides, "groups": self.choice.groups})


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
        for above in way_up(name, wanted):
            parent = self.stage(name, key).parent
            assert parent is not None
            name, key = above, parent
        return f"results/{name}/{key}/{file}"

    def checkpoints(self, key: str) -> list[str]:
        """Return the models that decode in the folder `key`: the run's own, and those of its ensemble."""
        stage = self.stage("decoding", key)
        return [f"results/training/{training}/checkpoint.pt" for training in (stage.parent, *stage.ensemble)]

    def tuned(self, key: str, *files: str) -> list[str]:
        """Return the paths of `files` of the tuning in the folder `key`; empty where nothing is tuned."""
        tunes = self.stage("decoding", key).experiment.decoding.tune is not None
        return [f"results/decoding/{key}/{file}" for file in files] if tunes else []

    def run(self, name: str) -> Run:
        """Return the run of that name.

        Raises:
            ConfigError: this call does not plan such a run.
        """
        for run in self.runs:
            if run.name == name:
                return run
        raise ConfigError(f"results/runs/{name}: this config makes no such run")

    def stage(self, name: str, key: str) -> Stage:
        """Return the stage `name` in the folder `key`.

        Raises:
            ConfigError: this call does not plan such a folder.
        """
        if key not in self.stages[name]:
            raise ConfigError(f"results/{name}/{key}: this config makes no such folder")
        return self.stages[name][key]


@exit_with_message()
def planned(cli: Mapping[str, Any]) -> Plan:
    """Plan what Snakemake's `--config` asks for, with its flags checked by fairseq.

    Raises:
        SystemExit: with one sentence, if anything in it is wrong.
    """
    choices = experiments(cli)
    check(choice.experiment for choice in choices)
    return plan(choices)


def plan(choices: Iterable[Choice]) -> Plan:
    """Give each experiment its stages; equal ones become one run, equal slices one folder.

    Raises:
        ConfigError: the runs differ in `runtime` or `report`, or no registry has a name, or the engine cannot decode
            as asked.
        DataError: a local corpus' files do not exist.
    """
    runs: dict[str, Run] = {}
    stages: dict[str, dict[str, Stage]] = {name: {} for name in STAGES}
    first: Experiment | None = None
    for choice in choices:
        first = first or choice.experiment
        check_choices(choice.experiment)
        for section in ("runtime", "report"):
            if getattr(first, section) != getattr(choice.experiment, section):
                raise ConfigError(f"{section}: cannot be swept, it does not change what is computed")
        keys: dict[str, str] = {}
        seedless = []
        ensemble: tuple[str, ...] = ()
        parent = None
        for name, label, values in _slices(choice):
            seedless.append({key: value for key, value in values.items() if (name, key) != ("training", "seed")})
            others: tuple[str, ...] = ()
            if name == "decoding" and choice.experiment.decoding.ensemble:
                seeds = sorted(choice.experiment.decoding.ensemble)
                made = {seed: _training(choice, seed, keys["text"]) for seed in seeds}
                stages["training"] |= {one.key: one for one in made.values() if one.key not in stages["training"]}
                others = ensemble = tuple(one.key for one in made.values())
                values = values | {"ensemble": {str(seed): one.key[-8:] for seed, one in made.items()}}
            stage = _stage(name, label, values, parent, choice, others)
            stages[name].setdefault(stage.key, stage)
            keys[name] = parent = stage.key
        groups, seed = choice.groups, choice.experiment.seed
        name = f"{groups['recipe']}-{groups['model']}-seed{seed}-{keys['scoring'][-8:]}"
        group = short_hash([groups["recipe"], groups["model"], seedless])
        runs.setdefault(name, Run(name, choice, keys, group, ensemble))
    return Plan(list(runs.values()), stages)


def _stage(
    name: str,
    label: str,
    values: dict[str, Any],
    parent: str | None,
    choice: Choice,
    ensemble: tuple[str, ...] = (),
) -> Stage:
    number = STAGES[name].format
    # The first format is left out below the corpus, whose slice has always had it
    cut = {"format": number} if parent is None or number > 1 else {}
    # Of the stage before only the hash: labels are for people
    cut |= ({} if parent is None else {"parent": parent[-8:]}) | values
    return Stage(f"{label}-{short_hash(cut)}", cut, parent, choice, ensemble)


def _training(choice: Choice, seed: int, text: str) -> Stage:
    """Return the training of the same config with another seed."""
    other = replace(choice, experiment=choice.experiment.model_copy(update={"seed": seed}))
    ((label, values),) = [(label, values) for name, label, values in _slices(other) if name == "training"]
    return _stage("training", label, values, text, other)


def _slices(choice: Choice) -> list[tuple[str, str, dict[str, Any]]]:
    """Stage, label, and the keys that can change the stage's output; the stage before is added by `plan`."""
    experiment, groups = choice.experiment, choice.groups
    model = f"{groups['model']}-seed{experiment.seed}"
    corpus = experiment.corpus.identity()
    text = experiment.text.identity() | {"source": experiment.source, "target": experiment.target}
    # Not where it is false: texts made before there was this key keep their names
    if experiment.corpus.decontaminate:
        text |= {"decontaminate": True}
    return [
        ("corpus", groups["corpus"], corpus),
        ("text", f"{groups['corpus']}-{experiment.source}-{experiment.target}", text),
        (
            "training",
            model,
            {
                "model": experiment.model.identity(),
                "training": experiment.training.identity(),
                "seed": experiment.seed,
            },
        ),
        ("decoding", model, decoding_identity(experiment)),
        ("scoring", model, experiment.scoring.identity()),
    ]
