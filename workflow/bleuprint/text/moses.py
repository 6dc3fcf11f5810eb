"""Moses tokenisation and detokenisation, equal to today's Perl scripts.

Imports nothing of bleuprint, since it is also copied into exported folders (tokenisers.py).
"""

import re
from dataclasses import dataclass
from functools import cache

from sacremoses import MosesDetokenizer, MosesTokenizer
from sacremoses.corpus import NonbreakingPrefixes

# Moses' tokenizer writes this for a run of dots while it works; in a text it would come out as dots
MARK = re.compile(r"((?:DOT)+MULTI)")


@dataclass(frozen=True)
class _Needing:
    """A rule's pattern that needs a character to match, so that a line without it need not be searched."""

    character: str
    pattern: re.Pattern[str]

    def sub(self, replacement: str, line: str) -> str:
        return self.pattern.sub(replacement, line) if self.character in line else line


class FastTokenizer(MosesTokenizer):  # type: ignore[misc]  # sacremoses has no types
    """sacremoses' tokenizer without its superfluous work; the tokens are the same."""

    def __init__(self, lang: str) -> None:
        """Make once the sets of letters that sacremoses makes for each word."""
        super().__init__(lang=lang)
        self._lower, self._alpha = frozenset(self.IsLower), frozenset(self.IsAlpha)
        for number in (1, 2, 3):
            pattern, replacement = getattr(self, f"COMMA_SEPARATE_{number}")
            setattr(self, f"COMMA_SEPARATE_{number}", (_Needing(",", pattern), replacement))
        for name in ("ENGLISH_SPECIFIC_APOSTROPHE", "FR_IT_SPECIFIC_APOSTROPHE"):
            setattr(self, name, [(_Needing("'", pattern), replacement) for pattern, replacement in getattr(self, name)])

    def islower(self, text: str) -> bool:
        """Return whether all characters are lower-case letters by Unicode."""
        return self._lower.issuperset(text)

    def isanyalpha(self, text: str) -> bool:
        """Return whether there is a letter."""
        return not self._alpha.isdisjoint(text)

    def handles_nonbreaking_prefixes(self, text: str) -> str:
        """Split off the full stops that are no part of their word; the words before the first stop stay as they are."""
        tokens = text.split()
        first = next((place for place, token in enumerate(tokens) if token.endswith(".")), len(tokens))
        rest = super().handles_nonbreaking_prefixes(" ".join(tokens[first:]))
        return " ".join([*tokens[:first], *rest.split()])


@cache
def _tokenizer(language: str) -> MosesTokenizer:
    return FastTokenizer(language)


@cache
def _detokenizer(language: str) -> MosesDetokenizer:
    return MosesDetokenizer(lang=language)


def note(language: str) -> str | None:
    """Return that Moses has no rules for a language, and what it does then; None if it has."""
    known = set(NonbreakingPrefixes().available_langs.values())
    if language in known:
        return None
    near = f", as {language[:2]}" if language[:2] in known else ""
    return (
        f"text.tokenizer=moses has no rules for the language {language} and uses those of English. It knows two-letter "
        f"codes{near}: {', '.join(sorted(known))}."
    )


def tokenise(line: str, language: str) -> str:
    """Return the tokens of `line`, separated by single spaces, with Moses' escapes (`&apos;` …).

    sacremoses leaves a full stop on a last word that is a non-breaking prefix, number or initial (`usw.`); Perl's
    tokenizer always splits it off, and so does this one. As in Moses, control characters (below U+0020) are removed.
    Perl also turns the words DOTMULTI, DOTDOTMULTI … into dots, which is not imitated.
    """
    if "MULTI" in line:
        junk, nothing = MosesTokenizer.ASCII_JUNK
        pieces = MARK.split(junk.sub(nothing, " ".join(line.split())))
        if len(pieces) > 1:
            parts = (piece if MARK.fullmatch(piece) else tokenise(piece, language) for piece in pieces)
            return " ".join(filter(None, parts))
    tokens: str = _tokenizer(language).tokenize(line, return_str=True, escape=True)
    if tokens.endswith(".") and not tokens.endswith((" .", "..")) and len(tokens) > 1:
        return tokens[:-1] + " ."
    return tokens


def detokenise(tokens: str, language: str) -> str:
    """Return running text of Moses tokens, with escapes undone."""
    text: str = _detokenizer(language).detokenize(tokens.split(), return_str=True, unescape=True)
    return text
