"""Read test sets in SGM and XML: a file for each language (IWSLT, WMT until 2020), or one for both (WMT since 2021)."""

import html
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from bleuprint.config.local_text import spellings
from bleuprint.corpus.packed import content, refuse
from bleuprint.files import DataError, decode_lines

ROOTS = ("mteval", "srcset", "refset", "tstset")  # the outermost elements of a file for one language
ELEMENT = re.compile(r"<([A-Za-z]\w*)")
SEGMENT = re.compile(r"<seg\b[^>]*>(.*?)</seg\s*>", re.DOTALL | re.IGNORECASE)
WHITE = re.compile(r"[ \t\r\n]+")
ENTITY = re.compile(r"&(?:#[0-9]+|#[xX][0-9a-fA-F]+|\w+);")


def read_segments(data: bytes, path: Path) -> list[str] | None:
    """Return the segments of SGM or XML in one language, in order; None if it is something else.

    Many of these files are no well-formed XML, so tags are searched for. Entities are undone, and white space of any
    length becomes one space.

    Args:
        data: the content of a file.
        path: its path, for messages.

    Raises:
        DataError: it is not UTF-8, or has no segment, or one that does not end.
    """
    beginning = data[:4096].decode(errors="ignore").lstrip()
    root = ELEMENT.search(beginning)
    if not beginning.startswith("<") or root is None or root[1].lower() not in ROOTS:
        return None
    text = "\n".join(decode_lines(data, path))
    segments = SEGMENT.findall(text)
    if not segments or len(segments) != len(re.findall(r"<seg\b", text, re.IGNORECASE)):
        raise DataError(f"{path}: it has {'a <seg> without </seg>' if segments else 'no <seg>'}; is the file whole?")
    return list(map(segment_text, segments))


def segment_text(segment: str) -> str:
    """Return what stands between `<seg>` and `</seg>` with entities such as &amp; undone, and single spaces."""
    return _clean(ENTITY.sub(lambda entity: html.unescape(entity[0]), segment))


def read_both(path: Path, languages: Sequence[str]) -> dict[str, list[str]]:
    """Return the segments of each language of WMT's XML since 2021, with the reference of the file's first translator.

    Documents of test suites are left out, and segments that this translator has not translated.

    Raises:
        DataError: the file is damaged, no such XML, or lacks a language.
    """
    data = content(path)
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        refuse(data, path)
        raise DataError(f"{path}: no well-formed XML ({error}).") from None
    documents = [document for document in root.iter("doc") if "testsuite" not in document.attrib]
    sides = [side for document in documents for side in document if side.tag in ("src", "ref")]
    held = {side.get("lang", ""): side.tag for side in sides}
    kinds = {
        language: next((held[code] for code in spellings(language) if code in held), None) for language in languages
    }
    if sorted(map(str, kinds.values())) != ["ref", "src"]:
        found = " and ".join(f"{code} ({tag})" for code, tag in held.items()) or "no <src> and <ref>"
        raise DataError(f"{path}: holds {found}, and not {' and '.join(languages)} as source and reference.")
    translator = next(side.get("translator") for side in sides if side.tag == "ref")
    lines: dict[str, list[str]] = {language: [] for language in languages}
    left_out = 0
    for document in documents:
        source = _segments(document.find("src"))
        reference = _segments(next((r for r in document.iter("ref") if r.get("translator") == translator), None))
        left_out += len(source.keys() - reference.keys())
        for number in filter(reference.__contains__, source):
            for language, kind in kinds.items():
                lines[language].append((source if kind == "src" else reference)[number])
    if left_out:
        name = translator or "the reference"
        print(f"{path}: {left_out:,} segments are left out, {name} has no translation of them", file=sys.stderr)
    return lines


def _segments(side: ElementTree.Element | None) -> dict[str, str]:
    """Return the segments of a document by number."""
    segments = side.iter("seg") if side is not None else ()
    return {segment.get("id", ""): _clean("".join(segment.itertext())) for segment in segments}


def _clean(text: str) -> str:
    """Return text on one line; spaces that are no white space in XML, such as no-break spaces, stay."""
    return WHITE.sub(" ", text).strip(" ")
