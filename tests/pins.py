"""Pin the folders of every recipe with every model: python tests/pins.py writes tests/pins.json again.

For each stage's folder it holds the slice that names it, and all keys of its sections, the schema's defaults included.
A folder that gets another name makes users compute again. Other keys under the same name are worse: old results would
count as those of the new keys, so that the stage's `format` (config/stages.py) has to be raised.
"""

import json
from pathlib import Path
from typing import Any

from bleuprint.config.compose import ConfigError, experiments
from bleuprint.config.groups import shipped
from bleuprint.config.stages import STAGES
from bleuprint.files import write_json
from bleuprint.plan.keys import plan

PINS = Path(__file__).with_name("pins.json")
SECTIONS = {"training": ("model", "training")}  # of the other stages it is the one of the same name


def pins() -> dict[str, Any]:
    """Return `runs` (recipe and model → the key of each stage, or why there is no such run) and `folders` by stage."""
    runs: dict[str, Any] = {}
    folders: dict[str, dict[str, Any]] = {stage: {} for stage in STAGES}
    for recipe in shipped()["recipe"]:
        for model in shipped()["model"]:
            (choice,) = experiments({"recipe": recipe, "model": model})
            try:
                made = plan([choice])
            except ConfigError as error:
                runs[f"{recipe} {model}"] = str(error)
                continue
            runs[f"{recipe} {model}"] = made.runs[0].keys
            for stage, key in made.runs[0].keys.items():
                sections = [getattr(choice.experiment, name) for name in SECTIONS.get(stage, (stage,))]
                full = [section.model_dump(mode="json") for section in sections]
                folders[stage][key] = {"slice": made.stages[stage][key].slice, "keys": full}
    return json.loads(json.dumps({"runs": runs, "folders": folders}))


if __name__ == "__main__":
    write_json(PINS, pins())
