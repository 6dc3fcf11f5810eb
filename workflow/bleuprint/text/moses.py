"""Moses tokenisation and detokenisation, equal to today's Perl scripts."""

import re
from functools import cache

from sacremoses import MosesDetokenizer, MosesTokenizer

# What Moses' tokenizer writes for a run of dots while it works; in a text it would come out as dots
MARK = re.compile(r"((?:DOT)+MULTI)")


@cache
def _tokenizer(language: str) -> MosesTokenizer:
    return MosesTokenizer(lang=language)


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
