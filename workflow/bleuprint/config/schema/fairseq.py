"""config/model, config/training, config/decoding: the groups whose keys are fairseq's flags."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, PositiveInt, model_validator

from bleuprint.config.schema.section import Section

# Some of fairseq's switches take the word True or False where others are bare flags
Switch = Annotated[Literal["True", "False"], BeforeValidator(lambda value: str(value))]


class Flags(Section):
    """A group whose keys are fairseq's flags, also such as no file names; `own` keys are bleuprint's."""

    model_config = ConfigDict(extra="allow", frozen=True)
    own: ClassVar[frozenset[str]] = frozenset()
    # What the rules set themselves: folders, device and log, the run's seed, what is decoded
    reserved: ClassVar[frozenset[str]] = frozenset(
        {
            "save_dir",
            "results_path",
            "path",
            "user_dir",
            "restore_file",
            "no_save",
            "no_last_checkpoints",
            "seed",
            "gen_subset",
        }
        | {"source_lang", "target_lang", "cpu", "distributed_world_size"}
        | {"log_format", "log_interval", "log_file", "tensorboard_logdir"}
    )

    @model_validator(mode="after")
    def leaves_the_rules_alone(self) -> Self:
        """A flag that the pipeline sets would be set twice, or break what comes after."""
        for key in sorted(self.reserved & (self.model_extra or {}).keys()):
            raise ValueError(f"{key}: bleuprint sets this flag itself; it cannot be given")
        return self

    def flags(self) -> dict[str, Any]:
        """The keys that fairseq's command line gets."""
        return self.model_dump(exclude=set(self.own), exclude_none=True)

    def identity(self) -> dict[str, Any]:
        """As for any section; a key that is null counts as one that is not there."""
        return self.model_dump(exclude=set(self.how), exclude_none=True, mode="json")


class Model(Flags):
    """What is trained: architecture, sizes, dropout."""

    arch: str
    encoder_layers: PositiveInt | None = None
    decoder_layers: PositiveInt | None = None
    encoder_embed_dim: PositiveInt | None = None
    decoder_embed_dim: PositiveInt | None = None
    encoder_conv_dim: PositiveInt | None = None
    decoder_conv_dim: PositiveInt | None = None
    encoder_ffn_embed_dim: PositiveInt | None = None
    decoder_ffn_embed_dim: PositiveInt | None = None
    encoder_attention_heads: PositiveInt | None = None
    decoder_attention_heads: PositiveInt | None = None
    encoder_kernel_size_list: list[PositiveInt] | None = None
    decoder_kernel_size_list: list[PositiveInt] | None = None
    encoder_conv_type: Literal["lightweight", "dynamic"] | None = None
    decoder_conv_type: Literal["lightweight", "dynamic"] | None = None
    encoder_glu: Literal[0, 1] | None = None
    decoder_glu: Literal[0, 1] | None = None
    dropout: float | None = None
    attention_dropout: float | None = None
    activation_dropout: float | None = None
    weight_dropout: float | None = None
    share_decoder_input_output_embed: bool | None = None
    share_all_embeddings: bool | None = None


class Training(Flags):
    """How it is trained, and which checkpoint becomes the model."""

    # fp16: only where there is a GPU; fairseq has a flag bf16, too, which wants a TPU
    own = frozenset({"fp16", "bf16", "deterministic", "checkpoint", "average_last", "average_epochs"})
    optimizer: str
    adam_betas: str | None = None
    clip_norm: float | None = None
    weight_decay: float | None = None
    lr: float | list[float]
    lr_scheduler: str
    warmup_updates: int | None = None
    warmup_init_lr: float | None = None
    criterion: str
    label_smoothing: float | None = None
    rdrop_alpha: Annotated[float, Field(ge=0)] | None = None
    simcut_alpha: Annotated[float, Field(ge=0)] | None = None
    simcut_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_tokens: PositiveInt
    max_epoch: PositiveInt | None = None
    max_update: PositiveInt | None = None
    update_epoch_batch_itr: Switch
    eval_bleu: bool | None = None
    eval_bleu_args: dict[str, Any] | None = None
    eval_bleu_detok: str | None = None
    eval_bleu_remove_bpe: bool | None = None
    best_checkpoint_metric: str | None = None
    maximize_best_checkpoint_metric: bool | None = None
    fp16: bool
    bf16: bool | Literal["auto"]
    deterministic: bool
    checkpoint: Literal["best", "last", "average", "average_best", "average_around_best"]
    average_last: PositiveInt
    average_epochs: PositiveInt

    @model_validator(mode="after")
    def ends(self) -> "Training":
        """fairseq trains for ever without a limit."""
        if self.max_epoch is None and self.max_update is None:
            raise ValueError("needs an end: set training.max_epoch or training.max_update")
        return self

    @model_validator(mode="after")
    def leaves_what_is_averaged(self) -> "Training":
        """Found out only after the training otherwise."""
        missing = {"no_epoch_checkpoints"} if self.checkpoint.startswith("average") else set()
        missing |= {"disable_validation"} if self.by_score else set()
        for key in sorted(key for key in missing if (self.model_extra or {}).get(key)):
            raise ValueError(
                f"{key}: training.checkpoint={self.checkpoint} would find nothing to average; leave it out"
            )
        return self

    @model_validator(mode="after")
    def has_one_precision(self) -> "Training":
        """Products are in one type."""
        if self.fp16 and self.bf16:
            raise ValueError("fp16 and bf16 exclude each other; set one of them to false")
        return self

    @model_validator(mode="after")
    def ends_the_same(self) -> "Training":
        """fairseq's count of epochs without progress and its clock begin anew when a training is gone on with."""
        for key in sorted({"patience", "stop_time_hours"} & (self.model_extra or {}).keys()):
            raise ValueError(f"{key}: an interrupted training would end elsewhere; set training.max_epoch instead")
        return self

    def identity(self) -> dict[str, Any]:
        """As for any section; `average_last` counts where it is averaged, `deterministic` and `bf16` if true."""
        idle = {"average_last"} if self.checkpoint != "average" else set()
        idle |= {key for key in ("deterministic", "bf16") if not getattr(self, key)}
        return {key: value for key, value in super().identity().items() if key not in idle | self.idle()}

    def idle(self) -> set[str]:
        """`average_epochs`, where epochs are not averaged by their score."""
        return set() if self.by_score else {"average_epochs"}

    @property
    def by_score(self) -> bool:
        """Whether it hangs on validation which epochs are averaged."""
        return self.checkpoint in ("average_best", "average_around_best")

    def flags(self) -> dict[str, Any]:
        """fairseq's flags; the last epochs are kept where they are to be averaged."""
        if self.checkpoint == "average":
            return super().flags() | {"keep_last_epochs": self.average_last}
        if self.by_score:  # bleuprint's plugin removes what cannot be needed
            return super().flags() | {"keep_last_epochs": -1}
        return {"keep_last_epochs": 1} | super().flags()


class Grid(Section):
    """What is tried on the validation set: each beam with each length penalty; null: the one of `decoding` alone."""

    beam: Annotated[list[PositiveInt], Field(min_length=1)] | None = None
    lenpen: Annotated[list[float], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def tries_something(self) -> Self:
        """An empty grid is a slip."""
        if not self.beam and not self.lenpen:
            raise ValueError("decoding.tune: give it values of beam or lenpen, or null")
        return self


class Decoding(Flags):
    """How the test set is translated, and by which models.

    Which engine it comes to, decoding/engine.py tells from the whole experiment.
    """

    how = frozenset({"engine", "compute_type"})
    own = how | {"ensemble", "tune"}
    beam: PositiveInt
    lenpen: float
    remove_bpe: Literal[True]
    max_tokens: PositiveInt
    required_batch_size_multiple: Literal[1]
    engine: Literal["fairseq", "ctranslate2", "auto"]
    compute_type: Literal["float32", "int8"]
    ensemble: tuple[Annotated[int, Field(ge=0)], ...]
    tune: Grid | None

    def idle(self) -> set[str]:
        """`ensemble` and `tune` where they are not used."""
        return {key for key in ("ensemble", "tune") if not getattr(self, key)}

    def grid(self) -> dict[str, list[Any]]:
        """The values of `beam` and `lenpen` to be tried on the validation set; empty where none are."""
        if self.tune is None:
            return {}
        return {"beam": self.tune.beam or [self.beam], "lenpen": self.tune.lenpen or [self.lenpen]}

    def identity(self) -> dict[str, Any]:
        """As for any section; of a tuned `beam` and `lenpen` only what is tried, and the ensemble's seeds in order."""
        values = {key: value for key, value in super().identity().items() if key not in self.idle()}
        if self.tune is not None:
            values = {key: value for key, value in values.items() if key not in self.grid()} | {"tune": self.grid()}
        return values | ({"ensemble": sorted(self.ensemble)} if self.ensemble else {})

    def flags(self) -> dict[str, Any]:
        """fairseq's flags; without `beam` and `lenpen` where the validation set decides them."""
        return {key: value for key, value in super().flags().items() if key not in self.grid()}
