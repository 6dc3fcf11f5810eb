"""config/runtime: how things are computed."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from bleuprint.config.schema.section import Section


class Runtime(Section):
    """How things are computed; no part of any result's identity."""

    device: Literal["auto", "cpu", "cuda"]
    """`auto` (a GPU if one is visible), `cpu` or `cuda`. On a CPU, `auto` refuses a training of more than about 12
    hours, and `cpu` insists on it."""
    threads: PositiveInt | None
    """CPU threads per job; null: all that `--cores` allows. Trainings and decodings on GPUs divide the cores among them
    instead. With `training.gpus` a training has so many for each of its processes."""
    mirror: str | None
    """A folder that is searched for all files before they are downloaded, or null."""
    fingerprint: Literal["error", "warning"]
    """What happens if the text differs from the corpus' `expected`: `error` stops, `warning` continues."""
    min_kept: Annotated[float, Field(ge=0, le=1)]
    """The share of the training pairs that cleaning must keep; the text stage stops if it keeps fewer."""
    doubts: Literal["error", "warning"]
    """What happens if the text makes a score meaningless, for instance where the sides of the test set are exchanged:
    `error` stops before the training, `warning` continues."""
    log_interval: PositiveInt
    """Updates between two lines of the training log."""
    tensorboard: bool
    """Let fairseq also write TensorBoard event files, into `results/training/KEY/tensorboard`."""
    jobs_per_gpu: Annotated[int, Field(ge=1, le=16)]
    """Number of trainings and decodings that may share one GPU; further ones wait; 1 to 16."""
    decoding_shards: PositiveInt = 1
    """Number of processes that translate a test set together, each a part of its batches: on GPUs each has one of its
    own, on a CPU they divide the threads. The translations are the same."""
    time_limit: PositiveInt
    """Minutes that a job on a cluster asks for at most; a training that needs more resumes in another job."""
    nodes: PositiveInt | None = None
    """Number of machines that a training with several `training.gpus` is spread over, each with the same number of
    processes; more than one needs SLURM. null: one."""
