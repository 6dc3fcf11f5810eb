"""Read the user's own text: a file for each language, plain or in SGM or XML, or one file that holds both."""

from collections.abc import Sequence
from pathlib import Path

from bleuprint.config.local_text import is_table, local_files, spellings
from bleuprint.corpus.lines import Parts, check_aligned, read_text, text_lines
from bleuprint.corpus.markup import read_both, read_segments
from bleuprint.corpus.packed import content, refuse
from bleuprint.files import DataError


def read_part(part: str, wheres: Sequence[str], languages: tuple[str, str]) -> Parts:
    """Return the lines of a part, those of several prefixes one after the other.

    Args:
        part: `train`, `valid` or `test`.
        wheres: prefixes without patterns, see config/local_text.py.
        languages: both.

    Raises:
        DataError: a file is missing or wrong, or the two sides of a prefix differ in length.
    """
    lines: Parts = {f"{part}.{language}": [] for language in languages}
    for where in wheres:
        sides = {f"{part}.{language}": side for language, side in read_pair(where, languages).items()}
        # Here, too: two prefixes that are both wrong may have equal sums
        check_aligned(sides, languages, f"corpus local, {where}")
        for name, side in sides.items():
            lines[name] += side
    return lines


def read_pair(where: str, languages: Sequence[str]) -> dict[str, list[str]]:
    """Return each language's lines of one prefix.

    Raises:
        DataError: a file is missing or wrong.
    """
    files = local_files(where, languages)
    if is_table(where):
        return read_table(Path(where), languages)
    if len(set(files.values())) == 1:
        return read_both(files[languages[0]], languages)
    return {language: read_side(path) for language, path in files.items()}


def read_side(path: Path) -> list[str]:
    """Return the lines of a file of one language, or its segments if it is SGM or XML.

    Raises:
        DataError: the file is wrong.
    """
    data = content(path)
    if (segments := read_segments(data, path)) is not None:
        return segments
    refuse(data, path)
    return text_lines(data, path)


def read_table(path: Path, languages: Sequence[str]) -> dict[str, list[str]]:
    """Return each language's column of a file whose first line names the columns, separated by tabs.

    Nothing is quoted: a quotation mark is a character like any other.

    Raises:
        DataError: a column is missing or there twice, or a line has another number of fields.
    """
    lines = read_text(path)
    header = lines[0].split("\t") if lines else []
    columns = {}
    for language in languages:
        places = [place for place, name in enumerate(header) if name.strip() in spellings(language)]
        if len(places) != 1:
            problem = f"{len(places)} columns are named" if places else "no column is named"
            names = ", ".join(name.strip()[:40] for name in header) or "no columns"
            raise DataError(f"{path}: {problem} {language}; its first line names {names}.")
        columns[language] = places[0]
    rows = [line.split("\t") for line in lines[1:]]
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise DataError(f"{path}, line {number}: it has {len(row)} fields, and the first line {len(header)}.")
    return {language: [row[place] for row in rows] for language, place in columns.items()}
