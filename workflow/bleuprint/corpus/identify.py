"""Identify the language of lines with py3langid, which knows some 140 languages and needs no network.

A line counts as of another language where one has a probability of more than 0.5 and the expected one less than 0.01.
Lines shorter than 20 bytes of UTF-8 (20 Latin letters, or 7 Chinese characters) are not judged, as a few words may be
of many languages.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from bleuprint.config.languages import primary

SHORTEST = 20  # bytes of a line that is judged
LIKELY, UNLIKELY = 0.5, 0.01  # probabilities of another language, and of the expected one
LABELS = {"nb": "no", "fil": "tl", "sh": "sr"}  # our code → py3langid's
NO_LANGUAGE = "zxx"  # py3langid's label of numbers, addresses and the like
# Labels of languages that are hard to tell apart, or whose codes are used for one another
RELATIVES = [{"no", "nn", "da"}, {"bs", "hr", "sr"}, {"id", "ms"}, {"zh", "yue", "wuu"}, {"ar", "ary", "arz"}]
RELATIVES += [{"ku", "sdh"}, {"uz", "uzs"}]


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # 0.8 s with the model

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def label(code: str) -> str | None:
    """Return py3langid's label of a language code; None if it does not know the language."""
    language = LABELS.get(primary(code), primary(code))
    return language if language in _identifier().nb_classes else None


def other_languages(lines: Iterable[str], expected: str) -> Iterator[str | None]:
    """Yield for each line that can be judged the other language that it is in; None if it is in the expected one.

    Args:
        lines: untokenised text, without the lines that are not `judged`.
        expected: py3langid's label of the language that the lines should be in.
    """
    identifier = _identifier()
    right = {expected, NO_LANGUAGE}.union(*(group for group in RELATIVES if expected in group))
    for line in lines:
        best, probability = identifier.classify(line)
        suspect = best not in right and probability > LIKELY
        yield best if suspect and dict(identifier.rank(line))[expected] < UNLIKELY else None


def judged(line: str) -> bool:
    """Tell whether a line is long enough for its language to be judged."""
    return len(line.encode()) >= SHORTEST
