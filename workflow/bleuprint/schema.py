"""The type of every key in config/: what Hydra composes is checked against this before any job."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^\w[\w.-]*$")]  # also of a file, which must not climb
Language = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
# Some of fairseq's switches take the word True or False where others are bare flags
Switch = Annotated[Literal["True", "False"], BeforeValidator(lambda value: str(value))]
PartFile = Annotated[str, StringConstraints(pattern=r"^(train|valid|test)\.[A-Za-z][A-Za-z0-9_]*$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
UNPASSABLE = re.compile("[\0\ud800-\udfff]")


class Section(BaseModel):
    """A config group. `how` names keys that say how a thing is computed, not what: no part of identity."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    how: ClassVar[frozenset[str]] = frozenset()

    def identity(self) -> dict[str, Any]:
        """The keys that can change the stage's output."""
        return self.model_dump(exclude=set(self.how), mode="json")

    def idle(self) -> set[str]:
        """Keys that change nothing here and that older runs' configs lack: left out, so that those stay finished."""
        return set()


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


class Expected(Section):
    """Facts of what the text stage should make: lines per part, tokens per file, dictionary sizes, SHA-256 of files."""

    lines: dict[str, int] = {}
    tokens: dict[str, int] = {}
    dictionary: dict[str, int] = {}
    sha256: dict[str, Sha256] = {}


class Parallel(Section):
    """Keys that every corpus has; `decontaminate` is the text stage's to do, and part of its identity."""

    how = frozenset({"decontaminate"})
    decontaminate: bool


class Iwslt14(Parallel):
    """The archive of IWSLT14."""

    how = Parallel.how | {"sources", "expected", "pairs", "archive"}
    kind: Literal["iwslt14"]
    languages: tuple[Language, Language]
    archive: Name
    sources: list[str]
    bytes: PositiveInt | None
    sha256: Sha256 | None
    expected: Expected | None
    pairs: PositiveInt | None

    @model_validator(mode="after")
    def known(self) -> "Iwslt14":
        """What is downloaded must be verifiable, and its identity must not be empty."""
        if self.bytes is None and self.sha256 is None:
            raise ValueError("give corpus.bytes or corpus.sha256, so that the archive can be verified")
        return self


class PublishedFile(Section):
    """A file by its published name and checksum."""

    name: Name
    sha256: Sha256


class Files(Parallel):
    """A corpus published as line-aligned gzip'd files."""

    how = Parallel.how | {"sources", "pairs"}
    kind: Literal["files"]
    languages: tuple[Language, Language]
    sources: list[str]
    files: dict[PartFile, PublishedFile]
    pairs: PositiveInt | None


class Demo(Parallel):
    """The generated corpus."""

    kind: Literal["demo"]
    languages: tuple[Literal["de"], Literal["en"]]
    pairs: PositiveInt
    valid_pairs: PositiveInt
    test_pairs: PositiveInt
    seed: int


class Local(Parallel):
    """The user's own line-aligned files."""

    how = Parallel.how | {"train", "valid", "test"}  # names; the files' hashes are the identity
    kind: Literal["local"]
    languages: tuple[Language, Language]
    train: str
    valid: str | None
    test: str | None
    test_every: Annotated[int, Field(ge=2)]


Corpus = Annotated[Iwslt14 | Files | Demo | Local, Field(discriminator="kind")]


class Text(Section):
    """The text stage."""

    tokenizer: Literal["moses", "none"]
    lowercase: bool
    min_tokens: PositiveInt
    max_tokens: PositiveInt
    max_ratio: Annotated[float, Field(ge=1)]
    valid_every: Annotated[int, Field(ge=2)]
    merges: PositiveInt
    joined_dictionary: bool


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
    bf16: bool
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


class Metric(Section):
    """One score by sacrebleu."""

    metric: Literal["bleu", "chrf", "ter"]
    text: Literal["tokens", "detokenised"]
    lowercase: bool
    tokenize: Literal["none", "13a", "intl", "char", "zh"] | None = None


class Scoring(Section):
    """The scores of a run, by name."""

    metrics: Annotated[dict[Name, Metric], Field(min_length=1)]
    resamples: Annotated[int, Field(ge=100, le=10_000)]


class Report(Section):
    """What the report compares; no part of any stage's identity."""

    baseline: str | None


class Published(Section):
    """The score that a recipe should reach; `low` and `high` are the bounds within which it counts as reproduced."""

    metric: Name
    low: float
    high: float | None
    source: str


class Runtime(Section):
    """How things are computed; no part of any result's identity."""

    device: Literal["auto", "cpu", "cuda"]
    threads: PositiveInt | None
    mirror: str | None
    fingerprint: Literal["error", "warning"]
    log_interval: PositiveInt
    tensorboard: bool
    jobs_per_gpu: Annotated[int, Field(ge=1, le=16)]


class Experiment(Section):
    """One fully resolved config: config/config.yaml without the recipe, which only sets the others' keys."""

    corpus: Corpus
    text: Text
    model: Model
    training: Training
    decoding: Decoding
    scoring: Scoring
    runtime: Runtime
    report: Report
    source: Language
    target: Language
    seed: Annotated[int, Field(ge=0)]
    expected: Published | None

    @model_validator(mode="before")
    @classmethod
    def can_be_passed_on(cls, values: Any) -> Any:
        """No command line can carry a NUL, and no file half a surrogate pair."""
        for key, value in _texts(values, ""):
            if UNPASSABLE.search(value):
                raise ValueError(f"{key}={value!r}: holds a NUL or what is no Unicode; no command can be given that")
        return values

    @model_validator(mode="after")
    def names_each_flag_once(self) -> "Experiment":
        """A flag in both `model` and `training` would leave it open which one fairseq obeys."""
        if both := sorted(self.model.flags().keys() & self.training.flags().keys()):
            raise ValueError(f"{both[0]}: is set in model and in training; set it in one of them")
        return self

    @model_validator(mode="after")
    def counts_each_model_once(self) -> "Experiment":
        """A model that takes part twice would weigh twice."""
        seeds = [self.seed, *self.decoding.ensemble]
        if twice := [seed for seed in seeds if seeds.count(seed) > 1]:
            others = ",".join(map(str, self.decoding.ensemble))
            raise ValueError(
                f"decoding.ensemble=[{others}]: seed {twice[0]} would take part twice; the run's own, {self.seed}, "
                "takes part anyhow, so name the others, each once"
            )
        return self

    def resolved(self) -> dict[str, Any]:
        """What the report and a run's config.yaml show of it."""
        values = self.model_dump(mode="json", exclude={"runtime", "report"})
        for section in ("training", "decoding"):
            for key in getattr(self, section).idle():
                del values[section][key]
        return values

    @model_validator(mode="after")
    def speaks_both(self) -> "Experiment":
        """Source and target must be the corpus' two languages."""
        if self.source == self.target or not {self.source, self.target} <= set(self.corpus.languages):
            raise ValueError(
                f"source={self.source} target={self.target}: the corpus holds "
                f"{' and '.join(self.corpus.languages)}; name each of them once"
            )
        return self


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Every string in `value`, keys of mappings too, with where it stands."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield key, str(name)
            yield from _texts(item, f"{key}.{name}".removeprefix("."))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, key)
