"""Make one HTTP request for a file, or for what is missing of it, and believe nothing that the server says."""

import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError as TransferError
from urllib3.exceptions import ProtocolError

from bleuprint.files import DataError, visible, write_lines

TIMEOUT = (10, 60)  # seconds to connect, and between two pieces
WATCH = 60  # seconds between two looks at a transfer
SLOWEST = 10_000  # bytes per second that a transfer must reach between two looks
LARGEST = 1 << 32  # bytes that a file of unknown size may have
CHUNK = 1 << 14  # bytes
REASON = 100  # characters of a server's words that are repeated
NUMBER = re.compile(r"[0-9]{1,18}")
RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)")
# What tells one edition of a file from another: a strong entity tag, or a date (RFC 9110)
EDITION = re.compile(r'"[!#-~]{1,200}"|[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT')


class Refused(Exception):
    """The source gives something other than the file."""


class Interrupted(Refused):
    """A transfer that may succeed when tried again."""


@contextmanager
def watched(part: Path) -> Iterator[None]:
    """Interrupt a transfer that is too slow: a socket's own time limit restarts with each byte.

    The alarm also interrupts waiting for a name, a connection or the head of an answer.
    """
    before = size_of(part)

    def look(*_: object) -> None:
        nonlocal before
        before, last = size_of(part), before
        if before - last < SLOWEST * WATCH:
            raise Interrupted(f"less than {SLOWEST * WATCH:,.0f} bytes came in {WATCH} seconds")

    handler = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, WATCH, WATCH)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


def size_of(part: Path) -> int:
    """Return the bytes of an unfinished file; 0 if there is none."""
    return part.stat().st_size if part.exists() else 0


def edition_file(part: Path) -> Path:
    """Return the file beside an unfinished one that holds which edition of the server's file it is the beginning of."""
    return part.with_name(f"{part.stem}.edition.part")


def drop(part: Path) -> None:
    """Remove an unfinished file."""
    part.unlink(missing_ok=True)
    edition_file(part).unlink(missing_ok=True)


def transfer(url: str, part: Path, size: int | None) -> None:
    """Make one HTTP request that appends to `part` what is missing.

    Args:
        url: the file's address.
        part: the unfinished file.
        size: the file's bytes, if known.

    Raises:
        Interrupted: the server did not give all; a further request may.
        Refused: it gives something else.
        requests.RequestException: there is no connection, or the answer is no HTTP.
        DataError: there is no room on the disk.
    """
    have = size_of(part)
    if size is not None and have == size:
        return
    edition = _known_edition(part) if have else ""
    # A compressed transfer could be neither resumed nor measured
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    if edition:  # if the server has another edition by now, it sends all of it
        headers["If-Range"] = edition
    try:
        response = requests.get(url, headers=headers, stream=True, timeout=TIMEOUT)
    except requests.RequestException:  # some of them are ValueErrors, too
        raise
    except (TransferError, ValueError):  # for instance a redirect to an address that is none
        raise Refused("the server's answer cannot be understood") from None
    with response:
        _check_answer(response, url, part, have)
        if response.status_code == 206:
            total = _check_range(response, part, have, edition)
        else:
            have, total = 0, None
        if total is None:
            length = response.headers.get("Content-Length", "")
            total = have + int(length) if NUMBER.fullmatch(length) else size
        _check_size(total or 0, size)
        _check_space(part.parent, (total or 0) - have)
        if have == 0:
            write_lines(edition_file(part), [_edition(response)])
        _receive(response, part, have, total, size)


def _check_answer(response: requests.Response, url: str, part: Path, have: int) -> None:
    """Check that the answer comes by a safe way and brings a file."""
    steps = {urlsplit(step.url).scheme for step in (*response.history, response)}
    if urlsplit(url).scheme == "https" and steps != {"https"}:
        raise Refused("the server redirects to an address without https")
    if response.status_code == 416 and have:  # the partial file is not the beginning of this file
        drop(part)
        raise Interrupted("the unfinished download did not fit the file")
    answer = f"the server answered {response.status_code} {visible(response.reason or '')[:REASON]}".rstrip()
    if response.status_code == 429 or response.status_code >= 500:
        raise Interrupted(answer)
    if response.status_code not in (200, 206):
        raise Refused(answer)


def _check_range(response: requests.Response, part: Path, have: int, edition: str) -> int | None:
    """Check that the answer goes on where the unfinished file ends; return the whole file's bytes, if it says so."""
    placed = RANGE.fullmatch(response.headers.get("Content-Range", f"bytes {have}-{have}/*"))
    another = edition and _edition(response) not in ("", edition)
    if placed is None or int(placed[1]) != have or another:
        drop(part)
        raise Interrupted("the server resumed at the wrong place" if not another else "the server's file has changed")
    return int(placed[2]) if placed[2] != "*" else None


def _edition(response: requests.Response) -> str:
    """Return what tells this edition of the file from others; empty if the server does not say so."""
    named = [response.headers.get(name, "") for name in ("ETag", "Last-Modified")]
    return next((value for value in named if EDITION.fullmatch(value)), "")


def _known_edition(part: Path) -> str:
    path = edition_file(part)
    text = path.read_text(encoding="utf-8", errors="replace").removesuffix("\n") if path.exists() else ""
    return text if EDITION.fullmatch(text) else ""


def _receive(response: requests.Response, part: Path, have: int, total: int | None, size: int | None) -> None:
    """Append the answer's body to `part`, as it is sent, with a bar that shows how much has come."""
    with (
        open(part, "ab" if have else "wb") as file,
        tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=Path(part.stem).stem) as bar,
    ):
        try:
            _refuse_negative_chunks(response)
            # Not iter_content: it unpacks what a server labels as gzip, and drops up to a chunk when cut
            for piece in response.raw.stream(CHUNK, decode_content=False):
                file.write(piece)
                bar.update(len(piece))
                _check_size(file.tell(), size, " and more")
        except TransferError as error:
            raise Interrupted("the connection was cut") from error
        if total is not None and file.tell() < total:
            raise Interrupted("the connection was cut")


def _refuse_negative_chunks(response: requests.Response) -> None:
    """Let a chunk of negative size end the transfer: urllib3 would read on, without limit, until memory is full."""
    raw = response.raw
    begin_chunk = raw._update_chunk_length

    def checked() -> None:
        begin_chunk()
        if raw.chunk_left is not None and raw.chunk_left < 0:
            raise ProtocolError("a chunk of negative size")

    vars(raw)["_update_chunk_length"] = checked


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
