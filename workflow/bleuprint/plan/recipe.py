"""How an experiment differs from the recipe that it goes by: whether that recipe's published score is its measure."""

from functools import cache
from pathlib import Path
from typing import Any

from bleuprint.config.compose import Choice, experiments
from bleuprint.config.differences import differing
from bleuprint.config.schema import Experiment
from bleuprint.config.stages import STAGES
from bleuprint.plan.choices import without_auto

# Keys that a recipe's published score does not hang on
FREE = {"training.fp16", "training.deterministic", "decoding.max_tokens"}


def changed(choice: Choice) -> dict[str, list[Any]]:
    """Return the keys in which an experiment differs from its recipe: key → the recipe's value and the experiment's."""
    own = _recipe(choice.groups["recipe"], choice.config_dir).experiment
    keys = differing([_results(own), _results(choice.experiment)])
    return {key: values for key, values in keys.items() if key not in FREE}


@cache
def _recipe(name: str, config_dir: Path | None) -> Choice:
    (choice,) = experiments({"recipe": name}, config_dir)
    return choice


def _results(experiment: Experiment) -> dict[str, Any]:
    """Return what decides the score that is compared with the published one, and that score, without the seed."""
    sections = ("corpus", "text", "model", "training")
    values = {section: getattr(experiment, section).identity() for section in sections}
    experiment = without_auto(experiment)
    values["decoding"] = STAGES["decoding"].slice(experiment)
    values["corpus"] |= {"decontaminate": experiment.corpus.decontaminate}
    chosen = experiment.corpus.model_dump(mode="json", include={"share", "translated"}, exclude_defaults=True)
    values["corpus"] |= chosen
    start = experiment.training.start_from
    own_seed = f"seed={experiment.seed}"  # each seed of a recipe starts from a model of that seed
    words = ["seed=" if word == own_seed else word for word in start] if isinstance(start, list) else start
    values["training"] |= {"start_from": words} if start is not None else {}
    values |= {"source": experiment.source, "target": experiment.target}
    if (expected := experiment.expected) is not None:
        metric = experiment.scoring.metrics.get(expected.metric)
        values["scoring"] = {"metrics": {expected.metric: metric and metric.model_dump()}}
        values["expected"] = expected.model_dump()
    return values
