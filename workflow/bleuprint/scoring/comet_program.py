"""Score sentences with COMET. It runs in COMET's own environment and imports nothing of bleuprint.

    .venv-comet/bin/python comet_program.py OUTPUT < ORDER

ORDER is JSON: `model` (a checkpoint, or a name to download), `folder` (the model's, which may hold its encoder's config
and tokeniser in a folder of the encoder's name; null with a name), `gpu`, `batch_size`, and `samples`, each with `src`,
`mt` and `ref`. OUTPUT gets JSON: `scores`, one for each sample, and `comet`, its version; or `error`, in words.
"""

import json
import os
import sys
import traceback
from typing import Any


class Refused(Exception):
    """What cannot work here; the message says why."""


def downloaded(name: str) -> str:
    """Return the checkpoint of a model, which COMET downloads where it is not in the cache of Hugging Face.

    Raises:
        Refused: it could not be downloaded.
    """
    from comet import download_model
    from comet.models.download_utils import available_legacy_metrics

    try:
        return str(download_model(name if "/" in name or name in available_legacy_metrics else f"Unbabel/{name}"))
    except Exception as error:
        raise Refused(
            "it could not be downloaded; check the name and the network, or give the path of its folder"
        ) from error


def scores(order: dict[str, Any]) -> list[float]:
    """Return each sample's score.

    Args:
        order: as the program reads it.

    Raises:
        Refused: the model could not be downloaded, or there is no GPU.
    """
    if order["folder"]:
        # The encoder's name is then a path if there is such a folder; else it is looked for in Hugging Face's cache
        os.chdir(order["folder"])
    import torch
    from comet import load_from_checkpoint

    if order["gpu"] and not torch.cuda.is_available():
        raise Refused("torch in its environment cannot use the GPU")
    checkpoint = order["model"] if order["folder"] else downloaded(order["model"])
    model = load_from_checkpoint(checkpoint, local_files_only=bool(order["folder"]))
    prediction = model.predict(
        order["samples"], batch_size=order["batch_size"], gpus=int(order["gpu"]), progress_bar=False
    )
    return [float(score) for score in prediction.scores]


def main() -> None:
    """Read the order, and write the scores or why there are none."""
    output, answer = os.path.abspath(sys.argv[1]), dict[str, Any]()
    try:
        from importlib.metadata import version

        answer = {"scores": scores(json.load(sys.stdin)), "comet": version("unbabel-comet")}
    except Exception as error:  # whatever goes wrong in other people's code is told in words
        if not isinstance(error, ImportError):
            traceback.print_exc()
        lines = str(error).strip().splitlines()
        kind = [] if isinstance(error, Refused) else [type(error).__name__]
        answer = {"error": ": ".join([*kind, *lines[:1]])}
    with open(output, "w", encoding="utf-8") as file:
        json.dump(answer, file)


if __name__ == "__main__":
    main()
