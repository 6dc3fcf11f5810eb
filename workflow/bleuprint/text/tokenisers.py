"""The tokenisers that `text.tokenizer` may name.

A new one is a module and one line in TOKENISERS. The module has `tokenise(line, language)` and `detokenise(tokens,
language)`, both from string to string, and may have `note(language)`, a sentence for users. It imports nothing of
bleuprint, since `bleuprint export` copies it into the exported folder.
"""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path


@dataclass(frozen=True)
class Tokeniser:
    """A module, loaded when it is first used (sacremoses takes seconds), and the PyPI packages that it needs."""

    module: str
    packages: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The module's file."""
        return Path(__file__).with_name(f"{self.module}.py")

    def tokenise(self, line: str, language: str) -> str:
        """Return the tokens of a line of running text, separated by spaces."""
        tokens: str = import_module(f"{__package__}.{self.module}").tokenise(line, language)
        return tokens

    def note(self, language: str) -> str | None:
        """Return what users should know before this language is tokenised so; None if nothing."""
        module = import_module(f"{__package__}.{self.module}")
        note: str | None = module.note(language) if hasattr(module, "note") else None
        return note

    def detokenise(self, tokens: str, language: str) -> str:
        """Return running text made of tokens separated by spaces."""
        text: str = import_module(f"{__package__}.{self.module}").detokenise(tokens, language)
        return text


def sides(tokenizer: str | dict[str, str]) -> tuple[str, str]:
    """Return the names of the tokenisers of source and target, as a config's `text.tokenizer` gives them."""
    if isinstance(tokenizer, str):
        return tokenizer, tokenizer
    return tokenizer["source"], tokenizer["target"]


TOKENISERS = {
    "moses": Tokeniser("moses", packages=("sacremoses",)),
    "none": Tokeniser("untokenised"),
}
