"""Which engine decodes: asked of the config alone, so that the same config is the same run on every machine."""

from typing import Any, Literal

from bleuprint.config.compose import ConfigError
from bleuprint.config.flags import shell
from bleuprint.config.schema import Experiment, Runtime
from bleuprint.decoding.convert import CARRIED, cannot
from bleuprint.machine.device import cpu_batch, uses_gpu

Engine = Literal["fairseq", "ctranslate2"]


def engine(experiment: Experiment) -> Engine:
    """The engine that decodes: `decoding.engine`, or for `auto` ctranslate2 where it can.

    Raises:
        ConfigError: ctranslate2 is asked for and cannot, or fairseq with what only ctranslate2 can.
    """
    decoding = experiment.decoding
    why = obstacle(experiment)
    if decoding.engine == "ctranslate2" and why:
        raise ConfigError(f"decoding.engine=ctranslate2: it {why}; use decoding.engine=fairseq")
    if decoding.engine == "fairseq" and decoding.compute_type != "float32":
        raise ConfigError(
            f"decoding.compute_type={decoding.compute_type}: fairseq computes in float32 alone;"
            " use decoding.engine=ctranslate2"
        )
    return "fairseq" if decoding.engine == "fairseq" or why else "ctranslate2"


def obstacle(experiment: Experiment) -> str | None:
    """Why ctranslate2 cannot decode as fairseq would; None if it can."""
    if experiment.decoding.ensemble or experiment.decoding.tune:
        return "decodes neither an ensemble nor a grid"
    # fairseq takes a model's flag from either
    return cannot(experiment.model.flags() | experiment.training.flags(), experiment.decoding.flags())


def identity(experiment: Experiment) -> dict[str, Any]:
    """The keys that can change a translation; of fairseq's, which were before there was an engine, none is new."""
    keys = experiment.decoding.identity()
    if engine(experiment) == "fairseq":
        return keys
    return keys | {"engine": "ctranslate2", "compute_type": experiment.decoding.compute_type}


def translate(experiment: Experiment) -> str:
    """What `python -m bleuprint.decoding.ctranslate` decodes with, for the shell; the flags are fairseq-generate's."""
    flags = {key: value for key, value in experiment.decoding.flags().items() if key in CARRIED}
    return shell(flags | {"compute_type": experiment.decoding.compute_type})


def translate_how(experiment: Experiment, runtime: Runtime) -> str:
    """How it runs; of a flag that is given twice the latter holds."""
    return shell({"device": "cuda" if uses_gpu(runtime) else "cpu"} | cpu_batch(experiment, runtime))


def quantisation(experiment: Experiment) -> str:
    """The converter's flag for the type of the weights in its file, for the shell."""
    kind = experiment.decoding.compute_type
    return "" if kind == "float32" else f"--quantization {kind}"
