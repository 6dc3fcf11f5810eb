"""Look at the lines of each file on its own: markup, mojibake, other languages, Unicode forms.

Of the corpus' raw files, whose line numbers are shown:

- `markup`: lines with an HTML or XML tag, a comment, or an entity such as `&amp;` or `&#39;`. All lines are read. Moses
  writes entities into its tokens; they are no fault, and are not seen here;
- `mojibake`: lines with text that was decoded wrongly, such as “Ã¼” for “ü”, by ftfy's rules, of at most 5,000
  evenly spaced lines (`mojibake_of`);
- `languages`: how many lines are in which other language, of at most 1,000 evenly spaced lines that are long
  enough to be judged (`judged`); see identify.py. Missing where py3langid does not know the file's language, or where
  fewer than 20 lines can be judged.

Of the text before subwords, which may have been brought into one Unicode form:

- `two_forms`: lines that can be written in two Unicode forms, such as “é” and “e” with a combining accent;
  `decomposed`: those of them that are not in the composed form (NFC).
"""

import html.entities
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from bleuprint.corpus.identify import judged, label, other_languages
from bleuprint.corpus.leaks import EXAMPLES

MOJIBAKE_SAMPLE, LANGUAGE_SAMPLE = 5000, 1000  # lines of a file
ENOUGH = 20  # lines of which a share tells something
MARKUP = re.compile(
    r"</?[A-Za-z][\w:.-]*(?:\s[^<>]*)?/?>|<!--|&(?:#[0-9]{2,6}|#[xX][0-9A-Fa-f]{2,5}|(?P<name>[A-Za-z][A-Za-z0-9]{1,30}));"
)
SPLIT_OFF = re.compile(r" (?=[\u0300-\u036f])")  # the space that Moses puts before an accent

Numbered = tuple[int, str]


def has_markup(line: str) -> bool:
    """Tell whether a line has a tag or an entity of HTML or XML."""
    if "<" not in line and "&" not in line:
        return False
    return any(match["name"] is None or f"{match['name']};" in html.entities.html5 for match in MARKUP.finditer(line))


def mojibake(line: str) -> bool:
    """Tell whether a part of a line was decoded wrongly."""
    from ftfy.badness import is_bad  # 50 ms

    return not line.isascii() and is_bad(line)


def raw_figures(lines: Iterable[str], language: str) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """Return the figures of a raw file, and for each figure at most three lines that count in it.

    Args:
        lines: the file's lines; they are read several times.
        language: the code of the language that they should be in.

    Returns:
        The figures above, with `lines`, their number; and figure → `line` (its number), `text` and, of another
        language, `language`.
    """
    size, markup, marked = 0, 0, []
    for size, line in enumerate(lines, 1):
        if has_markup(line):
            markup += 1
            marked += [(size, line)] if markup <= EXAMPLES else []
    sample = [*_evenly(enumerate(lines, 1), size, MOJIBAKE_SAMPLE)]
    garbled = [numbered for numbered in sample if mojibake(numbered[1])]
    examples = {"markup": _shown(marked), "mojibake": _shown(garbled[:EXAMPLES])}
    figures: dict[str, Any] = {"lines": size, "markup": markup}
    figures |= {"mojibake": len(garbled), "mojibake_of": len(sample)}
    long_lines = [numbered for numbered in sample if judged(numbered[1])]
    long_lines = [*_evenly(long_lines, len(long_lines), LANGUAGE_SAMPLE)]
    if len(long_lines) >= ENOUGH and (expected := label(language)) is not None:
        languages = [*other_languages((line for _, line in long_lines), expected)]
        others = [(numbered, other) for numbered, other in zip(long_lines, languages, strict=True) if other is not None]
        figures |= {"judged": len(long_lines), "languages": dict(Counter(other for _, other in others).most_common())}
        examples["languages"] = [
            example | {"language": other}
            for example, (_, other) in zip(_shown(line for line, _ in others[:EXAMPLES]), others, strict=False)
        ]
    return figures, {name: lines for name, lines in examples.items() if lines}


def forms(lines: Iterable[str]) -> dict[str, int]:
    """Count the lines that can be written in two Unicode forms, and those of them that are not in the composed one."""
    two_forms = decomposed = 0
    for line in lines:
        if not line.isascii():
            line = SPLIT_OFF.sub("", line)
            composed = unicodedata.is_normalized("NFC", line)
            two_forms += not composed or not unicodedata.is_normalized("NFD", line)
            decomposed += not composed
    return {"two_forms": two_forms, "decomposed": decomposed}


def _evenly(items: Iterable[Numbered], size: int, wanted: int) -> Iterator[Numbered]:
    """Return at most `wanted` of `size` items, evenly spaced."""
    return islice(items, 0, None, max(1, -(-size // wanted)))


def _shown(lines: Iterable[Numbered]) -> list[dict[str, Any]]:
    return [{"line": number, "text": line} for number, line in lines]
