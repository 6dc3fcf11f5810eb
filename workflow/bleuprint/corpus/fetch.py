"""Get one file from a mirror folder or the first source that has it: resumed, retried, verified, written whole."""

import hashlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from bleuprint.corpus.transfer import REASON, Interrupted, Refused, drop, size_of, transfer, watched
from bleuprint.files import DataError, remove, sha256, visible

ATTEMPTS = 5  # per source
BACKOFF = 1.0  # seconds before the second attempt; doubled for each further one
WAY_OUT = 'put the file into a folder and name that folder with overrides="runtime.mirror=FOLDER"'


def fetch(
    name: str,
    sources: Sequence[str],
    folder: Path,
    *,
    mirror: Path | None = None,
    size: int | None = None,
    digest: str | None = None,
    another: str | None = None,
    read: Callable[[Path], Any] = lambda path: path,
) -> Any:
    """Find `name` in `mirror` or get it from the first of `sources` that has it, and read it.

    Args:
        name: the file's name in `mirror` and `folder`.
        sources: URLs, `file:` URLs or plain paths of the file, tried in this order.
        folder: where downloads are kept, unfinished ones too.
        mirror: a folder searched before any source; with the file in it nothing touches the network.
        size: the file's bytes, if known.
        digest: its SHA-256, if known.
        another: the keys that a user sets to get another edition of the file.
        read: reads the verified file; where it raises a DataError, the next source is tried.

    Returns:
        What `read` returns, which is given the file's path: in `folder`, or in its own place if the source is local.

    Raises:
        DataError: no source has the right file, or sends it in time, or the disk is too full.
    """
    landed = folder / name
    if landed.exists() and _mismatch(landed, size, digest) is None:
        try:
            return read(landed)
        except DataError as error:
            print(f"{_set_aside(landed, error)}; it is downloaded again.", file=sys.stderr, flush=True)
    failures = []
    local = [str(mirror / name)] if mirror is not None else []
    for source in [*local, *sources]:
        try:
            if urlsplit(source).scheme in ("http", "https"):
                return _download(source, landed, size, digest, read)
            path = Path(unquote(urlsplit(source).path) if source.startswith("file:") else source)
            if wrong := _mismatch(path, size, digest):
                raise Refused(wrong)
            return _read(path, read)
        except (Refused, RetryError, requests.RequestException, ValueError) as error:
            failures.append(f"{source}: {_reason(error)}")
    unexpected = another and any(": wrong " in failure for failure in failures)
    hint = f"if the file there is the one that you want, set {another}, else " if unexpected else ""
    raise DataError(f"{name} could not be downloaded ({'; '.join(failures) or 'no source is named'}); {hint}{WAY_OUT}.")


def _reason(error: BaseException) -> str:
    if isinstance(error, RetryError):
        error = error.last_attempt.exception() or error
    if isinstance(error, requests.exceptions.SSLError):
        return "no secure connection, its certificate may be unknown here"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if isinstance(error, Refused):
        return str(error)
    return visible(str(error))[:REASON]  # may hold the server's words


def _mismatch(path: Path, size: int | None, digest: str | None) -> str | None:
    """Return what is wrong with the file, or None."""
    if not path.is_file():
        return "no such file"
    if size is not None and path.stat().st_size != size:
        return f"wrong size, {path.stat().st_size:,} bytes where {size:,} were expected"
    if digest is not None and (found := sha256(path)) != digest:
        return f"wrong checksum, sha256 {found} where {digest} was expected"
    return None


def _read(path: Path, read: Callable[[Path], Any]) -> Any:
    """Read a file; one that cannot be read is refused, and the message leaves out its path."""
    try:
        return read(path)
    except DataError as error:
        raise Refused(str(error).removeprefix(f"{path}: ").removesuffix(".")) from None


def _set_aside(landed: Path, error: DataError) -> str:
    """Rename a download that cannot be read, so that the next call downloads it again; return a clause that says so."""
    aside = landed.with_name(f"{landed.name}.unreadable.part")  # what ends in .part is never recorded
    os.replace(landed, aside)
    return f"bleuprint: {visible(str(error)).removesuffix('.')}; it is kept as {aside.name}"


def _download(url: str, landed: Path, size: int | None, digest: str | None, read: Callable[[Path], Any]) -> Any:
    """Download `url` and read it; each attempt resumes where the one before was cut."""
    landed.parent.mkdir(parents=True, exist_ok=True)
    part = landed.with_name(f"{landed.name}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.part")
    try:
        for attempt in Retrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential(multiplier=BACKOFF, max=30),
            retry=retry_if_exception_type((Interrupted, requests.ConnectionError, requests.Timeout)),
        ):
            with attempt:
                resumed = size_of(part) > 0
                with watched(part):
                    transfer(url, part, size)
                if (wrong := _mismatch(part, size, digest)) is not None:
                    drop(part)
                    # Two editions of the file may have been put together
                    raise Interrupted(wrong) if resumed else Refused(wrong)
                content = _land(part, landed, read, resumed)
    except Refused:
        drop(part)
        raise
    for left in landed.parent.glob(f"{landed.name}.*.part"):  # of sources that failed, or were given up
        remove(left)
    return content


def _land(part: Path, landed: Path, read: Callable[[Path], Any], resumed: bool) -> Any:
    """Give a whole file its name, and read it."""
    os.replace(part, landed)
    drop(part)
    try:
        return read(landed)
    except DataError as error:
        _set_aside(landed, error)
        reason = str(error).removeprefix(f"{landed}: ").removesuffix(".")
        raise (Interrupted(reason) if resumed else Refused(reason)) from None
