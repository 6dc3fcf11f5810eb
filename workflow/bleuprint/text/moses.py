"""Moses tokenisation and detokenisation, as its Perl scripts do it: docs/explanation/languages.md says how equally.

Imports nothing of bleuprint, since it is also copied into exported folders (tokenisers.py). Languages are codes of two
letters where there is one, as Moses has them.
"""

import re
from dataclasses import dataclass
from functools import cache

import regex  # type: ignore[import-untyped]  # comes with sacremoses
from sacremoses import MosesDetokenizer, MosesTokenizer

# Moses' tokenizer writes this for a run of dots while it works; in a text it would come out as dots
MARK = re.compile(r"((?:DOT)+MULTI)")
WORDS = r"\p{Alphabetic}\p{Nd}\s.'`,\-"  # letters and digits, as Perl has them, and what other rules split off
OTHER = rf"[^{WORDS}]"
# What gets spaces around it, in the languages where sacremoses differs from tokenizer.perl
SEPARATED = dict.fromkeys(("ga", "so", "ka", "zh", "yue", "ja"), OTHER)  # sacremoses takes 。 for a letter
SEPARATED |= dict.fromkeys(("fi", "sv"), rf"[^{WORDS}:]|:(?=$|[^\p{{Ll}}])")  # a colon may stand in a word: EU:ssa
SEPARATED["ca"] = rf"[^{WORDS}·]"  # so may a middle dot: il·lusió
SEPARATED["tdt"] = rf"{OTHER}|'(?=$|[^\p{{Ll}}])"  # so may an apostrophe
# What detokenizer.perl joins in Czech: `1999 .` and `3 , 5`; `přijde - li`, unless it ends the line
CZECH_NUMBER = re.compile(r"(?<!\S)[0-9]+(?: [.,] [0-9]+)*(?: [.,])?(?!\S)")
CZECH_DASH = re.compile(r"(?<=[^\W\d_]) ([-–]) (?=(?:li|mail\S*) \S)", re.IGNORECASE)
NOTHING = re.compile(r"(?!)")


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


class PerlTokenizer(FastTokenizer):
    """The tokenizer of a language in SEPARATED, as tokenizer.perl has it."""

    def __init__(self, lang: str) -> None:
        """Replace the rules in which sacremoses differs."""
        super().__init__(lang)
        self.PAD_NOT_ISALNUM = regex.compile(f"({SEPARATED[lang]})"), r" \1 "
        if lang in ("ga", "ca"):
            self.lang = "fr"  # an apostrophe ends a token: l' home
        if lang in ("so", "tdt"):
            self.lang = "fr"
            self.FR_IT_SPECIFIC_APOSTROPHE.pop()  # but one between letters stays

    def islower(self, text: str) -> bool:
        """Return whether all characters are lower-case letters; sacremoses does not know Georgian ones."""
        return text.islower()


@cache
def _tokenizer(language: str) -> MosesTokenizer:
    return PerlTokenizer(language) if language in SEPARATED else FastTokenizer(language)


@cache
def _detokenizer(language: str) -> MosesDetokenizer:
    detokenizer = MosesDetokenizer(lang="ga" if language == "ca" else language)  # l' home, which Perl leaves apart
    if language == "cs":
        detokenizer.IS_FRENCH_CONRTACTION = NOTHING  # sacremoses' rule of the dash ends in a TypeError
    return detokenizer


def tokenise(line: str, language: str) -> str:
    """Return the tokens of `line`, separated by single spaces, with Moses' escapes (`&apos;` …).

    sacremoses leaves a full stop on a last word that is a non-breaking prefix, number or initial (`usw.`); Perl's
    tokenizer always splits it off, and so does this one. As in Moses, control characters (below U+0020) are removed.
    Perl also turns the words DOTMULTI, DOTDOTMULTI … into dots, and splits Indic words at their viramas, neither of
    which is imitated.
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
    if language == "cs":
        tokens = CZECH_NUMBER.sub(lambda match: match[0].replace(" ", ""), " ".join(tokens.split()))
        tokens = CZECH_DASH.sub(r"\1", tokens)
    text: str = _detokenizer(language).detokenize(tokens.split(), return_str=True, unescape=True)
    return text
