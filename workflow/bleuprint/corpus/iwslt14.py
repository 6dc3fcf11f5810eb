"""Read IWSLT14's archive as fairseq's prepare-iwslt14.sh does, up to but not including tokenisation."""

import gzip
import re
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from bleuprint.files import DataError, decode_lines

TEST_SETS = ("TED.dev2010", "TEDX.dev2012", "TED.tst2010", "TED.tst2011", "TED.tst2012")
METADATA = ("<url>", "<talkid>", "<keywords>")
TAGS = re.compile(r"</?(?:title|description)>")
SEGMENT = re.compile(r'<seg id="[0-9]*">\s*')
LIMIT = 1 << 28  # bytes that the whole archive may unpack to; the largest member of the real one has 20 MB
MEMBERS = 1000  # that an archive may have

Parts = dict[str, list[str]]  # "train.de" → lines


def read_archive(path: Path, languages: tuple[str, str]) -> Parts:
    """Read the raw train and test lines of the archive `de-en.tgz`; no member is unpacked to disk.

    Metadata lines are dropped from the training text. The test set is the segments of five sets in the script's order;
    in them, and only there, the script replaces ’ by '.

    Raises:
        DataError: the archive is cut short, unsafe, or lacks a file.
    """
    pair = "-".join(sorted(languages))
    wanted = {f"train.tags.{pair}.{language}" for language in languages} | {
        f"IWSLT14.{name}.{pair}.{language}.xml" for name in TEST_SETS for language in languages
    }
    members = _members(path, pair, wanted)
    if missing := sorted(wanted - members.keys()):
        raise DataError(f"{path}: not IWSLT14's archive for {pair}, it lacks {', '.join(missing)}.")
    parts: Parts = {}
    for language in languages:
        parts[f"train.{language}"] = _training(members[f"train.tags.{pair}.{language}"])
        parts[f"test.{language}"] = [
            line for name in TEST_SETS for line in _segments(members[f"IWSLT14.{name}.{pair}.{language}.xml"])
        ]
    return parts


class _Limited(gzip.GzipFile):
    """A packed stream, read without seeking, that unpacks to no more than LIMIT bytes."""

    unpacked = 0

    def read(self, size: int | None = -1) -> bytes:
        """Return up to `size` bytes."""
        data = super().read(size)
        self.unpacked += len(data)
        if self.unpacked > LIMIT:
            raise DataError(f"{self.name}: refused, it unpacks to more than {LIMIT:,} bytes.")
        return data


def _members(path: Path, pair: str, wanted: set[str]) -> Parts:
    lines: Parts = {}
    try:
        with _Limited(path) as stream:
            # As a stream (r|): with seeking, a header can send tarfile backwards, and into an endless loop
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for number, member in enumerate(archive, 1):
                    if number > MEMBERS:
                        raise DataError(f"{path}: refused, it has more than {MEMBERS:,} members.")
                    _check(member, path)
                    name = PurePosixPath(member.name)
                    if member.isfile() and name.name in wanted and name.parts[:-1] in ((pair,), (".", pair)):
                        file = archive.extractfile(member)
                        assert file is not None
                        lines[name.name] = decode_lines(file.read(), f"{path}: {member.name}")
            while stream.read(1 << 16):  # to the very end, where gzip compares its checksum
                pass
    # tarfile raises ValueError or RecursionError at some malformed headers
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: the archive is cut short or damaged ({error}).") from None
    return lines


def _check(member: tarfile.TarInfo, path: Path) -> None:
    """Refuse a member that no corpus needs, even if it would not be read."""
    name, message = PurePosixPath(member.name), f"{path}: refused, its member {member.name[:200]!r}"
    if name.is_absolute() or ".." in name.parts:
        raise DataError(f"{message} leaves the archive's folder.")
    if member.issparse() or not (member.isfile() or member.isdir()):
        raise DataError(f"{message} is a link, a device or a sparse file.")
    if member.size > LIMIT:
        raise DataError(f"{message} has {member.size:,} bytes.")


def _training(lines: list[str]) -> list[str]:
    return [TAGS.sub("", line) for line in lines if not any(tag in line for tag in METADATA)]


def _segments(lines: list[str]) -> list[str]:
    return [
        SEGMENT.sub("", line).replace("</seg>", "").strip().replace("’", "'") for line in lines if "<seg id" in line
    ]
