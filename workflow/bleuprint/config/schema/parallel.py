"""What every corpus has: its keys, and what it can be asked; kinds of corpus are in corpus.py."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, PositiveInt, StringConstraints

from bleuprint.config.local_text import test_identity
from bleuprint.config.published import PREFIX
from bleuprint.config.schema.section import Language, Name, Section
from bleuprint.config.schema.translated import Share, Translated

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

    # The text stage decontaminates, chooses the training pairs and adds some, and has that in its identity; further
    # test sets have stages of their own
    how = frozenset({"decontaminate", "tests", "share", "translated"})
    decontaminate: bool
    """Leave out of train what validation, test or a further test set holds too, see below."""
    tests: dict[Name, str] = Field(default_factory=dict)
    """Further test sets, each under a name of your choice: a prefix of files, or one of sacreBLEU's published sets:
    `{mine:data/mine,wmt20:sacrebleu/wmt20}`. Every run is also scored on these; nothing is trained again."""

    share: Share | None = None
    """Which part of the training pairs is used: `[0,0.5]` is the first half; null: all."""
    translated: Translated | None = None
    """Training pairs that a model makes of text in one language, for back-translation or distillation, see below."""

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

    def test_identity(self, name: str, languages: tuple[str, str]) -> dict[str, Any]:
        """Return what decides the text of a further test set.

        Args:
            name: a key of `tests`.
            languages: source and target.

        Raises:
            DataError: a file does not exist.
        """
        return test_identity(self.tests[name], languages)

    def relocated(self, root: Path) -> dict[str, str | list[str]]:
        """Return the keys that give paths, with values that hold in any folder.

        Args:
            root: the folder that relative paths start from.
        """
        own = {name: where for name, where in self.tests.items() if not where.startswith(PREFIX)}
        made = self.translated.relocated(root) if self.translated else {}
        return {f"tests.{name}": str(root / where) for name, where in own.items()} | {
            f"translated.{key}": value for key, value in made.items()
        }


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
        return super().relocated(root) | {
            "sources": [source if urlsplit(source).scheme else str(root / source) for source in self.sources]
        }
