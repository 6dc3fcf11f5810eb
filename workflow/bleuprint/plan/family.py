"""The models that a run builds on, and the group of runs that differ in their seeds alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from bleuprint.config.compose import Choice, experiments
from bleuprint.config.schema import Experiment
from bleuprint.config.stages import STAGES, ancestors
from bleuprint.files import short_hash
from bleuprint.plan.graph import Stage

# What a choice may build on → the last stage of that other choice which it is made from
LAST = {"start": "training", "translator": "decoding"}


def family(
    stages: Mapping[str, Mapping[str, Stage]], training: str, ensemble: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Return the models that a training builds on, the one it starts from and the one that made its text.

    Args:
        stages: all stages of the plan.
        training: its key.
        ensemble: the keys of the other trainings whose models decode with its own; what they start from follows.

    Returns:
        For each one its `role` (`starts from`, `continues` or `text translated by`), the `folder` of its training,
        `words` that ask for it, and its own `family`; or, of a checkpoint file, the `role` and the `file`.
    """
    stage = stages["training"][training]
    starts = "starts from" if stage.experiment.training.reset else "continues"
    trainings = {starts: list(stage.others.get("start", ()))}
    decodings = stages["text"][stage.parents["text"]].others.get("translator", ())
    trainings["text translated by"] = [stages["decoding"][key].parents["training"] for key in decodings]
    members: list[dict[str, Any]] = [
        {
            "role": role,
            "folder": f"results/training/{key}",
            "words": " ".join(stages["training"][key].choice.overrides),
            "family": family(stages, key),
        }
        for role, keys in trainings.items()
        for key in keys
    ]
    path = stage.experiment.training.start_file
    members += [{"role": starts, "file": str(path)}] if path else []
    for key in ensemble:
        seed = stages["training"][key].experiment.seed
        others = [other for other in family(stages, key) if other not in members]
        members += [other | {"role": f"seed {seed} {other['role']}"} for other in others]
    return members


def group(choice: Choice) -> str:
    """Return the hash that a run shares with runs that differ in the seed alone, their parents' seeds included.

    Args:
        choice: with its parents.
    """
    groups, seeded = choice.groups, _by_seed(choice)
    parents = {
        role: _identity(choice.parents[role], last, choice.experiment.seed if role in seeded else None)
        for role, last in LAST.items()
        if role in choice.parents
    }
    seedless = _seedless(choice.experiment)
    return short_hash([groups["recipe"], groups["model"], seedless, *([parents] if parents else [])])


def _by_seed(choice: Choice) -> set[str]:
    """Return which of a choice's parents are others for another seed."""
    if not choice.parents:
        return set()
    words = [word for word in choice.overrides if not word.startswith("seed=")]
    words += [f"seed={choice.experiment.seed + 1}", "decoding.ensemble=[]"]
    (other,) = experiments({"overrides": words}, choice.config_dir)
    asked = [_asked(one.experiment) for one in (choice, other)]
    return {role for role in LAST if asked[0][role] != asked[1][role]}


def _asked(experiment: Experiment) -> dict[str, Any]:
    """Return the words that ask for each parent."""
    translated = experiment.corpus.translated
    return {"start": experiment.training.start_from, "translator": translated and translated.by}


def _identity(choice: Choice, last: str, seed: int | None) -> dict[str, Any]:
    """Return what decides a stage of a parent.

    Args:
        choice: the parent.
        last: the stage.
        seed: of the run, if the parent goes by it: the parent's own one is then the same in all runs of the group.
    """
    slices: dict[str, Any] = {
        name: declared.slice(choice.experiment)
        for name, declared in STAGES.items()
        if name == last or name in ancestors(last)
    }
    if choice.experiment.seed == seed:
        slices["training"] |= {"seed": "of the run"}
    if choice.experiment.monolingual is not None:
        slices["testset"] = choice.experiment.test_identity()
    parents = {role: _identity(choice.parents[role], LAST[role], seed) for role in LAST if role in choice.parents}
    return slices | parents


def _seedless(experiment: Experiment) -> list[dict[str, Any]]:
    """Return the slices of all stages without the seed, which runs of one group share."""
    slices = {name: declared.slice(experiment) for name, declared in STAGES.items()}
    return [
        {key: value for key, value in values.items() if (name, key) != ("training", "seed")}
        for name, values in slices.items()
    ]
