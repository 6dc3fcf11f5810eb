"""COMET, a metric that a neural model computes, in an environment of its own: `make comet`.

Rei et al. 2020, 2022 (COMET-22). The model sees each source sentence, its translation and its reference. Scores are
100 times COMET's, as tables of papers have them, and the score of a system is the mean of its sentences' scores.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bleuprint.config.comet import checkpoint, folder, missing_encoder, model_path
from bleuprint.config.groups import CONFIG_DIR
from bleuprint.files import DataError, read_json

if TYPE_CHECKING:  # slow to load, and no job's program needs it
    from bleuprint.config.schema import Metric

PYTHON = CONFIG_DIR.parent / ".venv-comet" / "bin" / "python"
PROGRAM = Path(__file__).with_name("comet_program.py")
BATCH = 16  # sentences that the model reads at once, COMET's own default
DECIMALS = 4  # of a sentence's score
CUDA = "import torch; torch.ones(1).cuda()"


@dataclass(frozen=True)
class Judge:
    """How the score job runs COMET: the Python of its environment, the model, the source, and on a GPU or not."""

    python: Path
    model: str
    source: Sequence[str]
    gpu: bool = False

    def sentence_scores(
        self, hypotheses: Sequence[str], reference: Sequence[str], lowercase: bool
    ) -> tuple[list[float], str]:
        """Return each sentence's score, and COMET's version.

        Raises:
            DataError: the source has another number of lines, or COMET failed.
        """
        if len(self.source) != len(hypotheses):
            raise DataError(f"{len(hypotheses)} hypotheses cannot be scored against {len(self.source)} source lines.")
        samples = [
            {"src": source, "mt": translation, "ref": reference}
            for source, translation, reference in zip(self.source, hypotheses, reference, strict=True)
        ]
        if lowercase:
            samples = [{key: text.lower() for key, text in sample.items()} for sample in samples]
        path = model_path(self.model)
        place = {"model": self.model, "folder": None}
        if path is not None:
            place = {"model": str(checkpoint(path).absolute()), "folder": str(folder(path))}
        order = place | {"gpu": self.gpu, "batch_size": BATCH, "samples": samples}
        answer = self._run(order, {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"} if path else {})
        scores, problem = answer.get("scores", []), answer.get("error")
        if not problem and (len(scores) != len(samples) or not all(map(math.isfinite, scores))):
            problem = "a sentence has no score, or one that is no number"
        if problem:
            raise DataError(
                f"COMET failed with the model {self.model}: {problem}; score.log beside the scores tells more."
            )
        return [round(100 * score, DECIMALS) for score in scores], str(answer["comet"])

    def _run(self, order: dict[str, Any], variables: dict[str, str]) -> dict[str, Any]:
        """Run COMET, whose own output goes to the job's log, and return its answer."""
        # Processes that load batches on a GPU are forked from one that has tokenised already
        env = os.environ | {"TOKENIZERS_PARALLELISM": "false"} | variables
        with TemporaryDirectory() as temporary:
            output = Path(temporary, "answer.json")
            command = [str(self.python), "-I", str(PROGRAM), str(output)]
            try:
                status = subprocess.run(command, input=json.dumps(order), text=True, env=env).returncode
            except OSError as error:
                return {"error": str(error)}
            if not output.exists():
                killed = " (killed, most likely because memory ran out)" if status == -9 else ""
                return {"error": f"its process ended with status {status}{killed}"}
            answer: dict[str, Any] = read_json(output)
            return answer


def problem(entry: Metric) -> str | None:
    """Return the key of an entry for COMET that is wrong, with what is wrong with it, or None."""
    if entry.model is None:
        return "model: is missing; name a model, such as wmt22-comet-da, or give its folder"
    if entry.text != "detokenised":
        return f"text={entry.text}: COMET reads running text; leave it out"
    return None


def version() -> str | None:
    """Return the version of COMET in its environment; None where `make comet` has not ended."""
    environment = PYTHON.parents[1]
    packages = environment.glob("lib/python*/site-packages/unbabel_comet-*.dist-info")
    names = [path.name.removesuffix(".dist-info") for path in packages if (environment / ".complete").exists()]
    return names[0].partition("-")[2] if names else None


def unusable(models: Mapping[str, str], gpu: bool) -> str | None:
    """Return why COMET cannot score here, in a sentence, or None.

    Args:
        models: the model of each metric, by the metric's name.
        gpu: whether it is to compute on a GPU.

    Raises:
        DataError: a model's files are missing or damaged.
    """
    if version() is None:
        return f"scoring.metrics.{next(iter(models))} needs COMET, which has an environment of its own; run make comet."
    if problems := [reason for model in models.values() if (reason := missing_encoder(model))]:
        return problems[0]
    if gpu and subprocess.run([str(PYTHON), "-I", "-c", CUDA], capture_output=True).returncode:
        return (
            f"the torch in {PYTHON.parents[1]} cannot use the GPU: install its build for CUDA there, or score on "
            'the CPU with overrides="runtime.device=cpu".'
        )
    return None
