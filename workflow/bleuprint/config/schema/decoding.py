"""config/decoding: how the test set is translated."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from bleuprint.config.schema.flags import Flags
from bleuprint.config.schema.section import Section


class Grid(Section):
    """The values that are tried on the validation set: each beam with each length penalty."""

    beam: Annotated[list[PositiveInt], Field(min_length=1)] | None = None
    """Widths of the beam to try; null: only that of `decoding.beam`."""
    lenpen: Annotated[list[float], Field(min_length=1)] | None = None
    """Length penalties to try; null: only that of `decoding.lenpen`."""

    @model_validator(mode="after")
    def tries_something(self) -> Self:
        """Check that the grid is not empty."""
        if not self.beam and not self.lenpen:
            raise ValueError("decoding.tune: give it values of beam or lenpen, or null")
        return self


class Decoding(Flags):
    """How the test set is translated, and by which models; decoding/engine.py chooses the engine for `auto`."""

    how = frozenset({"engine", "compute_type"})
    own = how | {"ensemble", "tune"}
    command = "decoding"
    beam: PositiveInt
    """Width of the beam."""
    lenpen: float
    """Length penalty, an exponent; above 1 favours longer output."""
    remove_bpe: bool | str | None
    """How fairseq joins the subwords to words; `auto`: as `text.segmenter` needs, which is true for BPE."""
    max_tokens: PositiveInt
    """Tokens per batch. On a CPU no more than 2,000 are used, which is faster, or as many as the longest sentence that
    the model reads."""
    required_batch_size_multiple: Literal[1]
    """Must stay 1: with fairseq's default of 8 up to seven sentences of a test set are lost."""
    engine: Literal["fairseq", "ctranslate2", "auto"]
    """The program that decodes: `fairseq`; `ctranslate2`, which is faster, and refused before any job where it cannot
    do the same; or `auto`, ctranslate2 where it can. Only the config decides, not the machine."""
    compute_type: Literal["float32", "int8"]
    """The number format of ctranslate2, `float32` or `int8`; fairseq has only `float32`."""
    ensemble: tuple[Annotated[int, Field(ge=0)], ...]
    """Seeds of the same config whose models decode together with the run's own model, which is not named: `seed=1
    overrides="decoding.ensemble=[2,3]"` are three models. fairseq averages their probabilities of each next token."""
    tune: Grid | None
    """A grid of `beam` and `lenpen` to try on the validation set, or null:
    `overrides="decoding.tune={beam:[4,5,8],lenpen:[0.6,1.0,1.4]}"`."""

    def idle(self) -> set[str]:
        """Return `ensemble` and `tune` where they are not used."""
        return {key for key in ("ensemble", "tune") if not getattr(self, key)}

    def grid(self) -> dict[str, list[Any]]:
        """Return the values of `beam` and `lenpen` to try on the validation set; empty where none are."""
        if self.tune is None:
            return {}
        return {"beam": self.tune.beam or [self.beam], "lenpen": self.tune.lenpen or [self.lenpen]}

    def identity(self) -> dict[str, Any]:
        """Return the keys that can change a translation: of `beam` and `lenpen` what is tried, and sorted seeds."""
        values = {key: value for key, value in super().identity().items() if key not in self.idle()}
        if self.tune is not None:
            values = {key: value for key, value in values.items() if key not in self.grid()} | {"tune": self.grid()}
        return values | ({"ensemble": sorted(self.ensemble)} if self.ensemble else {})

    def flags(self) -> dict[str, Any]:
        """Return fairseq's flags, without `beam` and `lenpen` where the validation set decides them."""
        return {key: value for key, value in super().flags().items() if key not in self.grid()}
