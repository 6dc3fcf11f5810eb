"""The user's own text files; the config gives their prefixes."""

from functools import cache
from pathlib import Path

from bleuprint.files import DataError, sha256

BYTES_PER_LINE, COMPRESSED = 75, 25  # of a sentence, in a plain file and in a .gz


def local_file(prefix: str, language: str) -> Path:
    """Return the path of PREFIX.LANGUAGE or PREFIX.LANGUAGE.gz.

    Raises:
        DataError: neither exists.
    """
    plain = Path(f"{prefix}.{language}")
    for path in (plain, Path(f"{plain}.gz")):
        if path.is_file():
            return path
    raise DataError(f"{plain}: no such file, nor {plain}.gz; check corpus.train, corpus.valid and corpus.test")


@cache
def content_hash(path: Path) -> str:
    """Return the file's SHA-256, computed once per process."""
    return sha256(path)


def estimated_lines(path: Path) -> int:
    """Return about how many lines a text file has, from its size."""
    return path.stat().st_size // (COMPRESSED if path.suffix == ".gz" else BYTES_PER_LINE)
