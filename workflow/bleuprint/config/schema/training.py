"""config/training: how a model is trained, and which checkpoint is decoded."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveInt, model_validator

from bleuprint.config.local_text import content_hash
from bleuprint.config.schema.flags import Flags
from bleuprint.files import DataError

# Some of fairseq's switches take the word True or False where others are bare flags
Switch = Annotated[Literal["True", "False"], BeforeValidator(lambda value: str(value))]


def _start(value: Any) -> Any:
    words = value if isinstance(value, list) else [value]
    if value is None or (words and all(isinstance(word, str) and word for word in words)):
        return value
    raise ValueError(
        f"training.start_from={value}: name a run, a checkpoint file, or a list of overrides as [recipe=demo,seed=1]"
    )


def _freeze(value: Any) -> Any:
    patterns = [value] if isinstance(value, str) else value
    if isinstance(patterns, list) and all(isinstance(pattern, str) and pattern for pattern in patterns):
        return sorted(set(patterns)) or None  # their order and number change nothing
    return value


Freeze = Annotated[list[str] | None, BeforeValidator(_freeze)]
StartFrom = Annotated[str | list[str] | None, BeforeValidator(_start)]


class Training(Flags):
    """How the model is trained, and which checkpoint is decoded."""

    # fp16 is passed on only where there is a GPU; fairseq's own flag bf16 needs a TPU
    own = frozenset({"fp16", "bf16", "deterministic", "checkpoint", "average_last", "average_epochs"}) | {
        "start_from",
        "reset",
        "freeze",
        "gpus",
    }
    optimizer: str
    """fairseq's name of the optimizer."""
    adam_betas: str | None = None
    """Adam's two decay rates, as text."""
    clip_norm: float | None = None
    """Gradients are scaled down to this norm; 0: never."""
    weight_decay: float | None = None
    """Weight decay."""
    lr: float | list[float]
    """Highest learning rate; fairseq takes a list, one rate for each epoch, only with `lr_scheduler: fixed`."""
    lr_scheduler: str
    """fairseq's name of the schedule."""
    warmup_updates: int | None = None
    """Number of updates in which the rate rises."""
    warmup_init_lr: float | None = None
    """Rate that the warm-up starts from; fairseq's default is 0."""
    criterion: str
    """Name of the loss; SimCut's is bleuprint's, the others are fairseq's."""
    label_smoothing: float | None = None
    """Share of probability spread over the vocabulary, 0 to 1."""
    rdrop_alpha: Annotated[float, Field(ge=0)] | None = None
    """Weight of R-Drop's divergence between two passes with different dropout."""
    simcut_alpha: Annotated[float, Field(ge=0)] | None = None
    """Weight of SimCut's divergence between a pass and one with tokens cut."""
    simcut_p: Annotated[float, Field(ge=0, le=1)] | None = None
    """Probability that a token is cut, 0 to 1."""
    max_tokens: PositiveInt
    """Tokens per batch of one process; an update sees `max_tokens` · `gpus` · `update_freq` at most."""
    max_epoch: PositiveInt | None = None
    """End after this number of epochs."""
    max_update: PositiveInt | None = None
    """End after this number of updates; with both, the first to be reached ends the training; one must be given."""
    patience: PositiveInt | None = None
    """End early, after this number of validations in a row that brought no better `best_checkpoint_metric`; null: do
    not. `max_epoch` or `max_update` is then the latest end, and still needed. A training that was stopped and resumed
    ends after the same update."""
    update_epoch_batch_itr: Switch
    """Rebuild the batches in each epoch, so that a resumed training equals an undisturbed one."""
    eval_bleu: bool | None = None
    """Translate the validation set after each epoch; `auto`: unless fairseq's BLEU does not suit the target language,
    which is counted on tokens of sacreBLEU's 13a."""
    eval_bleu_args: dict[str, Any] | None = None
    """How to translate it, as flags of the search: `beam`, `max_len_a`, `max_len_b` (longest output: a · source length
    + b tokens)."""
    eval_bleu_detok: str | None = None
    """fairseq's name of the detokeniser; `auto`: the one that suits `text.tokenizer`."""
    eval_bleu_remove_bpe: bool | str | None = None
    """Undo BPE first; `auto`: as `decoding.remove_bpe`."""
    best_checkpoint_metric: str | None = None
    """What `checkpoint: best`, `average_best` and `average_around_best` go by; the default is the validation loss;
    `auto`: `bleu` with `eval_bleu`."""
    maximize_best_checkpoint_metric: bool | None = None
    """The highest value is the best, not the lowest; `auto`: with `bleu`."""
    fp16: bool
    """Half precision, in training and decoding; passed on only where there is a GPU, without effect on a CPU."""
    bf16: bool | Literal["auto"]
    """Matrix products of the training in bfloat16, by torch's autocast, on a CPU and on a GPU (untried there); weights,
    gradients, optimizer, loss, validation and decoding stay float32. It is for processors that have units for bfloat16,
    and refused on others; `auto` uses it on a CPU that has them. This is not fairseq's flag of that name, which needs a
    TPU."""
    deterministic: bool
    """On a GPU use torch's deterministic algorithms, in training and decoding, which are slower; an operation that has
    none is named in the log. On a CPU the same seed always gives the same bits."""
    checkpoint: Literal["best", "last", "average", "average_best", "average_around_best"]
    """The model that decodes: `best`, `last`, or the average of several epochs: `average`, `average_best` or
    `average_around_best`, see below."""
    average_last: PositiveInt
    """With `average`: the number of last epochs that are averaged (fewer if there are fewer); this number of
    checkpoints is kept."""
    average_epochs: PositiveInt
    """With `average_best` and `average_around_best`: the number of epochs that are averaged (fewer if there are
    fewer)."""

    freeze: Freeze = None
    """The parameters that are not trained, as patterns over their names, or null: `[encoder.*]`,
    `[*.embed_tokens.weight]`. A parameter with several names, as where embeddings are shared, is frozen if a pattern
    matches one of them. A pattern that matches nothing ends the training before its first update."""
    start_from: StartFrom = None
    """The model that the training starts from, instead of random weights, or null. The name of a run in
    `results/runs`; a list of overrides that ask for one run, as in `[recipe=cpu_small,seed=1]`, which is trained first
    where it is missing; or a checkpoint file, such as `models/checkpoint.pt`. The text is then segmented as that
    model's was, and has its dictionaries."""
    reset: bool = True
    """With `start_from`: `true` begins with a new optimizer and learning rate schedule, and counts updates and epochs
    from zero, as fairseq's `--finetune-from-model` does. `false` keeps all of these and continues the other training on
    the same text, up to `max_epoch` or `max_update`."""

    gpus: Annotated[int, Field(ge=1, le=1024)] = 1
    """Number of GPUs that train one model together, each with a batch of its own in each update; on a CPU the number of
    processes. An update then sees that many batches, so that another number is another experiment."""

    @model_validator(mode="after")
    def resets_what_it_starts_from(self) -> "Training":
        """Check that `reset` has something to keep."""
        if not self.reset and self.start_from is None:
            raise ValueError("training.reset: false has no effect without training.start_from; set that, too")
        return self

    @property
    def start_file(self) -> Path | None:
        """The checkpoint file that the training starts from, or None."""
        word = self.start_from
        return Path(word) if isinstance(word, str) and ("/" in word or word.endswith(".pt")) else None

    @model_validator(mode="after")
    def ends(self) -> "Training":
        """Check that the training ends: without a limit fairseq trains for ever."""
        if self.max_epoch is None and self.max_update is None:
            early = ", as training.patience only ends it earlier" if self.patience else ""
            raise ValueError(f"needs an end: set training.max_epoch or training.max_update{early}")
        return self

    @model_validator(mode="after")
    def has_one_precision(self) -> "Training":
        """Check that at most one of fp16 and bf16 is set."""
        if self.fp16 and self.bf16:
            raise ValueError("fp16 and bf16 exclude each other; set one of them to false")
        return self

    def identity(self) -> dict[str, Any]:
        """Return the keys that can change the model; those that are false or unused here are left out.

        A file that the training starts from counts by its content, another training by its own identity.

        Raises:
            DataError: that file does not exist.
        """
        idle = {"average_last"} if self.checkpoint != "average" else set()
        idle |= {key for key in ("deterministic", "bf16") if not getattr(self, key)} | {"start_from"}
        values = {key: value for key, value in super().identity().items() if key not in idle | self.idle()}
        if (path := self.start_file) is None:
            return values
        if path.is_dir():
            of_run = path.parent.name == "runs"
            name = f"the run, training.start_from={path.name}" if of_run else "the checkpoint file in it"
            raise DataError(f"training.start_from={path}: is a folder; name {name}")
        if not path.is_file():
            raise DataError(f"training.start_from={path}: no such file; correct the path")
        return values | {"start_from": content_hash(path)}

    def idle(self) -> set[str]:
        """Return `average_epochs`, where epochs are not averaged by their score, and `gpus`, where there is one."""
        return (set() if self.by_score else {"average_epochs"}) | ({"gpus"} if self.gpus == 1 else set())

    @property
    def by_score(self) -> bool:
        """Tell whether the epochs to average are chosen by their validation score."""
        return self.checkpoint in ("average_best", "average_around_best")

    def flags(self) -> dict[str, Any]:
        """Return fairseq's flags, among them how many epochs are kept to be averaged."""
        if self.checkpoint == "average":
            return super().flags() | {"keep_last_epochs": self.average_last}
        if self.by_score:  # bleuprint's plugin removes those that cannot be averaged any more
            return super().flags() | {"keep_last_epochs": -1}
        return {"keep_last_epochs": 1} | super().flags()
