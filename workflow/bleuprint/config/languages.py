"""What a language code means, and what several rooms must know about a language.

Codes are those of BCP 47 and ISO 639, with a hyphen or an underscore: `fr`, `fra`, `fr_CA`, `pt-BR`, `zho_Hans`. The
tables have a language's code in two letters where there is one.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # langcodes is imported when a code needs it
    from langcodes import Language

# Languages that Moses has abbreviations for: those of sacremoses.corpus.NonbreakingPrefixes, which is slow to import
_WITH_ABBREVIATIONS = (
    "as bn ca cs de el en es et fi fr ga gu hi hu is it kn lt lv ml mni mr nl or pa pl pt ro ru sk sl sv ta te tdt yue "
    "zh"
)
MOSES = frozenset(_WITH_ABBREVIATIONS.split())
# Written without spaces between words: Chinese languages, Japanese, Thai, Lao, Khmer, Burmese, Shan, Tibetan, Dzongkha
UNSPACED = frozenset({"zh", "yue", "wuu", "lzh", "ja", "th", "lo", "km", "my", "shn", "bo", "dz"})
# Letters i and ı are two, with İ and I as their capitals (Unicode's SpecialCasing.txt)
DOTLESS_I = frozenset({"tr", "az"})
# Languages whose Moses rules were changed, so that texts from before keep their folders: these texts get a new key
CORRECTED = frozenset({"fi", "sv", "ca", "ga", "so", "tdt", "ka", "zh", "yue", "ja", "cs"})
PLAIN = MOSES | UNSPACED | DOTLESS_I | CORRECTED | {"ko"}  # codes that mean themselves


def primary(code: str) -> str:
    """Return the language of a code, in two letters where it has two; an unknown code is returned as it is."""
    if code in PLAIN:
        return code
    tag = _tag(code)
    return tag.language or code if tag else code


def script(code: str) -> str | None:
    """Return the script that a code names, such as `Hans`."""
    tag = None if code in PLAIN else _tag(code)
    return tag.script if tag else None


def known(code: str) -> bool:
    """Tell whether a code names a language."""
    return code in PLAIN or _tag(code) is not None


def same(code: str, other: str) -> bool:
    """Tell whether two codes name one language; regions and scripts are not compared."""
    return primary(code) == primary(other)


def spaced(code: str) -> bool:
    """Tell whether words are separated by spaces."""
    return primary(code) not in UNSPACED or script(code) == "Latn"


def suits_moses(code: str) -> bool:
    """Tell whether Moses has rules for a language and can find its words."""
    return primary(code) in MOSES and spaced(code)


def unknown(key: str, code: str) -> str | None:
    """Return a sentence on a code that names no language; None if it names one.

    Args:
        key: `source` or `target`.
        code: its value.
    """
    if known(code):
        return None
    return (
        f"{key}={code}: no known language code, so no rules of a language are used; a code is for instance de, fra, "
        "pt_BR or zho_Hans"
    )


def rules(source: str, target: str, tokenizers: tuple[str, str], lowercase: bool) -> dict[str, Any]:
    """Return what the text stage's slice must also hold: the codes whose text is made by other rules than it once was.

    Args:
        source: the source language's code.
        target: the target language's code.
        tokenizers: the names of both sides' tokenisers.
        lowercase: whether the text is lower-cased.

    Returns:
        `rules`: by code, the language whose rules are used; an empty dict where the rules are as they always were.
    """
    changed = {}
    for code, tokenizer in zip((source, target), tokenizers, strict=True):
        language = primary(code)
        moses = language in CORRECTED or (language != code and language in MOSES)
        if (tokenizer == "moses" and moses) or (lowercase and language in DOTLESS_I):
            changed[code] = language
    return {"rules": changed} if changed else {}


@cache
def _tag(code: str) -> Language | None:
    """Return a code as langcodes reads it, with its macrolanguage (`cmn` → `zh`); None if it names no language."""
    from langcodes import Language  # takes 40 ms
    from langcodes.tag_parser import LanguageTagError

    try:
        tag = Language.get(code.replace("_", "-")).prefer_macrolanguage()
    except LanguageTagError:
        return None
    return tag if tag.language and Language.make(language=tag.language).is_valid() else None
