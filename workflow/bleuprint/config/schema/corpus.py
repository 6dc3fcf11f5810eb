"""config/corpus: the kinds of parallel text.

Each kind is one class, which also answers what the rest of bleuprint asks of a corpus. A new kind is a class here, its
name in `Corpus` at the end, and the function that reads it in corpus/__main__.py.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveInt, StringConstraints, ValidationInfo, model_validator

from bleuprint.config.iwslt14 import TEST_SETS, as_the_script
from bleuprint.config.local_text import estimated_lines, local_files, part_identity, prefixes
from bleuprint.config.schema.parallel import Downloaded, Expected, Parallel, Sha256
from bleuprint.config.schema.section import Language, Name, Section

__all__ = ["Corpus", "Demo", "Expected", "Files", "Iwslt14", "Local", "Parallel"]
PartFile = Annotated[str, StringConstraints(pattern=r"^(train|valid|test)\.[A-Za-z][A-Za-z0-9_]*$")]


def _prefixes(value: Any, info: ValidationInfo) -> Any:
    if value and all(isinstance(word, str) and word for word in (value if isinstance(value, list) else [value])):
        return value
    raise ValueError(f"corpus.{info.field_name}={value}: name a prefix of files, such as data/train, or a list of them")


Prefixes = Annotated[str | list[str], BeforeValidator(_prefixes)]


class Iwslt14(Downloaded):
    """An archive of IWSLT's TED talks, 2014 to 2017; `sources` are addresses of the archive itself."""

    how = Downloaded.how | {"expected", "archive"}
    kind: Literal["iwslt14"]
    """The kind of corpus; not to be changed."""
    archive: Name
    """The archive's file name, also in `runtime.mirror`."""
    bytes: PositiveInt | None
    """The archive's size in bytes, or null."""
    sha256: Sha256 | None
    """The archive's SHA-256, or null; one of `bytes` and `sha256` must be given."""
    year: Literal[2014, 2015, 2016, 2017] = 2014
    """The year of the evaluation campaign, which the names of the archive's test sets begin with."""
    test_sets: list[Name] = Field(default=[*TEST_SETS], min_length=1)
    """The archive's sets that are the test set, one after the other."""
    valid_sets: list[Name] = Field(default=[])
    """The archive's sets that are the validation set; with none the text stage takes every `valid_every`-th pair."""
    expected: Expected | None
    """Facts of the text made from this archive, or null; see below."""

    def identity(self) -> dict[str, Any]:
        """Return the keys that can change the output, and how an archive is read that the script knows nothing of."""
        return super().identity() | (
            {} if as_the_script(self.year, self.languages) else {"reading": "without metadata"}
        )

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
    train: Prefixes
    """Prefix of the training pair of files; or a list of prefixes, patterns such as `data/part-*` and .tsv files."""
    valid: Prefixes | None
    """The same for the validation pairs, or null."""
    test: Prefixes | None
    """The same for the test pairs, or null."""
    test_every: Annotated[int, Field(ge=2)]
    """Without `test`: every n-th distinct training pair becomes test; 2 or more."""

    def _parts(self) -> dict[str, Prefixes]:
        """Return what the user gave for each part."""
        parts = {"train": self.train, "valid": self.valid, "test": self.test}
        return {part: words for part, words in parts.items() if words is not None}

    def identity(self) -> dict[str, Any]:
        """Return the keys that can change the output, and the files' hashes, so that changed text is another corpus.

        Raises:
            DataError: a file does not exist.
        """
        files: dict[str, Any] = {}
        for part, words in self._parts().items():
            files |= part_identity(part, words, self.languages)
        return super().identity() | {"files": files, "languages": sorted(self.languages)}

    def arguments(self, mirror: str | None) -> list[str]:
        """Return each part's prefixes, in order."""
        parts = {part: prefixes(words, self.languages) for part, words in self._parts().items()}
        return [word for part, chosen in parts.items() for prefix in chosen for word in ("--local", f"{part}={prefix}")]

    def training_pairs(self) -> int:
        """Return an estimate from the size of the files."""
        files = [local_files(prefix, self.languages) for prefix in prefixes(self.train, self.languages)]
        # A file that holds both languages has lines of twice the length
        return sum(estimated_lines(paths[self.languages[0]]) // (3 - len(set(paths.values()))) for paths in files)

    def relocated(self, root: Path) -> dict[str, str | list[str]]:
        """Return the prefixes as absolute paths."""
        parts = self._parts().items()
        return super().relocated(root) | {
            part: str(root / words) if isinstance(words, str) else [str(root / word) for word in words]
            for part, words in parts
        }


Corpus = Annotated[Iwslt14 | Files | Demo | Local, Field(discriminator="kind")]
