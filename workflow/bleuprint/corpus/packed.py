"""Read files that may be compressed, by their content: gzip, bzip2, xz or Zstandard, whatever their names say."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backports import zstd

from bleuprint.files import DataError

LIMIT = 1 << 30  # bytes that a compressed file may unpack to: a small file could fill any memory
Open = Callable[[Path], Any]  # for reading bytes
# The end of a name, and the first bytes of such a file → how it is opened
FORMATS: dict[tuple[str, bytes], Open] = {
    (".gz", b"\x1f\x8b"): gzip.open,
    (".bz2", b"BZh"): bz2.open,
    (".xz", b"\xfd7zXZ\0"): lzma.open,
    (".zst", b"\x28\xb5\x2f\xfd"): zstd.open,
}
DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError, zstd.ZstdError)
# The first bytes of a file that is no text → what it is, and what to do
OTHERS = {
    b"PK\x03\x04": "a zip archive; unpack it",
    b"%PDF": "a PDF; extract its text",
    b"\xff\xfe\0\0": "UTF-32; convert it with iconv -f UTF-32 -t UTF-8",
    b"\xff\xfe": "UTF-16; convert it with iconv -f UTF-16 -t UTF-8",
    b"\xfe\xff": "UTF-16; convert it with iconv -f UTF-16 -t UTF-8",
}
MARKUP = (b"<?xml", b"<!doctype", b"<html", b"<tmx", b"<mteval", b"<srcset", b"<refset", b"<tstset", b"<xliff")


def unpacked(path: Path) -> bytes:
    """Return the content of a plain text file, without a byte order mark of UTF-8.

    Raises:
        DataError: it is damaged, unpacks to more than LIMIT bytes, or is no plain text; the message says what it is.
    """
    data = content(path)
    refuse(data, path)
    return data


def content(path: Path) -> bytes:
    """Return a file's content, unpacked, without a byte order mark of UTF-8.

    Raises:
        DataError: it is damaged, or unpacks to more than LIMIT bytes.
    """
    way = _way(path)
    data = path.read_bytes() if way is None else _decompressed(path, way)
    return data.removeprefix(b"\xef\xbb\xbf")


def refuse(data: bytes, path: Path) -> None:
    """Raise a DataError that says what the content of a file is, if it is no plain text."""
    if other := kind(data):
        raise DataError(f"{path} is {other}.")


def _way(path: Path) -> Open | None:
    """Return how a compressed file is opened; None if neither its content nor its name says that it is compressed."""
    with open(path, "rb") as file:
        beginning = file.read(8)
    by_content = [way for (_, magic), way in FORMATS.items() if beginning.startswith(magic)]
    by_name = [way for (suffix, _), way in FORMATS.items() if path.suffix == suffix]
    return next(iter(by_content + by_name), None)


def _decompressed(path: Path, way: Open) -> bytes:
    try:
        with way(path) as stream:
            data: bytes = stream.read(LIMIT + 1)
    except DAMAGED as error:
        raise DataError(f"{path}: the file is cut short or damaged ({error}).") from None
    if len(data) > LIMIT:
        raise DataError(f"{path}: refused, it unpacks to more than {LIMIT:,} bytes; if it should, unpack it yourself.")
    return data


def kind(data: bytes) -> str | None:
    """Return what a content is and what to do with it, if it is not plain text; None if it may be."""
    for magic, what in OTHERS.items():
        if data.startswith(magic):
            return what
    start = data[:4096]
    nul = sorted(start[parity::2].count(0) / (len(start) // 2 or 1) for parity in (0, 1))
    if len(start) > 16 and nul[0] < 0.1 and nul[1] > 0.9:  # Latin text in UTF-16 without its mark
        return "not UTF-8, but probably UTF-16; convert it with iconv -f UTF-16LE -t UTF-8, or -f UTF-16BE"
    if b"<tmx" in start.lower():
        return "a translation memory (TMX); write the segments of each language into a file of its own, one a line"
    if start.lstrip(b"\xef\xbb\xbf \r\n").lower().startswith(MARKUP):
        return "XML or SGML; write one sentence a line, e.g. with: grep '<seg' FILE | sed 's/<[^>]*>//g'"
    return None
