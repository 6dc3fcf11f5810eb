"""python -m bleuprint.corpus.test_sets: write the source and the references of a further test set into a folder."""

import argparse
import hashlib
import os
import sys
from copy import copy
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from bleuprint.config import published
from bleuprint.config.local_text import local_file, references
from bleuprint.corpus.doubts import of_test_set, tell
from bleuprint.corpus.further import doubts_of_test_set
from bleuprint.corpus.lines import check_aligned
from bleuprint.corpus.own_text import read_pair, read_side
from bleuprint.files import DataError, exit_with_message, read_lines, replacing_folder, write_lines

TestSet = tuple[list[str], list[list[str]]]  # source lines, and the lines of each reference


def read(where: str, languages: tuple[str, str], mirror: Path | None = None) -> TestSet:
    """Return a further test set.

    Args:
        where: as in `corpus.tests`: a prefix of the user's files, or `sacrebleu/` and the name of a published set.
        languages: source and target.
        mirror: a folder that is searched for a published set's archives before they are downloaded.

    Returns:
        The source lines, and the lines of each reference.

    Raises:
        DataError: a file is missing, wrong or cannot be downloaded, the sides differ in length, or nothing is in them.
    """
    own = not where.startswith(published.PREFIX)
    source, translations = _own(where, languages) if own else _published(where, languages, mirror)
    for number, lines in enumerate(translations):
        name = f"{where}, reference {number}" if len(translations) > 1 else where
        check_aligned({f"test.{languages[0]}": source, f"test.{languages[1]}": lines}, languages, name)
    return source, translations


def _own(where: str, languages: tuple[str, str]) -> TestSet:
    source, target = languages
    if several := references(where, target):
        return read_side(local_file(where, source)), [read_side(path) for path in several]
    sides = read_pair(where, languages)
    return sides[source], [sides[target]]


def _published(where: str, languages: tuple[str, str], mirror: Path | None) -> TestSet:
    """Return a set as sacreBLEU reads it, from archives in sacreBLEU's cache that have the right checksum.

    What sacreBLEU itself has unpacked there is not used, as it does not tell whether it was interrupted.
    """
    from sacrebleu import utils

    from bleuprint.corpus.fetch import fetch

    sacrebleu: Any = utils
    known, pair = published.find(where, languages)
    with TemporaryDirectory() as folder:
        dataset: Any = copy(known)
        dataset._outdir, dataset._rawdir = folder, os.path.join(folder, "raw")
        Path(dataset._rawdir).mkdir()
        for url, md5 in zip(known.data or (), known.md5 or (), strict=True):
            name = dataset._get_tarball_filename(url)
            sources = [str(mirror / Path(urlsplit(url).path).name)] if mirror else []
            archive = fetch(name, [*sources, url], Path(known._rawdir), mirror=mirror, read=partial(_checked, md5=md5))
            place = Path(dataset._rawdir, name)
            place.symlink_to(archive.resolve())  # sacreBLEU downloads no archive that exists
            sacrebleu.extract_tarball(str(place), dataset._rawdir)
        dataset.process_to_text(pair)
        files = [dataset.get_source_file(pair), *dataset.get_reference_files(pair)]
        source, *translations = (read_lines(Path(file)) for file in files)
    return source, translations


def _checked(path: Path, md5: str) -> Path:
    """Return the path of an archive that has the checksum.

    Raises:
        DataError: it has another.
    """
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "md5").hexdigest()
    if digest != md5:
        raise DataError(f"{path}: wrong checksum, md5 {digest} where {md5} was expected.")
    return path


@exit_with_message(OSError)
def main() -> None:
    """Write a test set from the command line; bad input ends in one sentence."""
    parser = argparse.ArgumentParser(prog="bleuprint.corpus.test_sets", description=__doc__)
    parser.add_argument("--where", required=True, help="a prefix of files, or sacrebleu/NAME")
    parser.add_argument("--name", help="what the user calls the set")
    parser.add_argument("--source", required=True, help="the source language")
    parser.add_argument("--target", required=True, help="the target language")
    parser.add_argument("--mirror", type=Path, help="folder searched before the network")
    parser.add_argument(
        "--output", type=Path, required=True, help="folder for test.SOURCE, test.TARGET, test.TARGET.1 …"
    )
    parser.add_argument("--doubts", choices=["error", "warning"], default="warning", help="what a meaningless text is")
    arguments = parser.parse_args()
    languages = (arguments.source, arguments.target)
    source, translations = read(arguments.where, languages, arguments.mirror)
    names = [f"test.{arguments.target}{f'.{number}' if number else ''}" for number in range(len(translations))]
    parts = {f"test.{arguments.source}": source, **dict(zip(names, translations, strict=True))}
    if not arguments.where.startswith(published.PREFIX):  # of a published set nobody doubts
        found = of_test_set(arguments.name or arguments.where, doubts_of_test_set(parts, *languages))
        tell(found, arguments.doubts)
    with replacing_folder(arguments.output) as folder:
        for name, lines in parts.items():
            write_lines(folder / name, lines)
    count = f"{len(translations)} references" if len(translations) > 1 else "1 reference"
    print(f"test: {len(source):,} lines, {count}")
    if blank := sum(not line.strip() for line in source):
        which = f"{blank:,} source line{'s' * (blank > 1)} of {len(source):,}"
        ending = (
            "are blank, and so will be their translations" if blank > 1 else "is blank, and so will be its translation"
        )
        print(f"Note: {which} {ending}.", file=sys.stderr)


if __name__ == "__main__":
    main()
