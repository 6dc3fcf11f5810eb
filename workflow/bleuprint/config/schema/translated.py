"""corpus.translated: training pairs that a model makes of text in one language."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveFloat, StringConstraints, model_validator

from bleuprint.config.local_text import content_hash, monolingual_files
from bleuprint.config.schema.section import Section


def _in_order(share: tuple[float, float]) -> tuple[float, float]:
    if share[0] >= share[1]:
        raise ValueError("must begin before it ends; write for instance [0,0.5]")
    return share


Bound = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[tuple[Bound, Bound], AfterValidator(_in_order)]
Tag = Annotated[str, StringConstraints(pattern=r"^(\w+|<\w+>)$"), AfterValidator(lambda word: f"<{word.strip('<>')}>")]
Probability = Annotated[float, Field(ge=0, lt=1)]


class Noise(Section):
    """Noise on the source side of the pairs that were made, word by word (Edunov et al. 2018, arXiv 1808.09381)."""

    drop: Probability = 0.1
    """Probability that a word is dropped."""
    blank: Probability = 0.1
    """Probability that a word becomes `<BLANK>`."""
    shuffle: NonNegativeInt = 3
    """Number of places by which a word may move."""


class Translated(Section):
    """Pairs that a model makes of text in one language, added to the training pairs."""

    how = frozenset({"by", "text", "share"})  # the model and the text have stages of their own, which count
    by: str | list[str]
    """The run whose model translates, as in `training.start_from`: a run's name, or a list of overrides. Its own
    `decoding` keys say how: beam, `+decoding.sampling=true`, an ensemble."""
    side: Literal["source", "target"]
    """Which side of the new pairs is the genuine text: `target`, for back-translation, or `source`, for forward
    translation and distillation."""
    text: str | list[str] | None = None
    """The text: prefix of a file, such as `data/news` for `data/news.en`; a list of prefixes or patterns; null: the
    corpus' own training pairs, of which one side is read."""
    share: Share | None = None
    """Which part of that text is translated: `[0.5,1]` is its second half; null: all."""
    copies: NonNegativeInt = 1
    """How often each genuine pair stands in the training text; 0: not at all, so that all pairs are made."""
    ratio: PositiveFloat | None = None
    """At most this number of made pairs for each genuine one; null: all."""
    tag: Tag | None = None
    """A word put before the source side of each made pair: `BT` stands there as `<BT>` (Caswell et al. 2019, arXiv
    1906.06442); null: none."""
    noise: Noise | None = None
    """Noise on the source side of the made pairs, `{drop:0.1,blank:0.1,shuffle:3}`, or null."""

    @model_validator(mode="after")
    def has_pairs(self) -> "Translated":
        """Check that a ratio has genuine pairs to go by."""
        if self.ratio is not None and self.copies == 0:
            raise ValueError("corpus.translated.ratio: needs genuine pairs, and copies=0 leaves them out")
        return self

    def identity(self) -> dict[str, Any]:
        """Return the keys that decide how the made pairs become a part of the training text."""
        values = super().identity()
        return values | ({"noise": self.noise.model_dump()} if self.noise else {})

    def text_identity(self, language: str) -> dict[str, Any]:
        """Return what decides the text that is translated, without the corpus that it may come from.

        Raises:
            DataError: a file does not exist.
        """
        files = {"files": [content_hash(path) for path in self.files(language)]} if self.text else {}
        share = {"share": list(self.share)} if self.share else {}
        return {"language": language} | files | share

    def files(self, language: str) -> list[Path]:
        """Return the files of the text; none where it is the corpus' own.

        Raises:
            DataError: one does not exist.
        """
        return monolingual_files(self.text, language) if self.text else []

    def relocated(self, root: Path) -> dict[str, str | list[str]]:
        """Return the keys that give paths, with values that hold in any folder."""
        if self.text is None:
            return {}
        words = self.text
        return {"text": str(root / words) if isinstance(words, str) else [str(root / word) for word in words]}
