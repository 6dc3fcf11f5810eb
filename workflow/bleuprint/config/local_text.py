"""The user's own text files; the config gives their prefixes."""

from functools import cache
from pathlib import Path

from bleuprint.files import DataError, sha256

BYTES_PER_LINE, COMPRESSED = 75, 25  # of a sentence, in a plain file and in a compressed one
SUFFIXES = (".gz", ".bz2", ".xz", ".zst")


def local_file(prefix: str, language: str) -> Path:
    """Return the path of PREFIX.LANGUAGE, or of such a file with one of SUFFIXES.

    Raises:
        DataError: none exists.
    """
    plain = Path(f"{prefix}.{language}")
    for path in (plain, *(Path(f"{plain}{suffix}") for suffix in SUFFIXES)):
        if path.is_file():
            return path
    suffixes = ", ".join(SUFFIXES)
    raise DataError(f"{plain}: no such file, nor with {suffixes} added; check corpus.train, corpus.valid, corpus.test")


@cache
def content_hash(path: Path) -> str:
    """Return the file's SHA-256, computed once per process."""
    return sha256(path)


def estimated_lines(path: Path) -> int:
    """Return about how many lines a text file has, from its size."""
    return path.stat().st_size // (COMPRESSED if path.suffix in SUFFIXES else BYTES_PER_LINE)
