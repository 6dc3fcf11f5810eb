"""No tokenisation, for text that is tokenised already: its words are its tokens, and the hypotheses stay tokens."""


def tokenise(line: str, language: str) -> str:
    """Return the line as it is."""
    return line


def detokenise(tokens: str, language: str) -> str:
    """Return the tokens as they are."""
    return tokens
