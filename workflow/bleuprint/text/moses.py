"""Moses tokenisation and detokenisation, equal to today's Perl scripts."""

from functools import cache

from sacremoses import MosesDetokenizer, MosesTokenizer


@cache
def _tokenizer(language: str) -> MosesTokenizer:
    return MosesTokenizer(lang=language)


@cache
def _detokenizer(language: str) -> MosesDetokenizer:
    return MosesDetokenizer(lang=language)


def tokenize(line: str, language: str) -> str:
    """Tokens of `line`, separated by single spaces, with Moses' escapes (`&apos;` …).

    sacremoses leaves a full stop on a last word that is a non-breaking prefix, number or initial (`usw.`);
    Perl's tokenizer splits the last word's stop off always, and so does this.
    """
    tokens: str = _tokenizer(language).tokenize(line, return_str=True, escape=True)
    if tokens.endswith(".") and not tokens.endswith((" .", "..")) and len(tokens) > 1:
        return tokens[:-1] + " ."
    return tokens


def detokenize(tokens: str, language: str) -> str:
    """Running text of Moses tokens, escapes undone."""
    text: str = _detokenizer(language).detokenize(tokens.split(), return_str=True, unescape=True)
    return text
