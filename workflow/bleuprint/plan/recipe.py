"""How an experiment differs from the recipe that it goes by: whether that recipe's published score is its measure."""

from functools import cache
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
    own = _recipe(choice.groups["recipe"]).experiment
    keys = differing([_results(own), _results(choice.experiment)])
    return {key: values for key, values in keys.items() if key not in FREE}


@cache
def _recipe(name: str) -> Choice:
    (choice,) = experiments({"recipe": name})
    return choice


def _results(experiment: Experiment) -> dict[str, Any]:
    """Return what decides the score that is compared with the published one, and that score, without the seed."""
    sections = ("corpus", "text", "model", "training")
    values = {section: getattr(experiment, section).identity() for section in sections}
    experiment = without_auto(experiment)
    values["decoding"] = STAGES["decoding"].slice(experiment)
    values["corpus"] |= {"decontaminate": experiment.corpus.decontaminate}
    values |= {"source": experiment.source, "target": experiment.target}
    if (expected := experiment.expected) is not None:
        metric = experiment.scoring.metrics.get(expected.metric)
        values["scoring"] = {"metrics": {expected.metric: metric and metric.model_dump()}}
        values["expected"] = expected.model_dump()
    return values
