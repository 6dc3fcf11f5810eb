"""Files: written whole or not at all, hashed, and read as strict UTF-8 lines."""

import fcntl
import hashlib
import io
import json
import os
import re
import shutil
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from errno import EACCES, EPERM, EROFS
from pathlib import Path
from typing import IO, Any

SCARCE = 1 << 20  # bytes free on a disk that counts as full
# Characters that act on a terminal or a page: control characters except tab and line feed, line separators,
# bidirectional embeddings, overrides and isolates, and the surrogates that stand for bytes of no UTF-8 in file names
ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class DataError(Exception):
    """Input that cannot be used; the message is one sentence for the user, with the way out."""


class Damaged(DataError, ValueError):
    """A file of bleuprint's own that is empty, cut short or overwritten; `filename` is its path."""

    def __init__(self, path: Path, problem: str = "is empty or damaged") -> None:
        super().__init__(f"{path} {problem}; delete it and run the same command again.")
        self.filename, self.problem = str(path), problem


def visible(text: str) -> str:
    """Return `text` with each character that acts on a terminal or a page shown by its code, such as ⟨U+001B⟩."""
    return ACTING.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", text)


def sentence(error: Exception) -> str:
    """Return the message of an exception; of the operating system's, the file and what is wrong with it."""
    if not isinstance(error, OSError) or error.filename is None:
        return str(error)
    way_out = "; make it writable, or work in another folder" if error.errno in (EACCES, EPERM, EROFS) else ""
    return f"{os.fsdecode(error.filename)}: {error.strerror}{way_out}."


@contextmanager
def exit_with_message(*others: type[Exception]) -> Iterator[None]:
    """End the process with exit status 1 and the error's message on standard error; around entry points.

    Args:
        others: exceptions that end the process in the same way as a DataError.
    """
    ending: tuple[type[Exception], ...] = (DataError, *others)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name that is no UTF-8 must not end a command
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        yield
    except BrokenPipeError:  # whoever read the output has gone; the rest of it goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except ending as error:
        sys.exit(f"bleuprint: {visible(sentence(error))}")


def temporary_name(path: Path) -> Path:
    """Return the name under which this process makes `path`, beside it; remove what killed ones left under such names.

    A name tells the host and the process. What another host's process makes is left alone.
    """
    host = socket.gethostname()
    names = re.compile(rf"\.{re.escape(path.name)}\.(?:{re.escape(host)}-)?([0-9]{{1,9}})\.part")
    for entry in os.listdir(path.parent) if path.parent.is_dir() else []:
        if (match := names.fullmatch(entry)) and not _runs(int(match[1])):
            remove(path.with_name(entry))
    return path.with_name(f".{path.name}.{host}-{os.getpid()}.part")


def _runs(process: int) -> bool:
    """Tell whether a process runs here."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that it holds, if it is there and may be removed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


@contextmanager
def replacing(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary file beside `path` that takes its place when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    encoding, newline = (None, None) if "b" in mode else ("utf-8", "\n")
    try:
        with open(temporary, mode, encoding=encoding, newline=newline) as file:
            yield file
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Make a folder beside `path` that takes its place when the block ends well; one that a killed job left goes."""
    temporary = path.with_name(f"{path.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    yield temporary
    shutil.rmtree(path, ignore_errors=True)
    os.replace(temporary, path)


def link(source: Path, target: Path) -> None:
    """Make `target` another name of `source`, at once and in place of what it was; a copy where there are no links."""
    temporary = temporary_name(target)
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
    return f"the disk of {folder} is full; make room, and the same command resumes."


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write `lines`, each ended by one line feed."""
    with replacing(path) as file:
        file.writelines(f"{line}\n" for line in lines)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON."""
    with replacing(path) as file:
        json.dump(value, file, indent=1, ensure_ascii=False)
        file.write("\n")


def read_json(path: Path, kind: type[dict[Any, Any]] | type[list[Any]] = dict, keys: Iterable[str] = ()) -> Any:
    """Return the JSON value of a file that bleuprint wrote.

    Args:
        path: the file.
        kind: `dict` or `list`.
        keys: those that the value must have.

    Raises:
        Damaged: it is empty, cut short, of another kind, or lacks a key.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise Damaged(path) from None
    if not isinstance(value, kind) or not all(key in value for key in keys):
        raise Damaged(path)
    return value


def load_yaml(text: str) -> Any:
    """Return what yaml.safe_load returns; libyaml reads it nine times as fast, which counts where there are many runs.

    Raises:
        yaml.YAMLError: it is no YAML.
    """
    import yaml  # most of what writes files reads none

    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


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
