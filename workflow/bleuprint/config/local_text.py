"""The user's own text files: which files a word of the config means, and what identifies them."""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from glob import glob
from pathlib import Path
from typing import Any

from bleuprint.config import published
from bleuprint.files import DataError, sha256

BYTES_PER_LINE, COMPRESSED = 75, 25  # of a sentence, in a plain file and in a compressed one
SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
# What comes after a prefix in the name of a language's file: plain text first; then XML and SGM of IWSLT and WMT
ENDINGS = (".{}", ".{}.xml", ".{}.sgm", "-src.{}.sgm", "-ref.{}.sgm")
TABLE = re.compile(r"\.tsv(\.gz|\.bz2|\.xz|\.zst)?$")  # the end of the name of a file with a column for each language
PATTERN = re.compile(r"[*?[]")
KEYS = "corpus.train, corpus.valid, corpus.test and corpus.tests"

Prefixes = str | Sequence[str]


def spellings(language: str) -> list[str]:
    """Return a language's code as it is, and with the other of hyphen and underscore: `pt-BR` and `pt_BR`."""
    return list(dict.fromkeys((language, language.replace("-", "_"), language.replace("_", "-"))))


def is_table(prefix: str) -> bool:
    """Tell whether a prefix is the name of a file with a column for each language."""
    return TABLE.search(prefix) is not None


def prefixes(words: Prefixes, languages: Sequence[str]) -> list[str]:
    """Return the prefixes that a key of the corpus means, in order, with each pattern's matches in its place.

    Args:
        words: prefixes or patterns of prefixes, such as `data/part-*`.
        languages: both; a pattern only means prefixes that have files in both.

    Raises:
        DataError: a pattern has no matches.
    """
    return [prefix for word in ([words] if isinstance(words, str) else words) for prefix in _expanded(word, languages)]


def _expanded(word: str, languages: Sequence[str]) -> list[str]:
    """Return the sorted prefixes that match a pattern; a word that is no pattern, or has files, means itself."""
    if not PATTERN.search(word) or Path(word).is_file() or _of_language(word, languages[0]):
        return [word]
    if is_table(word):
        matches = set(glob(word))
    else:
        matches = set.intersection(*(_matches(word, language) for language in languages))
    if not matches:
        raise DataError(f"{word}: no prefix matches that has files in {' and '.join(languages)}; check {KEYS}")
    return sorted(matches)


def _matches(pattern: str, language: str) -> set[str]:
    ends = [f"{ending}{suffix}" for ending in _endings(language) for suffix in ("", *SUFFIXES)]
    return {path.removesuffix(end) for end in ends for path in glob(f"{pattern}{end}")}


def local_files(prefix: str, languages: Sequence[str]) -> dict[str, Path]:
    """Return the file of each language: the same path twice where one file holds both, FILE.tsv or PREFIX.xml.

    Raises:
        DataError: a file does not exist.
    """
    if is_table(prefix):
        if not Path(prefix).is_file():
            raise DataError(f"{prefix}: no such file; check {KEYS}")
        return dict.fromkeys(languages, Path(prefix))
    together = _existing([f"{prefix}.xml"])
    if together and not _of_language(prefix, languages[0]):
        return dict.fromkeys(languages, together)
    return {language: local_file(prefix, language) for language in languages}


def local_file(prefix: str, language: str) -> Path:
    """Return the path of a language's file: PREFIX.LANGUAGE, or with another of ENDINGS, compressed or not.

    Raises:
        DataError: none exists.
    """
    if path := _of_language(prefix, language):
        return path
    raise DataError(f"{prefix}.{language}: no such file, nor with {', '.join(SUFFIXES)} added; check {KEYS}")


def monolingual_files(words: Prefixes, language: str) -> list[Path]:
    """Return the files in one language that a key means, in order, with each pattern's matches in its place.

    Raises:
        DataError: a file does not exist, or a pattern has no matches.
    """
    paths = []
    for word in [words] if isinstance(words, str) else words:
        matches = (
            sorted(_matches(word, language)) if PATTERN.search(word) and not _of_language(word, language) else [word]
        )
        if not matches:
            raise DataError(f"{word}: no prefix matches that has a file in {language}; check corpus.translated.text")
        paths += [local_file(prefix, language) for prefix in matches]
    return paths


def _of_language(prefix: str, language: str) -> Path | None:
    return _existing(f"{prefix}{ending}" for ending in _endings(language))


def _endings(language: str) -> list[str]:
    return [ending.format(code) for ending in ENDINGS for code in spellings(language)]


def _existing(names: Iterable[str]) -> Path | None:
    """Return the path of the first file that exists, as it is or with one of SUFFIXES added; None if none exists."""
    paths = (Path(f"{name}{suffix}") for name in names for suffix in ("", *SUFFIXES))
    return next((path for path in paths if path.is_file()), None)


def content_hash(path: Path) -> str:
    """Return the file's SHA-256, computed once per process."""
    return _content_hash(path.absolute())  # a relative path is another file in another folder


@cache
def _content_hash(path: Path) -> str:
    return sha256(path)


def estimated_lines(path: Path) -> int:
    """Return about how many lines a text file has, from its size."""
    return path.stat().st_size // (COMPRESSED if path.suffix in SUFFIXES else BYTES_PER_LINE)


def part_identity(part: str, words: Prefixes, languages: Sequence[str]) -> dict[str, Any]:
    """Return what identifies a part's text: `PART.LANGUAGE` → SHA-256 where it is one file of each language.

    Else `PART` → a list, in order, of what identifies each prefix.

    Raises:
        DataError: a file does not exist.
    """
    hashes = [_hashes(prefix, languages) for prefix in prefixes(words, languages)]
    if len(hashes) == 1 and "both" not in hashes[0]:
        return {f"{part}.{language}": digest for language, digest in hashes[0].items()}
    return {part: hashes}


def _hashes(prefix: str, languages: Sequence[str]) -> dict[str, str]:
    """Return each language's hash; `both` where one file holds both, as its name then decides how it is read."""
    files = local_files(prefix, languages)
    if len(set(files.values())) == 1:
        return {"both": f"{'tsv' if is_table(prefix) else 'xml'} {content_hash(files[languages[0]])}"}
    return {language: content_hash(path) for language, path in files.items()}


def test_identity(where: str, languages: tuple[str, str]) -> dict[str, Any]:
    """Return what decides the text of a further test set: a published set's name and checksums, or files' SHA-256.

    Args:
        where: as in `corpus.tests`.
        languages: source and target.

    Raises:
        DataError: a file does not exist, or sacreBLEU has no such set.
    """
    if where.startswith(published.PREFIX):
        dataset, pair = published.find(where, languages)
        return {"set": where, "pair": pair, "md5": dataset.md5}
    source, target = languages
    if several := references(where, target):
        return {"source": content_hash(local_file(where, source)), "references": list(map(content_hash, several))}
    hashes = _hashes(where, languages)
    return hashes if "both" in hashes else {"source": hashes[source], "references": [hashes[target]]}


def references(prefix: str, language: str) -> list[Path]:
    """Return the paths of several references, PREFIX.LANGUAGE.ref0, .ref1 and so on; none if there is no such file."""
    paths: list[Path] = []
    while path := _existing(f"{prefix}.{code}.ref{len(paths)}" for code in spellings(language)):
        paths.append(path)
    return paths
