"""Get one file from a mirror folder or the first source that has it: resumed, retried, verified, written whole."""

import hashlib
import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential
from tqdm import tqdm
from urllib3.exceptions import HTTPError as TransferError

from bleuprint.files import DataError, sha256

ATTEMPTS = 5  # per source
BACKOFF = 1.0  # seconds before the second attempt; doubled for each further one
TIMEOUT = (10, 60)  # seconds to connect, and between two pieces
WATCH = 60  # seconds between two looks at a transfer
SLOWEST = 10_000  # bytes per second that a transfer must reach between two looks
LARGEST = 1 << 32  # bytes that a file of unknown size may have
CHUNK = 1 << 14  # bytes
WAY_OUT = 'put the file into a folder and name that folder with overrides="runtime.mirror=FOLDER"'


class Refused(Exception):
    """The source gives something other than the file."""


class Interrupted(Refused):
    """A transfer that may succeed when tried again."""


def fetch(
    name: str,
    sources: Sequence[str],
    folder: Path,
    *,
    mirror: Path | None = None,
    size: int | None = None,
    digest: str | None = None,
    another: str | None = None,
) -> Path:
    """Find `name` in `mirror` or get it from the first of `sources` that has it.

    Args:
        name: the file's name in `mirror` and `folder`.
        sources: URLs, `file:` URLs or plain paths of the file, tried in this order.
        folder: where downloads are kept, unfinished ones too.
        mirror: a folder searched before any source; with the file in it nothing touches the network.
        size: the file's bytes, if known.
        digest: its SHA-256, if known.
        another: the keys that a user sets to get another edition of the file.

    Returns:
        The verified file, in `folder`, or in its own place if the source is local.

    Raises:
        DataError: no source has the right file, or sends it in time, or the disk is too full.
    """
    landed = folder / name
    if landed.exists() and _mismatch(landed, size, digest) is None:
        return landed
    failures = []
    local = [str(mirror / name)] if mirror is not None else []
    for source in [*local, *sources]:
        try:
            if urlsplit(source).scheme in ("http", "https"):
                return _download(source, landed, size, digest)
            path = Path(unquote(urlsplit(source).path) if source.startswith("file:") else source)
            wrong = _mismatch(path, size, digest)
            if wrong is None:
                return path
            failures.append(f"{source}: {wrong}")
        except (Refused, RetryError, requests.RequestException) as error:
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
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}"
    return str(error)


def _mismatch(path: Path, size: int | None, digest: str | None) -> str | None:
    """Return what is wrong with the file, or None."""
    if not path.is_file():
        return "no such file"
    if size is not None and path.stat().st_size != size:
        return f"wrong size, {path.stat().st_size:,} bytes where {size:,} were expected"
    if digest is not None and (found := sha256(path)) != digest:
        return f"wrong checksum, sha256 {found} where {digest} was expected"
    return None


def _download(url: str, landed: Path, size: int | None, digest: str | None) -> Path:
    """Download `url`; each attempt resumes where the one before was cut."""
    landed.parent.mkdir(parents=True, exist_ok=True)
    part = landed.with_name(f"{landed.name}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.part")
    try:
        for attempt in Retrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential(multiplier=BACKOFF, max=30),
            retry=retry_if_exception_type((Interrupted, requests.ConnectionError, requests.Timeout)),
        ):
            with attempt, _watched(part):
                _transfer(url, part, size)
        if (wrong := _mismatch(part, size, digest)) is not None:
            raise Refused(wrong)
    except Refused:
        part.unlink(missing_ok=True)
        raise
    os.replace(part, landed)
    return landed


@contextmanager
def _watched(part: Path) -> Iterator[None]:
    """Interrupt a transfer that is too slow: a socket's own time limit restarts with each byte.

    The alarm also interrupts waiting for a name, a connection or the head of an answer.
    """
    before = _bytes(part)

    def look(*_: object) -> None:
        nonlocal before
        before, last = _bytes(part), before
        if before - last < SLOWEST * WATCH:
            raise Interrupted(f"less than {SLOWEST * WATCH:,.0f} bytes came in {WATCH} seconds")

    handler = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, WATCH, WATCH)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


def _bytes(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _transfer(url: str, part: Path, size: int | None) -> None:
    """Make one HTTP request that appends to `part` what is missing."""
    have = _bytes(part)
    if size is not None and have == size:
        return
    headers = {"Range": f"bytes={have}-"} if have else {}
    # A compressed transfer could be neither resumed nor measured
    headers["Accept-Encoding"] = "identity"
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        steps = {urlsplit(step.url).scheme for step in (*response.history, response)}
        if urlsplit(url).scheme == "https" and steps != {"https"}:
            raise Refused("the server redirects to an address without https")
        if response.status_code == 416 and have:  # the partial file is not the beginning of this file
            part.unlink()
            raise Interrupted("the unfinished download did not fit the file")
        if response.status_code == 429 or response.status_code >= 500:
            raise Interrupted(f"the server answered {response.status_code} {response.reason}")
        response.raise_for_status()
        if response.status_code != 206:
            have = 0
        elif not response.headers.get("Content-Range", f"bytes {have}-").startswith(f"bytes {have}-"):
            part.unlink()
            raise Interrupted("the server resumed at the wrong place")
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdecimal() else size
        _check_size(total or 0, size)
        _check_space(part.parent, (total or 0) - have)
        with (
            open(part, "ab" if have else "wb") as file,
            tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=Path(part.stem).stem) as bar,
        ):
            try:
                # Not iter_content: it unpacks what a server labels as gzip, and drops up to a chunk when cut
                for piece in response.raw.stream(CHUNK, decode_content=False):
                    file.write(piece)
                    bar.update(len(piece))
                    _check_size(file.tell(), size, " and more")
            except TransferError as error:
                raise Interrupted("the connection was cut") from error
            if total is not None and file.tell() < total:
                raise Interrupted("the connection was cut")


def _check_size(found: int, size: int | None, more: str = "") -> None:
    """Refuse more bytes than the file has, or than any file may have: a server may send for ever."""
    if found > (LARGEST if size is None else size):
        limit = f"{LARGEST:,} are the limit" if size is None else f"{size:,} were expected"
        raise Refused(f"wrong size, {found:,} bytes{more} where {limit}")


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{folder}: {needed:,} bytes are needed and {free:,} are free; make room and run the same command again."
        )
