"""Choose the engine that decodes, from the config alone, so that a config is the same run on every machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bleuprint.config.flags import shell
from bleuprint.config.groups import ConfigError
from bleuprint.decoding.convert import CARRIED, cannot
from bleuprint.machine.device import cpu_batch, uses_gpu

if TYPE_CHECKING:  # slow to load, and no job's program needs it
    from bleuprint.config.schema import Experiment, Runtime

Engine = Literal["fairseq", "ctranslate2"]


def engine(experiment: Experiment) -> Engine:
    """Return `decoding.engine`; for `auto`, ctranslate2 if it can decode like fairseq.

    Raises:
        ConfigError: the config asks ctranslate2 or fairseq for something that it cannot do.
    """
    decoding = experiment.decoding
    reason = obstacle(experiment)
    if decoding.engine == "ctranslate2" and reason:
        also = "" if decoding.compute_type == "float32" else " decoding.compute_type=float32"
        raise ConfigError(f"decoding.engine=ctranslate2: it {reason}; use decoding.engine=fairseq{also}")
    if decoding.engine == "fairseq" and decoding.compute_type != "float32":
        raise ConfigError(
            f"decoding.compute_type={decoding.compute_type}: fairseq computes in float32 only; use "
            + ("decoding.compute_type=float32" if reason else "decoding.engine=ctranslate2")
        )
    return "fairseq" if decoding.engine == "fairseq" or reason else "ctranslate2"


def obstacle(experiment: Experiment) -> str | None:
    """Return why ctranslate2 cannot decode as fairseq would, or None if it can."""
    if experiment.decoding.ensemble or experiment.decoding.tune:
        return "decodes neither an ensemble nor a grid"
    # fairseq-train takes a flag of the model from either section
    return cannot(experiment.model.flags() | experiment.training.flags(), experiment.decoding.what_flags())


def with_engine(experiment: Experiment) -> Experiment:
    """Return the experiment with the engine that decodes in place of `auto`.

    Raises:
        ConfigError: as `engine` does.
    """
    chosen = engine(experiment)
    number_format = {"compute_type": "float32"} if chosen == "fairseq" else {}  # it has no other
    decoding = experiment.decoding.model_copy(update={"engine": chosen} | number_format)
    return experiment.model_copy(update={"decoding": decoding})


def translate(experiment: Experiment) -> str:
    """Render the flags of `python -m bleuprint.decoding.ctranslate` for the shell, named like fairseq-generate's."""
    flags = {key: value for key, value in experiment.decoding.flags().items() if key in CARRIED}
    return shell(flags | {"compute_type": experiment.decoding.compute_type})


def translate_how(experiment: Experiment, runtime: Runtime) -> str:
    """Render the flags that do not change the translations; of a flag that is given twice the last one counts."""
    return shell({"device": "cuda" if uses_gpu(runtime) else "cpu"} | cpu_batch(experiment, runtime))


def quantisation(experiment: Experiment) -> str:
    """Render the converter's flag for the type of the stored weights, for the shell."""
    compute_type = experiment.decoding.compute_type
    return "" if compute_type == "float32" else f"--quantization {compute_type}"
