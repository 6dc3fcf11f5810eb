"""Unicode normalisation of raw text, and lower-casing.

Imports nothing of bleuprint, since it is also copied into exported folders (commands/export.py).
"""

import unicodedata

# Invisible characters, which no reader misses: soft hyphen, zero-width space, word joiner, byte order mark
INVISIBLE = dict.fromkeys((0x00AD, 0x200B, 0x2060, 0xFEFF))
# Letters i and ı are two in these languages, with İ and I as their capitals (Unicode's SpecialCasing.txt)
DOTLESS_I = ("tr", "az")


def normalise(line: str, form: str | None) -> str:
    """Return a line of raw text in a Unicode form, or as it is without a form.

    With a form, each run of white space becomes one space: no-break spaces (U+00A0, U+202F), wide ones (U+3000),
    tabulators and carriage returns (Windows' line ends) too; it is removed at both ends. The byte order mark (U+FEFF),
    the soft hyphen (U+00AD), the zero-width space (U+200B) and the word joiner (U+2060) are removed. Zero-width joiners
    and non-joiners stay: Persian and the languages of India need them.

    Args:
        line: one line.
        form: NFC, NFD, NFKC or NFKD; None: the line stays as it is.
    """
    if form is None:
        return line
    # Spaces last: NFKC makes a space and a combining mark of some characters
    return " ".join(unicodedata.normalize(form, line.translate(INVISIBLE)).split())  # type: ignore[arg-type]


def lower(text: str, language: str) -> str:
    """Return text in lower case: as `str.lower` does it, but with İ → i and I → ı in Turkish and Azerbaijani.

    Args:
        text: running text or tokens.
        language: its code, in two letters where there is one.
    """
    if language in DOTLESS_I:
        # A combining dot on I (U+0307, in text of form NFD) belongs to the capital of i
        text = text.replace("I\u0307", "i").replace("İ", "i").replace("I", "ı")
    return text.lower()
