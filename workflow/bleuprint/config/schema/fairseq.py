"""config/model and config/training, and the base of all groups whose keys are flags of fairseq."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, PositiveInt, model_validator

from bleuprint.config.known_flags import REGISTERED, Command, complaint, kind, one_name
from bleuprint.config.local_text import content_hash
from bleuprint.config.plugins import digests
from bleuprint.config.schema.section import Section
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


def _plugin(value: Any) -> Any:
    """Return a list of folders; None for an empty one, which is the same as none."""
    return (([value] if isinstance(value, str) else value) or None) if value != "" else value


def _freeze(value: Any) -> Any:
    patterns = [value] if isinstance(value, str) else value
    if isinstance(patterns, list) and all(isinstance(pattern, str) and pattern for pattern in patterns):
        return sorted(set(patterns)) or None  # their order and number change nothing
    return value


Freeze = Annotated[list[str] | None, BeforeValidator(_freeze)]
Plugin = Annotated[list[Annotated[str, Field(min_length=1)]] | None, BeforeValidator(_plugin)]
StartFrom = Annotated[str | list[str] | None, BeforeValidator(_start)]


class Flags(Section):
    """A group whose keys are flags of fairseq, known to the schema or not; `own` names keys that are bleuprint's."""

    model_config = ConfigDict(extra="allow", frozen=True)
    own: ClassVar[frozenset[str]] = frozenset()
    command: ClassVar[Command] = "training"

    @model_validator(mode="before")
    @classmethod
    def goes_by_one_name(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Give each flag its one name, where fairseq has several, so that it is checked and hashed under that."""
        section, renamed = cls.__name__.lower(), dict(values)
        for key in [key for key in values if one_name(key) != key]:
            name, value = one_name(key), renamed.pop(key)
            if renamed.get(name, value) not in (value, None):
                plus = "" if name in cls.model_fields else "+"
                raise ValueError(f"{section}.{key}: this is another name of {name}; set {plus}{section}.{name} instead")
            renamed[name] = value
        return renamed

    @model_validator(mode="after")
    def can_be_given(self) -> Self:
        """Check that no flag is one that the pipeline sets itself, or that makes a result wrong or none."""
        values = self.model_dump(exclude=set(self.own))
        self._check({key: value for key, value in values.items() if not self._may_be_a_plugins(key, value)})
        return self

    def check_names(self) -> None:
        """Check, where there are no plugins, that no name of an architecture, criterion or the like is a wrong one.

        Raises:
            ValueError: it is for other tasks than translation.
        """
        self._check({key: value for key, value in self.flags().items() if self._may_be_a_plugins(key, value)})

    def _may_be_a_plugins(self, key: str, value: Any) -> bool:
        return key in REGISTERED and kind(self.command, key, value) == "refused"

    def _check(self, values: dict[str, Any]) -> None:
        for key, value in sorted(values.items()):
            if problem := complaint(self.command, key, value):
                word = key if value is True else f"{key}={value}"
                raise ValueError(f"{type(self).__name__.lower()}.{word}: {problem}")

    def flags(self) -> dict[str, Any]:
        """Return the keys that fairseq's command line gets."""
        return self.model_dump(exclude=set(self.own), exclude_none=True)

    def what_flags(self) -> dict[str, Any]:
        """Return the flags whose values decide the result."""
        return {key: value for key, value in self.flags().items() if key not in self._how()}

    def how_flags(self) -> dict[str, Any]:
        """Return the other flags: those that move no result, and paths, whose files count by their content."""
        return {key: value for key, value in self.flags().items() if key in self._how()}

    def identity(self) -> dict[str, Any]:
        """Return the keys that can change the stage's output, files by their SHA-256; one that is null is missing.

        Raises:
            DataError: a file does not exist.
        """
        values = {key: value for key, value in super().identity().items() if value is not None}
        return {key: value for key, value in values.items() if key not in self._how()} | self._contents()

    def _how(self) -> set[str]:
        given = self.model_extra or {}
        return {key for key, value in given.items() if kind(self.command, key, value) in ("how", "content")}

    def _contents(self) -> dict[str, str]:
        given = {key: value for key, value in (self.model_extra or {}).items() if value is not None}
        files = {key: Path(str(value)) for key, value in given.items() if kind(self.command, key, value) == "content"}
        for key, path in files.items():
            if not path.is_file():
                raise DataError(f"{type(self).__name__.lower()}.{key}={path}: no such file; correct the path")
        return {key: content_hash(path) for key, path in files.items()}


class Model(Flags):
    """The model: architecture, sizes, dropout."""

    own = frozenset({"plugin"})
    arch: str
    """fairseq's named architecture."""
    encoder_layers: PositiveInt | None = None
    """Number of layers of the encoder."""
    decoder_layers: PositiveInt | None = None
    """Number of layers of the decoder."""
    encoder_embed_dim: PositiveInt | None = None
    """Width of the encoder's embeddings and layers."""
    decoder_embed_dim: PositiveInt | None = None
    """Width of the decoder's embeddings and layers."""
    encoder_conv_dim: PositiveInt | None = None
    """Width of the encoder's convolutions."""
    decoder_conv_dim: PositiveInt | None = None
    """Width of the decoder's convolutions."""
    encoder_ffn_embed_dim: PositiveInt | None = None
    """Width of the encoder's feed-forward layers."""
    decoder_ffn_embed_dim: PositiveInt | None = None
    """Width of the decoder's feed-forward layers."""
    encoder_attention_heads: PositiveInt | None = None
    """Attention or convolution heads of the encoder."""
    decoder_attention_heads: PositiveInt | None = None
    """Attention or convolution heads of the decoder."""
    encoder_kernel_size_list: list[PositiveInt] | None = None
    """Kernel width in tokens, one for each layer of the encoder."""
    decoder_kernel_size_list: list[PositiveInt] | None = None
    """Kernel width in tokens, one for each layer of the decoder."""
    encoder_conv_type: Literal["lightweight", "dynamic"] | None = None
    """`lightweight` or `dynamic`."""
    decoder_conv_type: Literal["lightweight", "dynamic"] | None = None
    """`lightweight` or `dynamic`."""
    encoder_glu: Literal[0, 1] | None = None
    """Gated linear units in the encoder, 0 or 1."""
    decoder_glu: Literal[0, 1] | None = None
    """Gated linear units in the decoder, 0 or 1."""
    dropout: float | None = None
    """Share of outputs dropped, 0 to 1."""
    attention_dropout: float | None = None
    """Share of attention weights dropped, 0 to 1."""
    activation_dropout: float | None = None
    """Share dropped inside the feed-forward layers of a Transformer, 0 to 1."""
    weight_dropout: float | None = None
    """Share of convolution weights dropped, 0 to 1."""
    share_decoder_input_output_embed: bool | None = None
    """Use one matrix for the decoder's input and output."""
    share_all_embeddings: bool | None = None
    """Use one matrix for the encoder's input, too; this needs `text=joined`."""
    plugin: Plugin = None
    """Folders with your own code for fairseq, or null: architectures, criterions, tasks, optimizers, schedules. One
    folder, `plugins/my_arch`, or several, `[plugins/my_arch,plugins/my_loss]`; what they register can be named by
    `arch`, `training.criterion` and so on, and their flags are added with a plus. Their files count by content."""

    def identity(self) -> dict[str, Any]:
        """Return the keys that can change the model; plugins count by their content.

        Raises:
            DataError: a folder can be no plugin.
        """
        return super().identity() | ({"plugin": digests(self.plugin)} if self.plugin else {})

    def idle(self) -> set[str]:
        """Return `plugin`, where there is none."""
        return set() if self.plugin else {"plugin"}


class Training(Flags):
    """How the model is trained, and which checkpoint is decoded."""

    # fp16 is passed on only where there is a GPU; fairseq's own flag bf16 needs a TPU
    own = frozenset({"fp16", "bf16", "deterministic", "checkpoint", "average_last", "average_epochs"}) | {
        "start_from",
        "reset",
        "freeze",
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
    """Tokens per batch (on each GPU)."""
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
    """With `start_from`: `true` begins with a new optimizer and learning rate schedule, and counts updates and epochs from
    zero, as fairseq's `--finetune-from-model` does. `false` keeps all of these and continues the other training on the
    same text, up to `max_epoch` or `max_update`."""

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
        """Return `average_epochs`, where epochs are not averaged by their score."""
        return set() if self.by_score else {"average_epochs"}

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
