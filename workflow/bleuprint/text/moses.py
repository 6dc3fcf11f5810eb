"""Moses tokenisation and detokenisation, equal to today's Perl scripts."""

import re
from dataclasses import dataclass
from functools import cache

from sacremoses import MosesDetokenizer, MosesTokenizer

# What Moses' tokenizer writes for a run of dots while it works; in a text it would come out as dots
MARK = re.compile(r"((?:DOT)+MULTI)")


@dataclass(frozen=True)
class _Needing:
    """A rule's pattern that matches nowhere in a line without this character, so that most lines need no search."""

    character: str
    pattern: re.Pattern[str]

    def sub(self, replacement: str, line: str) -> str:
        return self.pattern.sub(replacement, line) if self.character in line else line


class FastTokenizer(MosesTokenizer):  # type: ignore[misc]  # sacremoses has no types
    """sacremoses' tokenizer without what it does in vain: the same tokens."""

    def __init__(self, lang: str) -> None:
        """As sacremoses', which makes sets of `_lower` and `_alpha` anew for each word that it looks at."""
        super().__init__(lang=lang)
        self._lower, self._alpha = frozenset(self.IsLower), frozenset(self.IsAlpha)
        for number in (1, 2, 3):
            pattern, replacement = getattr(self, f"COMMA_SEPARATE_{number}")
            setattr(self, f"COMMA_SEPARATE_{number}", (_Needing(",", pattern), replacement))
        for name in ("ENGLISH_SPECIFIC_APOSTROPHE", "FR_IT_SPECIFIC_APOSTROPHE"):
            setattr(self, name, [(_Needing("'", pattern), replacement) for pattern, replacement in getattr(self, name)])

    def islower(self, text: str) -> bool:
        """Whether Unicode calls all letters lower-case."""
        return self._lower.issuperset(text)

    def isanyalpha(self, text: str) -> bool:
        """Whether there is a letter."""
        return not self._alpha.isdisjoint(text)

    def handles_nonbreaking_prefixes(self, text: str) -> str:
        """Split full stops off, where they are no part of the word; nothing changes before the first one."""
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


def tokenize(line: str, language: str) -> str:
    """Tokens of `line`, separated by single spaces, with Moses' escapes (`&apos;` …).

    sacremoses leaves a full stop on a last word that is a non-breaking prefix, number or initial (`usw.`);
    Perl's tokenizer splits the last word's stop off always, and so does this. Control characters (below U+0020)
    go, as Moses has it; Perl also makes dots of the words DOTMULTI, DOTDOTMULTI …, which stay here.
    """
    if "MULTI" in line:
        junk, nothing = MosesTokenizer.ASCII_JUNK
        pieces = MARK.split(junk.sub(nothing, " ".join(line.split())))
        if len(pieces) > 1:
            parts = (piece if MARK.fullmatch(piece) else tokenize(piece, language) for piece in pieces)
            return " ".join(filter(None, parts))
    tokens: str = _tokenizer(language).tokenize(line, return_str=True, escape=True)
    if tokens.endswith(".") and not tokens.endswith((" .", "..")) and len(tokens) > 1:
        return tokens[:-1] + " ."
    return tokens


def detokenize(tokens: str, language: str) -> str:
    """Running text of Moses tokens, escapes undone."""
    text: str = _detokenizer(language).detokenize(tokens.split(), return_str=True, unescape=True)
    return text
