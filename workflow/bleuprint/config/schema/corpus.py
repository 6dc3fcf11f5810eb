"""config/corpus: the kinds of parallel text."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, StringConstraints, model_validator

from bleuprint.config.schema.section import Language, Name, Section

PartFile = Annotated[str, StringConstraints(pattern=r"^(train|valid|test)\.[A-Za-z][A-Za-z0-9_]*$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Expected(Section):
    """Facts of what the text stage should make: lines per part, tokens per file, dictionary sizes, SHA-256 of files."""

    lines: dict[str, int] = Field(default_factory=dict)
    tokens: dict[str, int] = Field(default_factory=dict)
    dictionary: dict[str, int] = Field(default_factory=dict)
    sha256: dict[str, Sha256] = Field(default_factory=dict)


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
