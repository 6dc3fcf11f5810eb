"""Files: written whole or not at all, hashed, and read as strict UTF-8 lines."""

import fcntl
import hashlib
import itertools
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

SCARCE = 1 << 20  # bytes free on a disk that counts as full


class DataError(Exception):
    """Input that cannot be used; the message is one sentence for the user, with the way out."""


@contextmanager
def exit_with_message(*others: type[Exception]) -> Iterator[None]:
    """End the process with exit status 1 and the error's message on standard error; around entry points.

    Args:
        others: exceptions that end the process in the same way as a DataError.
    """
    ending: tuple[type[Exception], ...] = (DataError, *others)
    try:
        yield
    except ending as error:
        sys.exit(f"bleuprint: {error}")


@contextmanager
def replacing(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary file beside `path` that takes its place when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    encoding, newline = (None, None) if "b" in mode else ("utf-8", "\n")
    try:
        with open(temporary, mode, encoding=encoding, newline=newline) as file:
            yield file
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def link(source: Path, target: Path) -> None:
    """Make `target` another name of `source`, at once and in place of what it was; a copy where there are no links."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    os.replace(temporary, target)
    temporary.unlink(missing_ok=True)  # two names of one file are left as they are by the line above


def locked(file: int) -> bool:
    """Lock an open file for this process alone, without waiting; False, and the file closed, if others hold it.

    Raises:
        OSError: there are no locks here, as on some network file systems.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return False
    return True


def full(folder: Path) -> str:
    """Return the sentence for a full disk."""
    return f"the disk of {folder} is full; make room, and the same command goes on."


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write `lines`, each ended by one line feed."""
    with replacing(path) as file:
        file.writelines(f"{line}\n" for line in lines)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON."""
    with replacing(path) as file:
        json.dump(value, file, indent=1, ensure_ascii=False)
        file.write("\n")


def read_json(path: Path) -> Any:
    """Return the JSON value of a file."""
    return json.loads(path.read_text(encoding="utf-8"))


def canonical(value: Any) -> str:
    """Return the one JSON text of `value`: sorted keys, no white space."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def short_hash(value: Any) -> str:
    """Return eight hexadecimal digits of the SHA-256 of `value`'s canonical JSON, which name a stage's folder."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:8]


def sha256(path: Path) -> str:
    """Return the file's SHA-256 in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def decode_lines(data: bytes, name: str | Path) -> list[str]:
    """Split UTF-8 `data` at line feeds only, so that other Unicode line ends stay inside their line.

    Raises:
        DataError: the data is no UTF-8; the message names the line.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{name}, line {line}: not UTF-8 (byte 0x{data[error.start]:02x}); "
            f"convert it, e.g. with iconv -f LATIN1 -t UTF-8."
        ) from None
    return text.removesuffix("\n").split("\n") if text else []


def read_lines(path: Path) -> list[str]:
    """Return the lines of a UTF-8 file, without their line feeds.

    Raises:
        DataError: the file is no UTF-8.
    """
    return decode_lines(path.read_bytes(), path)


def last_words(logs: list[str], folder: Path) -> str:
    """Return bleuprint's messages to the user, out of Snakemake's many lines, and whether the disk is full.

    Args:
        logs: Snakemake's logs, which hold those of failed jobs.
        folder: results/.
    """
    said: dict[str, None] = {}  # a set that keeps its order
    lines = [line for log in logs for line in Path(log).read_text(encoding="utf-8", errors="replace").split("\n")]
    for number, line in enumerate(lines):
        if line.startswith("bleuprint: "):
            more = itertools.takewhile(lambda line: line.startswith("  "), lines[number + 1 :])
            said["\n".join([line, *more])] = None
    if any("No space left on device" in line for line in lines) or shutil.disk_usage(folder).free < SCARCE:
        said[f"bleuprint: {full(folder)}"] = None
    return "\n".join(said)
