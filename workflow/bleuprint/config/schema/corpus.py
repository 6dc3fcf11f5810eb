"""config/corpus: the kinds of parallel text.

Each kind is one class, which also answers what the rest of bleuprint asks of a corpus. A new kind is a class here, its
name in `Corpus` at the end, and the function that reads it in corpus/__main__.py.
"""

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, PositiveInt, StringConstraints, model_validator

from bleuprint.config.local_text import content_hash, estimated_lines, local_file
from bleuprint.config.schema.section import Language, Name, Section

PartFile = Annotated[str, StringConstraints(pattern=r"^(train|valid|test)\.[A-Za-z][A-Za-z0-9_]*$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Expected(Section):
    """Known facts of the text that the text stage makes of a corpus."""

    lines: dict[str, int] = Field(default_factory=dict)
    """Pairs in `train`, `valid` and `test`."""
    tokens: dict[str, int] = Field(default_factory=dict)
    """Tokens in `valid.de` and so on, after tokenising."""
    dictionary: dict[str, int] = Field(default_factory=dict)
    """Types by language, fairseq's four special symbols included."""
    sha256: dict[str, Sha256] = Field(default_factory=dict)
    """SHA-256 of `valid.de` and so on after tokenising, and of the BPE merges, `codes`."""


class Parallel(Section):
    """Keys of every corpus, and what a corpus of any kind can be asked."""

    how = frozenset({"decontaminate"})  # the text stage does it, and has it in its identity
    decontaminate: bool
    """Leave out of train what validation or test holds too, see below."""

    def arguments(self, mirror: str | None) -> list[str]:
        """Return the arguments of `python -m bleuprint.corpus` that say where the text comes from.

        Args:
            mirror: the folder that is searched first.
        """
        return []

    def downloads(self) -> dict[str, list[str]]:
        """Return the files to download, each by its name, with the addresses to try in this order."""
        return {}

    def published(self) -> Expected | None:
        """Return what is known of the text that the text stage makes, or None."""
        return None

    def training_pairs(self) -> int:
        """Return about how many training pairs there are; 0 where nothing tells.

        Raises:
            DataError: the user's files do not exist.
        """
        return 0

    def relocated(self, root: Path) -> dict[str, str | list[str]]:
        """Return the keys that give paths, with values that hold in any folder.

        Args:
            root: the folder that relative paths start from.
        """
        return {}


class Downloaded(Parallel):
    """Keys of every corpus that is downloaded."""

    how = Parallel.how | {"sources", "pairs"}
    languages: tuple[Language, Language]
    """The two languages."""
    sources: list[str]
    """Where to download, tried in this order: URL, `file:` URL or path."""
    pairs: PositiveInt | None
    """Training pairs, for the time estimate only."""

    def arguments(self, mirror: str | None) -> list[str]:
        """Return the sources and the mirror."""
        return [f"--source={source}" for source in self.sources] + ([f"--mirror={mirror}"] if mirror else [])

    def training_pairs(self) -> int:
        """Return what the config says."""
        return self.pairs or 0

    def relocated(self, root: Path) -> dict[str, str | list[str]]:
        """Return the sources, paths among them absolute."""
        return {"sources": [source if urlsplit(source).scheme else str(root / source) for source in self.sources]}


class Iwslt14(Downloaded):
    """The archive of IWSLT14; `sources` are addresses of the archive itself."""

    how = Downloaded.how | {"expected", "archive"}
    kind: Literal["iwslt14"]
    """The kind of corpus; not to be changed."""
    archive: Name
    """The archive's file name, also in `runtime.mirror`."""
    bytes: PositiveInt | None
    """The archive's size in bytes, or null."""
    sha256: Sha256 | None
    """The archive's SHA-256, or null; one of `bytes` and `sha256` must be given."""
    expected: Expected | None
    """Facts of the text made from this archive, or null; see below."""

    @model_validator(mode="after")
    def can_be_verified(self) -> "Iwslt14":
        """Check that a download can be verified, and that the identity is not empty."""
        if self.bytes is None and self.sha256 is None:
            raise ValueError("give corpus.bytes or corpus.sha256, so that the archive can be verified")
        return self

    def arguments(self, mirror: str | None) -> list[str]:
        """Return the archive's name, the sources and the mirror."""
        return ["--archive", self.archive, *super().arguments(mirror)]

    def downloads(self) -> dict[str, list[str]]:
        """Return the archive; each source is an address of it."""
        return {self.archive: self.sources}

    def published(self) -> Expected | None:
        """Return what the config says."""
        return self.expected


class PublishedFile(Section):
    """A file that is downloaded."""

    name: Name
    """Its published name."""
    sha256: Sha256
    """Its SHA-256."""


class Files(Downloaded):
    """Line-aligned files, one for each part and language; `sources` are addresses of the folder that holds them."""

    kind: Literal["files"]
    """The kind of corpus; not to be changed."""
    files: dict[PartFile, PublishedFile]
    """For `train.de`, `train.en`, `valid.de` and so on the published file: its `name` and its `sha256`."""

    def downloads(self) -> dict[str, list[str]]:
        """Return the files; each source is the address of a folder that holds them."""
        names = [file.name for file in self.files.values()]
        return {name: [f"{source.rstrip('/')}/{name}" for source in self.sources] for name in names}


class Demo(Parallel):
    """Generated sentences."""

    kind: Literal["demo"]
    """The kind of corpus; not to be changed."""
    languages: tuple[Literal["de"], Literal["en"]]
    """The two languages."""
    pairs: PositiveInt
    """Training pairs to generate."""
    valid_pairs: PositiveInt
    """Validation pairs to generate."""
    test_pairs: PositiveInt
    """Test pairs to generate."""
    seed: int
    """The generator's seed, not the run's."""

    def training_pairs(self) -> int:
        """Return what the config says."""
        return self.pairs


class Local(Parallel):
    """The user's own line-aligned files."""

    how = Parallel.how | {"train", "valid", "test"}  # where the files are; the identity holds their hashes instead
    kind: Literal["local"]
    """The kind of corpus; not to be changed."""
    languages: tuple[Language, Language]
    """The two languages."""
    train: str
    """Prefix of the training pair of files."""
    valid: str | None
    """Prefix of the validation pair, or null."""
    test: str | None
    """Prefix of the test pair, or null."""
    test_every: Annotated[int, Field(ge=2)]
    """Without `test`: every n-th distinct training pair becomes test; 2 or more."""

    def _prefixes(self) -> dict[str, str]:
        """Return the prefix of each part that the user has."""
        prefixes = {"train": self.train, "valid": self.valid, "test": self.test}
        return {part: prefix for part, prefix in prefixes.items() if prefix is not None}

    def identity(self) -> dict[str, Any]:
        """Return the keys that can change the output, and the files' hashes, so that changed text is another corpus.

        Raises:
            DataError: a file does not exist.
        """
        files = {
            f"{part}.{language}": content_hash(local_file(prefix, language))
            for part, prefix in self._prefixes().items()
            for language in self.languages
        }
        return super().identity() | {"files": files, "languages": sorted(self.languages)}

    def arguments(self, mirror: str | None) -> list[str]:
        """Return each part's prefix."""
        return [word for part, prefix in self._prefixes().items() for word in ("--local", f"{part}={prefix}")]

    def training_pairs(self) -> int:
        """Return an estimate from the size of the source side."""
        return estimated_lines(local_file(self.train, self.languages[0]))

    def relocated(self, root: Path) -> dict[str, str | list[str]]:
        """Return the prefixes as absolute paths."""
        return {part: str(root / prefix) for part, prefix in self._prefixes().items()}


Corpus = Annotated[Iwslt14 | Files | Demo | Local, Field(discriminator="kind")]
