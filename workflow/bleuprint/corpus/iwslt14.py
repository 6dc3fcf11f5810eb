"""Read IWSLT's archives of TED talks, 2014 to 2017, up to but not including tokenisation.

Of the archive that fairseq's prepare-iwslt14.sh downloads, 2014's for German and English, it makes the script's text.
"""

import gzip
import re
import tarfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path, PurePosixPath

from bleuprint.config.iwslt14 import TEST_SETS, as_the_script
from bleuprint.config.local_text import spellings
from bleuprint.corpus.markup import segment_text
from bleuprint.files import DataError, decode_lines

METADATA = ("<url>", "<talkid>", "<keywords>")  # the script leaves out training lines that hold one of these
# What else begins a line that is no sentence: speakers and translators since 2015, documents since 2017
OTHERS = re.compile(r"\s*</?(?:speaker|reviewer|translator|doc|url|talkid|keywords)\b")
TAGS = re.compile(r"</?(?:title|description)>")
SEGMENT = re.compile(r'<seg id="[0-9]*">\s*')
LIMIT = 1 << 28  # bytes that the whole archive may unpack to; the largest member of the script's has 20 MB
LIMITS = {2017: 1 << 31}  # the archive of 2017's multilingual task holds twenty pairs
MEMBERS = 1000  # that an archive may have

Parts = dict[str, list[str]]  # "train.de" → lines


def read_archive(
    path: Path,
    languages: tuple[str, str],
    year: int = 2014,
    test_sets: Sequence[str] = TEST_SETS,
    valid_sets: Sequence[str] = (),
) -> Parts:
    """Read the raw lines of an archive such as `de-en.tgz`; no member is unpacked to disk.

    Metadata lines are dropped from the training text. Entities such as &amp; are undone in the test sets; not so in
    German and English of 2014, where ’ becomes ' there, both as in the script.

    Args:
        path: the archive.
        languages: both; their order in the archive's names may be the other.
        year: of the evaluation campaign, 2014 to 2017.
        test_sets: names such as `TED.tst2013` of the sets that are the test set, one after the other.
        valid_sets: the same for the validation set; none: there is no such part.

    Raises:
        DataError: the archive is cut short, unsafe, or lacks a file.
    """
    sets = {"test": test_sets, "valid": valid_sets}
    # The pair's name in the archive → the members that its text is in
    names = {
        f"{first}-{second}": _names((first, second), year, [*test_sets, *valid_sets])
        for ordered in (languages, languages[::-1])
        for first, second in product(*map(spellings, ordered))
    }
    folders = _members(path, set.union(*names.values()), LIMITS.get(year, LIMIT))
    # An archive of several pairs holds each in both orders: the one that is asked for is the first
    candidates = [(pair, members) for pair in names for members in folders.values()]
    pair, members = min(
        candidates, key=lambda found: len(names[found[0]] - found[1].keys()), default=(next(iter(names)), {})
    )
    if missing := sorted(names[pair] - members.keys()):
        raise DataError(
            f"{path}: not IWSLT{year % 100}'s archive for {pair}, it lacks {', '.join(missing)}{_sets(folders, pair)}."
        )
    script = as_the_script(year, languages)
    parts: Parts = {}
    for language in languages:
        ending = next(f"{pair}.{code}" for code in spellings(language) if f"train.tags.{pair}.{code}" in members)
        parts[f"train.{language}"] = _training(members[f"train.tags.{ending}"], script)
        for part, chosen in sets.items():
            texts = [members[f"IWSLT{year % 100}.{name}.{ending}.xml"] for name in chosen]
            if texts:
                parts[f"{part}.{language}"] = [line for text in texts for line in _segments(text, script)]
    return parts


def _names(languages: Sequence[str], year: int, sets: Iterable[str]) -> set[str]:
    """Return the names of the members that the text of a pair, in this order, is in."""
    endings = [f"{'-'.join(languages)}.{language}" for language in languages]
    train = {f"train.tags.{ending}" for ending in endings}
    return train | {f"IWSLT{year % 100}.{name}.{ending}.xml" for name in sets for ending in endings}


def _sets(folders: dict[str, Parts], pair: str) -> str:
    """Return a clause on the sets that an archive has of a pair, and the keys that choose among them."""
    set_of = re.compile(rf"(IWSLT[0-9]+\..+)\.{re.escape(pair)}\.[^.]+\.xml")
    matches = [match for members in folders.values() for match in map(set_of.fullmatch, members) if match]
    sets = ", ".join(sorted({match[1] for match in matches}))
    return f"; its sets are {sets}: choose with corpus.year, corpus.test_sets and corpus.valid_sets" if sets else ""


class _Limited(gzip.GzipFile):
    """A packed stream, read without seeking, that unpacks to no more than `limit` bytes."""

    unpacked = 0
    limit = LIMIT

    def read(self, size: int | None = -1) -> bytes:
        """Return up to `size` bytes."""
        data = super().read(size)
        self.unpacked += len(data)
        if self.unpacked > self.limit:
            raise DataError(f"{self.name}: refused, it unpacks to more than {self.limit:,} bytes.")
        return data


def _members(path: Path, wanted: set[str], limit: int) -> dict[str, Parts]:
    """Return by folder the lines of the wanted members; of other test sets, which are not read, no lines."""
    folders: dict[str, Parts] = defaultdict(dict)
    try:
        with _Limited(path) as stream:
            stream.limit = limit
            # As a stream (r|): with seeking, a header can send tarfile backwards, and into an endless loop
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for number, member in enumerate(archive, 1):
                    if number > MEMBERS:
                        raise DataError(f"{path}: refused, it has more than {MEMBERS:,} members.")
                    _check(member, path)
                    name = PurePosixPath(member.name)
                    if member.isfile() and name.suffix == ".xml":
                        folders[str(name.parent)].setdefault(name.name, [])
                    if member.isfile() and name.name in wanted:
                        file = archive.extractfile(member)
                        assert file is not None
                        lines = decode_lines(file.read(), f"{path}: {member.name}")
                        folders[str(name.parent)][name.name] = lines
            while stream.read(1 << 16):  # to the very end, where gzip compares its checksum
                pass
    # tarfile raises ValueError or RecursionError at some malformed headers
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: the archive is cut short or damaged ({error}).") from None
    return folders


def _check(member: tarfile.TarInfo, path: Path) -> None:
    """Refuse a member that no corpus needs, even if it would not be read."""
    name, message = PurePosixPath(member.name), f"{path}: refused, its member {member.name[:200]!r}"
    if name.is_absolute() or ".." in name.parts:
        raise DataError(f"{message} leaves the archive's folder.")
    if member.issparse() or not (member.isfile() or member.isdir()):
        raise DataError(f"{message} is a link, a device or a sparse file.")
    if member.size > LIMIT:
        raise DataError(f"{message} has {member.size:,} bytes.")


def _training(lines: list[str], script: bool) -> list[str]:
    """Return the training lines, with titles and descriptions, without what the script leaves out, or all metadata."""
    lines = [line for line in lines if not any(tag in line for tag in METADATA)]
    return [TAGS.sub("", line) for line in lines if script or not OTHERS.match(line)]


def _segments(lines: list[str], script: bool) -> list[str]:
    """Return the sentences of a set's XML, as the script does or with the text as it is meant."""
    segments = [SEGMENT.sub("", line).replace("</seg>", "").strip() for line in lines if "<seg id" in line]
    return [line.replace("’", "'") for line in segments] if script else list(map(segment_text, segments))
