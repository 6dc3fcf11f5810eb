"""Identity: which stage folders an experiment needs, each named by a hash of what can change its output."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bleuprint.config.compose import Choice, ConfigError, experiments
from bleuprint.config.schema import Experiment
from bleuprint.config.stages import ALL, FURTHER, STAGES
from bleuprint.files import exit_with_message, short_hash
from bleuprint.plan.ancestors import lineage, with_parents
from bleuprint.plan.choices import check_choices, without_auto
from bleuprint.plan.fairseq_flags import check
from bleuprint.plan.family import family, group
from bleuprint.plan.graph import Plan, Run, Stage
from bleuprint.plan.lengths import check_lengths
from bleuprint.plan.test_sets import check_test_sets

# Stage and the id of a choice → the choice, so that no other one gets this id, and the stage
Known = dict[tuple[str, int], tuple[Choice, Stage]]
LAST = list(STAGES)[-1]  # its key names a run: it is made of all the others


@exit_with_message()
def planned(cli: Mapping[str, Any]) -> Plan:
    """Plan what Snakemake's `--config` asks for, with its flags checked by fairseq.

    Raises:
        SystemExit: with one sentence, if anything in it is wrong.
    """
    choices = [with_parents(choice) for choice in experiments(cli)]
    check(one.experiment for choice in choices for one in lineage(choice))
    chosen = plan(choices)
    testsets = chosen.stages["testset"].items()
    check_test_sets((f"results/testset/{key}", stage.experiment) for key, stage in testsets)
    texts = [(run.folder("text"), run) for run in chosen.runs]
    texts += [(folders["testset"], run) for run in chosen.runs for folders in run.test_folders.values()]
    check_lengths((folder, run.choice.experiment) for folder, run in texts)
    return chosen


def plan(choices: Iterable[Choice]) -> Plan:
    """Give each experiment its stages; equal ones become one run, equal slices one folder.

    Raises:
        ConfigError: the runs differ in `runtime` or `report`, or no registry has a name, or the engine cannot decode
            as asked.
        DataError: a local corpus' files do not exist.
    """
    runs: dict[str, Run] = {}
    stages: dict[str, dict[str, Stage]] = {name: {} for name in ALL}
    first: Experiment | None = None
    for choice in map(with_parents, choices):
        first = first or choice.experiment
        for section in ("runtime", "report"):
            if getattr(first, section) != getattr(choice.experiment, section):
                raise ConfigError(f"{section}: cannot be swept, it does not change what is computed; give one value")
        chosen = _settled(choice)
        needs: dict[tuple[str, str], Stage] = {}
        known: Known = {}
        made = {name: _stage(name, chosen, needs, known) for name in STAGES}
        tests = {
            test: {name: _stage(name, on_test, needs, known).key for name in (*FURTHER, "decoding", "scoring")}
            for test in chosen.experiment.corpus.tests
            for on_test in [replace(chosen, experiment=chosen.experiment.on(test))]
        }
        for (name, key), stage in needs.items():
            stages[name].setdefault(key, stage)
        keys = {name: stage.key for name, stage in made.items()}
        groups, seed = choice.groups, choice.experiment.seed
        name = f"{groups['recipe']}-{groups['model']}-seed{seed}-{keys[LAST][-8:]}"
        ensemble = made["decoding"].others.get("ensemble", ())
        _check_texts(chosen.experiment, stages, [keys["training"], *ensemble])
        members = family(stages, keys["training"], ensemble)
        run = Run(name, choice, keys, group(chosen), tuple(needs), ensemble, tests, members)
        run = runs.setdefault(name, run)
        if run.tests != tests:
            raise ConfigError("corpus.tests: cannot be swept, all runs may have several test sets; give one value")
    return Plan(list(runs.values()), stages)


def _check_texts(experiment: Experiment, stages: Mapping[str, Mapping[str, Stage]], trainings: Sequence[str]) -> None:
    """Check that all models of an ensemble were trained on one text, whose dictionaries they share.

    Raises:
        ConfigError: a model that makes a part of the text goes by the seed.
    """
    if len({stages["training"][key].parents["text"] for key in trainings}) > 1:
        seeds = ",".join(map(str, experiment.decoding.ensemble))
        raise ConfigError(
            f"decoding.ensemble=[{seeds}]: each seed has a text of its own, as corpus.translated.by goes by the seed, "
            "and models that decode together need one; name one seed there"
        )


def _settled(choice: Choice) -> Choice:
    """Return a choice and its parents with what they mean by each `auto`.

    Raises:
        ConfigError: no registry has a name, or the engine cannot decode as asked.
    """
    check_choices(choice.experiment)
    parents = {word: _settled(parent) for word, parent in choice.parents.items()}
    return replace(choice, experiment=without_auto(choice.experiment), parents=parents)


def _stage(name: str, choice: Choice, needs: dict[tuple[str, str], Stage], known: Known) -> Stage:
    """Return the stage of an experiment; it and all that it is made from are added to `needs`, parents first.

    Args:
        name: of the stage.
        choice: the experiment's.
        needs: stage and key → all stages so far.
        known: the same stages by their choices, as a stage is asked for by each that is made from it.
    """
    if (name, id(choice)) in known:
        return known[name, id(choice)][1]
    declared, experiment = ALL[name], choice.experiment
    parents = {parent: _stage(parent, choice, needs, known).key for parent in declared.parents}
    others = {
        key: {word: _stage(other.stage, one, needs, known).key for word, one in other.of(choice).items()}
        for key, other in declared.others.items()
    }
    # The first format is left out below the corpus, whose slice has always had it
    cut: dict[str, Any] = {"format": declared.format} if not parents or declared.format > 1 else {}
    # Of the stages before only the hashes: labels are for people
    hashes = {parent: key[-8:] for parent, key in parents.items()}
    if hashes:
        cut |= {"parent": hashes.popitem()[1]} if len(hashes) == 1 else {"parents": hashes}
    cut |= declared.slice(experiment)
    cut |= {key: {word: one[-8:] for word, one in keys.items()} for key, keys in others.items() if keys}
    key = f"{declared.label(experiment, choice.groups)}-{short_hash(cut)}"
    stage = Stage(key, cut, choice, parents, {key: tuple(keys.values()) for key, keys in others.items() if keys})
    stage = needs.setdefault((name, key), stage)
    known[name, id(choice)] = choice, stage
    return stage
