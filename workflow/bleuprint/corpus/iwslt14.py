"""IWSLT14's archive read as fairseq's prepare-iwslt14.sh reads it, up to but not including tokenisation."""

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
LIMIT = 1 << 30  # bytes in one member; the largest of the real archive is 20 MB

Parts = dict[str, list[str]]  # "train.de" → lines


def read_archive(path: Path, languages: tuple[str, str]) -> Parts:
    """Raw train and test lines of the archive `de-en.tgz`; its members are read, never unpacked.

    Metadata lines are dropped from the training side; the test side is the segments of five sets in the
    script's order, with ’ written ' as the script does there (and only there).

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


def _members(path: Path, pair: str, wanted: set[str]) -> Parts:
    lines: Parts = {}
    try:
        with gzip.open(path) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                if name.is_absolute() or ".." in name.parts:
                    raise DataError(f"{path}: refused, its member {member.name} leaves the archive's folder.")
                if not (member.isfile() or member.isdir()):
                    raise DataError(f"{path}: refused, its member {member.name} is a link or a device.")
                if member.size > LIMIT:
                    raise DataError(f"{path}: refused, its member {member.name} has {member.size:,} bytes.")
                if name.name in wanted and name.parts[:-1] in ((pair,), (".", pair)):
                    file = archive.extractfile(member)
                    assert file is not None
                    lines[name.name] = decode_lines(file.read(), f"{path}: {member.name}")
            while stream.read(1 << 20):  # to the very end: only there gzip compares its checksum
                pass
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(f"{path}: the archive is cut short or damaged ({error}); fetch it anew.") from None
    return lines


def _training(lines: list[str]) -> list[str]:
    return [TAGS.sub("", line) for line in lines if not any(tag in line for tag in METADATA)]


def _segments(lines: list[str]) -> list[str]:
    return [
        SEGMENT.sub("", line).replace("</seg>", "").strip().replace("’", "'") for line in lines if "<seg id" in line
    ]
